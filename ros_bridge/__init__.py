"""ROS 2 in and out."""

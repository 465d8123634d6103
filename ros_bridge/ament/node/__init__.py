"""Sightline on rclpy: the node `bridge`, and the source `rclpy://`."""

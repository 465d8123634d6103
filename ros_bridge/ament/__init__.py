"""The package `sightline_ros` that colcon builds. No part of Sightline's wheel; see docs/ros.md."""

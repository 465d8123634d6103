"""Drive on a camera's topic, and show it: `ros2 launch sightline_ros sightline.launch.py source:=rclpy://camera/image_raw`.

Without `command=` in the source it is a shadow drive: nothing is commanded.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PARAMETERS = Path(get_package_share_directory("sightline_ros")) / "config" / "sightline.yaml"


def generate_launch_description() -> LaunchDescription:
    """The drive and the node that shows it. Ctrl-C ends the drive in order; its record is sealed before it goes."""
    out = LaunchConfiguration("out")
    return LaunchDescription(
        [
            DeclareLaunchArgument("config", default_value="bench.yaml", description="a YAML file or a packaged one"),
            DeclareLaunchArgument("source", default_value="rclpy://camera/image_raw?state=/odom"),
            DeclareLaunchArgument("out", default_value="drives", description="where the drive's folder goes"),
            DeclareLaunchArgument("parameters", default_value=str(PARAMETERS), description="of the node"),
            ExecuteProcess(
                cmd=[
                    "sightline",
                    "run",
                    LaunchConfiguration("config"),
                    "--source",
                    LaunchConfiguration("source"),
                    "--out",
                    out,
                ],
                output="screen",
                sigterm_timeout="60",  # what is under way is sealed first
                sigkill_timeout="60",
            ),
            Node(
                package="sightline_ros",
                executable="bridge",
                parameters=[LaunchConfiguration("parameters"), {"run": out}],
                output="screen",
            ),
        ]
    )

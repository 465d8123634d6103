"""What colcon installs: the node, and nothing that Sightline's own wheel brings."""

from pathlib import Path

from setuptools import setup

PACKAGE = "sightline_ros"
HERE = Path(__file__).parent

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Sightline in a ROS 2 car",
    license="Apache-2.0",
    packages=[PACKAGE],
    package_dir={PACKAGE: "node"},  # the folder is flat: it is not named like the package
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", sorted(f"launch/{path.name}" for path in (HERE / "launch").glob("*.launch.py"))),
        (f"share/{PACKAGE}/config", sorted(f"config/{path.name}" for path in (HERE / "config").glob("*.yaml"))),
    ],
    install_requires=["setuptools", "sightline"],
    zip_safe=True,
    entry_points={
        "console_scripts": [f"bridge = {PACKAGE}.rclpy_shell:main"],
        "sightline.sources": [f"rclpy = {PACKAGE}.rclpy_shell:open_source"],
        "sightline.bridges": [f"rclpy = {PACKAGE}.rclpy_shell:bridge"],
    },
)

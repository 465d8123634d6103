"""The ROS 2 messages that the bridge takes and gives, as frozen dataclasses: standard types only, fields in the order
of their definitions.

They are our own and not a library's, because bytes from three worlds end in them (DDS, rclpy, bags), none of which is
there in every install, and because rosbags, whose types they might be, is what tests hold our bytes against. Fields
have ROS's names, so that a library's messages are copied by name (`ros_bridge.foreign`); the annotations tell
`ros_bridge.cdr` how a field lies on the wire.

Definitions: common_interfaces, ackermann_msgs, rcl_interfaces and rosgraph_msgs, alike from Humble on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

from runtime.contracts.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Primitive:
    """A number on the wire: the code of Python's `struct`, little-endian or big as the message says."""

    code: str


@dataclass(frozen=True, slots=True)
class Array:
    """A fixed number of numbers, without a length before them."""

    code: str
    length: int


UInt8 = Annotated[int, Primitive("B")]
Int32 = Annotated[int, Primitive("i")]
UInt32 = Annotated[int, Primitive("I")]
Float32 = Annotated[float, Primitive("f")]
Float64 = Annotated[float, Primitive("d")]
Covariance = Annotated[tuple[float, ...], Array("d", 36)]  # row-major 6 x 6: x, y, z, about x, about y, about z

NO_COVARIANCE = (0.0,) * 36


class Message:
    """A message or a part of one."""

    __slots__ = ()
    ROS_TYPE: ClassVar[str]


M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Time(Message):
    """Seconds and nanoseconds of the ROS clock, which is UTC or a simulation's time."""

    ROS_TYPE: ClassVar[str] = "builtin_interfaces/msg/Time"
    sec: Int32 = 0
    nanosec: UInt32 = 0

    @property
    def ns(self) -> int:
        """The same in nanoseconds."""
        return self.sec * NS_PER_S + self.nanosec


def time_of(ns: int) -> Time:
    """A moment as ROS writes it; one that ROS cannot write (before 1970 by more than 68 years, after 2038) is bent to
    the nearest that it can.
    """
    sec, nanosec = divmod(ns, NS_PER_S)
    return Time(min(max(sec, -(2**31)), 2**31 - 1), nanosec)


@dataclass(frozen=True, slots=True)
class Header(Message):
    """When, and in which frame of coordinates (tf)."""

    ROS_TYPE: ClassVar[str] = "std_msgs/msg/Header"
    stamp: Time = Time()
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class Image(Message):
    """A raw picture: `height` rows of `step` bytes."""

    ROS_TYPE: ClassVar[str] = "sensor_msgs/msg/Image"
    header: Header
    height: UInt32
    width: UInt32
    encoding: str
    is_bigendian: UInt8
    step: UInt32
    data: bytes


@dataclass(frozen=True, slots=True)
class CompressedImage(Message):
    """A coded picture; `format` as image_transport writes it (`jpeg`, `bgr8; jpeg compressed bgr8`, `png`)."""

    ROS_TYPE: ClassVar[str] = "sensor_msgs/msg/CompressedImage"
    header: Header
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Vector3(Message):
    """A free vector."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/Vector3"
    x: Float64 = 0.0
    y: Float64 = 0.0
    z: Float64 = 0.0


@dataclass(frozen=True, slots=True)
class Point(Message):
    """A place."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/Point"
    x: Float64 = 0.0
    y: Float64 = 0.0
    z: Float64 = 0.0


@dataclass(frozen=True, slots=True)
class Quaternion(Message):
    """An orientation."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/Quaternion"
    x: Float64 = 0.0
    y: Float64 = 0.0
    z: Float64 = 0.0
    w: Float64 = 1.0


@dataclass(frozen=True, slots=True)
class Pose(Message):
    """Place and orientation."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/Pose"
    position: Point = Point()
    orientation: Quaternion = Quaternion()


@dataclass(frozen=True, slots=True)
class PoseWithCovariance(Message):
    """A pose and how sure it is."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/PoseWithCovariance"
    pose: Pose = Pose()
    covariance: Covariance = NO_COVARIANCE


@dataclass(frozen=True, slots=True)
class Twist(Message):
    """Linear velocity in m/s and angular velocity in rad/s."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/Twist"
    linear: Vector3 = Vector3()
    angular: Vector3 = Vector3()


@dataclass(frozen=True, slots=True)
class TwistWithCovariance(Message):
    """A twist and how sure it is."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/TwistWithCovariance"
    twist: Twist = Twist()
    covariance: Covariance = NO_COVARIANCE


@dataclass(frozen=True, slots=True)
class TwistStamped(Message):
    """A twist, in the axes of `header.frame_id`."""

    ROS_TYPE: ClassVar[str] = "geometry_msgs/msg/TwistStamped"
    header: Header
    twist: Twist


@dataclass(frozen=True, slots=True)
class Odometry(Message):
    """A pose in `header.frame_id` and a twist in `child_frame_id`, the vehicle's own axes."""

    ROS_TYPE: ClassVar[str] = "nav_msgs/msg/Odometry"
    header: Header
    child_frame_id: str
    pose: PoseWithCovariance
    twist: TwistWithCovariance


@dataclass(frozen=True, slots=True)
class AckermannDrive(Message):
    """A car-like vehicle's drive: `steering_angle` of a virtual front wheel in rad, positive left; `speed` in m/s;
    `acceleration` in m/s2 is a magnitude, 0 as quickly as possible.
    """

    ROS_TYPE: ClassVar[str] = "ackermann_msgs/msg/AckermannDrive"
    steering_angle: Float32 = 0.0
    steering_angle_velocity: Float32 = 0.0
    speed: Float32 = 0.0
    acceleration: Float32 = 0.0
    jerk: Float32 = 0.0


@dataclass(frozen=True, slots=True)
class AckermannDriveStamped(Message):
    """A drive with its time."""

    ROS_TYPE: ClassVar[str] = "ackermann_msgs/msg/AckermannDriveStamped"
    header: Header
    drive: AckermannDrive


@dataclass(frozen=True, slots=True)
class KeyValue(Message):
    """One line of a diagnostic."""

    ROS_TYPE: ClassVar[str] = "diagnostic_msgs/msg/KeyValue"
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class DiagnosticStatus(Message):
    """One component: level 0 ok, 1 warn, 2 error, 3 stale."""

    ROS_TYPE: ClassVar[str] = "diagnostic_msgs/msg/DiagnosticStatus"
    level: UInt8
    name: str
    message: str
    hardware_id: str
    values: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class DiagnosticArray(Message):
    """The state of several components."""

    ROS_TYPE: ClassVar[str] = "diagnostic_msgs/msg/DiagnosticArray"
    header: Header
    status: tuple[DiagnosticStatus, ...]


@dataclass(frozen=True, slots=True)
class Log(Message):
    """A line as on /rosout: level 10 debug, 20 info, 30 warn, 40 error, 50 fatal."""

    ROS_TYPE: ClassVar[str] = "rcl_interfaces/msg/Log"
    stamp: Time
    level: UInt8
    name: str
    msg: str
    file: str
    function: str
    line: UInt32


@dataclass(frozen=True, slots=True)
class String(Message):
    """Text."""

    ROS_TYPE: ClassVar[str] = "std_msgs/msg/String"
    data: str


@dataclass(frozen=True, slots=True)
class Clock(Message):
    """The time of a simulation, on /clock."""

    ROS_TYPE: ClassVar[str] = "rosgraph_msgs/msg/Clock"
    clock: Time


TOP_LEVEL: tuple[type[Message], ...] = (
    *(Image, CompressedImage, TwistStamped, Odometry, AckermannDriveStamped),
    *(DiagnosticArray, Log, String, Clock),
)
"""The types that are sent by themselves."""

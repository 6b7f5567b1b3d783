"""Names of the message types, and the classes that a ROS has for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
CLOUD = "sensor_msgs/msg/PointCloud2"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
EVENTS = "event_camera_msgs/msg/EventPacket"
FFMPEG = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
HEADER = "std_msgs/msg/Header"
IMAGE = "sensor_msgs/msg/Image"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
MODALITY_STATUS = "any2seg_ros/msg/ModalityStatus"
POINT_FIELD = "sensor_msgs/msg/PointField"
REGION = "sensor_msgs/msg/RegionOfInterest"
STATUS = "any2seg_ros/msg/SegmentationStatus"
TIME = "builtin_interfaces/msg/Time"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
VIDEO = "foxglove_msgs/msg/CompressedVideo"
VISION_CLASS = "vision_msgs/msg/VisionClass"


def message_class(kind: str) -> type:
    """rclpy's class of a type such as `IMAGE`; ImportError where its package is not here."""
    package, _, name = kind.split("/")
    return getattr(import_module(f"{package}.msg"), name)


def ros_message(kind: str, **fields: Any) -> Any:
    """A message of a type for rclpy."""
    return message_class(kind)(**fields)

"""ROS messages to measurements and back, by their attributes: nothing of ROS is imported.

Messages may come from rclpy, from rosbags or be made by hand; bytes may be array('B'), bytes,
memoryview or ndarray. Whatever cannot be used raises `InvalidMeasurement` with the reason.
"""

from any2seg_ros.messages.buffers import as_bytes, from_array, stamp_ns
from any2seg_ros.messages.cameras import (
    camera_from_info,
    info_fields,
    is_rectified,
    rectifying_rotation,
    transform_matrix,
)
from any2seg_ros.messages.clouds import (
    cloud_fields,
    decode_cloud,
    decode_sweep,
    labelled_cloud,
    labelled_points,
    view_cloud,
)
from any2seg_ros.messages.events import EventDecoder, EventDecoderConfig
from any2seg_ros.messages.images import (
    BitDepth,
    confidence_fields,
    decode_compressed,
    decode_depth,
    decode_image,
    decode_labels,
    image_fields,
    image_size,
    mask_fields,
    unpack_labels,
)
from any2seg_ros.messages.video import is_video, with_header

__all__ = [
    "BitDepth",
    "EventDecoder",
    "EventDecoderConfig",
    "as_bytes",
    "camera_from_info",
    "cloud_fields",
    "confidence_fields",
    "decode_cloud",
    "decode_compressed",
    "decode_depth",
    "decode_image",
    "decode_labels",
    "decode_sweep",
    "from_array",
    "image_fields",
    "image_size",
    "info_fields",
    "is_rectified",
    "is_video",
    "labelled_cloud",
    "labelled_points",
    "mask_fields",
    "rectifying_rotation",
    "stamp_ns",
    "transform_matrix",
    "unpack_labels",
    "view_cloud",
    "with_header",
]

"""The message types that bags are read and written with."""

from __future__ import annotations

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from any2seg_ros.messages.kinds import (
    EVENTS,
    FFMPEG,
    LABEL_INFO,
    MODALITY_STATUS,
    STATUS,
    VIDEO,
    VISION_CLASS,
)
from any2seg_ros.resources import find

# As their packages define them; rosbags' type stores do not have them.
_DEFINITIONS = {
    EVENTS: """std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
""",
    VIDEO: """builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format
""",
    FFMPEG: """std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data
""",
    VISION_CLASS: "uint16 class_id\nstring class_name",
    LABEL_INFO: "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold",
}


def typestore() -> Typestore:
    """ROS 2's types, those of event cameras, and those of the node's outputs."""
    store = get_typestore(Stores.ROS2_KILTED)
    ours = {kind: find(f"msg/{kind.rsplit('/', 1)[1]}.msg") for kind in (MODALITY_STATUS, STATUS)}
    texts = {**_DEFINITIONS, **{kind: file.read_text() for kind, file in ours.items()}}
    for kind, text in texts.items():
        if kind not in store.types:
            store.register(get_types_from_msg(text, kind))
    return store

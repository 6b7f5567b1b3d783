"""Writes what the node publishes into a bag, without a ROS: the same topics, types and stamps."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from any2seg_ros.resources import find
from any2seg_ros.taxonomy import Taxonomy

NAME = "replay"
"""The bag's files are `replay.mcap` and `metadata.yaml`, whatever its folder is called."""

IMAGE = "sensor_msgs/msg/Image"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
CLOUD = "sensor_msgs/msg/PointCloud2"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
STATUS = "any2seg_ros/msg/SegmentationStatus"
MODALITY_STATUS = "any2seg_ros/msg/ModalityStatus"

# vision_msgs, whose definitions are not in rosbags' type stores.
_VISION = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name",
    LABEL_INFO: "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold",
}

TOPICS = {
    "mask": IMAGE,
    "confidence": IMAGE,
    "label_info": LABEL_INFO,
    "color": IMAGE,
    "overlay": IMAGE,
    "points": CLOUD,
    "status": STATUS,
    "camera_info": CAMERA_INFO,
}
"""Message type by the node's output, in the order of the node's topics."""


def node_typestore() -> Typestore:
    """ROS 2's types and those of the node's own outputs."""
    store = get_typestore(Stores.ROS2_KILTED)
    for kind, text in _VISION.items():
        if kind not in store.types:
            store.register(get_types_from_msg(text, kind))
    for kind in (MODALITY_STATUS, STATUS):
        text = find(f"msg/{kind.rsplit('/', 1)[1]}.msg").read_text()
        store.register(get_types_from_msg(text, kind))
    return store


class OutputBag:
    """A bag in a folder; use it in a `with` statement. Nothing is at its place until it is whole.

    The same writes give the same bytes. FileExistsError where the folder has another bag.
    """

    def __init__(self, folder: Path, namespace: str = "/segmenter") -> None:
        self.folder = folder
        self.namespace = namespace
        self.typestore = node_typestore()
        self._unfinished = folder / f".{NAME}.{os.getpid()}"
        self._connections: dict[str, Any] = {}
        self._writer: Writer | None = None

    def __enter__(self) -> OutputBag:
        check_folder(self.folder)
        self._unfinished.mkdir(parents=True, exist_ok=True)
        self._writer = Writer(self._unfinished / NAME, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._writer
        self._writer.close()
        if kind is None or issubclass(kind, KeyboardInterrupt):
            for file in (f"{NAME}.mcap", "metadata.yaml"):
                os.replace(self._unfinished / NAME / file, self.folder / file)
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def message(self, kind: str, **fields: Any) -> Any:
        """A message of a type; array('B') and lists become what rosbags writes."""
        return self.typestore.types[kind](**{name: _plain(v) for name, v in fields.items()})

    def header(self, stamp: Any, frame_id: str) -> Any:
        """A std_msgs/Header of the type store; `stamp` has sec and nanosec."""
        time = self.message("builtin_interfaces/msg/Time", sec=stamp.sec, nanosec=stamp.nanosec)
        return self.message("std_msgs/msg/Header", stamp=time, frame_id=frame_id)

    def write(self, output: str, message: Any, log_time: int) -> None:
        """Write a message of one of `TOPICS`, recorded at `log_time` (ns)."""
        assert self._writer
        kind = TOPICS[output]
        if output not in self._connections:
            self._connections[output] = self._writer.add_connection(
                f"{self.namespace}/{output}",
                kind,
                typestore=self.typestore,
                offered_qos_profiles=[_qos(latched=output == "label_info")],
            )
        data = self.typestore.serialize_cdr(message, kind)
        self._writer.write(self._connections[output], log_time, data)

    def label_info(self, taxonomy: Taxonomy, header: Any) -> Any:
        """The class table as vision_msgs/LabelInfo."""
        classes = [
            self.message("vision_msgs/msg/VisionClass", class_id=index, class_name=name)
            for index, name in enumerate(taxonomy.classes)
        ]
        return self.message(LABEL_INFO, header=header, class_map=classes, threshold=0.0)


def check_folder(folder: Path) -> None:
    """FileExistsError where writing an output bag would be beside or over another one."""
    foreign = [f.name for f in folder.glob("*") if f.suffix in (".mcap", ".db3")]
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: name a folder for the output")
    if any(name != f"{NAME}.mcap" for name in foreign):
        raise FileExistsError(f"{folder} has another bag in it ({foreign[0]}): name another folder")


def _plain(value: Any) -> Any:
    if type(value).__name__ == "array":
        return np.frombuffer(value, np.uint8)
    if isinstance(value, list) and value and isinstance(value[0], float):
        return np.array(value, np.float64)
    return value


def _qos(latched: bool) -> Qos:
    never = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        never,
        never,
        QosLiveliness.AUTOMATIC,
        never,
        False,
    )

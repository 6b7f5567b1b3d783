"""A bag of MCAP and zstd while it is written; the same writes give the same bytes."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from any2seg_ros.bags.typestore import typestore
from any2seg_ros.messages.making import header_message

METADATA = "metadata.yaml"
ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
"""Of the recorded files of a bag."""


class BagFile:
    """The bag `folder`: its files are `<folder's name>.mcap` and metadata.yaml.

    FileExistsError or rosbags' WriterError where the folder exists. Nothing can be read of it
    before `close`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.typestore = typestore()
        self._connections: dict[str, Connection] = {}
        self._writer = Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()

    def close(self) -> None:
        """Write the index; the bag is whole then."""
        self._writer.close()
        metadata = self.folder / METADATA
        metadata.write_text(for_humble(metadata.read_text()))

    def write(
        self,
        topic: str,
        kind: str,
        log_time: int,
        cdr: bytes | memoryview,
        reliable: bool = True,
        latched: bool = False,
    ) -> None:
        """Write a serialised message of a type, recorded at `log_time` (ns)."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic,
                kind,
                typestore=self.typestore,
                offered_qos_profiles=[_qos(reliable, latched)],
            )
        self._writer.write(self._connections[topic], log_time, cdr)

    def message(self, kind: str, **fields: Any) -> Any:
        """A message of a type; array('B') and lists of floats become what rosbags writes."""
        return self.typestore.types[kind](**{name: _plain(v) for name, v in fields.items()})

    def header(self, stamp: int, frame_id: str) -> Any:
        """A std_msgs/Header; the stamp is in ns."""
        return header_message(self.message, stamp, frame_id)

    def serialized(self, message: Any, kind: str) -> bytes:
        """The message as DDS carries it."""
        return bytes(self.typestore.serialize_cdr(message, kind))


def for_humble(metadata: str) -> str:
    """metadata.yaml of rosbag2's version 8 as version 5, which Humble and all later ones read.

    Both have the QoS as text; Humble knows no hashes of types and no custom data.
    """
    content = yaml.safe_load(metadata)
    bag = content["rosbag2_bagfile_information"]
    bag["version"] = 5
    for name in ("custom_data", "ros_distro"):
        bag.pop(name, None)
    for topic in bag["topics_with_message_count"]:
        topic["topic_metadata"].pop("type_description_hash", None)
    return yaml.safe_dump(content, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, array):
        return np.frombuffer(value, np.uint8)
    if isinstance(value, list) and value and isinstance(value[0], float):
        return np.array(value, np.float64)
    return value


def _qos(reliable: bool, latched: bool) -> Qos:
    never = QosTime(sec=2147483647, nsec=4294967295)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=never,
        lifespan=never,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=never,
        avoid_ros_namespace_conventions=False,
    )

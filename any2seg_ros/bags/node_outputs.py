"""Writes what the node publishes into a bag, without a ROS: the same topics, types and stamps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from any2seg_ros.bags.file import METADATA, BagFile
from any2seg_ros.bags.typestore import CAMERA_INFO, CLOUD, IMAGE, LABEL_INFO, STATUS
from any2seg_ros.files import clear_parts, part_of
from any2seg_ros.messages import stamp_ns
from any2seg_ros.taxonomy import Taxonomy

NAME = "replay"
"""The bag's files are `replay.mcap` and `metadata.yaml`, whatever its folder is called."""

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


class OutputBag:
    """A bag in a folder; use it in a `with` statement. Nothing is at its place until it is whole.

    The same writes give the same bytes. FileExistsError where the folder has another bag.
    """

    def __init__(self, folder: Path, namespace: str = "/segmenter") -> None:
        self.folder = folder
        self.namespace = namespace
        self._unfinished = part_of(folder / NAME)
        self._file: BagFile

    def __enter__(self) -> OutputBag:
        check_folder(self.folder)
        clear_parts(self.folder / NAME)
        self._unfinished.mkdir(parents=True)
        self._file = BagFile(self._unfinished / NAME)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
            if kind is None or issubclass(kind, KeyboardInterrupt):
                for file in (f"{NAME}.mcap", METADATA):
                    os.replace(self._file.folder / file, self.folder / file)
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)

    @property
    def types(self) -> Mapping[str, Any]:
        """Message classes by type."""
        return self._file.typestore.types

    def message(self, kind: str, **fields: Any) -> Any:
        """A message of a type; array('B') and lists become what rosbags writes."""
        return self._file.message(kind, **{name: _plain(v) for name, v in fields.items()})

    def header(self, stamp: Any, frame_id: str) -> Any:
        """A std_msgs/Header of the type store; `stamp` has sec and nanosec."""
        return self._file.header(stamp_ns(stamp), frame_id)

    def write(self, output: str, message: Any, log_time: int) -> None:
        """Write a message of one of `TOPICS`, recorded at `log_time` (ns)."""
        kind = TOPICS[output]
        data = self._file.serialized(message, kind)
        latched = output == "label_info"
        self._file.write(f"{self.namespace}/{output}", kind, log_time, data, latched=latched)

    def label_info(self, taxonomy: Taxonomy, header: Any, threshold: float = 0.0) -> Any:
        """The class table as vision_msgs/LabelInfo."""
        classes = [
            self.message("vision_msgs/msg/VisionClass", class_id=index, class_name=name)
            for index, name in enumerate(taxonomy.classes)
        ]
        return self.message(
            LABEL_INFO, header=header, class_map=classes, threshold=float(threshold)
        )


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

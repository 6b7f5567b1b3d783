"""Writes sensor data as a ROS 2 bag with the standard messages, without a ROS.

with BagWriter(folder) as bag:
    bag.transforms(stamp, {"rgb_camera_optical": base_from_rgb, ...})
    bag.compressed_image("/rgb/image/compressed", stamp, "rgb_camera_optical", jpeg, "jpeg")
    bag.camera_info("/rgb/camera_info", stamp, "rgb_camera_optical", camera)

Stamps are ns; `delay` (ns) is how much later than its stamp a message was recorded.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from any2seg_ros.bags.file import BagFile
from any2seg_ros.files import clear_parts, part_of
from any2seg_ros.messages.kinds import (
    CAMERA_INFO,
    CLOUD,
    COMPRESSED,
    EVENTS,
    POINT_FIELD,
    TRANSFORMS,
)
from any2seg_ros.messages.making import camera_info_message
from any2seg_ros.types import Camera


class BagWriter:
    """A bag in a folder of its own; use it in a `with` statement.

    Nothing is at its place until it is whole. FileExistsError where the folder exists. The same
    calls give the same bytes. `beside`: text files by name that lie in the folder, too.
    """

    def __init__(self, folder: Path | str, beside: Mapping[str, str] | None = None) -> None:
        self.folder = Path(folder)
        self._beside = dict(beside or {})
        self._part = part_of(self.folder)
        self._rows: list[tuple[int, int, str, str, bytes]] = []
        self._sequence = 0
        self._file: BagFile

    def __enter__(self) -> BagWriter:
        if self.folder.exists():
            raise FileExistsError(f"{self.folder} exists already: choose another folder with --out")
        clear_parts(self.folder)
        self._part.mkdir(parents=True)
        # rosbags names the files after the folder.
        self._file = BagFile(self._part / self.folder.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.flush()
            self._file.close()
            if kind is None:
                for name, text in self._beside.items():
                    (self._file.folder / name).write_text(text)
                os.replace(self._file.folder, self.folder)
        finally:
            shutil.rmtree(self._part, ignore_errors=True)

    def flush(self, until: int | None = None) -> None:
        """Write what was recorded until a time (ns), in order of time; None writes everything."""
        self._rows.sort(key=lambda row: row[:2])
        count = sum(1 for row in self._rows if until is None or row[0] <= until)
        for time, _, topic, kind, data in self._rows[:count]:
            latched = topic == "/tf_static"
            self._file.write(topic, kind, time, data, reliable=kind != EVENTS, latched=latched)
        del self._rows[:count]

    def compressed_image(
        self, topic: str, stamp: int, frame_id: str, data: bytes, form: str, delay: int = 0
    ) -> None:
        """A CompressedImage; `form` is its format: jpeg, png, "16UC1; compressedDepth png"."""
        fields = {"format": form, "data": np.frombuffer(data, np.uint8)}
        self._write(topic, COMPRESSED, stamp, frame_id, delay, **fields)

    def compressed_depth(
        self, topic: str, stamp: int, frame_id: str, png: bytes, delay: int = 0
    ) -> None:
        """A depth image in mm, uint16, as compressed_depth_image_transport publishes it."""
        # Its ConfigHeader: compression format (0: none of an inverse depth's), two parameters.
        header = struct.pack("<iff", 0, 0.0, 0.0)
        form = "16UC1; compressedDepth png"
        self.compressed_image(topic, stamp, frame_id, header + png, form, delay)

    def camera_info(
        self, topic: str, stamp: int, frame_id: str, camera: Camera, delay: int = 0
    ) -> None:
        """The CameraInfo of a camera."""
        header = self._file.header(stamp, frame_id)
        message = camera_info_message(self._file.message, header, camera)
        self._put(topic, CAMERA_INFO, stamp + delay, message)

    def cloud(
        self, topic: str, stamp: int, frame_id: str, columns: dict[str, np.ndarray], delay: int = 0
    ) -> None:
        """A PointCloud2 of one row with a field for every column (n,), in their order."""
        numbers = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
        layout = np.dtype(
            [(name, column.dtype.newbyteorder("<")) for name, column in columns.items()]
        )
        points = np.empty(len(next(iter(columns.values()))), layout)
        fields = []
        for name, column in columns.items():
            points[name] = column
            kind, offset = layout.fields[name][:2]  # type: ignore[index]
            fields.append(
                self._file.message(
                    POINT_FIELD,
                    name=name,
                    offset=offset,
                    datatype=numbers[kind.str[1:]],
                    count=1,
                )  # fmt: skip
            )
        self._write(
            topic, CLOUD, stamp, frame_id, delay,
            height=1, width=len(points), fields=fields, is_bigendian=False,
            point_step=layout.itemsize, row_step=layout.itemsize * len(points),
            data=np.frombuffer(points.tobytes(), np.uint8), is_dense=True,
        )  # fmt: skip

    def event_packet(
        self,
        topic: str,
        stamp: int,
        frame_id: str,
        size: tuple[int, int],
        data: bytes,
        encoding: str = "evt3",
        delay: int = 0,
    ) -> None:
        """An EventPacket of a sensor of `size` (width, height); the stamp is the packet's end."""
        self._sequence += 1
        self._write(
            topic, EVENTS, stamp, frame_id, delay,
            height=size[1], width=size[0], seq=self._sequence, time_base=0, encoding=encoding,
            is_bigendian=False, events=np.frombuffer(data, np.uint8),
        )  # fmt: skip

    def transforms(self, stamp: int, base_from: dict[str, np.ndarray]) -> None:
        """`/tf_static`: the pose float64 (4, 4) of every frame in the frame base_link."""
        self._transforms("/tf_static", stamp, "base_link", base_from, 0)

    def odometry(self, stamp: int, odom_from_base: np.ndarray, delay: int = 0) -> None:
        """`/tf`: the pose float64 (4, 4) of base_link in the frame odom."""
        self._transforms("/tf", stamp, "odom", {"base_link": odom_from_base}, delay)

    def _transforms(
        self, topic: str, stamp: int, parent: str, poses: dict[str, np.ndarray], delay: int
    ) -> None:
        rows = []
        for child, matrix in poses.items():
            x, y, z = (float(v) for v in matrix[:3, 3])
            qx, qy, qz, qw = quaternion(matrix[:3, :3])
            transform = self._file.message(
                "geometry_msgs/msg/Transform",
                translation=self._file.message("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
                rotation=self._file.message("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
            )
            rows.append(
                self._file.message(
                    "geometry_msgs/msg/TransformStamped",
                    header=self._file.header(stamp, parent),
                    child_frame_id=child,
                    transform=transform,
                )  # fmt: skip
            )
        message = self._file.message(TRANSFORMS, transforms=rows)
        self._put(topic, TRANSFORMS, stamp + delay, message)

    def _write(
        self, topic: str, kind: str, stamp: int, frame_id: str, delay: int, **fields: Any
    ) -> None:
        message = self._file.message(kind, header=self._file.header(stamp, frame_id), **fields)
        self._put(topic, kind, stamp + delay, message)

    def _put(self, topic: str, kind: str, time: int, message: Any) -> None:
        data = self._file.serialized(message, kind)
        self._rows.append((time, len(self._rows), topic, kind, data))


def quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, z, w with w >= 0 of a rotation matrix float64 (3, 3)."""
    # The eigenvector of the largest eigenvalue: Bar-Itzhack, J. Guidance 23 (2000).
    m = rotation
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    vector = np.linalg.eigh(k)[1][:, 3]
    x, y, z, w = (vector if vector[3] >= 0 else -vector).tolist()
    return x, y, z, w

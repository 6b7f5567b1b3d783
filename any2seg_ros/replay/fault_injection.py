"""Lays failures over the messages of a bag: "what if the camera had been blind from here on?"

A corrupted message is decoded, changed and packed again in the kind of message that it was, so
that it takes the same way through the code as a real one.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from any2seg_ros.evaluation.corruptions import CORRUPTIONS, generator
from any2seg_ros.messages import (
    EventDecoder,
    as_bytes,
    decode_cloud,
    decode_compressed,
    decode_depth,
    decode_image,
    from_array,
    image_fields,
    stamp_ns,
)
from any2seg_ros.replay.fault_schedule import DROP, Fault, active
from any2seg_ros.types import Events, InvalidMeasurement, Modality

FLOAT32 = 7
"""PointField's number for float32."""


class FaultInjector:
    """Failures over one pass through a bag; feed it every message, in order.

    `start` is the time in ns that the schedules count from. The noise of a message depends on the
    seed, its sensor and its stamp alone. `counts` says how many messages each failure took hold of.
    """

    def __init__(self, failures: Sequence[Fault], start: int, seed: int = 0) -> None:
        self.failures = list(failures)
        self.counts: Counter[str] = Counter()
        self._start = start
        self._seed = seed
        self._events = EventDecoder()
        self._recode_events = any(
            f.modality is Modality.EVENT and f.kind != DROP for f in self.failures
        )

    def apply(self, modality: Modality, message: Any) -> Any | None:
        """The message as the failures leave it, None where it is lost.

        A message that cannot be decoded is given on as it is: that failure is its own. ValueError
        for events that are pictures and are to be corrupted.
        """
        stamp = stamp_ns(message.header.stamp)
        kinds = active(self.failures, modality, (stamp - self._start) / 1e9)
        for failure in kinds:
            self.counts[str(failure)] += 1
        if modality is Modality.EVENT and self._recode_events:
            return self._apply_to_events(message, stamp, kinds)
        if any(failure.kind == DROP for failure in kinds):
            return None
        if not kinds:
            return message
        try:
            return _RECODE[modality](message, lambda data: self._corrupt(data, stamp, kinds))
        except InvalidMeasurement:
            return message

    def _apply_to_events(self, message: Any, stamp: int, kinds: Sequence[Fault]) -> Any | None:
        """Every packet is decoded, for decoding needs those before; and none keeps its encoding,
        for two encodings in one stream would be two clocks."""
        if not hasattr(message, "events"):
            raise ValueError("events are pictures here: only --drop works on them")
        try:
            events = self._events.decode(message)
        except InvalidMeasurement:
            events = None
        if any(failure.kind == DROP for failure in kinds):
            return None
        if events is None:
            return message
        return event_packet(message, self._corrupt(events, stamp, kinds))

    def _corrupt(self, data: Any, stamp: int, kinds: Sequence[Fault]) -> Any:
        for index, failure in enumerate(kinds):
            rng = generator(self._seed, failure.modality, stamp, index)
            data = CORRUPTIONS[failure.modality][failure.kind](data, rng)
        return data


def _recode_picture(message: Any, change: Any) -> Any:
    if hasattr(message, "encoding"):
        pixels = change(np.ascontiguousarray(decode_image(message)))
        encoding = "mono8" if pixels.ndim == 2 else "rgb8"
        return SimpleNamespace(header=message.header, **image_fields(pixels, encoding))
    pixels = change(np.ascontiguousarray(decode_compressed(message)))
    jpeg = bytes(as_bytes(message.data)[:2]) == b"\xff\xd8"
    kind, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]) if jpeg else (".png", [])
    swapped = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])
    data = from_array(cv2.imencode(kind, swapped, options)[1])
    return SimpleNamespace(header=message.header, format=message.format, data=data)


def _recode_depth(message: Any, change: Any) -> Any:
    depth = change(np.ascontiguousarray(decode_depth(message)))
    if hasattr(message, "encoding"):
        return SimpleNamespace(header=message.header, **_depth_fields(depth))
    if depth.dtype != np.uint16:
        metres = np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)
        depth = np.clip(np.rint(metres * 1000.0), 0, 65535).astype(np.uint16)
    packed = struct.pack("<iff", 0, 0.0, 0.0) + cv2.imencode(".png", depth)[1].tobytes()
    return SimpleNamespace(
        header=message.header,
        format="16UC1; compressedDepth png",
        data=from_array(np.frombuffer(packed, np.uint8)),
    )


def _depth_fields(depth: np.ndarray) -> dict[str, Any]:
    return {
        "height": depth.shape[0],
        "width": depth.shape[1],
        "encoding": "16UC1" if depth.dtype == np.uint16 else "32FC1",
        "is_bigendian": int(sys.byteorder == "big"),
        "step": depth.shape[1] * depth.itemsize,
        "data": from_array(depth),
    }


def _recode_cloud(message: Any, change: Any) -> Any:
    points = np.ascontiguousarray(change(decode_cloud(message)), np.float32)
    fields = [
        SimpleNamespace(name=name, offset=4 * index, datatype=FLOAT32, count=1)
        for index, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return SimpleNamespace(
        header=message.header,
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=sys.byteorder == "big",
        point_step=16,
        row_step=16 * len(points),
        data=from_array(points),
        is_dense=True,
    )


def event_packet(message: Any, events: Events) -> Any:
    """Events as an EventPacket of the encoding mono, with the header of `message`.

    64-bit words: polarity bit 63, y 48 to 62, x 32 to 47, ns after the time base 0 to 31.
    """
    base = int(events.t[0]) if len(events) else stamp_ns(message.header.stamp)
    words = (events.t - base).astype(np.uint64)
    words |= events.x.astype(np.uint64) << np.uint64(32)
    words |= events.y.astype(np.uint64) << np.uint64(48)
    words |= events.p.astype(np.uint64) << np.uint64(63)
    return SimpleNamespace(
        header=message.header,
        height=events.height,
        width=events.width,
        seq=getattr(message, "seq", 0),
        time_base=base,
        encoding="mono",
        is_bigendian=False,
        events=from_array(words.astype("<u8")),
    )


_RECODE = {
    Modality.RGB: _recode_picture,
    Modality.DEPTH: _recode_depth,
    Modality.LIDAR: _recode_cloud,
}

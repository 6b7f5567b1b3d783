"""Injects faults into the messages of a bag: "what if the camera had been blind from here on?"

A corrupted message is decoded, changed and encoded again as the type it was, so that it takes the
same path through the code as a real one.
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
from any2seg_ros.messages.zipped import is_zipped
from any2seg_ros.replay.fault_schedule import DROP, Fault, active
from any2seg_ros.types import Events, InvalidMeasurement, Modality

FLOAT32 = 7
"""PointField's number for float32."""


class FaultInjector:
    """Applies a schedule of faults during one pass over a bag; give it every message, in order.

    start: the time (ns) that the schedule counts from. The noise of a message depends on the seed,
    its sensor and its stamp alone. `counts` has the number of messages that each fault affected.
    """

    def __init__(self, faults: Sequence[Fault], start: int, seed: int = 0) -> None:
        self.faults = list(faults)
        self.counts: Counter[str] = Counter()
        self._start = start
        self._seed = seed
        self._events = EventDecoder()
        self._recode_events = any(
            f.modality is Modality.EVENT and f.kind != DROP for f in self.faults
        )

    def apply(self, modality: Modality, message: Any) -> Any | None:
        """The message with the active faults applied; None where it is dropped.

        A message that cannot be decoded is passed on unchanged. ValueError for corruptions of
        events that come as images.
        """
        stamp = stamp_ns(message.header.stamp)
        faults = active(self.faults, modality, (stamp - self._start) / 1e9)
        for fault in faults:
            self.counts[str(fault)] += 1
        if modality is Modality.EVENT and self._recode_events:
            return self._apply_to_events(message, stamp, faults)
        if any(fault.kind == DROP for fault in faults):
            return None
        if not faults:
            return message
        try:
            return _RECODE[modality](message, lambda data: self._corrupt(data, stamp, faults))
        except InvalidMeasurement:
            return message

    def _apply_to_events(self, message: Any, stamp: int, faults: Sequence[Fault]) -> Any | None:
        """Decodes every packet, for decoders have a state; and encodes every packet anew, for two
        encodings in one stream would have two time bases."""
        if not hasattr(message, "events"):
            raise ValueError("events come as images here: only --drop works on them")
        try:
            events = self._events.decode(message)
        except InvalidMeasurement:
            events = None
        if any(fault.kind == DROP for fault in faults):
            return None
        if events is None:
            return message
        return event_packet(message, self._corrupt(events, stamp, faults))

    def _corrupt(self, data: Any, stamp: int, faults: Sequence[Fault]) -> Any:
        for index, fault in enumerate(faults):
            rng = generator(self._seed, fault.modality, stamp, index)
            data = CORRUPTIONS[fault.modality][fault.kind](data, rng)
        return data


def _recode_picture(message: Any, change: Any) -> Any:
    if hasattr(message, "encoding") or is_zipped(message):
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

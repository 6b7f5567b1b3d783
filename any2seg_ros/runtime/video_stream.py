"""Packets of a video from their arrival until a Frame wants one: decoded in order, apart from those
that a newer key frame has made needless."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np

from any2seg_ros.messages.video import VideoDecoder, picture
from any2seg_ros.types import InvalidMeasurement

_MANY = 150
"""Packets that wait at most: five seconds of 30 Hz."""
_HEAVY = 32_000_000
"""Bytes of packets that wait at most."""
_TOO_MANY = "video waits for a key frame: packets came faster than they were decoded"


class VideoPacket:
    """A packet; `picture` uint8 (h, w, 3) once it was wanted, else `reason` why there is none."""

    __slots__ = ("done", "message", "picture", "reason")

    def __init__(self, message: Any) -> None:
        self.message = message
        self.picture: np.ndarray | None = None
        self.reason = ""
        self.done = False


class VideoStream:
    """The packets of one camera. One thread may add while another wants pictures."""

    def __init__(self) -> None:
        self._decoder = VideoDecoder()
        self._waiting: deque[VideoPacket] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, message: Any) -> VideoPacket:
        """Take the next message."""
        packet = VideoPacket(message)
        with self._lock:
            if len(self._waiting) >= _MANY or self._bytes + len(message.data) > _HEAVY:
                self._drop(_TOO_MANY)
            self._waiting.append(packet)
            self._bytes += len(message.data)
        return packet

    def reset(self) -> None:
        """Forget the stream, as after a jump of time."""
        with self._lock:
            self._drop("video packets were lost in a jump of time")

    def picture(self, packet: VideoPacket) -> np.ndarray:
        """The picture of a packet, uint8 (h, w, 3); InvalidMeasurement where it has none."""
        with self._lock:
            while not packet.done:
                self._decode(self._waiting.popleft(), packet)
        if packet.picture is None:
            raise InvalidMeasurement(packet.reason or "a newer picture of the video was used")
        return packet.picture

    def _decode(self, packet: VideoPacket, wanted: VideoPacket) -> None:
        self._bytes -= len(packet.message.data)
        try:
            frame = self._decoder.decode(packet.message)
            if packet is wanted:  # the others are only decoded because it is made of them
                packet.picture = picture(frame)
        except InvalidMeasurement as reason:
            packet.reason = str(reason)
        packet.message, packet.done = None, True

    def _drop(self, reason: str) -> None:
        for packet in self._waiting:
            packet.message, packet.done, packet.reason = None, True, reason
        self._waiting.clear()
        self._bytes = 0
        self._decoder.reset()

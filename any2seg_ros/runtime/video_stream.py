"""Packets of a video from their arrival until a Frame wants one: all are decoded, in order. What is
let go is missed: the video begins again at the next key frame."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from any2seg_ros.messages.video import WAITING, VideoDecoder, picture
from any2seg_ros.types import LONGEST_REASON, InvalidMeasurement, plain

_MANY = 150
"""Packets that wait at most: five seconds of 30 Hz."""
_HEAVY = 32_000_000
"""Bytes of packets that wait at most."""
_NEWEST = 10
"""Packets that are not decoded ahead: a Frame may still want one of them."""
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
    """The packets of one camera. One thread adds, another decodes; neither waits for the other."""

    def __init__(self) -> None:
        self.decoded = 0
        """Packets that were decoded so far."""
        self._decoder = VideoDecoder()
        self._waiting: deque[VideoPacket] = deque()
        self._bytes = 0
        self._gap = self._forget = False
        """Before the next packet, others were let go; or it may be of another stream."""
        self._lock = threading.Lock()
        """Of what waits, and free while a packet is decoded."""

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
            self._forget = True

    def skip(self, reason: str = WAITING) -> None:
        """Let go of what waits."""
        with self._lock:
            if self._waiting:
                self._drop(reason)

    @property
    def spare(self) -> int:
        """Packets that wait and that no Frame will want."""
        return max(0, len(self._waiting) - _NEWEST)

    def decode_ahead(self, hurry: Callable[[], bool]) -> None:
        """Decode what is `spare`, for what follows is made of it; ends early when `hurry()`."""
        while not hurry() and (packet := self._next()) is not None:
            self._decode(packet)

    def picture(self, wanted: VideoPacket, limit: float = math.inf) -> np.ndarray:
        """The picture of a packet, uint8 (h, w, 3); InvalidMeasurement where it has none.

        limit: processor seconds; where the packets before it take longer, what waits is let go.
        """
        began = time.thread_time()
        while (packet := self._next(wanted)) is not None:
            self._decode(packet, wanted)
            if not wanted.done and time.thread_time() - began > limit:
                self.skip(_TOO_MANY)
        if wanted.picture is None:
            raise InvalidMeasurement(wanted.reason or "a newer picture of the video was used")
        return wanted.picture

    def _next(self, wanted: VideoPacket | None = None) -> VideoPacket | None:
        """Take the packet to decode next, up to the one that is wanted, or else of the spare."""
        with self._lock:
            if wanted.done if wanted is not None else not self.spare:
                return None
            packet = self._waiting.popleft()
            self._bytes -= len(packet.message.data)
            if self._forget:
                self._decoder.reset()
            elif self._gap:
                self._decoder.resume()
            self._gap = self._forget = False
        return packet

    def _decode(self, packet: VideoPacket, wanted: VideoPacket | None = None) -> None:
        try:
            frame = self._decoder.decode(packet.message)
            if packet is wanted:  # the others are only decoded because it is made of them
                packet.picture = picture(frame)
        except InvalidMeasurement as reason:
            packet.reason = str(reason)
        except Exception as error:
            text = f"video cannot be read: {type(error).__name__}: {error}"
            packet.reason = plain(text, LONGEST_REASON)
        self.decoded += 1
        packet.message, packet.done = None, True

    def _drop(self, reason: str) -> None:
        for packet in self._waiting:
            packet.message, packet.done, packet.reason = None, True, reason
        self._waiting.clear()
        self._bytes = 0
        self._gap = True

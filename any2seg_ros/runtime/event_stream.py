"""Event packets between arrival and use: decoded in order, in batches.

Decoders keep state from packet to packet, so every packet is decoded, whether a Frame uses it or
not. Decoding packets one by one costs three times as much as ten at a time: they wait until a Frame
asks for one of them, or until there are many.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from any2seg_ros.messages import EventDecoder
from any2seg_ros.preprocessing import concatenate
from any2seg_ros.types import Events, InvalidMeasurement

_MANY = 300
"""Max packets that wait for decoding."""
_HEAVY = 4_000_000
"""Max bytes of packets that wait for decoding, not counting the last packet."""
_EVENT_BYTES = 200
"""Memory of one event of an EventArray as a Python message, about."""


class Packet:
    """An event message and, once `decoded`, its events.

    Packets that are decoded together keep their events in the last one, their `home`. `reason` says
    why there are none.
    """

    __slots__ = ("decoded", "events", "home", "message", "reason")

    def __init__(self, message: Any) -> None:
        self.message = message
        self.home = self
        self.events: Events | None = None
        self.reason = ""
        self.decoded = False


class EventStream:
    """The packets of one event camera. One thread adds, another asks for events."""

    def __init__(self) -> None:
        self.invalid = 0
        """Packets that could not be decoded."""
        self.reason = ""
        """Why the last of them could not."""
        self._decoder = EventDecoder()
        self._waiting_bytes = 0
        """Bytes of packets added since the last decoding."""
        self._waiting: deque[Packet] = deque()
        self._lock = threading.Lock()

    def add(self, message: Any) -> Packet:
        """Take the next message, an EventPacket or EventArray."""
        packet = Packet(message)
        self._waiting.append(packet)
        self._waiting_bytes += len(message.events) * (
            1 if hasattr(message, "encoding") else _EVENT_BYTES
        )
        if len(self._waiting) >= _MANY or self._waiting_bytes >= _HEAVY:
            self._waiting_bytes = 0
            self._decode_until(packet)
        return packet

    def reset(self) -> None:
        """Forget the stream, as after a jump of time; packets that waited have no events."""
        with self._lock:
            while self._waiting:
                packet = self._waiting.popleft()
                packet.message, packet.decoded = None, True
            self._decoder.reset()

    def events(self, packets: Sequence[Packet], t0: int, t1: int) -> Events:
        """The events of `packets` with t0 < t <= t1 (ns), in order of time.

        InvalidMeasurement, with the reason of the last packet, if none of them could be decoded.
        """
        last = packets[-1]
        if not last.decoded:
            self._decode_until(last)
        homes = dict.fromkeys(packet.home for packet in packets)
        chunks = [home.events for home in homes if home.events is not None]
        if not chunks:
            raise InvalidMeasurement(last.reason or "event packets were lost in a jump of time")
        size = (chunks[-1].width, chunks[-1].height)
        return concatenate([c for c in chunks if (c.width, c.height) == size], t0, t1)

    def _decode_until(self, last: Packet) -> None:
        with self._lock:
            if last.decoded:
                return
            batch: list[Packet] = []
            while self._waiting and (not batch or batch[-1] is not last):
                batch.append(self._waiting.popleft())
            self._decode(batch)

    def _decode(self, batch: list[Packet]) -> None:
        try:
            batch[-1].events = self._decoder.decode_all([packet.message for packet in batch])
            for packet in batch:
                packet.home = batch[-1]
        except Exception:
            self._decode_one_by_one(batch)
        for packet in batch:
            packet.message, packet.decoded = None, True

    def _decode_one_by_one(self, batch: list[Packet]) -> None:
        """One of them is broken: the others are good."""
        for packet in batch:
            try:
                packet.events = self._decoder.decode(packet.message)
            except InvalidMeasurement as reason:
                packet.reason = str(reason)
            except Exception as error:
                packet.reason = f"cannot be read: {type(error).__name__}"
            if packet.reason:
                self.invalid += 1
                self.reason = packet.reason

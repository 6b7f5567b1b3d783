"""Event packets between arrival and use: decoded in order, in batches.

Decoders keep state from packet to packet, so every packet is decoded, whether a Frame uses it or
not. Decoding packets one by one costs three times as much as ten at a time: they wait until a Frame
asks for one of them, or until there are many. A storm is refused by bytes before it is decoded, and
so is a backlog: what was missed is missed, and decoding begins anew behind it.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
_EVENT_COST = 20
"""Bytes of evt3 that are decoded in the time of one event of an EventArray, about."""
_BATCH = 500_000
"""Max bytes that are decoded at once, not counting the last packet: four bytes may be 24 events."""
_KEPT = 6_000_000
"""Max events that are kept decoded: a tenth of a second of a full-HD sensor's storm, 80 MB."""
_BURST_S = 0.1
"""A light that is switched on is no storm: so long the bandwidth may be exceeded."""


@dataclass(frozen=True)
class EventLimits:
    """What is taken of an event camera before it is decoded; 0 for no limit."""

    maximum_packet: float = 1.0
    """MB of one packet; an event of an EventArray counts as 20 bytes."""
    maximum_bandwidth: float = 32.0
    """MB/s, for longer than 0.1 s."""


class EventBudget:
    """Tells storms by bytes and arrivals alone, so that a refused packet costs nothing.

    A bucket that leaks at the bandwidth: refused packets fill it as well, so that of a storm all is
    refused and not every other packet. It is full with 0.2 s of the bandwidth: so soon after a
    storm packets are taken again.
    """

    def __init__(self, limits: EventLimits = EventLimits()) -> None:
        self._limits = limits
        self._rate = limits.maximum_bandwidth * 1e-3
        """Bytes a ns."""
        self._burst = max(_BURST_S * 1e9 * self._rate, limits.maximum_packet * 1e6)
        self._level = 0.0
        self._at = 0

    def refusal(self, size: int, arrival: int) -> str:
        """Why a packet of `size` bytes is not taken; empty if it is. arrival: ns, steady clock."""
        limits = self._limits
        if limits.maximum_packet and size > limits.maximum_packet * 1e6:
            return (
                f"event packet is too large: {size * 1e-6:.1f} MB, at most "
                f"{limits.maximum_packet:g} (event.maximum_packet)"
            )
        if not limits.maximum_bandwidth:
            return ""
        self._level = max(0.0, self._level - max(0, arrival - self._at) * self._rate)
        self._at = arrival
        self.charge(size)
        if self._level <= self._burst:
            return ""
        return (
            f"event storm: dropped while above {limits.maximum_bandwidth:g} MB/s "
            "(event.maximum_bandwidth)"
        )

    def charge(self, size: int) -> None:
        """Add bytes to the bucket: those of packets, and what turns out to cost more than they."""
        self._level = min(self._level + max(0, size), 2 * self._burst)


class Packet:
    """An event message and, once `decoded`, its events.

    Packets that are decoded together keep their events in the last one, their `home`. `reason` says
    why there are none. `after_gap`: the packet before it was not taken.
    """

    __slots__ = ("__weakref__", "after_gap", "decoded", "events", "home", "message", "reason")

    def __init__(self, message: Any, after_gap: bool = False) -> None:
        self.message = message
        self.after_gap = after_gap
        self.home = self
        self.events: Events | None = None
        self.reason = ""
        self.decoded = False


class EventStream:
    """The packets of one event camera. One thread adds, another asks for events."""

    def __init__(self, limits: EventLimits = EventLimits()) -> None:
        self.invalid = 0
        """Packets that could not be decoded."""
        self.reason = ""
        """Why the last of them could not."""
        self._decoder = EventDecoder()
        self._waiting_bytes = 0
        """Bytes of packets added since the last decoding."""
        self._waiting: deque[Packet] = deque()
        self._kept: deque[tuple[weakref.ref[Packet], int]] = deque()
        """Homes and how many events they had, oldest first."""
        self._kept_events = 0
        self._budget = EventBudget(limits)
        self._gap = False
        self._lock = threading.Lock()

    def add(self, message: Any, arrival: int | None = None) -> Packet:
        """Take the next message, an EventPacket or EventArray.

        arrival: ns of a steady clock; then InvalidMeasurement for a packet of a storm, which is
        not taken.
        """
        count = len(message.events)
        is_array = not hasattr(message, "encoding")
        if arrival is not None:
            reason = self._budget.refusal(count * (_EVENT_COST if is_array else 1), arrival)
            if reason:
                self._gap = True
                raise InvalidMeasurement(reason)
        packet = Packet(message, self._gap)
        self._gap = False
        self._waiting.append(packet)
        self._waiting_bytes += count * (_EVENT_BYTES if is_array else 1)
        if len(self._waiting) >= _MANY or self._waiting_bytes >= _HEAVY:
            self._waiting_bytes = 0
            self._decode_until(packet)
        return packet

    @property
    def waiting(self) -> int:
        """Packets that wait for decoding."""
        return len(self._waiting)

    def decode_ahead(self) -> None:
        """Decode what waits, though no Frame asks for it yet: it has to be decoded anyway."""
        try:
            last = self._waiting[-1]
        except IndexError:
            return
        self._decode_until(last)

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
            for batch in self._batches(last):
                self._decode(batch)

    def _batches(self, last: Packet) -> Iterator[list[Packet]]:
        """The packets that wait, up to `last`, in parts that are bounded and have no gap."""
        batch: list[Packet] = []
        size = 0
        while self._waiting and (not batch or batch[-1] is not last):
            packet = self._waiting.popleft()
            if batch and (size > _BATCH or packet.after_gap):
                yield batch
                batch, size = [], 0
            batch.append(packet)
            size += len(packet.message.events)
        if batch:
            yield batch

    def _decode(self, batch: list[Packet]) -> None:
        if batch[0].after_gap:
            self._decoder.resume()
        size = sum(len(packet.message.events) for packet in batch)
        state = self._decoder.state()
        try:
            batch[-1].events = self._decoder.decode_all([packet.message for packet in batch])
            for packet in batch:
                packet.home = batch[-1]
        except Exception:
            self._decoder.restore(state)
            self._decode_one_by_one(batch)
        for packet in batch:
            packet.message, packet.decoded = None, True
            if packet.events is not None:
                self._keep(packet, len(packet.events))
        self._budget.charge(sum(len(p.events) for p in batch if p.events is not None) - size)

    def _keep(self, home: Packet, count: int) -> None:
        """Of too many events the oldest are let go, wherever their packets are."""
        self._kept.append((weakref.ref(home), count))
        self._kept_events += count
        while self._kept_events > _KEPT and len(self._kept) > 1:
            oldest, count = self._kept.popleft()
            self._kept_events -= count
            packet = oldest()
            if packet is not None:
                packet.events, packet.reason = None, "event storm: more events than are kept"

    def _decode_one_by_one(self, batch: list[Packet]) -> None:
        """One of them is broken: the others are good."""
        for packet in batch:
            try:
                packet.events = self._decoder.decode_all([packet.message])
            except InvalidMeasurement as reason:
                packet.reason = str(reason)
            except Exception as error:
                packet.reason = f"cannot be read: {type(error).__name__}"
            if packet.reason:
                self.invalid += 1
                self.reason = packet.reason

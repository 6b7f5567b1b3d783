"""Measurements that come one by one become Frames, whichever sensors are left.

Two clocks. *Stamps* say when something was measured; they decide what belongs together, and in
replay they decide when a Frame has waited long enough. *now* is a steady clock that says when
something arrived; live, it ends waiting where no stamp comes that would.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from any2seg_ros.modalities import Availability, Frame, Modality

_NEVER = -(1 << 62)
_MODALITIES = tuple(Modality)
_EVENT = Modality.EVENT
_OVERDUE = 1.5
"""Intervals of silence after which the next modality in the list opens Frames."""


@dataclass(frozen=True)
class Timing:
    """How one modality's measurements are matched; times in seconds.

    offset is added to its stamps. window: a measurement belongs to a Frame if it lies at most this
    far from the reference stamp; for events, the length of the slice that ends there. hold: age up
    to which an older measurement stands in; 0 for never. capacity: messages that are kept.
    """

    enabled: bool = True
    offset: float = 0.0
    window: float = 0.05
    hold: float = 0.25
    capacity: int = 30


@dataclass(frozen=True)
class SynchronizerConfig:
    """When Frames open and leave; times in seconds.

    anchors: who opens Frames, by preference; a modality that is not named never does. period:
    nominal interval between Frames, at which events open them and by which silence is judged.
    minimum_interval between reference stamps; 0 for none. deadline: how long a Frame waits for
    what is missing. dead_after: Frames that waited for a modality in vain until none waits any
    more. jump: a stamp that is earlier than its predecessor by more than this starts anew. live:
    whether the steady clock ends waiting too.
    """

    anchors: tuple[Modality, ...] = _MODALITIES
    period: float = 0.1
    minimum_interval: float = 0.0
    deadline: float = 0.05
    dead_after: int = 3
    jump: float = 0.5
    live: bool = True
    timing: Mapping[Modality, Timing] = field(
        default_factory=lambda: MappingProxyType(
            {m: Timing() for m in _MODALITIES[:3]} | {_EVENT: Timing(hold=0.0, capacity=2000)}
        )
    )

    def __post_init__(self) -> None:
        if not self.anchors or len(set(self.anchors)) != len(self.anchors):
            raise ValueError("anchors must name at least one modality, and none of them twice")
        if self.period <= 0 or self.deadline < 0 or self.dead_after < 1 or self.jump <= 0:
            raise ValueError(
                "period and jump must be above 0, deadline not below 0, dead_after at least 1"
            )
        for modality, timing in self.timing.items():
            if timing.window < 0 or timing.hold < 0 or timing.capacity < 1:
                raise ValueError(
                    f"{modality.label}: window and hold must not be below 0, capacity at least 1"
                )


@dataclass
class Counters:
    """What happened since the synchronizer was made."""

    opened: int = 0
    complete: int = 0
    incomplete: int = 0
    late: int = 0
    resets: int = 0


class _Pending:
    """A Frame that has been opened; `waiting` has a bit for each modality that it waits for."""

    __slots__ = ("anchor", "clock", "deadline", "message", "opened", "stamp", "waiting")

    def __init__(
        self, stamp: int, anchor: Modality, message: Any, clock: int, opened: int, deadline: int
    ) -> None:
        self.stamp = stamp
        self.anchor = anchor
        self.message = message
        self.clock = clock
        self.opened = opened
        self.deadline = deadline
        self.waiting = 0


class Synchronizer:
    """Matches measurements by their stamps; one thread at a time, no locks, no callbacks.

    1. One bounded buffer a modality. Stamps are moved by the modality's offset, and so is a Frame's.
    2. The first living modality of `anchors` opens a Frame with each of its measurements, events
       once a period. When it is overdue, the next one takes its place until it is back.
    3. A Frame takes the nearest measurement in each window, otherwise the last one if that may be
       held and is young enough. Of events it takes all chunks that reach into the window.
    4. It leaves as soon as nothing is to be waited for, otherwise at its deadline. A modality that
       was waited for in vain `dead_after` times is dead: it is not waited for until it is heard.
    5. The deadline is in stamps: it has come when any stamp is `deadline` later than the latest
       was when the Frame was opened. Live, the steady clock ends waiting as well.
    6. Reference stamps only go forward. A measurement that comes after a Frame that lacked it is
       counted as late. A jump backwards resets everything but the counters.
    """

    def __init__(self, config: SynchronizerConfig = SynchronizerConfig()) -> None:
        self.config = config
        self.counters = Counters()
        timing = [config.timing.get(m, Timing(enabled=False)) for m in _MODALITIES]
        self._enabled = [t.enabled for t in timing]
        self._offset = [_ns(t.offset) for t in timing]
        self._window = [_ns(t.window) for t in timing]
        self._hold = [_ns(t.hold) for t in timing]
        self._capacity = [t.capacity for t in timing]
        order = {m: i for i, m in enumerate(config.anchors)}
        self._order = [order.get(m, len(order)) for m in _MODALITIES]
        self._period = _ns(config.period)
        self._minimum = _ns(config.minimum_interval)
        self._deadline = _ns(config.deadline)
        self._dead_after = config.dead_after
        self._jump = _ns(config.jump)
        self._live = config.live
        self._clear()

    def _clear(self) -> None:
        count = len(_MODALITIES)
        self._buffers: list[deque[tuple[int, Any]]] = [deque(maxlen=n) for n in self._capacity]
        self._last = [_NEVER] * count
        self._interval = [0] * count
        self._misses = [self._dead_after] * count
        self._refused: dict[Modality, str] = {}
        self._pending: deque[_Pending] = deque()
        self._clock = _NEVER
        self._anchor_order = len(self.config.anchors)
        self._overdue = _NEVER
        self._reference = _NEVER
        self._due = _NEVER
        self._left: _Pending | None = None
        self._lacked = 0

    def reset(self) -> None:
        """Forget all measurements and pending Frames, as after a jump of time."""
        self._clear()
        self.counters.resets += 1

    @property
    def next_deadline(self) -> int | None:
        """The `now` at which `poll` has something to do; None if nothing waits, and in replay."""
        if not self._live or not self._pending:
            return None
        return self._pending[0].opened + self._deadline

    def alive(self, modality: Modality) -> bool:
        """Whether Frames wait for the modality."""
        return self._enabled[modality] and self._misses[modality] < self._dead_after

    def kept(self, modality: Modality) -> int:
        """How many of the modality's messages are in its buffer."""
        return len(self._buffers[modality])

    def enable(self, modality: Modality, enabled: bool) -> None:
        """Take a sensor in or out; out, it is DISABLED and nobody waits for it."""
        if enabled == self._enabled[modality]:
            return
        self._enabled[modality] = enabled
        self._buffers[modality].clear()
        self._last[modality] = _NEVER
        self._misses[modality] = self._dead_after
        self._refused.pop(modality, None)
        for pending in self._pending:
            pending.waiting &= ~(1 << modality)

    def refuse(self, modality: Modality, reason: str) -> None:
        """Note that a message came which cannot be used: Frames without the modality say so."""
        self._refused[modality] = reason

    def add(self, modality: Modality, stamp: int, message: Any, now: int) -> list[Frame]:
        """Take a measurement; returns the Frames that leave, in order of their stamps.

        stamp: ns, when it was measured. now: ns of a steady clock, when it arrived; unused in
        replay.
        """
        if not self._enabled[modality]:
            return []
        stamp += self._offset[modality]
        last = self._last[modality]
        buffer = self._buffers[modality]
        gap = stamp - last
        if gap > 0:
            self._last[modality] = stamp
            interval = self._interval[modality]
            if gap < interval + interval:
                self._interval[modality] = interval + ((gap - interval) >> 2)
            elif last != _NEVER:
                self._interval[modality] = interval + (interval >> 3) if interval else gap
            buffer.append((stamp, message))
        elif gap < -self._jump:
            self.reset()
            return self.add(modality, stamp - self._offset[modality], message, now)
        else:
            self._insert(buffer, stamp, message)
        if stamp > self._clock:
            self._clock = stamp
        if self._refused:
            self._refused.pop(modality, None)
        if self._lacked >> modality & 1 and self._is_late(modality, stamp, now):
            pass
        else:
            self._misses[modality] = 0
        order = self._order[modality]
        if order <= self._anchor_order:
            if modality is not _EVENT or stamp >= self._due:
                self._open(modality, stamp, message, now)
        elif stamp > self._overdue:
            self._take_over(modality, stamp, message, now)
        pending = self._pending
        if not pending:
            return []
        bit = 1 << modality
        for frame in pending:
            if frame.waiting & bit and not self._awaited(modality, frame.stamp):
                frame.waiting ^= bit
        first = pending[0]
        if (
            not first.waiting
            or self._clock >= first.deadline
            or (self._live and now - first.opened >= self._deadline)
        ):
            return self._leave(now)
        return []

    def poll(self, now: int) -> list[Frame]:
        """The Frames whose time is up; call it at `next_deadline`. Nothing leaves in replay."""
        if self._live and self._pending and now - self._pending[0].opened >= self._deadline:
            return self._leave(now)
        return []

    def flush(self) -> list[Frame]:
        """All pending Frames, as at the end of a bag."""
        frames = []
        while self._pending:
            frames.append(self._close(self._pending.popleft()))
        return frames

    @staticmethod
    def _insert(buffer: deque[tuple[int, Any]], stamp: int, message: Any) -> None:
        """A measurement that was overtaken by a later one of its own sensor."""
        if len(buffer) == buffer.maxlen:
            buffer.popleft()
        ordered = list(buffer)
        insort(ordered, (stamp, message), key=lambda entry: entry[0])
        buffer.clear()
        buffer.extend(ordered)

    def _is_late(self, modality: Modality, stamp: int, now: int) -> bool:
        """Counts a measurement that came after a Frame that lacked it.

        One that came before that Frame's deadline would have been waited for, had it been thought
        alive: it is heard nevertheless.
        """
        left = self._left
        if left is None or stamp > left.stamp:
            return False
        self._lacked &= ~(1 << modality)
        self.counters.late += 1
        if stamp + self._window[modality] < left.stamp:
            return True
        since = now - left.opened if self._live else self._clock - left.clock
        return since >= self._deadline

    def _take_over(self, modality: Modality, stamp: int, message: Any, now: int) -> None:
        """Open a Frame in place of the anchor, if all that are preferred are silent."""
        order = self._order[modality]
        if order >= len(self.config.anchors):
            return
        for other in self.config.anchors[:order]:
            if self._misses[other] < self._dead_after and stamp <= self._overdue_at(other):
                return
        if modality is _EVENT and stamp < self._due:
            return
        self._open(modality, stamp, message, now)

    def _overdue_at(self, modality: Modality) -> int:
        interval = max(self._period, self._interval[modality])
        return self._last[modality] + int(_OVERDUE * interval)

    def _open(self, modality: Modality, stamp: int, message: Any, now: int) -> None:
        order = self._order[modality]
        if order >= len(self.config.anchors):
            return
        changed = order != self._anchor_order
        self._anchor_order = order
        interval = self._interval[modality]
        if interval < self._period:
            interval = self._period
        self._overdue = stamp + interval + (interval >> 1)
        since = stamp - self._reference
        if since <= 0 or since < self._minimum or (changed and since + since < self._period):
            return
        self.counters.opened += 1
        self._reference = stamp
        on_grid = modality is _EVENT and not changed and stamp - self._due < self._period
        self._due = (self._due if on_grid else stamp) + self._period
        frame = _Pending(stamp, modality, message, self._clock, now, self._clock + self._deadline)
        misses, dead_after = self._misses, self._dead_after
        for other in _MODALITIES:
            if (
                misses[other] < dead_after
                and other is not modality
                and self._enabled[other]
                and self._awaited(other, stamp)
            ):
                frame.waiting |= 1 << other
        self._pending.append(frame)

    def _awaited(self, modality: Modality, reference: int) -> bool:
        """Whether a measurement may still come that fits `reference` better than those here."""
        last = self._last[modality]
        if last >= reference:
            return False
        if modality is _EVENT:
            return True
        interval = self._interval[modality]
        expected = last + interval
        if interval < 2 * (reference - last) and expected <= reference + self._window[modality]:
            silence = interval if interval > self._period else self._period
            return reference - last <= (self._dead_after + 1) * silence
        return False

    def _leave(self, now: int) -> list[Frame]:
        frames = []
        pending = self._pending
        while pending:
            first = pending[0]
            if (
                first.waiting
                and self._clock < first.deadline
                and not (self._live and now - first.opened >= self._deadline)
            ):
                break
            frames.append(self._close(pending.popleft()))
        return frames

    def _close(self, pending: _Pending) -> Frame:
        reference, waiting = pending.stamp, pending.waiting
        measurements: dict[Modality, Any] = {}
        availability: dict[Modality, Availability] = {}
        reasons: dict[Modality, str] = {}
        lacked = 0
        for modality in _MODALITIES:
            if modality is _EVENT:
                chosen, found = self._slice(reference)
            elif modality is pending.anchor:
                chosen, found = pending.message, _OK
                self._forget(modality, reference)
            else:
                chosen, found = self._nearest(modality, reference)
            if found is _OK:
                measurements[modality] = chosen
                availability[modality] = found
                continue
            lacked |= 1 << modality
            if found is _HELD:
                measurements[modality] = chosen
                availability[modality] = found
                reasons[modality] = "held: nothing newer came"
            else:
                availability[modality], reasons[modality] = self._absence(modality)
            if waiting >> modality & 1:
                self._missed(modality)
        self._left, self._lacked = pending, lacked
        if lacked:
            self.counters.incomplete += 1
        else:
            self.counters.complete += 1
        return Frame(reference, measurements, availability, reasons, pending.anchor)

    def _missed(self, modality: Modality) -> None:
        self._misses[modality] += 1
        if self._misses[modality] >= self._dead_after:
            for frame in self._pending:
                frame.waiting &= ~(1 << modality)

    def _absence(self, modality: Modality) -> tuple[Availability, str]:
        if not self._enabled[modality]:
            return Availability.DISABLED, "taken out by configuration"
        if modality in self._refused:
            return Availability.INVALID, self._refused[modality]
        if self._last[modality] == _NEVER:
            return Availability.MISSING, "nothing heard yet"
        return Availability.MISSING, "no measurement in the window"

    def _forget(self, modality: Modality, reference: int) -> None:
        """Drop what no later Frame can want: all before the last one that is not after it."""
        buffer = self._buffers[modality]
        while len(buffer) > 1 and buffer[1][0] <= reference:
            buffer.popleft()

    def _nearest(self, modality: Modality, reference: int) -> tuple[Any, Availability]:
        buffer = self._buffers[modality]
        while len(buffer) > 1 and buffer[1][0] <= reference:
            buffer.popleft()
        if not buffer:
            return None, _MISSING
        stamp, message = buffer[0]
        distance = reference - stamp
        if distance < 0:
            return (message, _OK) if -distance <= self._window[modality] else (None, _MISSING)
        if distance and len(buffer) > 1:
            after = buffer[1][0] - reference
            if after < distance:
                distance, message = after, buffer[1][1]
        if distance <= self._window[modality]:
            return message, _OK
        if distance <= self._hold[modality]:
            return message, _HELD
        return None, _MISSING

    def _slice(self, reference: int) -> tuple[list[Any] | None, Availability]:
        """The chunks that may have events in (reference - window, reference].

        A chunk's stamp is not before its last event: the first chunk that is stamped after the
        reference may begin before it.
        """
        buffer = self._buffers[_EVENT]
        begin = reference - self._window[_EVENT]
        while buffer and buffer[0][0] <= begin:
            buffer.popleft()
        if not buffer or buffer[0][0] > reference + self._window[_EVENT]:
            return None, _MISSING
        chunks = []
        for stamp, chunk in buffer:
            chunks.append(chunk)
            if stamp >= reference:
                break
        return chunks, _OK


_OK, _HELD, _MISSING = Availability.OK, Availability.HELD, Availability.MISSING


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def replay(
    messages: Iterable[tuple[Modality, int, Any]], config: SynchronizerConfig
) -> Iterable[Frame]:
    """The Frames of recorded (modality, stamp, message), by stamps alone: the same on every run."""
    synchronizer = Synchronizer(config)
    for modality, stamp, message in messages:
        yield from synchronizer.add(modality, stamp, message, stamp)
    yield from synchronizer.flush()

"""Measurements that come one by one become Frames, whichever sensors are left.

Two clocks. *Stamps* say when something was measured; they decide what belongs together, and in
replay they decide when a Frame has waited long enough. *now* is a steady clock that says when
something arrived; live, it ends waiting where no stamp comes that would.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from any2seg_ros.types import Availability, Frame, Modality

NOT_IN_WINDOW = "no measurement in the window"
"""Why a Frame lacks a sensor that is heard."""
_NEVER, _FOREVER = -(1 << 62), 1 << 62
_MODALITIES = tuple(Modality)
_EVENT = Modality.EVENT
_AGREEMENT = 5_000_000_000
"""ns by which two stamps that step back, and their arrivals, may differ for a new time to begin."""


@dataclass(frozen=True)
class Timing:
    """How one modality's measurements are matched; times in seconds.

    offset is added to its stamps. window: a measurement belongs to a Frame if it lies at most this
    far from the reference stamp; if sliced, the length of the slice that ends there. hold: age up
    to which an older measurement stands in; 0 for never. capacity: messages that are kept. sliced:
    messages are chunks of a stream, as packets of events are, and a Frame takes those of a slice.
    """

    enabled: bool = True
    offset: float = 0.0
    window: float = 0.05
    hold: float = 0.25
    capacity: int = 30
    sliced: bool = False


@dataclass(frozen=True)
class SynchronizerConfig:
    """When Frames open and leave; times in seconds.

    anchors: who opens Frames, by preference; a modality that is not named never does. period:
    nominal interval between Frames, at which events open them and by which silence is judged.
    maximum_rate: Frames a second that open at most, on the average; 0 for no limit. deadline: how
    long a Frame waits for what is missing. dead_after: Frames that waited for a modality in vain
    until none waits any more. jump: a stamp that is earlier than its predecessor by more than this
    starts anew if the next step back, of any sensor, agrees. live: whether the steady clock ends
    waiting too.
    """

    anchors: tuple[Modality, ...] = _MODALITIES
    period: float = 0.1
    maximum_rate: float = 0.0
    deadline: float = 0.05
    dead_after: int = 3
    jump: float = 0.5
    live: bool = True
    timing: Mapping[Modality, Timing] = field(
        default_factory=lambda: MappingProxyType(
            {m: Timing() for m in _MODALITIES[:3]}
            | {_EVENT: Timing(hold=0.0, capacity=2000, sliced=True)}
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


@dataclass(slots=True)
class Counters:
    """What happened since the synchronizer was made."""

    opened: int = 0
    complete: int = 0
    incomplete: int = 0
    late: int = 0
    resets: int = 0
    forgotten: int = 0
    """Frames that a reset dropped."""


class _Stream:
    """What is known of one modality's messages; times in ns."""

    __slots__ = (
        "append",
        "bit",
        "buffer",
        "chunked",
        "dead",
        "enabled",
        "hold",
        "interval",
        "lacked",
        "last",
        "misses",
        "modality",
        "offset",
        "order",
        "refused",
        "window",
    )

    def __init__(self, modality: Modality, timing: Timing, order: int) -> None:
        self.modality = modality
        self.bit = 1 << modality
        self.chunked = timing.sliced
        self.enabled = timing.enabled
        self.offset = _ns(timing.offset)
        self.window = _ns(timing.window)
        self.hold = _ns(timing.hold)
        self.order = order
        self.buffer: deque[tuple[int, Any]] = deque(maxlen=timing.capacity)
        self.append = self.buffer.append

    def clear(self, misses: int) -> None:
        """Nothing heard yet; so long, nobody waits."""
        self.buffer.clear()
        self.last = _NEVER if self.enabled else _FOREVER
        self.interval = 0
        self.misses = misses
        self.dead = True
        self.refused = ""
        self.lacked = True

    def insert(self, stamp: int, message: Any) -> None:
        """A measurement that was overtaken by a later one of its own sensor."""
        ordered = list(self.buffer)
        insort(ordered, (stamp, message), key=lambda entry: entry[0])
        self.buffer.clear()
        self.buffer.extend(ordered)  # a full one lets go of its oldest


class _Pending:
    """A Frame that has been opened; `waiting` has a bit for each modality that it waits for.

    Waiting ends with any measurement that is stamped `until` or later, and at `give_up` of the
    steady clock.
    """

    __slots__ = ("anchor", "give_up", "message", "stamp", "until", "waiting")

    anchor: _Stream
    give_up: int
    message: Any
    stamp: int
    until: int
    waiting: int


class _Draft:
    """A Frame in the making: Frame's own __init__ assigns to a frozen class, which is slow."""

    __slots__ = tuple(f.name for f in fields(Frame))


class Synchronizer:
    """Matches measurements by their stamps; one thread at a time, no locks, no callbacks.

    1. One bounded buffer a modality. Stamps are moved by the modality's offset, a Frame's as well.
    2. The first living modality of `anchors` opens a Frame with each of its measurements, events
       once a period. When it is overdue, the next one takes its place until it is back.
    3. A Frame takes the nearest measurement in each window, otherwise the last one if that may be
       held and is young enough. Of events it takes all chunks that reach into the window.
    4. It leaves as soon as nothing is to be waited for, otherwise at its deadline. A modality that
       was waited for in vain `dead_after` times is dead: it is not waited for until it is heard.
    5. The deadline is in stamps: it has come when any stamp is `deadline` later than the latest
       was when the Frame was opened. Live, the steady clock ends waiting as well.
    6. Reference stamps only go forward. A measurement that comes after a Frame that lacked it is
       counted as late. A jump backwards resets everything but the counters, once two messages
       have told of it.
    """

    __slots__ = (
        "_anchors",
        "_clock",
        "_dead_after",
        "_deadline",
        "_due",
        "_jump",
        "_left",
        "_live",
        "_earliest",
        "_least",
        "_order",
        "_overdue",
        "_patience",
        "_pending",
        "_period",
        "_reference",
        "_silence",
        "_streams",
        "_suspect",
        "config",
        "counters",
    )

    def __init__(self, config: SynchronizerConfig = SynchronizerConfig()) -> None:
        self.config = config
        self.counters = Counters()
        order = {m: i for i, m in enumerate(config.anchors)}
        self._streams = [
            _Stream(m, config.timing.get(m, Timing(enabled=False)), order.get(m, len(order)))
            for m in _MODALITIES
        ]
        self._anchors = [self._streams[m] for m in config.anchors]
        self._period = _ns(config.period)
        self._patience = self._period + (self._period >> 1)
        self.limit(config.maximum_rate)
        self._deadline = _ns(config.deadline)
        self._dead_after = config.dead_after
        self._silence = (config.dead_after + 1) * self._period
        self._jump = -_ns(config.jump)
        self._live = config.live
        self._clear()

    def _clear(self) -> None:
        for stream in self._streams:
            stream.clear(self._dead_after)
        self._pending: deque[_Pending] = deque()
        self._clock = _NEVER
        self._order = len(self._anchors) - 1
        self._overdue = _NEVER
        self._reference = _NEVER
        self._due = _NEVER
        self._earliest = _NEVER
        self._left: _Pending | None = None
        self._suspect: tuple[Modality, int, Any, int] | None = None

    def reset(self) -> None:
        """Forget all measurements and pending Frames, as after a jump of time."""
        self.counters.forgotten += len(self._pending)
        self._clear()
        self.counters.resets += 1

    @property
    def next_deadline(self) -> int | None:
        """The `now` at which `poll` has something to do; None if nothing waits, and in replay."""
        return self._pending[0].give_up if self._live and self._pending else None

    def alive(self, modality: Modality) -> bool:
        """Whether Frames wait for the modality."""
        return not self._streams[modality].dead

    def kept(self, modality: Modality) -> int:
        """How many of the modality's messages are in its buffer."""
        return len(self._streams[modality].buffer)

    def enable(self, modality: Modality, enabled: bool) -> None:
        """Take a sensor in or out; out, it is DISABLED and nobody waits for it."""
        stream = self._streams[modality]
        if enabled == stream.enabled:
            return
        stream.enabled = enabled
        stream.clear(self._dead_after)
        self._stop_waiting(stream)

    def limit(self, maximum_rate: float) -> None:
        """Frames a second that open at most from now on; 0 for no limit."""
        self._least = _ns(1 / maximum_rate) if maximum_rate else 0
        self._earliest = _NEVER

    def refuse(self, modality: Modality, reason: str) -> None:
        """Note that a message came which cannot be used: Frames without the modality say so."""
        stream = self._streams[modality]
        stream.refused = reason
        stream.lacked = True

    def add(self, modality: Modality, stamp: int, message: Any, now: int) -> list[Frame]:
        """Take a measurement; returns the Frames that leave, in order of their stamps.

        stamp: ns, when it was measured. now: ns of a steady clock, when it arrived; unused in
        replay.
        """
        stream = self._streams[modality]
        if stream.offset:
            stamp += stream.offset
        gap = stamp - stream.last
        if gap > 0:
            if not stream.chunked:
                interval = stream.interval
                longer = gap - interval
                if longer < interval:
                    stream.interval = interval + (longer >> 2)
                elif stream.last != _NEVER:
                    stream.interval = interval + (interval >> 3) if interval else gap
            stream.last = stamp
            stream.append((stamp, message))
            if self._suspect is not None and self._suspect[0] is modality:
                self._suspect = None
                self.counters.late += 1
        elif not stream.enabled:
            return []
        elif gap < self._jump:
            return self._step_back(modality, stamp - stream.offset, message, now)
        else:
            stream.insert(stamp, message)
        if stamp > self._clock:
            self._clock = stamp
        if stream.lacked:
            self._hear(stream, stamp, now)
        if stream.order <= self._order:
            if not stream.chunked or stamp >= self._due:
                self._open(stream, stamp, message, now)
        elif stamp > self._overdue:
            self._take_over(stream, stamp, message, now)
        pending = self._pending
        if not pending:
            return []
        first = pending[0]
        waiting = first.waiting
        if waiting:
            bit = stream.bit
            if waiting & bit:
                since = first.stamp - stream.last
                if (
                    since <= 0
                    or stream.interval - since > stream.window
                    or not self._awaited(stream, since)
                ):
                    first.waiting = waiting = waiting ^ bit
            if waiting and self._clock < first.until and now < first.give_up:
                return []
        pending.popleft()
        left = self._close(first)
        return [left, *self._leave(now)] if pending else [left]

    def poll(self, now: int) -> list[Frame]:
        """The Frames whose time is up; call it at `next_deadline`. Nothing leaves in replay."""
        frames = []
        while self._live and self._pending and now >= self._pending[0].give_up:
            frames.append(self._close(self._pending.popleft()))
        return frames

    def flush(self) -> list[Frame]:
        """All pending Frames, as at the end of a bag."""
        frames = []
        while self._pending:
            frames.append(self._close(self._pending.popleft()))
        return frames

    def _step_back(self, modality: Modality, stamp: int, message: Any, now: int) -> list[Frame]:
        """A stamp far behind its sensor's last: a new time begins if the next such one agrees.

        One alone is a slip of its sensor, and late; so are two that are far from each other, in
        their stamps or in their arrivals.
        """
        suspect = self._suspect
        if (
            suspect is None
            or not 0 <= now - suspect[3] <= _AGREEMENT
            or abs(stamp - suspect[1]) > _AGREEMENT
        ):
            self.counters.late += suspect is not None
            self._suspect = (modality, stamp, message, now)
            return []
        self.reset()
        return [*self.add(*suspect), *self.add(modality, stamp, message, now)]

    def _hear(self, stream: _Stream, stamp: int, now: int) -> None:
        """A measurement of a modality that the Frame before lacked: is it alive again?

        It is late if it came after a Frame that it belongs to. One that came before that Frame's
        deadline would have been waited for, had it been thought alive: it is heard nevertheless.
        """
        stream.lacked = False
        stream.refused = ""
        left = self._left
        if left is not None and stamp <= left.stamp:
            self.counters.late += 1
            if stamp + stream.window < left.stamp:
                return
            if now >= left.give_up if self._live else self._clock >= left.until:
                return
        stream.misses = 0
        stream.dead = False

    def _take_over(self, stream: _Stream, stamp: int, message: Any, now: int) -> None:
        """Open a Frame in place of the anchor, if all that are preferred are silent."""
        if stream.order == len(self._anchors) or (stream.chunked and stamp < self._due):
            return
        for other in self._anchors[: stream.order]:
            silence = other.interval if other.interval > self._period else self._period
            overdue = other.last + silence + (silence >> 1)
            if not other.dead and stamp <= overdue:
                return
        self._open(stream, stamp, message, now)

    def _open(self, stream: _Stream, stamp: int, message: Any, now: int) -> None:
        """Open a Frame, unless it would be too near to the one before."""
        order, period = stream.order, self._period
        self._overdue = stamp + self._patience  # at least: `_take_over` looks closer
        changed = order != self._order
        self._order = order
        since = stamp - self._reference
        if since <= 0 or stamp < self._earliest or (changed and since + since < period):
            return
        if self._least:
            # One that comes a little early is taken, and the next is due no earlier for that.
            self._earliest = max(self._earliest, stamp - self._least // 5) + self._least
        self.counters.opened += 1
        self._reference = stamp
        on_grid = stream.chunked and not changed and stamp - self._due < period
        self._due = (self._due if on_grid else stamp) + period
        waiting, silence = 0, self._silence
        for other in self._streams:
            since = stamp - other.last
            if since <= 0 or other.dead:
                continue
            # As `_awaited` has it, which costs a call.
            left = other.interval - since
            if left > 0 and (left > other.window or left >= since):
                continue
            if since <= silence or self._awaited(other, since):
                waiting |= other.bit
        frame = _Pending()
        frame.stamp = stamp
        frame.anchor = stream
        frame.message = message
        frame.waiting = waiting
        frame.until = self._clock + self._deadline
        frame.give_up = now + self._deadline if self._live else _FOREVER
        self._pending.append(frame)

    def _awaited(self, stream: _Stream, since: int) -> bool:
        """Whether a better measurement may still come for a reference `since` ns after the last."""
        if since <= 0 or stream.chunked:
            return since > 0
        left = stream.interval - since
        if left > 0 and (left > stream.window or left >= since):
            return False
        return since <= self._silence or since <= (self._dead_after + 1) * stream.interval

    def _leave(self, now: int) -> list[Frame]:
        frames = []
        pending = self._pending
        while pending:
            first = pending[0]
            for stream in self._streams:
                since = first.stamp - stream.last
                if first.waiting & stream.bit and not self._awaited(stream, since):
                    first.waiting ^= stream.bit
            if first.waiting and self._clock < first.until and now < first.give_up:
                break
            frames.append(self._close(pending.popleft()))
        return frames

    def _close(self, pending: _Pending) -> Frame:
        reference, anchor, lacked = pending.stamp, pending.anchor, 0
        measurements: dict[Modality, Any] = {}
        availability: Any = _ALL_OK
        reasons: Any = _NO_REASONS
        for stream in self._streams:
            buffer = stream.buffer
            if stream.chunked:
                chosen, found = _slice(stream, reference)
            elif 0 <= reference - stream.last <= stream.window:  # the newest is the nearest
                while len(buffer) > 1:
                    buffer.popleft()
                chosen, found = buffer[0][1], _OK
            elif stream is anchor:
                chosen, found = pending.message, _OK
                while len(buffer) > 1 and buffer[1][0] <= reference:
                    buffer.popleft()
            elif buffer:
                chosen, found = _nearest(stream, reference)
            else:
                chosen, found = _NOTHING
            if found is _OK:
                measurements[stream.modality] = chosen
                continue
            if not lacked:
                availability, reasons = dict(_ALL_OK), {}
            lacked |= stream.bit
            stream.lacked = True
            if found is _HELD:
                measurements[stream.modality] = chosen
                reason = "held: nothing newer came"
            else:
                found, reason = _absence(stream)
            availability[stream.modality] = found
            reasons[stream.modality] = reason
        if lacked:
            self.counters.incomplete += 1
            if lacked & pending.waiting:
                self._count_misses(lacked & pending.waiting)
        else:
            self.counters.complete += 1
        self._left = pending
        frame: Any = _Draft()
        frame.stamp = reference
        frame.measurements = measurements
        frame.availability = availability
        frame.reasons = reasons
        frame.anchor = anchor.modality
        frame.label = None
        frame.name = ""
        frame.__class__ = Frame
        return frame

    def _count_misses(self, missed: int) -> None:
        for stream in self._streams:
            if missed & stream.bit:
                stream.misses += 1
                if stream.misses >= self._dead_after:
                    stream.dead = True
                    self._stop_waiting(stream)

    def _stop_waiting(self, stream: _Stream) -> None:
        for frame in self._pending:
            frame.waiting &= ~stream.bit


def _slice(stream: _Stream, reference: int) -> tuple[Any, Availability]:
    """The chunks that may have events in (reference - window, reference].

    A chunk's stamp is not before its last event: the first chunk that is stamped after the
    reference may begin before it.
    """
    buffer = stream.buffer
    begin = reference - stream.window
    while buffer and buffer[0][0] <= begin:
        buffer.popleft()
    if not buffer:
        return _NOTHING
    stamp, first = buffer[0]
    if stamp >= reference:
        return ([first], _OK) if stamp <= reference + stream.window else _NOTHING
    chunks = []
    for stamp, chunk in buffer:
        chunks.append(chunk)
        if stamp >= reference:
            break
    return chunks, _OK


def _nearest(stream: _Stream, reference: int) -> tuple[Any, Availability]:
    """The nearest in the window, otherwise the last one that may be held.

    Drops what no later Frame can want: all before the last one that is not after the reference.
    """
    buffer = stream.buffer
    stamp, message = buffer[0]
    distance = reference - stamp
    if distance >= 0:
        while len(buffer) > 1:
            stamp, following = buffer[1]
            after = stamp - reference
            if after > 0:
                if after < distance and after <= stream.window:
                    return following, _OK
                break
            buffer.popleft()
            distance, message = -after, following
        if distance <= stream.window:
            return message, _OK
        if distance <= stream.hold:
            return message, _HELD
        return _NOTHING
    return (message, _OK) if -distance <= stream.window else _NOTHING


def _absence(stream: _Stream) -> tuple[Availability, str]:
    if not stream.enabled:
        return Availability.DISABLED, "taken out by configuration"
    if stream.refused:
        return Availability.INVALID, stream.refused
    if stream.last == _NEVER:
        return Availability.MISSING, "nothing heard yet"
    return Availability.MISSING, NOT_IN_WINDOW


_OK, _HELD = Availability.OK, Availability.HELD
_NOTHING = (None, Availability.MISSING)
_ALL_OK = MappingProxyType(dict.fromkeys(Modality, _OK))
_NO_REASONS: Mapping[Modality, str] = MappingProxyType({})


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

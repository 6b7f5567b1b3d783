"""Messages that come one by one become Frames, whichever sensors are left.

A message of the anchor, the best sensor that is heard, triggers a Frame. Of every sensor the Frame
takes the measurement nearest to the trigger's stamp, and it waits for what is missing until its
deadline. Stamps are matched as they are. Silence and waiting are counted in time that passes: live
on a steady clock, in replay on the stamps of whoever is heard, set to the anchor's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from any2seg_ros.runtime.sensor_buffer import (
    NEVER,
    NO_ANCHOR,
    Patience,
    SensorBuffer,
    Timing,
    nanoseconds,
)
from any2seg_ros.types import Availability, Frame, Modality

_SAME_JUMP = 5_000_000_000
"""ns that two steps back may differ by, in stamp and in arrival, to be one jump of time."""
_STEADY = 1_000_000_000
"""ns that a better anchor is heard, behind the last Frame, until time begins anew with it."""
_OK, _HELD = Availability.OK, Availability.HELD
_ALL_OK: Mapping[Modality, Availability] = MappingProxyType(dict.fromkeys(Modality, _OK))


@dataclass(frozen=True)
class SynchronizerConfig:
    """When Frames are triggered and when they leave; times in seconds.

    anchors: who triggers Frames, best first; a modality that is not named never does. period:
    nominal interval between Frames: events trigger at it, silence is judged by it. maximum_rate:
    Frames a second on the average, at most; 0 for no limit. deadline: max wait for missing sensors.
    dead_after: Frames that waited in vain for a sensor until none waits for it. jump: a stamp that
    steps back by more begins a new time, if the next step back, of any sensor, agrees. live: count
    waiting and silence on the steady clock; otherwise stamps alone decide.
    """

    anchors: tuple[Modality, ...] = tuple(Modality)
    period: float = 0.1
    maximum_rate: float = 0.0
    deadline: float = 0.05
    dead_after: int = 3
    jump: float = 0.5
    live: bool = True
    timing: Mapping[Modality, Timing] = field(
        default_factory=lambda: MappingProxyType(
            dict.fromkeys(Modality, Timing())
            | {Modality.EVENT: Timing(hold=0.0, capacity=2000, sliced=True)}
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
    forgotten: int = 0
    """Frames that a reset dropped."""


@dataclass
class _Pending:
    """A Frame that has been triggered by `message` and waits for some sensors."""

    stamp: int
    anchor: SensorBuffer
    message: Any
    waiting: set[SensorBuffer]
    deadline: int
    skipped: bool = False
    """Whether it also waits for a message of the anchor that this one has overtaken."""
    told: int = 0
    """How many sensors `certain` has told of."""


class _Arrival(NamedTuple):
    """A measurement and when it came (`now`); its stamp has the offset."""

    stream: SensorBuffer
    stamp: int
    message: Any
    now: int
    last: int = NEVER
    """The newest stamp of its sensor until then."""
    anchor_last: int = NEVER
    """The anchor's newest stamp then."""


class Synchronizer:
    """Matches measurements by their stamps; one thread at a time, no locks, no callbacks.

    1. One bounded buffer a modality. Stamps are moved by the modality's offset, a Frame's as well.
    2. Each message of the anchor triggers a Frame, events once a period. The anchor is the first
       of `anchors` that is heard; when it is overdue or refused, the next one takes its place
       until it is back and was not refused for a second. A sensor is heard if its messages come
       and its own stamps advance, however far its clock is from the others'.
    3. A Frame takes the nearest measurement in each window, otherwise the last one if that may be
       held and is young enough. Of events it takes all chunks that reach into the window.
    4. It leaves as soon as nothing is to be waited for, otherwise at its deadline. A modality that
       was waited for in vain `dead_after` times is dead: it is not waited for until it is heard.
    5. Live, arrivals on the steady clock tell how long a Frame has waited and a sensor been silent.
       In replay stamps tell, so that a bag gives the same Frames on every run.
    6. Reference stamps only go forward; a message of the anchor that a later one has overtaken
       triggers a Frame as long as the later one's waits, which it does for it where that happened
       within a second. A measurement that comes after a Frame
       that lacked it is counted as late. A jump backwards resets everything but the counters, once
       two messages have told of it, unless the anchor goes on; so does a better anchor that is
       heard steadily behind the last Frame.
    """

    def __init__(self, config: SynchronizerConfig = SynchronizerConfig()) -> None:
        self.config = config
        self.counters = Counters()
        self._live = config.live
        self._period = nanoseconds(config.period)
        self._deadline = nanoseconds(config.deadline)
        self._jump = nanoseconds(config.jump)
        self._patience = Patience(config.dead_after + 1, self._period)
        self._streams = [
            SensorBuffer(m, config.timing.get(m, Timing(enabled=False))) for m in Modality
        ]
        self._anchors = tuple(self._streams[m] for m in config.anchors)
        for rank, stream in enumerate(self._anchors):
            stream.rank = rank
        self.limit(config.maximum_rate)
        self._clear()

    def _clear(self) -> None:
        for stream in self._streams:
            stream.clear()
        self._anchor = self._anchors[-1]  # whom every other one may replace at once
        self._pending: deque[_Pending] = deque()
        self._left: _Pending | None = None
        self._slip: _Arrival | None = None
        self._time = self._overdue = self._reference = self._next_slice = self._earliest = NEVER

    def reset(self) -> None:
        """Forget all measurements and pending Frames, as after a jump of time."""
        self.counters.forgotten += len(self._pending)
        self.counters.resets += 1
        self._clear()

    @property
    def next_deadline(self) -> int | None:
        """The `now` (ns) at which to call `poll`; None if nothing waits, and in replay.

        Any other method may change it: look after each call, and set a one-shot timer anew if so.
        """
        return self._pending[0].deadline if self._live and self._pending else None

    def awaits(self, modality: Modality) -> bool:
        """Whether a Frame waits for a message of the modality now."""
        stream = self._streams[modality]
        return any(stream in frame.waiting for frame in self._pending)

    def certain(self) -> Frame | None:
        """What the oldest Frame that waits has of the sensors that it does not wait for.

        None if that is no more than was told before. Seldom a message that is still better comes.
        """
        if not self._pending:
            return None
        first = self._pending[0]
        settled = [s for s in self._streams if s.enabled and s not in first.waiting]
        if len(settled) <= first.told:
            return None
        first.told = len(settled)
        found = {s.modality: s.peek(first.stamp) for s in settled}
        measurements = {m: message for m, (message, how) in found.items() if how.usable}
        if not first.anchor.sliced:
            measurements[first.anchor.modality] = first.message
        return Frame(first.stamp, measurements, _ALL_OK, {}, first.anchor.modality)

    def enable(self, modality: Modality, enabled: bool) -> None:
        """Take a sensor in or out; out, it is DISABLED and nobody waits for it."""
        stream = self._streams[modality]
        if enabled != stream.enabled:
            stream.enabled = enabled
            stream.clear()
            self._stop_waiting(stream)
            self._overdue = NEVER

    def limit(self, maximum_rate: float) -> None:
        """Frames a second from now on, at most; 0 for no limit."""
        self._least_gap = nanoseconds(1 / maximum_rate) if maximum_rate else 0
        self._earliest = NEVER

    def refuse(self, modality: Modality, reason: str, now: int) -> list[Frame]:
        """Note that a message came which cannot be used: Frames without the modality say so.

        Where it was the anchor's, the next one that is heard triggers in its place, with what it
        has measured already or with its next message. Returns the Frames that leave. now: as of
        `add`.
        """
        stream = self._streams[modality]
        passed = now if self._live else self._time
        stream.refused, stream.refused_at = reason, passed
        stream.lacked = True
        if stream is not self._anchor:
            return []
        self._overdue = NEVER
        for other in self._anchors[stream.rank + 1 :]:
            if other.messages and not other.sliced and self._replaces(other, passed):
                self._open(other, *other.messages[-1], passed)
                return self._leave(passed)
        return []

    def add(self, modality: Modality, stamp: int, message: Any, now: int) -> list[Frame]:
        """Take a measurement; returns the Frames that leave, in order of their stamps.

        stamp: ns, when it was measured. now: ns of a steady clock, when it arrived; in replay only
        to tell a jump of time from slips that are far apart.
        """
        stream = self._streams[modality]
        if not stream.enabled:
            return []
        if stream.offset:
            stamp += stream.offset
        gap = stamp - stream.last
        if gap > 0:
            passed = now if self._live else self._replay_time(stream, stamp)
            if not (stream.sliced or stream.refused):  # between which a message came
                longer = gap - stream.interval
                if longer < stream.interval:
                    stream.interval += longer // 4
                elif stream.last != NEVER:  # a message was lost, or the first gap
                    stream.interval += stream.interval // 8 or longer
            stream.last = stamp
            stream.arrived = passed
            stream.messages.append((stamp, message))
        elif gap < -self._jump:
            anchor_last = self._anchor.last
            return self._step_back(_Arrival(stream, stamp, message, now, stream.last, anchor_last))
        else:
            passed = now if self._live else self._time
            stream.insert(stamp, message, passed)
            if stream is self._anchor and self._pending and not stream.sliced:
                self._open_overtaken(stream, stamp, message, passed)
        if stream.lacked:
            self._revive(stream, stamp, passed)
        if gap > 0 and (
            stream is self._anchor
            or (stream.rank < self._anchor.rank and not stream.doubtful(passed))
            or (passed > self._overdue and self._replaces(stream, passed))
        ):
            if self._reference - stamp > self._jump:
                if self._steadily_behind(stream, gap, passed):
                    self.reset()
                    return self._add_again(_Arrival(stream, stamp, message, now))
            elif not stream.sliced or stamp >= self._next_slice:
                self._open(stream, stamp, message, passed)
                if stream.skips(gap, passed) and self._pending:
                    self._pending[-1].skipped = self._pending[-1].message is message
        pending = self._pending
        if not pending:
            return []
        for frame in pending:
            if stream in frame.waiting and (
                stream.last >= frame.stamp or not stream.awaited(frame.stamp, self._patience)
            ):
                frame.waiting.remove(stream)
            if frame.skipped and stream is frame.anchor and message is not frame.message:
                frame.skipped = False
        first = pending[0]
        waits = first.waiting or first.skipped
        return [] if waits and passed < first.deadline else self._leave(passed)

    def poll(self, now: int) -> list[Frame]:
        """The Frames whose deadline has come; call it at `next_deadline`. None leaves in replay."""
        return self._leave(now) if self._live else []

    def flush(self) -> list[Frame]:
        """All pending Frames, as at the end of a bag."""
        frames = []
        while self._pending:
            frames.append(self._close(self._pending.popleft()))
        return frames

    def _replay_time(self, stream: SensorBuffer, stamp: int) -> int:
        """The time that has come by the stamps: the newest, all clocks set to the anchor's."""
        if stream.compared != self._anchor.last != NEVER and stream is not self._anchor:
            stream.compared = self._anchor.last
            stream.compare_clocks(self._anchor, stamp, self._period)
        self._time = max(self._time, stamp - stream.skew)
        return self._time

    def _replaces(self, stream: SensorBuffer, passed: int) -> bool:
        """Whether all better anchors are overdue when a message of `stream` is heard; of one that
        is doubtful, the anchor as well.

        By what has passed since, and by the stamps, unless the sensor's clock is far behind.
        """
        if stream.rank == NO_ANCHOR:
            return False
        before = self._anchors[: stream.rank]
        if stream is not self._anchor and stream.doubtful(passed):
            before = (*before, self._anchor)
        for better in before:
            interval = max(better.interval, self._period)
            later = stream.last - better.last
            if better.refused:  # what it measured since is lost
                if -interval <= later <= interval // 2:
                    return False
                continue
            if passed - better.arrived <= interval + interval // 4:
                return False
            if -interval <= later <= interval + interval // 2:
                return False
        return True

    def _open(self, stream: SensorBuffer, stamp: int, message: Any, passed: int) -> None:
        """Trigger a Frame, unless it would be too near to the one before."""
        changed = stream is not self._anchor
        self._anchor = stream
        self._overdue = passed + self._period  # at the earliest: `_replaces` looks closer
        stream.behind_since = None
        since = stamp - self._reference
        if since <= 0 or stamp < self._earliest or (changed and 2 * since < self._period):
            return
        if self._least_gap:
            # One that comes a little early is taken, and the next is due no earlier for that.
            self._earliest = max(self._earliest, stamp - self._least_gap // 5) + self._least_gap
        on_grid = stream.sliced and not changed and stamp - self._next_slice < self._period
        self._next_slice = (self._next_slice if on_grid else stamp) + self._period
        self._reference = stamp
        self._pending.append(self._opened(stream, stamp, message, passed))

    def _open_overtaken(self, stream: SensorBuffer, stamp: int, message: Any, passed: int) -> None:
        """Trigger a Frame of an anchor's message that came after a later one, if that one's Frame
        still waits: reference stamps only go forward."""
        place = sum(frame.stamp < stamp for frame in self._pending)
        if place == len(self._pending):
            return
        before = self._pending[place - 1] if place else self._left
        near = max(1, self._least_gap - self._least_gap // 5)
        if self._pending[place].stamp - stamp >= near and (
            before is None or stamp - before.stamp >= near
        ):
            self._pending.insert(place, self._opened(stream, stamp, message, passed))

    def _opened(self, stream: SensorBuffer, stamp: int, message: Any, passed: int) -> _Pending:
        """A Frame, and for whom it waits."""
        self.counters.opened += 1
        waiting = set()
        for other in self._streams:
            if other.last < stamp and not other.dead and other.awaited(stamp, self._patience):
                waiting.add(other)
        return _Pending(stamp, stream, message, waiting, passed + self._deadline)

    def _leave(self, passed: int) -> list[Frame]:
        """The Frames that wait for nothing, or whose deadline has come."""
        frames = []
        while self._pending:
            first = self._pending[0]
            if (first.waiting or first.skipped) and passed < first.deadline:
                break
            frames.append(self._close(self._pending.popleft()))
        return frames

    def _close(self, pending: _Pending) -> Frame:
        reference, anchor = pending.stamp, pending.anchor
        measurements: dict[Modality, Any] = {}
        lacked: dict[Modality, tuple[Availability, str]] = {}
        for stream in self._streams:
            message, found = stream.take(reference)
            if found is _OK:
                measurements[stream.modality] = message
                continue
            if stream is anchor and not stream.sliced:
                continue
            stream.lacked = True
            reason = "held: nothing newer came"
            if found is _HELD:
                measurements[stream.modality] = message
            else:
                found, reason = stream.absence()
            lacked[stream.modality] = found, reason
        if not anchor.sliced:  # whose buffer may have let go of the trigger
            measurements[anchor.modality] = pending.message
        self._left = pending
        if not lacked:
            self.counters.complete += 1
            return Frame(reference, measurements, _ALL_OK, {}, anchor.modality)
        self._count_incomplete(pending, lacked)
        availability = {**_ALL_OK, **{m: found for m, (found, _) in lacked.items()}}
        reasons = {m: reason for m, (_, reason) in lacked.items()}
        return Frame(reference, measurements, availability, reasons, anchor.modality)

    def _count_incomplete(self, left: _Pending, lacked: Container[Modality]) -> None:
        """Counts a Frame, and for each sensor whether it was waited for in vain."""
        self.counters.incomplete += 1
        for stream in left.waiting:
            if stream.modality in lacked:
                stream.misses += 1
                stream.dead = stream.misses >= self.config.dead_after
                if stream.dead:
                    self._stop_waiting(stream)

    def _stop_waiting(self, stream: SensorBuffer) -> None:
        for frame in self._pending:
            frame.waiting.discard(stream)

    def _revive(self, stream: SensorBuffer, stamp: int, passed: int) -> None:
        """A measurement of a modality that the Frame before lacked: is it alive again?

        It is late if it came after a Frame that it belongs to. One that came before that Frame's
        deadline would have been waited for, had it been thought alive: it is heard nevertheless.
        """
        stream.lacked = False
        stream.refused = ""
        left = self._left
        if left is not None and stamp <= left.stamp:
            self.counters.late += 1
            if stamp + stream.window < left.stamp or passed >= left.deadline:
                return
        stream.misses = 0
        stream.dead = False

    def _steadily_behind(self, stream: SensorBuffer, gap: int, passed: int) -> bool:
        """Whether an anchor has been too far behind the last Frame to trigger one, for long."""
        if stream.behind_since is None or gap > _STEADY:
            stream.behind_since = passed
        return passed - stream.behind_since >= _STEADY

    def _step_back(self, one: _Arrival) -> list[Frame]:
        """A stamp far behind its sensor's last: a new time begins if the next such one agrees.

        One alone is a slip of its sensor, and late; so are two that are far from each other, in
        their stamps or in their arrivals. Two of a sensor while the anchor goes on begin a new time
        for that sensor alone: its clock was set.
        """
        slip, self._slip = self._slip, one
        self.counters.late += 1
        if slip is None or slip.last != slip.stream.last:
            return []
        if abs(one.stamp - slip.stamp) > _SAME_JUMP or not 0 <= one.now - slip.now <= _SAME_JUMP:
            return []
        if slip.stream is one.stream and slip.anchor_last < self._anchor.last:
            self.counters.late -= 1
            one.stream.clear()
            return self._add_again(one)
        self.counters.late -= 2
        self.reset()
        return self._add_again(slip, one)

    def _add_again(self, *arrivals: _Arrival) -> list[Frame]:
        """Takes the measurements that told of a new time."""
        frames = []
        for one in arrivals:
            stamp = one.stamp - one.stream.offset
            frames += self.add(one.stream.modality, stamp, one.message, one.now)
        return frames

"""The last messages of one sensor: which of them belongs to a stamp."""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from any2seg_ros.types import NOT_HEARD, Availability, Modality

NEVER = -(1 << 62)
NO_ANCHOR = len(Modality)
NOT_IN_WINDOW = "no measurement in the window"
"""Why a Frame lacks a sensor that is heard."""
_DOUBT = 1_000_000_000
"""ns without a refusal until a sensor triggers Frames again; ns for which it is remembered that its
messages overtake each other."""
_UNKNOWN = 1_000_000_000
"""ns after a sensor's only message for which another is waited for."""
_OK, _HELD, _MISSING = Availability.OK, Availability.HELD, Availability.MISSING


@dataclass(frozen=True)
class Timing:
    """How one modality's measurements are matched; times in seconds.

    offset: added to its stamps. window: largest distance from the Frame's stamp; if sliced, the
    length of the slice that ends there. hold: largest age of an older measurement that stands in;
    0 for never. capacity: messages that are kept. sliced: messages are chunks of a stream, as
    packets of events are, and a Frame takes those of a slice.
    """

    enabled: bool = True
    offset: float = 0.0
    window: float = 0.05
    hold: float = 0.25
    capacity: int = 30
    sliced: bool = False


class Patience(NamedTuple):
    """For how long a sensor that is silent may still measure: so many periods (ns), or intervals of
    its own where these are longer."""

    frames: int
    period: int


class SensorBuffer:
    """The last messages of one sensor, in order of their stamps; times in ns.

    What the synchronizer knows of the sensor stands with them.
    """

    def __init__(self, modality: Modality, timing: Timing) -> None:
        self.modality = modality
        self.rank = NO_ANCHOR
        """Its place among the anchors."""
        self.enabled = timing.enabled
        self.sliced = timing.sliced
        self.offset = nanoseconds(timing.offset)
        self.window = nanoseconds(timing.window)
        self.hold = nanoseconds(timing.hold)
        self.messages: deque[tuple[int, Any]] = deque(maxlen=timing.capacity)
        self.clear()

    def clear(self) -> None:
        """Nothing heard yet; so long, nobody waits."""
        self.messages.clear()
        self.last = NEVER
        """Its newest stamp."""
        self.arrived = NEVER
        """When that came."""
        self.interval = 0
        """Usual distance of its stamps, as far as it is known."""
        self.skew = 0
        """How far its clock is ahead; in replay only."""
        self.compared = NEVER
        """The anchor's stamp when it was found."""
        self.behind_since: int | None = None
        self.misses = 0
        self.dead = self.lacked = True
        self.refused = ""
        """Why its last message was."""
        self.refused_at = NEVER
        """When a message last was."""
        self.overtaken = 0
        """How far a message lay before the one that had overtaken it, the last time."""
        self.overtaken_at = NEVER

    def insert(self, stamp: int, message: Any, passed: int) -> None:
        """A measurement that was overtaken by a later one of its own sensor, or is its twin."""
        if stamp < self.last:
            self.overtaken, self.overtaken_at = self.last - stamp, passed
        ordered = list(self.messages)
        insort(ordered, (stamp, message), key=lambda entry: entry[0])
        self.messages.clear()
        self.messages.extend(ordered)  # a full one lets go of its oldest

    def take(self, reference: int) -> tuple[Any, Availability]:
        """The nearest in the window, otherwise the last one before that may be held.

        Forgets what no later Frame can want: all before the last one that is not after `reference`.
        """
        if self.sliced:
            return self._take_slice(reference)
        messages = self.messages
        if not messages:
            return None, _MISSING
        newest = messages[-1]
        if 0 <= reference - newest[0] <= self.window:  # nothing can be nearer
            messages.clear()
            messages.append(newest)
            return newest[1], _OK
        while len(messages) > 1 and messages[1][0] <= reference:
            messages.popleft()
        stamp, message = messages[0]
        age = reference - stamp
        if len(messages) > 1 and age > 0:
            following, newer = messages[1]
            if following - reference < age and following - reference <= self.window:
                return newer, _OK
        if abs(age) <= self.window:
            return message, _OK
        return (message, _HELD) if 0 < age <= self.hold else (None, _MISSING)

    def peek(self, reference: int) -> tuple[Any, Availability]:
        """What `take` would give now; nothing is forgotten."""
        kept = self.messages.copy()
        found = self.take(reference)
        self.messages = kept
        return found

    def _take_slice(self, reference: int) -> tuple[Any, Availability]:
        """The chunks that may have events in (reference - window, reference].

        A chunk's stamp is not before its last event: the first chunk that is stamped after the
        reference may begin before it.
        """
        begin = reference - self.window
        while self.messages and self.messages[0][0] <= begin:
            self.messages.popleft()
        chunks: list[Any] = []
        for stamp, chunk in self.messages:
            if not chunks and stamp > reference + self.window:
                break
            chunks.append(chunk)
            if stamp >= reference:
                break
        return (chunks, _OK) if chunks else (None, _MISSING)

    def awaited(self, reference: int, patience: Patience) -> bool:
        """Whether a better measurement than its last may come for a later Frame."""
        if self.sliced:
            return True
        since = reference - self.last
        if not self.interval:  # one message so far: nobody knows when the next comes
            return since <= _UNKNOWN
        until_next = self.interval - since
        # Intervals vary: key frames of a slow recording by a fifth and more.
        if until_next > self.window + self.interval // 4 or until_next >= since:
            return False
        return since <= patience.frames * max(patience.period, self.interval)

    def doubtful(self, passed: int) -> bool:
        """Whether a message was refused a short while ago: stamps that jump to and fro are refused
        only where they are far off."""
        return passed - self.refused_at < _DOUBT

    def skips(self, gap: int, passed: int) -> bool:
        """Whether a message that is stamped `gap` after the one before has overtaken others, as
        happened a short while ago."""
        return passed - self.overtaken_at < _DOUBT and 2 * gap > 3 * self.overtaken

    def compare_clocks(self, anchor: SensorBuffer, stamp: int, period: int) -> None:
        """Finds the skew of a sensor with its first message after one of the anchor's.

        Their clocks agree if the anchor's stamp lies between the sensor's last two, or nearly so:
        messages overtake each other. If not, the sensor's time goes on from the anchor's.
        """
        slack = period // 4
        before = max(self.last, stamp - (2 * self.interval or period))
        between = before - slack <= anchor.last <= stamp + period
        near = stamp - anchor.last <= max(anchor.interval, period) + slack
        if between and (near or self.skew == anchor.skew):
            self.skew = anchor.skew
        else:
            self.skew = stamp - anchor.arrived

    def absence(self) -> tuple[Availability, str]:
        """Why a Frame has nothing of it."""
        if not self.enabled:
            return Availability.DISABLED, "taken out by configuration"
        if self.refused:
            return Availability.INVALID, self.refused
        heard = self.last != NEVER
        return _MISSING, NOT_IN_WINDOW if heard else NOT_HEARD


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)

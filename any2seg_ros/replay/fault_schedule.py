"""When which sensor fails: `rgb@2.0-5.0,lidar@*` and `rgb:night@3.0-`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from any2seg_ros.evaluation.corruptions import CORRUPTIONS
from any2seg_ros.types import Modality

DROP = "drop"


@dataclass(frozen=True)
class Fault:
    """A fault of one sensor: `kind` is `drop` or a corruption; seconds after the bag's start.

    It affects the messages whose stamps are in [begin, end).
    """

    modality: Modality
    kind: str
    begin: float = 0.0
    end: float = math.inf

    def covers(self, seconds: float) -> bool:
        """Whether the fault is active at this time after the bag's start."""
        return self.begin <= seconds < self.end

    @property
    def label(self) -> str:
        """`rgb:night`, or `no rgb`."""
        if self.kind == DROP:
            return f"no {self.modality.label}"
        return f"{self.modality.label}:{self.kind}"

    def __str__(self) -> str:
        if self.begin <= 0 and math.isinf(self.end):
            return f"{self.label}@*"
        end = "" if math.isinf(self.end) else f"{self.end:g}"
        return f"{self.label}@{self.begin:g}-{end}"


def parse_drops(text: str) -> list[Fault]:
    """Faults from text such as `rgb@2.0-5.0,lidar@*`; ValueError names the part that is wrong."""
    return [_fault(part, *_split(part), kind=DROP) for part in _parts(text)]


def parse_corruptions(text: str) -> list[Fault]:
    """Faults from text such as `rgb:night@3.0-`; ValueError names the part that is wrong."""
    faults = []
    for part in _parts(text):
        subject, span = _split(part)
        sensor, colon, kind = subject.partition(":")
        if not colon:
            raise ValueError(f"'{part}' has no corruption: write {sensor}:KIND@BEGIN-END")
        faults.append(_fault(part, sensor, span, kind.strip()))
    return faults


def active(faults: Iterable[Fault], modality: Modality, seconds: float) -> list[Fault]:
    """The active faults of a sensor, in the order in which they were given."""
    return [f for f in faults if f.modality == modality and f.covers(seconds)]


@dataclass(frozen=True)
class Interval:
    """A time, in s after the bag's start, in which the same faults are active."""

    begin: float
    end: float
    faults: tuple[Fault, ...]


def intervals(faults: Sequence[Fault]) -> list[Interval]:
    """The times between changes of the schedule, from second 0 to infinity."""
    edges = {0.0, math.inf}
    for fault in faults:
        edges |= {max(fault.begin, 0.0), fault.end}
    ordered = sorted(edges)
    return [
        Interval(begin, end, tuple(fault for fault in faults if fault.covers(begin)))
        for begin, end in zip(ordered[:-1], ordered[1:], strict=True)
    ]


def _parts(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _split(part: str) -> tuple[str, str]:
    subject, _, span = part.partition("@")
    return subject.strip(), span.strip() or "*"


def _fault(part: str, sensor: str, span: str, kind: str) -> Fault:
    modality = Modality.parse(sensor)
    if kind != DROP and kind not in CORRUPTIONS[modality]:
        known = ", ".join(CORRUPTIONS[modality])
        raise ValueError(
            f"'{part}': unknown corruption '{kind}' of {modality.label}: use one of {known}"
        )
    begin, end = _span(part, span)
    return Fault(modality, kind, begin, end)


def _span(part: str, span: str) -> tuple[float, float]:
    if span == "*":
        return 0.0, math.inf
    first, dash, last = span.partition("-")
    try:
        begin = float(first) if first else 0.0
        end = float(last) if last else math.inf
    except ValueError:
        dash = ""
    if not dash:
        raise ValueError(f"'{part}': '{span}' is not a time span: write 2.0-5.0, 3.0-, -5.0 or *")
    if not begin < end:
        raise ValueError(f"'{part}': the end must be after the beginning")
    return begin, end

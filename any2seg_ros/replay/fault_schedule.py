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
    """One sensor's failure: `kind` is `drop` or a corruption; seconds after the bag's start.

    A message fails whose stamp is in [begin, end).
    """

    modality: Modality
    kind: str
    begin: float = 0.0
    end: float = math.inf

    def covers(self, seconds: float) -> bool:
        """Whether the failure is on at this time after the bag's start."""
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
    """`rgb@2.0-5.0,lidar@*`: the failures in it; ValueError says what is wrong with which part."""
    return [_failure(part, *_split(part), kind=DROP) for part in _parts(text)]


def parse_corruptions(text: str) -> list[Fault]:
    """`rgb:night@3.0-`: the failures in it; ValueError says what is wrong with which part."""
    failures = []
    for part in _parts(text):
        subject, span = _split(part)
        sensor, colon, kind = subject.partition(":")
        if not colon:
            raise ValueError(f"'{part}' names no corruption: write {sensor}:KIND@BEGIN-END")
        failures.append(_failure(part, sensor, span, kind.strip()))
    return failures


def active(failures: Iterable[Fault], modality: Modality, seconds: float) -> list[Fault]:
    """The failures of a sensor that are on, in the order in which they were given."""
    return [f for f in failures if f.modality == modality and f.covers(seconds)]


def _parts(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _split(part: str) -> tuple[str, str]:
    subject, _, span = part.partition("@")
    return subject.strip(), span.strip() or "*"


def _failure(part: str, sensor: str, span: str, kind: str) -> Fault:
    modality = Modality.parse(sensor)
    if kind != DROP and kind not in CORRUPTIONS[modality]:
        known = ", ".join(CORRUPTIONS[modality])
        raise ValueError(f"'{part}': {modality.label} knows no '{kind}': use one of {known}")
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
        raise ValueError(f"'{part}': '{span}' is no time: write 2.0-5.0, 3.0-, -5.0 or *")
    if not begin < end:
        raise ValueError(f"'{part}': the end must come after the beginning")
    return begin, end

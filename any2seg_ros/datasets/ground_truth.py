"""The ground truth of a bag: a label topic in it, or a folder of label images named by stamp."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from any2seg_ros.bags import BagReader
from any2seg_ros.messages import decode_labels, stamp_ns, unpack_labels
from any2seg_ros.types import InvalidMeasurement

TOLERANCE = 50_000_000
"""A label belongs to a mask if their stamps differ by at most this (ns): half a period at 10 Hz."""

HORIZON = 2_000_000_000
"""How far (ns of log time) labels are looked for beyond the frame that they belong to."""

NONE_NEAR = "no ground truth near the frame's stamp"


class GroundTruth(Protocol):
    """Labels by time; ask with stamps in the order of the bag.

    lacking: why the last answer was None.
    """

    lacking: str

    def label(self, stamp: int, log_time: int) -> np.ndarray | None:
        """The label nearest to a stamp (ns), uint8 (h, w); None where there is none.

        `log_time` is when the bag's recorder saw what the stamp belongs to.
        """


class LabelTopic:
    """Labels in a topic of a bag, read alongside it: a few of them are in memory at a time."""

    def __init__(self, bag: Path, topic: str) -> None:
        self.notes: list[str] = []
        self.lacking = NONE_NEAR
        self._bag, self._topic = bag, topic
        self._near: deque[tuple[int, int, object]] = deque()
        self._coming = self._read()

    def label(self, stamp: int, log_time: int) -> np.ndarray | None:
        """See `GroundTruth.label`."""
        while self._near and self._near[0][1] < log_time - HORIZON:
            self._near.popleft()
        while not self._near or self._near[-1][1] <= log_time + HORIZON:
            if any(s == stamp for s, _, _ in self._near):
                break
            following = next(self._coming, None)
            if following is None:
                break
            self._near.append(following)
        best = min(self._near, key=lambda one: abs(one[0] - stamp), default=None)
        self.lacking = NONE_NEAR
        if best is None or abs(best[0] - stamp) > TOLERANCE:
            return None
        return self._decode(best[2])

    def _decode(self, message: object) -> np.ndarray | None:
        try:
            return decode_labels(message)
        except InvalidMeasurement as reason:
            self.lacking = f"a label on {self._topic} cannot be used: {reason}"
            if self.lacking not in self.notes:
                self.notes.append(self.lacking)
            return None

    def _read(self) -> Iterator[tuple[int, int, object]]:
        with BagReader(self._bag) as bag:
            for recorded in bag.messages([self._topic]):
                stamp = stamp_ns(recorded.message.header.stamp)
                yield stamp, recorded.log_time, recorded.message


class LabelFolder:
    """Label images `<stamp in ns>.png` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.notes: list[str] = []
        self.lacking = NONE_NEAR
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder of labels at {folder}")
        stamped = sorted((int(f.stem), f) for f in folder.glob("*.png") if f.stem.isdigit())
        if not stamped:
            raise ValueError(f"{folder} has no label: name the images <stamp in ns>.png")
        self._stamps = [stamp for stamp, _ in stamped]
        self._files = [file for _, file in stamped]

    def label(self, stamp: int, log_time: int) -> np.ndarray | None:
        """See `GroundTruth.label`; ValueError for a file that holds no labels."""
        at = bisect_left(self._stamps, stamp)
        near = range(max(at - 1, 0), min(at + 1, len(self._stamps)))
        best = min(near, key=lambda i: abs(self._stamps[i] - stamp), default=None)
        if best is None or abs(self._stamps[best] - stamp) > TOLERANCE:
            return None
        try:
            return unpack_labels(self._files[best].read_bytes())
        except InvalidMeasurement as reason:
            raise ValueError(f"{self._files[best]} cannot be used: {reason}") from None


def open_ground_truth(
    bag: Path, topic: str | None, folder: Path | None
) -> LabelTopic | LabelFolder | None:
    """Labels from a folder if one is given, else from the bag's topic, else None."""
    if folder is not None:
        return LabelFolder(folder)
    return LabelTopic(bag, topic) if topic else None

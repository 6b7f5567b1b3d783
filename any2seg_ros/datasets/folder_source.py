"""Frames of a data set in folders, preprocessed, with their ground truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from any2seg_ros.datasets.files import NoLabel
from any2seg_ros.datasets.samples import DataSet, LeftOut, Sample, Target
from any2seg_ros.preprocessing import Preprocessor
from any2seg_ros.types import Camera, Modality


class FolderSource:
    """See `Source`; `limit` spreads fewer frames over the whole of the data set.

    A missing or unreadable file is an error; with `leave_out` its frame is left out instead.
    """

    independent = True

    def __init__(
        self,
        data: DataSet,
        target: Target,
        name: str,
        split: str,
        limit: int = 0,
        leave_out: bool = False,
    ) -> None:
        if target.taxonomy is not None and data.taxonomy.name != target.taxonomy.name:
            raise ValueError(
                f"{name} has the classes of {data.taxonomy.name}, the network those of "
                f"{target.taxonomy.name}: use a network trained on such data"
            )
        self.name = name
        self.split: str | None = split
        self.notes = list(data.notes)
        self.modalities = data.modalities
        self.taxonomy = data.taxonomy
        self.groups = data.groups
        self._data = data
        self._target = target
        self._leave_out = leave_out
        self._preprocessors: dict[Camera, Preprocessor] = {}
        count = len(data)
        if limit and limit < count:
            self._indices = np.unique(np.linspace(0, count - 1, limit).round().astype(int)).tolist()
            self.notes.append(f"limited to {len(self._indices)} of {count} frames")
        else:
            self._indices = list(range(count))
        self.fingerprint = _fingerprint(data, self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def samples(self, rank: int, world: int) -> Iterator[Sample | LeftOut]:
        """See `Source.samples`."""
        for index in self._indices[rank::world]:
            yield self._sample_or_not(index)

    def _sample_or_not(self, index: int) -> Sample | LeftOut:
        try:
            return self._sample(index)
        except (ValueError, OSError) as error:
            if not self._leave_out:
                raise
            return LeftOut(_why(error), str(error))

    def _sample(self, index: int) -> Sample:
        frame = self._data[index]
        assert frame.label is not None
        reference = self._data.reference(index)
        processed = self._preprocessor(reference).preprocess(frame)
        rgb = frame.measurements.get(Modality.RGB)
        return Sample(
            self._data.name(index),
            processed.images,
            frame.label,
            self._data.conditions(index),
            rgb.data if rgb else None,
            processed.reasons,
            cloud=frame.measurements.get(Modality.LIDAR),
            reference=reference,
        )

    def _preprocessor(self, reference: Camera) -> Preprocessor:
        if reference not in self._preprocessors:
            self._preprocessors[reference] = Preprocessor(
                reference, self._target.size, self._target.preprocessing
            )
        return self._preprocessors[reference]


def _why(error: Exception) -> str:
    """What is wrong with a frame, without the file: what is counted, so that few are."""
    if isinstance(error, NoLabel):
        return "no ground truth"
    return f"a file {'is missing' if isinstance(error, FileNotFoundError) else 'cannot be read'}"


def _fingerprint(data: DataSet, indices: list[int]) -> str:
    """Of the frames' names, and of the sizes and times of their files."""
    digest = hashlib.sha256()
    for index in indices:
        digest.update(f"{data.name(index)}\n".encode())
        for path in data.files(index):
            status = path.stat() if path.exists() else None
            made = (status.st_size, status.st_mtime_ns) if status else None
            digest.update(f"{made}\n".encode())
    return digest.hexdigest()

"""What data sets yield: frames with labels, and samples preprocessed for a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Camera, Frame, Measurement, Modality

if TYPE_CHECKING:
    from any2seg_ros.engine import Segmenter


class DataSet(Protocol):
    """Frames with labels, by index; all of a split.

    modalities: the sensors that the data have, or those of them that are wanted. notes: what a
    reader of results must know of them. groups: what the values of labels stand for.
    """

    taxonomy: Taxonomy
    groups: ClassGroups
    modalities: tuple[Modality, ...]
    notes: list[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame:
        """The frame with its label and the measurements of `modalities` and the camera.

        OSError and ValueError name the file and the fix, `files.NoLabel` a label that is missing.
        """

    def name(self, index: int) -> str:
        """What identifies the frame in the data set."""

    def files(self, index: int) -> Iterable[Path]:
        """What the frame is read from, the camera's image first; some may not be there."""

    def conditions(self, index: int) -> tuple[str, ...]:
        """Weather, time of day and failure case, as far as the data set tells."""

    def reference(self, index: int) -> Camera:
        """The camera that the label and the masks belong to."""


@dataclass(frozen=True)
class Target:
    """What samples are preprocessed for: (width, height) of the modality images, how, the classes.

    taxonomy: None takes data of any classes.
    """

    size: tuple[int, int]
    preprocessing: PreprocessingConfig
    taxonomy: Taxonomy | None = None

    @classmethod
    def of(cls, segmenter: Segmenter) -> Target:
        """The images that a network was trained with."""
        preprocessing = PreprocessingConfig(**segmenter.metadata.preprocessing)
        return cls(segmenter.size, preprocessing, segmenter.taxonomy)


@dataclass(frozen=True, eq=False)
class Sample:
    """A preprocessed frame with its ground truth.

    images: float32 (3, H, W) by modality, the input of the network. label: uint8 (h, w), values
    of the source's groups. weight: how much a label is to be trusted, uint8 (h, w) of the label's
    size, 255 for wholly; None for wholly everywhere. cloud and reference: the LiDAR's measurement
    and the camera of the label, where images of other views of them can be made. picture:
    what the camera saw, uint8 (h, w, 3), where there is one. name: unique within the data; the
    noise laid over a frame depends on it.
    """

    name: str
    images: Mapping[Modality, np.ndarray]
    label: np.ndarray
    conditions: Sequence[str] = ()
    picture: np.ndarray | None = None
    reasons: Mapping[Modality, str] = field(default_factory=dict)
    weight: np.ndarray | None = None
    cloud: Measurement | None = None
    reference: Camera | None = None

    @property
    def aligned_picture(self) -> np.ndarray | None:
        """The picture, where it shows what the label shows."""
        if self.picture is None or self.reference is None or Modality.RGB not in self.images:
            return None
        rows, columns = self.picture.shape[:2]
        fits = (columns, rows) == (self.reference.width, self.reference.height)
        return self.picture if fits else None


@dataclass(frozen=True)
class LeftOut:
    """A frame that cannot be scored, and why; `example` is what is true of this one alone."""

    reason: str
    example: str = ""


class Source(Protocol):
    """Samples in order. `notes` may grow while they are read.

    modalities: the sensors that the data have. groups: what the values of labels stand for.
    fingerprint: changes when the frames do. independent: frames do not depend on each other, so
    that several processes are faster.
    """

    name: str
    split: str | None
    notes: list[str]
    modalities: tuple[Modality, ...]
    taxonomy: Taxonomy
    groups: ClassGroups
    fingerprint: str
    independent: bool

    def __len__(self) -> int:
        """Frames to come, 0 where that is not known beforehand."""

    def samples(self, rank: int, world: int) -> Iterator[Sample | LeftOut]:
        """The frames of one of `world` processes: every world-th, from number `rank` on."""

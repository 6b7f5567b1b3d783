"""Which frames of a replay its report shows, and each sensor alone beside all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from any2seg_ros.datasets.bag_source import picture_of
from any2seg_ros.engine import Segmenter
from any2seg_ros.html.gallery import BestAndWorst, FilmStrip, ShownFrame
from any2seg_ros.html.pictures import confidence_image, shrunk
from any2seg_ros.metrics import Confusion
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.runtime.rendering import overlay
from any2seg_ros.types import Modality, Segmentation, subset_name

STRIP_WIDTH = 320
"""px of the film strip's pictures."""
STRIP_OPACITY, OPACITY = 0.65, 0.5
"""Of masks over camera images: small ones need more."""


@dataclass(frozen=True, eq=False)
class View:
    """What a set of sensors made of a moment: the mask over the camera image, uint8 (h, w, 3).

    confidence: mean, in 0..1. agreement: percent of the pixels with the class that all sensors
    together gave, None for that of all. miou: in percent, None without ground truth.
    """

    overlay: np.ndarray
    confidence: float
    agreement: float | None
    miou: float | None


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame of the film strip; without a camera image there is none to show."""

    name: str
    camera: np.ndarray | None
    together: View
    alone: Mapping[Modality, View]


@dataclass
class _Alone:
    """Sums over the moments in which a sensor was one of several."""

    frames: int = 0
    confidence: float = 0.0
    agreement: float = 0.0
    confusion: Confusion | None = None


class ReplayGallery:
    """The best and the worst frames, and a film strip of about one frame a second.

    With ground truth, frames rank by mIoU, and those without a label are not ranked; without it,
    they rank by mean confidence. At most one frame of each second is among them. For each frame of
    the strip the network also runs on every sensor alone.
    """

    def __init__(self, segmenter: Segmenter, ground_truth: bool) -> None:
        self.ground_truth = ground_truth
        self.frames = BestAndWorst()
        self.strip: FilmStrip[Moment] = FilmStrip()
        self._segmenter = segmenter
        self._alone: dict[Modality, _Alone] = {}

    def add(
        self,
        result: Result,
        seconds: float,
        label: np.ndarray | None,
        confusion: Confusion | None,
    ) -> None:
        """Keep what is worth showing of a frame with a mask; `seconds` after the bag's start.

        label: its ground truth, uint8 (h, w), and `confusion` what it was scored to, if any.
        """
        found = result.segmentation
        assert found is not None
        if self.ground_truth:
            score = math.nan if confusion is None else confusion.miou()
        else:
            score = float(found.confidence.mean())
        name, second = f"{seconds:07.2f} s, {subset_name(found.subset)}", f"{int(seconds)} s"
        if self.frames.wants(score, name, second):
            pictures = self._pictures(result, label)
            self.frames.add(ShownFrame(score, name, pictures, second))
        if self.strip.wants(seconds):
            self.strip.add(seconds, self._moment(result, name, label))

    def alone(self) -> dict[str, dict[str, Any]]:
        """Of each sensor alone, by name: means over the frames of the strip."""
        return {
            modality.label: {
                "frames": one.frames,
                "confidence": one.confidence / one.frames,
                "agreement": one.agreement / one.frames,
                "miou": one.confusion.miou() if one.confusion is not None else None,
            }
            for modality, one in sorted(self._alone.items())
        }

    def _pictures(self, result: Result, label: np.ndarray | None) -> dict[str, np.ndarray]:
        taxonomy, found = self._segmenter.taxonomy, result.segmentation
        assert found is not None
        colors = taxonomy.colorize(found.labels)
        pictures = {"overlay": overlay(result, colors, OPACITY), "mask": colors}
        camera = _camera(result)
        if camera is not None:
            pictures = {"camera": camera, **pictures}
        if label is not None:
            pictures["truth"] = taxonomy.colorize(label)
        pictures["confidence"] = confidence_image(found.confidence)
        return {what: shrunk(picture) for what, picture in pictures.items()}

    def _moment(self, result: Result, name: str, label: np.ndarray | None) -> Moment:
        together, camera = result.segmentation, _camera(result)
        assert together is not None
        views = {}
        for modality, found in self._each_alone(result, together):
            scored = None if label is None else self._confusion(found, label)
            views[modality] = self._view(result, found, scored)
            if found is not together:
                self._count(modality, views[modality], scored)
        scored = None if label is None else self._confusion(together, label)
        view = self._view(result, together, scored)
        return Moment(name, None if camera is None else shrunk(camera, STRIP_WIDTH), view, views)

    def _each_alone(
        self, result: Result, together: Segmentation
    ) -> Iterator[tuple[Modality, Segmentation]]:
        height, width = together.labels.shape
        for modality, image in sorted(result.images.items()):
            if together.subset == (modality,):
                yield modality, together
            else:
                yield modality, self._segmenter.segment({modality: image}, (width, height))

    def _view(self, result: Result, found: Segmentation, scored: Confusion | None) -> View:
        assert result.segmentation is not None
        together = result.segmentation
        agreeing = (
            None if found is together else 100.0 * float(np.mean(found.labels == together.labels))
        )
        colors = self._segmenter.taxonomy.colorize(found.labels)
        return View(
            shrunk(overlay(result, colors, STRIP_OPACITY), STRIP_WIDTH),
            float(found.confidence.mean()),
            agreeing,
            None if scored is None else scored.miou(),
        )

    def _confusion(self, found: Segmentation, label: np.ndarray) -> Confusion:
        return Confusion(self._segmenter.taxonomy).add(label, found.labels)

    def _count(self, modality: Modality, view: View, scored: Confusion | None) -> None:
        one = self._alone.setdefault(modality, _Alone())
        one.frames += 1
        one.confidence += view.confidence
        one.agreement += view.agreement or 0.0
        if scored is not None:
            one.confusion = scored if one.confusion is None else one.confusion + scored


def _camera(result: Result) -> np.ndarray | None:
    rgb = result.frame.measurements.get(Modality.RGB)
    return None if rgb is None else picture_of(rgb.data)

"""Scores every subset of a frame's sensors; each modality is encoded only once."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import cv2
import numpy as np

from any2seg_ros.datasets import Sample
from any2seg_ros.engine import Features, Segmenter
from any2seg_ros.engine.masks import group_confidence
from any2seg_ros.engine.segmenter import Sure
from any2seg_ros.evaluation.corruptions import generator
from any2seg_ros.evaluation.expectations import NOISE_LEVELS, ZEROED_FRACTIONS
from any2seg_ros.evaluation.noise import clipped_noise, nm, rmm, torch_generator
from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.html.gallery import ShownFrame
from any2seg_ros.html.pictures import confidence_image, overlay_image, shrunk
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.metrics import no_class
from any2seg_ros.types import (
    Modality,
    Segmentation,
    Subset,
    all_subsets,
    subset_name,
    unmeasured,
)

COST_LAPS = 3
"""Repetitions of timing, in turns, the full set and all subsets on one frame."""
TOGETHER, ALONE = "all subsets", "full set"
"""What is timed: from the modality images to the masks, of all subsets or of the full set."""

PROTOCOLS = ("drop", "zero")
ROBUSTNESS = ("rmm", "nm", "noise")


@dataclass(frozen=True)
class EvaluationConfig:
    """How frames are scored.

    protocol: drop leaves an absent modality out; zero gives the network a zero image for it, as
    the published tables of that name do. modalities: those that are combined; frames that lack one
    of them are left out. robustness: which tables are computed besides the subsets: rmm and nm as
    published, and noise, which is clipped to a sensor's range. seed: of the noise. latency_frames:
    how many frames every subset is timed on.
    """

    protocol: str = "drop"
    modalities: tuple[Modality, ...] = tuple(Modality)
    robustness: tuple[str, ...] = ("rmm", "nm")
    seed: int = 0
    latency_frames: int = 5

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"unknown protocol '{self.protocol}': use drop or zero")
        if not self.modalities:
            raise ValueError("no modality to evaluate: name at least one")
        for word in self.robustness:
            if word not in ROBUSTNESS:
                raise ValueError(f"unknown robustness table '{word}': use rmm, nm, noise or none")


class Evaluator:
    """Scores frames into a `Tally`: all subsets under one protocol, and the robustness tables."""

    def __init__(
        self,
        segmenter: Segmenter,
        config: EvaluationConfig = EvaluationConfig(),
        groups: ClassGroups | None = None,
    ) -> None:
        if config.protocol == "drop" and not segmenter.leaves_out:
            raise ValueError(
                f"{segmenter.backbone} of {segmenter.description} cannot leave a sensor out: use "
                "--protocol zero"
            )
        self.segmenter = segmenter
        self.config = config
        self.groups = groups or ClassGroups.of_classes(segmenter.taxonomy)
        self.tally = self._new_tally()
        self.stopwatch = Stopwatch()
        self._subsets = all_subsets(config.modalities)
        self._timed_frames = 0
        self._zero_maps: dict[Modality, Features] = {}

    def add(self, sample: Sample) -> float | None:
        """Score one frame; returns its mIoU (percent) with all modalities, None if left out.

        The tally changes in one step at the end: after an interrupt, a frame is in all tables or
        in none.
        """
        lacking = [m for m in self.config.modalities if m not in sample.images]
        if lacking:
            self.tally.leave_out(_incomplete(sample, lacking))
            return None
        wrong = no_class(sample.label, len(self.groups))
        if wrong is not None:
            self.tally.leave_out(f"label {wrong} is no class of {self.segmenter.taxonomy.name}")
            return None
        images = {m: sample.images[m] for m in self.config.modalities}
        size = (sample.label.shape[1], sample.label.shape[0])
        if self._timed_frames < self.config.latency_frames:
            self._time(images, size)
        maps = self.segmenter.encode(images)
        found = self._fuse_all(sample, {s: self._given(maps, s) for s in self._subsets}, size)
        frame = self._new_tally()
        told = {s: self._grouped(sample, one) for s, one in found.items()}
        miou = frame.add(sample.label, told, sample.conditions)
        if "rmm" in self.config.robustness:
            self._add_rmm(frame, sample, images, maps, size)
        if "nm" in self.config.robustness:
            self._add_nm(frame, sample, images, size)
        if "noise" in self.config.robustness:
            self._add_noise(frame, sample, images, size)
        if self.tally.gallery.wants(miou, sample.name):
            full = found[self._subsets[-1]]
            frame.gallery.add(ShownFrame(miou, sample.name, self._pictures(sample, full)))
        both = self._new_tally()
        both += self.tally
        both += frame
        self.tally = both
        return miou

    def _new_tally(self) -> Tally:
        return Tally(len(self.groups), self.config.modalities)

    def _grouped(self, sample: Sample, found: Segmentation) -> Segmentation:
        """A segmentation whose labels are the groups that the sample's labels are of."""
        return replace(found, labels=self.groups.seen(sample.label, found.labels))

    def _given(
        self, maps: Mapping[Modality, Features], subset: Subset
    ) -> Mapping[Modality, Features]:
        """The input of the fusion for a subset, by protocol."""
        if self.config.protocol == "drop":
            return {m: maps[m] for m in subset}
        zeros = self._zeros()
        return {m: maps[m] if m in subset else zeros[m] for m in self.config.modalities}

    def _sure(self, sample: Sample) -> Sure | None:
        """Confidence that the group is right, where labels stand for several classes."""
        if self.groups.plain:
            return None

        def sure(logits: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
            seen = self.groups.seen(sample.label, labels)
            return group_confidence(logits, self.groups.members, seen, temperature)

        return sure

    def _fuse_all(
        self,
        sample: Sample,
        given: Mapping[Subset, Mapping[Modality, Features]],
        size: tuple[int, int],
    ) -> dict[Subset, Segmentation]:
        found = self.segmenter.fuse_all(list(given.values()), size, self._sure(sample))
        return dict(zip(given, found, strict=True))

    def _zeros(self) -> Mapping[Modality, Features]:
        if not self._zero_maps:
            width, height = self.segmenter.size
            blank = np.zeros((3, height, width), np.float32)
            self._zero_maps = self.segmenter.encode({m: blank for m in self.config.modalities})
        return self._zero_maps

    def _add_rmm(
        self,
        tally: Tally,
        sample: Sample,
        images: Mapping[Modality, np.ndarray],
        maps: Mapping[Modality, Features],
        size: tuple[int, int],
    ) -> None:
        for index, fraction in enumerate(ZEROED_FRACTIONS):
            spoiled = rmm(_of_all(images), fraction, torch_generator(*self._key(sample, 1, index)))
            worn = self.segmenter.encode({m: spoiled[m] for m in images})
            given = {
                subset: {m: maps[m] if m in subset else worn[m] for m in images}
                for subset in self._subsets[:-1]
            }
            found = self._fuse_all(sample, given, size)
            told = {s: self._grouped(sample, one) for s, one in found.items()}
            tally.add_rmm(sample.label, fraction, told)

    def _add_nm(
        self,
        tally: Tally,
        sample: Sample,
        images: Mapping[Modality, np.ndarray],
        size: tuple[int, int],
    ) -> None:
        for index, level in enumerate(NOISE_LEVELS):
            spoiled = nm(_of_all(images), level, torch_generator(*self._key(sample, 2, index)))
            worse = {m: spoiled[m] for m in images}
            found = self.segmenter.segment(worse, size, self._sure(sample))
            tally.add_nm(sample.label, level, self._grouped(sample, found))

    def _add_noise(
        self,
        tally: Tally,
        sample: Sample,
        images: Mapping[Modality, np.ndarray],
        size: tuple[int, int],
    ) -> None:
        for index, level in enumerate(NOISE_LEVELS):
            rng = generator(*self._key(sample, 2, index))
            spoiled = {
                m: clipped_noise(image, m, level, rng) for m, image in _of_all(images).items()
            }
            worse = {m: spoiled[m] for m in images}
            found = self.segmenter.segment(worse, size, self._sure(sample))
            tally.add_noise(sample.label, level, self._grouped(sample, found))

    def _key(self, sample: Sample, *key: int) -> tuple[int, ...]:
        """What a frame's noise depends on."""
        return (self.config.seed, zlib.crc32(sample.name.encode()), *key)

    def _time(self, images: Mapping[Modality, np.ndarray], size: tuple[int, int]) -> None:
        """Time each subset alone, as the node runs it, and all of them as one batch."""
        self._timed_frames += 1
        if self._timed_frames == 1:
            self._run_all(images, size)
        for subset in self._subsets:
            given = {m: images[m] for m in subset}
            if self.config.protocol == "zero":
                given = {m: given.get(m, np.zeros_like(image)) for m, image in images.items()}
            if self._timed_frames == 1:
                self.segmenter.segment(given, size)
            with self.stopwatch.lap(subset):
                self.segmenter.segment(given, size)
        for _ in range(COST_LAPS):
            with self.stopwatch.lap(ALONE):
                self.segmenter.segment(images, size)
            with self.stopwatch.lap(TOGETHER):
                self._run_all(images, size)

    def _run_all(self, images: Mapping[Modality, np.ndarray], size: tuple[int, int]) -> None:
        maps = self.segmenter.encode(images)
        self.segmenter.fuse_all([self._given(maps, s) for s in self._subsets], size)

    def _pictures(self, sample: Sample, full: Segmentation) -> dict[str, np.ndarray]:
        colors = self.segmenter.taxonomy.colorize(full.labels)
        truth = self.groups.as_taxonomy.colorize(sample.label)
        pictures = {"truth": truth, "prediction": colors}
        if sample.picture is not None:
            height, width = sample.label.shape
            camera = cv2.resize(sample.picture, (width, height), interpolation=cv2.INTER_AREA)
            pictures = {"camera": camera, **pictures, "overlay": overlay_image(camera, colors)}
        pictures["confidence"] = confidence_image(full.confidence)
        return {name: shrunk(picture) for name, picture in pictures.items()}


class Stopwatch:
    """Lap times by key: a subset, or a part of the cost. Figures are medians over the laps."""

    def __init__(self) -> None:
        self.laps: dict[Subset | str, list[float]] = {}

    @contextmanager
    def lap(self, key: Subset | str) -> Iterator[None]:
        """Use as `with stopwatch.lap(key):`."""
        began = time.perf_counter()
        yield
        self.laps.setdefault(key, []).append(time.perf_counter() - began)

    def milliseconds(self) -> dict[Subset, float]:
        """Median by subset."""
        return {
            key: _median_ms(laps) for key, laps in self.laps.items() if not isinstance(key, str)
        }


def cost(stopwatch: Stopwatch) -> dict[str, float]:
    """Cost of all subsets of a frame relative to the full set; empty if nothing was timed.

    The ratio is the median over pairs of consecutive laps, so that other load on the machine
    affects both alike.
    """
    if TOGETHER not in stopwatch.laps:
        return {}
    together, alone = stopwatch.laps[TOGETHER], stopwatch.laps[ALONE]
    ratios = [both / one for both, one in zip(together, alone, strict=False)]
    return {
        "subsets": float(len(stopwatch.milliseconds())),
        "all_subsets_ms": _median_ms(together),
        "full_ms": _median_ms(alone),
        "all_subsets_vs_full": median(ratios),
    }


def _of_all(images: Mapping[Modality, np.ndarray]) -> dict[Modality, np.ndarray]:
    """An image for every modality, zeros for those that are absent.

    Noise is drawn for all of them in order, so that a sensor's noise does not depend on which
    others are evaluated.
    """
    blank = np.zeros_like(next(iter(images.values())))
    return {m: images.get(m, blank) for m in Modality}


def _median_ms(laps: Sequence[float]) -> float:
    return 1000.0 * median(laps)


def _incomplete(sample: Sample, lacking: Sequence[Modality]) -> str:
    reasons = sorted(
        {f"{m.label}: {unmeasured(sample.reasons.get(m, 'missing'))}" for m in lacking}
    )
    return f"incomplete, no {subset_name(lacking)} ({'; '.join(reasons)})"

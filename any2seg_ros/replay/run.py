"""Runs a bag through the code of the node, without DDS, and keeps what the node would publish.

synchronizer -> pipeline (decode, health, place, segment) -> messages in a bag. Stamps alone decide,
so the same bag gives the same bytes; how long things took is kept apart, in timing.json.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.bags import OutputBag, check_folder
from any2seg_ros.bags.output_bag import NAME
from any2seg_ros.datasets.bag_source import picture_of
from any2seg_ros.datasets.ground_truth import UNMAPPED, Labelling, open_ground_truth
from any2seg_ros.engine import Segmenter
from any2seg_ros.evaluation.summary import dumps
from any2seg_ros.evaluation.tally import Extremes, Shown
from any2seg_ros.files import write_atomically
from any2seg_ros.html.elements import confidence_image
from any2seg_ros.interrupts import Interrupt
from any2seg_ros.metrics import Confusion, no_class
from any2seg_ros.replay.fault_injection import FaultInjector
from any2seg_ros.replay.fault_schedule import Fault
from any2seg_ros.replay.page import replay_page
from any2seg_ros.replay.recording import NodeOutputs
from any2seg_ros.replay.timeline import Timeline
from any2seg_ros.runtime.bag_player import DEFAULTS, BagPlayer, Step
from any2seg_ros.runtime.outputs import TOPICS
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Pipeline, Result
from any2seg_ros.runtime.rendering import overlay
from any2seg_ros.types import Modality, subset_name, unmeasured

Progress = Callable[[float, float], None]
"""Called now and then with seconds of the bag done, and to do (0: unknown)."""


@dataclass(frozen=True)
class ReplayConfig:
    """What is replayed and how; `topics` by role (`rgb`, ..., `label`), `labelling` of folders."""

    failures: Sequence[Fault] = ()
    outputs: Sequence[str] = tuple(TOPICS)
    topics: Mapping[str, str] = field(default_factory=dict)
    labelling: Labelling = UNMAPPED
    seed: int = 0
    parameters: NodeParameters = DEFAULTS

    def __post_init__(self) -> None:
        for name in self.outputs:
            if name not in TOPICS:
                raise ValueError(f"unknown output '{name}': use some of {', '.join(TOPICS)}")


@dataclass
class Stretch:
    """What is counted while the same failures are on."""

    begin: float
    end: float
    failures: list[str]
    frames: int = 0
    blind: int = 0
    confusion: Confusion | None = None


class Replay:
    """One replay of a bag; `run` does it."""

    def __init__(self, bag: Path, segmenter: Segmenter, config: ReplayConfig) -> None:
        self.config = config
        self.segmenter = segmenter
        self.pipeline = Pipeline(segmenter, config.parameters.pipeline_config())
        self.walk = BagPlayer(bag, self.pipeline, config.topics, config.parameters)
        self.overlay = FaultInjector(config.failures, self.walk.start, config.seed)
        self.truth = open_ground_truth(
            bag, self.walk.layout.label, config.labelling, segmenter.taxonomy
        )
        self.timeline = Timeline()
        self.total = Confusion(segmenter.taxonomy)
        self.scored = self.frames = self.blind = 0
        self.subsets: Counter[str] = Counter()
        self.invalid: Counter[str] = Counter()
        self.seconds = {"decode": 0.0, "infer": 0.0, "write": 0.0}
        self.extremes = Extremes(3)
        self.stretches = stretches(config.failures)
        self._shown: set[int] = set()

    def run(
        self, out: Path, model: str, progress: Progress = lambda done, total: None
    ) -> dict[str, Any]:
        """Write the bag, report.json, report.html and timing.json to `out`; returns the report.

        Ctrl-C ends it early: what was written is whole and the report is marked partial.
        """
        if self.walk.path.resolve() in (out.resolve(), (out / f"{NAME}.mcap").resolve()):
            raise FileExistsError(f"{out} is the bag itself: name another folder")
        check_folder(out)
        partial = False
        interrupt = Interrupt()
        began = time.perf_counter()
        with OutputBag(out) as bag:
            outputs = NodeOutputs(
                bag,
                self.segmenter.taxonomy,
                self.walk,
                self.config.outputs,
                self.config.parameters,
            )
            try:
                for heard in self.walk.frames(self.overlay.apply):
                    with interrupt.held():
                        self._take(heard, outputs)
                    progress((heard.log_time - self.walk.start) / 1e9, self.walk.duration / 1e9)
            except KeyboardInterrupt:
                partial = True
        report = self._report(model, partial, outputs.counts)
        timing = self._timing(time.perf_counter() - began)
        write_atomically(out / "report.json", dumps(report))
        write_atomically(out / "timing.json", dumps(timing))
        write_atomically(out / "report.html", replay_page(report, self.extremes))
        return {**report, "timing": timing}

    def _take(self, heard: Step, outputs: NodeOutputs) -> None:
        if heard.frame is None:
            outputs.write_idle(heard.log_time)
            return
        result = self.pipeline.process(heard.frame)
        began = time.perf_counter()
        self.frames += 1
        outputs.write(result, heard.log_time)
        self._count(result, heard)
        self.seconds["decode"] += result.decode_s
        self.seconds["infer"] += result.infer_s
        self.seconds["write"] += time.perf_counter() - began

    def _count(self, result: Result, heard: Step) -> None:
        seconds = (result.frame.stamp - self.walk.start) / 1e9
        stretch = next(s for s in self.stretches if seconds < s.end or s is self.stretches[-1])
        for modality, reason in result.frame.reasons.items():
            if not result.frame.availability[modality].usable:
                self.invalid[f"{modality.label}: {unmeasured(reason)}"] += 1
        found = result.segmentation
        if found is None:
            self.blind += 1
            stretch.blind += 1
            self.timeline.add(seconds, None, None)
            return
        self.subsets[subset_name(found.subset)] += 1
        stretch.frames += 1
        label = self._label(result, heard)
        confusion = None
        if label is not None:
            confusion = Confusion(self.segmenter.taxonomy).add(label, found.labels)
            self.scored += 1
            self.total += confusion
            if stretch.confusion is None:
                stretch.confusion = Confusion(self.segmenter.taxonomy)
            stretch.confusion += confusion
        self.timeline.add(seconds, found, confusion)
        self._show(result, seconds, confusion, label)

    def _label(self, result: Result, heard: Step) -> np.ndarray | None:
        if self.truth is None or result.segmentation is None:
            return None
        label = self.truth.label(result.frame.stamp, heard.log_time)
        if label is not None and label.shape != result.segmentation.labels.shape:
            raise ValueError(
                f"labels of {label.shape[1]}x{label.shape[0]} do not fit masks of "
                f"{result.segmentation.labels.shape[1]}x{result.segmentation.labels.shape[0]}"
            )
        wrong = None if label is None else no_class(label, len(self.segmenter.taxonomy))
        if wrong is not None:
            name = self.segmenter.taxonomy.name
            self.invalid[f"ground truth: label {wrong} is no class of {name}"] += 1
            return None
        return label

    def _show(
        self,
        result: Result,
        seconds: float,
        confusion: Confusion | None,
        label: np.ndarray | None,
    ) -> None:
        """Keep the best and the worst frames; without ground truth, one a stretch."""
        assert result.segmentation is not None
        name = f"{seconds:07.2f} s, {subset_name(result.segmentation.subset)}"
        miou = confusion.miou() if confusion is not None else math.nan
        if confusion is not None:
            if self.extremes.wanted(miou, name):
                self.extremes.add(Shown(miou, name, self._pictures(result, label)))
            return
        index = next(
            i for i, s in enumerate(self.stretches) if seconds < s.end or s is self.stretches[-1]
        )
        if index not in self._shown and len(self._shown) < 8:
            self._shown.add(index)
            self.extremes.best.append(Shown(miou, name, self._pictures(result, None)))

    def _pictures(self, result: Result, label: np.ndarray | None) -> dict[str, np.ndarray]:
        assert result.segmentation is not None
        taxonomy = self.segmenter.taxonomy
        color = taxonomy.colorize(result.segmentation.labels)
        rgb = result.frame.measurements.get(Modality.RGB)
        pictures = {"camera": picture_of(rgb.data)} if rgb is not None else {}
        pictures["overlay"] = overlay(result, color, 0.5)
        pictures["mask"] = color
        if label is not None:
            pictures["truth"] = taxonomy.colorize(label)
        pictures["confidence"] = confidence_image(result.segmentation.confidence)
        return pictures

    def _report(self, model: str, partial: bool, counts: Mapping[str, int]) -> dict[str, Any]:
        counters = self.walk.synchronizer.counters
        taken = self.overlay.counts
        notes = list(self.walk.notes)
        notes += [f"{f} took hold of {taken[str(f)]} messages" for f in self.config.failures]
        if self.truth is None:
            notes.append("no ground truth: neither a topic of labels in the bag nor --labels")
        else:
            notes += self.truth.notes
            unscored = self.frames - self.blind - self.scored
            if unscored:
                notes.append(f"{unscored} masks have no ground truth near their stamp")
        if not self.frames:
            notes.append("no frame at all: nothing was written but the class table")
        return {
            "kind": "replay",
            "model": model,
            "engine": self.segmenter.description,
            "data": str(self.walk.path),
            "taxonomy": self.segmenter.taxonomy.name,
            "partial": partial,
            "notes": notes,
            "failures": [_failure(f) for f in self.config.failures],
            "frames": self.frames,
            "masks": self.frames - self.blind,
            "blind": self.blind,
            "complete": counters.complete,
            "incomplete": counters.incomplete,
            "late": counters.late,
            "resets": counters.resets,
            "subsets": dict(sorted(self.subsets.items())),
            "unavailable": dict(sorted(self.invalid.items())),
            "scored": self.scored,
            "miou": self.total.miou() if self.scored else None,
            "stretches": [_stretch(s) for s in self.stretches],
            "classes": self._classes(),
            "timeline": self.timeline.rows(),
            "messages": dict(counts),
        }

    def _classes(self) -> dict[str, float | None]:
        ious = self.total.iou()
        return {
            name: float(iou) if math.isfinite(iou) else None
            for name, iou in zip(self.segmenter.taxonomy.classes, ious, strict=True)
        }

    def _timing(self, wall: float) -> dict[str, float]:
        frames = max(self.frames, 1)
        bag = self.walk.duration / 1e9
        return {
            "wall_s": wall,
            "bag_s": bag,
            "times_real_time": bag / wall if wall else 0.0,
            **{f"{stage}_ms": 1000.0 * s / frames for stage, s in self.seconds.items()},
        }


def stretches(failures: Sequence[Fault]) -> list[Stretch]:
    """The times between which the same failures are on, from second 0 to the end."""
    edges = {0.0, math.inf}
    for failure in failures:
        edges |= {max(failure.begin, 0.0), failure.end}
    ordered = sorted(edges)
    return [
        Stretch(begin, end, [f.label for f in failures if f.covers(begin)])
        for begin, end in zip(ordered[:-1], ordered[1:], strict=True)
    ]


def _stretch(stretch: Stretch) -> dict[str, Any]:
    return {
        "begin": stretch.begin,
        "end": stretch.end,
        "failures": stretch.failures,
        "frames": stretch.frames,
        "blind": stretch.blind,
        "miou": stretch.confusion.miou() if stretch.confusion is not None else None,
    }


def _failure(failure: Fault) -> dict[str, Any]:
    return {
        "modality": failure.modality.label,
        "kind": failure.kind,
        "begin": failure.begin,
        "end": failure.end,
    }

"""Replays a bag through the node's runtime, without DDS, and writes what the node would publish.

Stamps alone decide what belongs together, so the same bag gives the same bytes; how long things
took on this machine is kept apart, in timing.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.bags import OutputBag, check_folder
from any2seg_ros.bags.output_bag import NAME
from any2seg_ros.datasets.ground_truth import Labelling, open_ground_truth
from any2seg_ros.engine import Segmenter
from any2seg_ros.evaluation.summary import dumps
from any2seg_ros.files import write_atomically
from any2seg_ros.interrupts import uninterrupted
from any2seg_ros.metrics import no_class
from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.replay.fault_injection import FaultInjector
from any2seg_ros.replay.gallery import ReplayGallery
from any2seg_ros.replay.page import replay_page
from any2seg_ros.replay.recording import OutputRecorder
from any2seg_ros.replay.strip_picture import strip_picture
from any2seg_ros.replay.summary import Context, summarize
from any2seg_ros.replay.tally import ReplayTally
from any2seg_ros.runtime.bag_player import BagPlayer, Step
from any2seg_ros.runtime.pipeline import Pipeline, Result

Progress = Callable[[float, float], None]
"""Called after each message or frame with seconds of the bag done, and to do (0: unknown)."""


class Replay:
    """One replay of a bag; `run` does it."""

    def __init__(self, bag: Path, segmenter: Segmenter, config: ReplayConfig) -> None:
        self.config = config
        self.segmenter = segmenter
        self.pipeline = Pipeline(segmenter, config.parameters.pipeline_config())
        self.player = BagPlayer(bag, self.pipeline, config.topics, config.parameters)
        self.injector = FaultInjector(config.faults, self.player.start, config.seed)
        self.truth = open_ground_truth(
            bag,
            self.player.layout.label,
            Labelling((config.labels,) if config.labels else ()),
            segmenter.taxonomy,
        )
        self.tally = ReplayTally(segmenter.taxonomy, config.faults)
        self.gallery = ReplayGallery(segmenter, self.truth is not None)
        self.seconds = {"decode": 0.0, "infer": 0.0, "write": 0.0}

    def run(
        self, out: Path, model: str, progress: Progress = lambda done, total: None
    ) -> dict[str, Any]:
        """Write the bag, report.json, report.html and timing.json to `out`; returns the report.

        Ctrl-C ends it early: what was written is whole and the report is marked partial.
        """
        self._check_out(out)
        began = time.perf_counter()
        with OutputBag(out) as bag:
            recorder = OutputRecorder(bag, self.segmenter.taxonomy, self.player, self.config)
            partial = self._play(recorder, progress)
        context = Context(
            model,
            self.segmenter.description,
            self.config.faults,
            partial,
            self._notes(),
            recorder.counts,
        )
        report = summarize(self.tally, self.gallery, self.player, context)
        timing = self._timing(time.perf_counter() - began)
        write_atomically(out / "report.json", dumps(report))
        write_atomically(out / "timing.json", dumps(timing))
        write_atomically(out / "report.html", replay_page(report, self.gallery))
        picture = strip_picture(self.gallery.strip.frames)
        if picture is not None:
            write_atomically(out / "film_strip.jpg", picture)
        return {**report, "timing": timing}

    def _check_out(self, out: Path) -> None:
        if self.player.path.resolve() in (out.resolve(), (out / f"{NAME}.mcap").resolve()):
            raise FileExistsError(f"{out} is the bag itself: name another folder")
        check_folder(out)

    def _play(self, recorder: OutputRecorder, progress: Progress) -> bool:
        """Play the bag; whether Ctrl-C cut it short."""
        try:
            for step in self.player.frames(self.injector.apply):
                with uninterrupted():
                    self._process(step, recorder)
                done = step.log_time - self.player.start
                progress(done / 1e9, self.player.duration / 1e9)
        except KeyboardInterrupt:
            return True
        return False

    def _process(self, step: Step, recorder: OutputRecorder) -> None:
        if step.frame is None:
            recorder.write_idle(step.log_time)
            return
        result = self.pipeline.process(step.frame)
        began = time.perf_counter()
        recorder.write(result, step.log_time)
        self.seconds["decode"] += result.decode_s
        self.seconds["infer"] += result.infer_s
        self.seconds["write"] += time.perf_counter() - began
        self._count(result, step.log_time)

    def _count(self, result: Result, log_time: int) -> None:
        seconds = (result.frame.stamp - self.player.start) / 1e9
        label = self._label(result, log_time)
        confusion = self.tally.add(result, seconds, label)
        if result.segmentation is not None:
            self.gallery.add(result, seconds, label, confusion)

    def _label(self, result: Result, log_time: int) -> np.ndarray | None:
        """The ground truth of a mask, uint8 (h, w); ValueError where it has another size."""
        if self.truth is None or result.segmentation is None:
            return None
        label = self.truth.label(result.frame.stamp, log_time)
        if label is None:
            return None
        mask = result.segmentation.labels
        if label.shape != mask.shape:
            raise ValueError(
                f"labels of {label.shape[1]}x{label.shape[0]} do not fit masks of "
                f"{mask.shape[1]}x{mask.shape[0]}"
            )
        taxonomy = self.segmenter.taxonomy
        unknown = no_class(label, len(taxonomy))
        if unknown is not None:
            self.tally.unavailable[
                f"ground truth: label {unknown} is no class of {taxonomy.name}"
            ] += 1
            return None
        return label

    def _notes(self) -> list[str]:
        counts = self.injector.counts
        notes = list(self.player.notes)
        notes += [f"{fault} affected {counts[str(fault)]} messages" for fault in self.config.faults]
        if self.truth is None:
            notes.append("no ground truth: neither a label topic in the bag nor --labels")
        else:
            notes += self.truth.notes
            unscored = self.tally.masks - self.tally.scored
            if unscored:
                notes.append(f"{unscored} masks have no ground truth near their stamp")
        if not self.tally.frames:
            notes.append("no frame at all: nothing was written but the class table")
        return notes

    def _timing(self, wall: float) -> dict[str, float]:
        frames = max(self.tally.frames, 1)
        bag = self.player.duration / 1e9
        return {
            "wall_s": wall,
            "bag_s": bag,
            "times_real_time": bag / wall if wall else 0.0,
            **{f"{stage}_ms": 1000.0 * s / frames for stage, s in self.seconds.items()},
        }

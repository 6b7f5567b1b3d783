"""One adaptation: read the drive, let the teacher look, train, judge; again; keep the best."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import cv2
import torch

from any2seg_ros.adaptation import fitness
from any2seg_ros.adaptation.config import AdaptationConfig
from any2seg_ros.adaptation.drive import Drive, open_drive
from any2seg_ros.adaptation.judging import Judgement, judge, losses
from any2seg_ros.adaptation.page import write_report
from any2seg_ros.adaptation.recipe import of_round, round_config, shares
from any2seg_ros.adaptation.result import (
    BEFORE,
    Outcome,
    bag_checksums,
    blend,
    choose,
    plain,
    write_weights,
)
from any2seg_ros.adaptation.streets import check_streets, open_streets
from any2seg_ros.adaptation.teaching import Lessons, teach, thresholds
from any2seg_ros.datasets import Target, open_source
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.files import checksum, write_atomically
from any2seg_ros.network import NetworkConfig, checkpoints
from any2seg_ros.network.checkpoints import Header, read_header
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.resources import weights_path
from any2seg_ros.taxonomy import DELIVER, get
from any2seg_ros.training import budget, distributed
from any2seg_ros.training.cached_dataset import CachedDataset, open_cached
from any2seg_ros.training.config import TrainingConfig
from any2seg_ros.training.run_folder import revision
from any2seg_ros.training.trainer import Trainer
from any2seg_ros.training.validation import validate

STREETS_FRAMES = 60
"""Frames of Streets val that weights are judged on at most, evenly spread."""
HALVINGS = 3
"""How often the way between the first and the last weights is halved."""

FREE = ("out", "device")
"""Keys of the configuration that may change when an adaptation is resumed."""
Progress = Callable[[float, float, str], None]
"""What is done, of how much, and of what."""


class Adaptation:
    """An adaptation in the folder `config.out`, started or resumed: what is there already is not
    made again. ValueError where the folder holds another one.

    Several processes train; the first alone reads, teaches and judges.
    """

    def __init__(
        self,
        config: AdaptationConfig,
        report: Callable[[str], None] = lambda line: None,
        progress: Progress = lambda done, total, what: None,
    ) -> None:
        self.config, self.report, self._progress = config, report, progress
        self.rank, self._processes = distributed.start()
        if config.threads:
            torch.set_num_threads(config.threads)
        cv2.setNumThreads(1)
        self.weights = config.out / "weights.safetensors"
        """Where the new weights are, if they are better."""
        self.model = weights_path(config.model)
        self.header = read_header(self.model)
        metadata = self.header.metadata
        self.target = Target(
            metadata.size, PreprocessingConfig(**metadata.preprocessing), get(metadata.taxonomy)
        )
        _refuse_impossible(config, self.header, self._processes)
        self._check_folder()
        self.drive: Drive
        self.streets: Path
        self._trained = 0

    def run(self) -> Outcome:
        """Adapt; ValueError, with the reason, for a drive that nothing can be learned from.

        KeyboardInterrupt leaves the best weights so far, and the same command resumes.
        """
        config = self.config
        with distributed.first_before_others():
            self.drive = self.open_drive()
        fitness.refuse_unfit(self.drive, bool(config.labelling.folders))
        self._first(self._look)
        with distributed.first_before_others():
            self.streets = self._open_streets()
        self._first(partial(self._judge, BEFORE))
        return self._train()

    def _train(self) -> Outcome:
        config = self.config
        lessons, labelled = self._lessons(1), bool(config.labelling.folders)
        before = self.judged()[BEFORE]
        learners = before.alone if labelled else before.pupils
        first = round_config(
            config, self.header, self.model, lessons, self.streets, learners, labelled
        )
        steps = self._steps(first)
        try:
            self._blend(self._rounds(first, steps))
        except KeyboardInterrupt:
            if self._processes == 1:  # others may be gone
                outcome = self._conclude(self._trained, partial=True)
                found = f"{outcome.chosen}: {self.weights}" if outcome.better else "the old weights"
                self.report(f"best so far: {found}; see {config.out / 'report.html'}")
            raise
        return self._conclude(steps)

    def _rounds(self, first: TrainingConfig, steps: int) -> Path:
        """Train and judge round after round; returns the last weights."""
        start, done = self.model, 0
        for number, count in enumerate(shares(steps, self.config.rounds), start=1):
            if number > 1:
                self._first(partial(self._look_again, number, start))
            trainer = Trainer(
                of_round(first, number, count, start, self._lessons(number)), self.report
            )

            def told(step: int, loss: float, done: int = done) -> None:
                self._trained = done + step
                self._progress(self._trained, steps, f"training, loss {loss:.3f}")

            try:
                trainer.run(progress=told)
            except KeyboardInterrupt:
                if self._processes == 1:
                    self._judge_interrupted(trainer, number)
                raise
            start, done = trainer.folder.weights, done + count
            self._trained = done
            self._first(partial(self._judge, f"round {number}"))
        return start

    def _blend(self, last: Path) -> None:
        """Judge what lies between the first and the last weights, where as much of the way is left
        as loses nothing: by halves."""
        low, high = 0, 100
        for _ in range(HALVINGS):
            share = (low + high) // 2
            name = f"{share} % of the way"
            self._first(partial(self._judge_between, name, last, share / 100))
            judged = self.judged()
            lost = losses(judged[BEFORE], judged[name], self.config.margins)
            low, high = (low, share) if lost else (share, high)

    def _judge_between(self, name: str, last: Path, share: float) -> None:
        if name not in self.judged():
            blend(self.model, last, share, self.file_of(name))
            self._judge(name)

    def _steps(self, first: TrainingConfig) -> int:
        """How many steps the budget pays for, measured once."""
        if self.config.steps:
            return self.config.steps
        path = self.config.out / "steps.json"
        if not path.is_file():
            probe = self.config.out / "probe"
            self._first(lambda: shutil.rmtree(probe, ignore_errors=True))
            seconds = budget.seconds_of(Trainer(replace(first, output=str(probe))))
            steps = max(int(60 * self.config.minutes / seconds), self.config.rounds)
            self.report(f"{seconds:.2f} s a step: {steps} steps in {self.config.minutes:g} minutes")
            self._first(lambda: write_atomically(path, json.dumps({"steps": steps}) + "\n"))
            self._first(lambda: shutil.rmtree(probe, ignore_errors=True))
        return int(json.loads(path.read_text())["steps"])

    def open_drive(self) -> Drive:
        """Read the bags, or find them cached; ValueError where they have changed since."""
        drive = open_drive(self.config, self.target, self._telling("reading the bags"))
        path, mine = self.config.out / "drive.json", {"frames": drive.cached.folder.name}
        if not path.is_file():
            if not self.rank:
                write_atomically(path, json.dumps(mine) + "\n")
        elif json.loads(path.read_text()) != mine:
            raise ValueError(
                f"the bags, or what --labels names, have changed since {self.config.out} was begun "
                "with them: put them back, or give another --out"
            )
        return drive

    def _open_streets(self) -> Path:
        told = self._telling("rendering Streets")
        return open_streets(self.config.streets, self.config.out, told)

    def _look(self) -> None:
        """The first teacher's lessons, of what is learned from and of what is held back."""
        if self._lessons(1).is_dir() and self._held.is_dir():
            return
        segmenter = self._segmenter(self.model)
        learned, held = self.drive.learned.tolist(), self.drive.held.tolist()
        with self._teaching(segmenter, learned, "learning part") as lessons:
            least = thresholds(lessons.counts, self.config.teaching)
            fitness.refuse_doubtful(lessons, least, bool(self.config.labelling.folders))
            with self._teaching(segmenter, held, "held-back part") as unseen:
                unseen.write(self._held, held, least)
            taught = {m.label: n / max(len(learned), 1) for m, n in lessons.teachers.items() if n}
            write_atomically(self.config.out / "teachers.json", json.dumps(taught) + "\n")
            lessons.write(self._lessons(1), learned, least)

    def _look_again(self, number: int, start: Path) -> None:
        """The lessons of a round after the first, by the weights learned until then."""
        if self._lessons(number).is_dir():
            return
        segmenter, learned = self._segmenter(start), self.drive.learned.tolist()
        with self._teaching(segmenter, learned, "learning part again") as lessons:
            least = thresholds(lessons.counts, self.config.teaching)
            lessons.write(self._lessons(number), learned, least)

    def _teaching(
        self, segmenter: Segmenter, frames: list[int], what: str
    ) -> AbstractContextManager[Lessons]:
        folder = self.config.out / "lessons" / what.replace(" ", "_")
        told = self._telling(f"the teacher looks at the {what}")
        return teach(segmenter, self.drive.cached, frames, folder, self.config.teaching, told)

    def _lessons(self, number: int) -> Path:
        return self.config.out / "lessons" / str(number)

    @property
    def _held(self) -> Path:
        return self.config.out / "lessons" / "held"

    def _judge(self, name: str) -> None:
        """Judge weights, unless they have been."""
        if name in self.judged():
            return
        segmenter = self._segmenter(self.file_of(name))
        streets = self.score_streets(segmenter)
        told = self._telling(f"judging the weights {name}")
        found = judge(segmenter, CachedDataset(self._held), streets, told)
        self._write_judged({**self.judged(), name: found})

    def score_streets(self, segmenter: Segmenter) -> dict[str, float]:
        """mIoU in percent on some frames of Streets val, by subset name."""
        source = open_source(self.streets, self.target, "val")
        identity = f"{self.streets.resolve()} val"
        cached = open_cached(source, identity, self.target, self.config.out / "cache")
        return validate(segmenter, cached, STREETS_FRAMES)

    def _write_judged(self, judged: Mapping[str, Judgement]) -> None:
        words = {name: asdict(one) for name, one in judged.items()}
        write_atomically(self.config.out / "judged.json", json.dumps(words, indent=1) + "\n")

    def judged(self) -> dict[str, Judgement]:
        """All judgements so far, by name of the weights."""
        path = self.config.out / "judged.json"
        words = json.loads(path.read_text()) if path.is_file() else {}
        return {name: Judgement(**one) for name, one in words.items()}

    def file_of(self, name: str) -> Path:
        """The weights that were judged by a name."""
        rounds = self.config.out / "rounds"
        if name == BEFORE:
            return self.model
        word, number = name.split()[:2]
        if number == "%":
            return rounds / f"{word}_percent.safetensors"
        return rounds / number / ("weights.safetensors" if word == "round" else "cut.safetensors")

    def _judge_interrupted(self, trainer: Trainer, number: int) -> None:
        """Judge what a round has learned until it was interrupted.

        Temperatures and the gate are fitted at the end of a round: those before it stay.
        """
        name = f"interrupted {number} after {trainer.step} steps"
        began = read_header(Path(trainer.config.init_from)).metadata
        metadata = replace(
            trainer.segmenter().metadata, temperatures=began.temperatures, gate=began.gate
        )
        # The weights of others that were interrupted are replaced.
        self._write_judged({n: one for n, one in self.judged().items() if "interrupted" not in n})
        checkpoints.save(self.file_of(name), trainer.average, metadata, half=True)
        self._judge(name)

    def _conclude(self, steps: int, partial: bool = False) -> Outcome:
        """Choose among the judged weights, write the best of them and the report."""
        judged = self.judged()
        if not partial:
            judged = {name: one for name, one in judged.items() if "interrupted" not in name}
        outcome = choose(judged, self.config.margins)
        outcome.steps, outcome.partial = steps, partial
        outcome.teachers = json.loads((self.config.out / "teachers.json").read_text())
        outcome.notes = list(self.drive.notes)
        if not self.rank:
            parent = {"file": self.model.name, "sha256": checksum(self.model)}
            made_of = {
                "parent": parent,
                "before_that": self.header.metadata.training.get("adaptation", {}),
                "bags": bag_checksums(self.drive.bags),
                "options": plain(self.config),
                "revision": revision(),
            }
            write_weights(self.weights, self.file_of(outcome.chosen), outcome, made_of)
            old, new = (self._segmenter(self.file_of(name)) for name in (BEFORE, outcome.shown))
            write_report(self.config.out, outcome, made_of, (old, new), CachedDataset(self._held))
        distributed.wait()
        return outcome

    def _segmenter(self, path: Path) -> Segmenter:
        config = self.config
        return Segmenter.open(EngineConfig(str(path), "torch", config.device, config.threads))

    def _first(self, work: Callable[[], object]) -> None:
        """Let the first process do it while the others wait."""
        if not self.rank:
            work()
        distributed.wait()

    def _telling(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(done, total, what)

    def _check_folder(self) -> None:
        path = self.config.out / "adaptation.json"
        mine = {**plain(self.config), "model": checksum(self.model)}
        if path.is_file():
            theirs = json.loads(path.read_text())
            changed = [k for k in mine if k not in FREE and theirs.get(k) != mine[k]]
            if changed:
                raise ValueError(
                    f"{self.config.out} holds an adaptation with another '{changed[0]}': give "
                    "another --out, or delete the folder to start over"
                )
        elif not self.rank:
            write_atomically(path, json.dumps(mine, indent=1) + "\n")
        distributed.wait()


def _refuse_impossible(config: AdaptationConfig, header: Header, processes: int) -> None:
    """ValueError or FileNotFoundError for what would fail only when the drive has been read and
    looked at."""
    if config.batch_size % processes:
        raise ValueError(
            f"{processes} processes cannot share the {config.batch_size} frames of a step: give "
            "torchrun a --nproc-per-node that divides them"
        )
    if header.metadata.taxonomy != DELIVER.name:
        raise ValueError(
            f"{config.model} has the classes of {header.metadata.taxonomy}, and Streets, which are "
            f"trained on beside the drive, those of {DELIVER.name}: begin with weights that have "
            "these (--model)"
        )
    if config.scope == "adapters" and not NetworkConfig(**header.network).adapters:
        raise ValueError(f"{config.model} has no adapters: use --scope all, or other weights")
    if config.streets is not None:
        check_streets(config.streets)

"""The training loop: a step is a function of the step before, the seed and the data.

On a GPU this holds but for rounding.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from any2seg_ros.datasets import Source, Target, open_source
from any2seg_ros.engine import Segmenter, engines
from any2seg_ros.interrupts import deferred_interrupt
from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.network.asymmetric import Asymmetric
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.network.modality_groups import GROUPS, ONE, group_of
from any2seg_ros.resources import weights_path
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training import distributed, gate_fitting, teachers
from any2seg_ros.training.batches import Batch, Batches, trained_groups
from any2seg_ros.training.cached_dataset import (
    CachedDataset,
    CachedSource,
    is_cached,
    open_cached,
)
from any2seg_ros.training.config import DataSetConfig, TrainingConfig
from any2seg_ros.training.cuda_graphs import record
from any2seg_ros.training.depthwise import hasten
from any2seg_ros.training.initialization import build, check_files, frozen_sensors, train_mode
from any2seg_ros.training.losses import class_weights
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.training.objective import Objective
from any2seg_ros.training.optimizer import MovingAverage, make_optimizer, set_rate
from any2seg_ros.training.run_folder import RunFolder
from any2seg_ros.training.scenes import Scenes
from any2seg_ros.training.validation import fit_temperatures, validate
from any2seg_ros.types import Modality

_SHAPES = 256
"""Compiled versions that torch keeps of one function, before it gives up compiling it."""


class Trainer:
    """One run in the folder `config.output`, started or resumed; see `RunFolder`.

    The averaged weights are written after every validation, the final ones with temperatures.
    """

    def __init__(
        self, config: TrainingConfig, report: Callable[[str], None] = lambda line: None
    ) -> None:
        self.config = config
        self.report = report
        self.rank, self.processes = distributed.start()
        if config.threads:
            torch.set_num_threads(config.threads)
        cv2.setNumThreads(1)
        self.device = _device(config.device)
        if config.amp == "f16" and self.device.type == "cpu":
            raise ValueError("amp: f16 needs CUDA: use bf16 or none on a CPU")
        self.folder = RunFolder(config, writing=not self.rank)
        check_files(config)
        self._open_data()
        self.network = build(config, len(self.taxonomy), report).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device.type == "cpu":
            hasten(self.network)
        if self.processes > 1 and config.sync_batchnorm:
            distributed.share_norms(self.network)
        self._alike = self.network.adapters is not None and self.network.adapters.alike()
        self._frozen = frozen_sensors(config)
        self._kept = self.network.adapters.of(self._frozen) if self.network.adapters else []
        self._following: dict[tuple[str, ...], tuple[int, set[int]]] = {}
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self._moving = MovingAverage(self.average, self.network, config.optimizer.ema_decay)
        self._parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.network, config.optimizer)
        self.scaler = torch.amp.GradScaler(enabled=config.amp == "f16")
        self.objective = self._objective()
        self._compile(recorded=self._record())
        self.step = 0
        self.folder.begin()
        self._resume()

    def run(
        self, stop_at: int | None = None, progress: Callable[[int, float], None] | None = None
    ) -> Path | None:
        """Train to `config.steps` (or the step `stop_at`); returns the path of the weights.

        None where there are no weights yet. `progress` is called with the step and its loss.
        KeyboardInterrupt is raised after a step whose checkpoint was saved, to resume from.
        """
        with deferred_interrupt() if self.processes == 1 else nullcontext() as interrupt:
            self._run(stop_at, progress, interrupt)
        distributed.wait()
        return self.folder.weights if self.folder.weights.is_file() else None

    def _run(
        self,
        stop_at: int | None,
        progress: Callable[[int, float], None] | None,
        interrupt: threading.Event | None,
    ) -> None:
        config = self.config
        train_mode(self.network, config)
        last = min(config.steps, stop_at or config.steps)
        began = time.monotonic()
        for batch in self.batches.ahead(
            self.step, last, config.num_workers, self.device.type == "cuda"
        ):
            row = self._train(batch)
            self.step += 1
            row |= {"step": self.step, "seconds": round(time.monotonic() - began, 2)}
            began = time.monotonic()
            self.folder.log(row)
            if progress:
                progress(self.step, row["loss"])
            done = self.step == config.steps
            if self.step % config.validate_every == 0 or done:
                self._validate(final=done)
                began = time.monotonic()
            interrupted = interrupt is not None and interrupt.is_set()
            if self.step % config.checkpoint_every == 0 or self.step == last or interrupted:
                self._save_state()
            if interrupted:
                self.report(f"interrupted: the same command resumes after step {self.step}")
                raise KeyboardInterrupt

    def segmenter(self) -> Segmenter:
        """The averaged network, ready to run."""
        engine = engines.make("torch", self.average, str(self.device), 0, "f32")
        return Segmenter(engine, self._metadata({}))

    def _train(self, batch: Batch) -> dict[str, Any]:
        config = self.config
        batch = batch.to(self.device)
        torch.manual_seed(config.seed * 1_000_003 + self.step * self.processes + self.rank)
        rate = set_rate(self.optimizer, config.optimizer, self.step, config.steps)
        dtype = torch.float16 if config.amp == "f16" else torch.bfloat16
        with torch.autocast(self.device.type, dtype, enabled=config.amp != "none"):
            losses = self.objective.losses(self.network, batch)
        parts = {
            name: amount / distributed.total(count).clamp(min=1e-6)
            for name, (amount, count) in losses.items()
        }
        loss = torch.stack(tuple(parts.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        distributed.add_gradients(self._parameters)
        self.scaler.unscale_(self.optimizer)
        if config.optimizer.grad_clip_norm:
            nn.utils.clip_grad_norm_(self._parameters, config.optimizer.grad_clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._copy_adapters(batch.variants)
        if self.network.adapters is not None:
            self.network.adapters.put_back(self._frozen, self._kept)
        self._moving.update(self.step)
        total, *each = distributed.total(torch.stack((loss, *parts.values()))).tolist()
        told = {name: round(part, 5) for name, part in zip(parts, each, strict=True)}
        if not math.isfinite(total):
            raise ValueError(f"the loss is {total} at step {self.step + 1}: lower optimizer.lr")
        return {"loss": round(total, 5), **told, "rate": rate}

    def _copy_adapters(self, variants: tuple[str, ...]) -> None:
        """Give groups that no variant trains the adapters of the most common full set.

        The encoders learn for those. Groups trained before the run keep their own.
        """
        adapters = self.network.adapters
        if adapters is None or not self._alike:
            return
        if variants not in self._following:
            self._following[variants] = self._followers(variants)
        adapters.follow(*self._following[variants])

    def _followers(self, variants: tuple[str, ...]) -> tuple[int, set[int]]:
        """The group whose adapters are copied, and the groups that get them."""
        counts = np.concatenate([cached.present.sum(1) for cached in self._sets])
        counts = counts[counts > 0]
        trained = trained_groups(variants, counts.tolist())
        commonest = group_of(int(np.bincount(counts).argmax()))
        leader = commonest if commonest in trained else ONE
        return leader, set(range(GROUPS)) - trained

    def _open_data(self) -> None:
        config, data = self.config, self.config.data
        target = Target(config.image_size, config.preprocessing)
        train = [_open(one, target, data.train_split) for one in data.train]
        names = {source.taxonomy.name for source in train}
        if len(names) > 1:
            raise ValueError(f"the train sets have different classes: {', '.join(sorted(names))}")
        self.taxonomy = train[0].taxonomy
        if config.network.classes not in (NetworkConfig.classes, len(self.taxonomy)):
            raise ValueError(
                f"network.classes is {config.network.classes}, but the data have "
                f"{len(self.taxonomy)} classes ({self.taxonomy.name}): leave it out"
            )
        target = replace(target, taxonomy=self.taxonomy)
        val = _open(data.val, target, data.val_split)
        sources = (*train, val)
        self.folder.check_data(
            {f"{s.name} {s.split or ''}".strip(): s.fingerprint for s in sources}
        )
        with distributed.first_before_others():
            sets = [self._cached(source, target) for source in train]
            self.val = self._cached(val, target)
        given = [one.share for one in data.train]
        self.mixture = Mixture(
            sets,
            len(self.taxonomy),
            [share or float(len(s)) for share, s in zip(given, sets, strict=True)],
            [one.taught for one in data.train],
            [one.foreign for one in data.train],
            config.preprocessing,
        )
        self.batches = Batches(
            self.mixture,
            config.augmentation,
            config.losses,
            config.batch_size,
            self._pixels(),
            config.seed,
            self.rank,
            self.processes,
        )
        self._sets = sets

    def _cached(self, source: Source, target: Target) -> CachedDataset:
        if isinstance(source, CachedSource):
            return source.cached

        def progress(done: int, total: int) -> None:
            if done % 100 == 0 or done == total:
                self.report(f"cached {done} of {total} frames of {source.name} {source.split}")

        identity = f"{Path(source.name).resolve()} {source.split}"
        return open_cached(source, identity, target, Path(self.config.data.cache), progress)

    def _objective(self) -> Objective:
        losses = self.config.losses
        weights = None
        if losses.class_power:
            labels = self.mixture.sample_of_labels()
            weights = class_weights(
                labels, self.mixture.members, losses.class_power, losses.class_limit
            ).to(self.device)
        names = scenes = None
        if losses.intra_modal:
            names = teachers.name_correlation(
                losses.text_teacher, self.taxonomy, losses.class_prompt
            ).to(self.device)
        if losses.inter_modal:
            scenes = self._scenes()
        teacher = self._teacher(weights_path(losses.teacher)) if losses.teacher else None
        members = None
        if self.mixture.grouped:
            members = torch.from_numpy(self.mixture.members).to(self.device)
        return Objective(losses, self._pixels(), weights, names, scenes, teacher, members)

    def _scenes(self) -> Scenes:
        config = self.config
        with distributed.first_before_others():  # it embeds the frames
            return Scenes(
                config.losses,
                self._sets,
                self.taxonomy,
                config.preprocessing,
                self.device,
                self.report,
            )

    def _teacher(self, path: Path) -> Any2Seg:
        network, metadata = checkpoints.load(path)
        if metadata.taxonomy != self.taxonomy.name:
            raise ValueError(
                f"the teacher {path} has the classes of {metadata.taxonomy}, the data those of "
                f"{self.taxonomy.name}: take a teacher that was trained on the same classes"
            )
        mine, theirs = asdict(self.config.preprocessing), metadata.preprocessing
        changed = [k for k, v in theirs.items() if mine.get(k, v) != v]
        if changed:
            raise ValueError(
                f"the teacher {path} was trained with another '{changed[0]}': set "
                f"preprocessing.{changed[0]} to {theirs[changed[0]]}, or take another teacher"
            )
        teacher = network.folded().to(self.device)
        return teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _record(self) -> bool:
        """Record the encoders as CUDA graphs, unless something else launches their kernels; tells
        whether they are recorded."""
        config = self.config
        alone = self.processes == 1 and config.amp == "none"
        in_parts = isinstance(self.network, Asymmetric)
        if in_parts or not (config.cuda_graphs and alone and self.device.type == "cuda"):
            return False
        width, height = config.augmentation.size(config.image_size)
        batch = torch.Size((config.batch_size, len(Modality), 3, height, width))
        train_mode(self.network, config)
        record(self.network, batch)
        if self.objective.teacher is not None:
            record(self.objective.teacher, batch)
        return True

    def _compile(self, recorded: bool) -> None:
        """Compile the encoders, unless they are recorded, and the decoder; not what is frozen."""
        if not self.config.compile:
            return
        # A stage is compiled for each of its shapes, not once for all.
        torch._dynamo.config.recompile_limit = _SHAPES
        encoders = [] if recorded else list(self.network.encoders)
        for part in (*encoders, self.network.decoder):
            if any(p.requires_grad for p in part.parameters()):
                part.compile()

    def _pixels(self) -> tuple[int, int]:
        """(width, height) in pixels of the raster that losses are taken on."""
        width, height = self.config.augmentation.size(self.config.image_size)
        return width // self.config.losses.stride, height // self.config.losses.stride

    def _validate(self, final: bool) -> None:
        if self.rank:
            return
        segmenter = self.segmenter()
        frames = self.config.data.val_frames
        miou = validate(segmenter, self.val, frames)
        temperatures = fit_temperatures(segmenter, self._calibrating(), frames) if final else {}
        gate = self._gate(segmenter) if final else {}
        extra = {"temperatures": temperatures} if final else {}
        self.folder.log({"step": self.step, "miou": miou} | extra)
        self.report(f"step {self.step}: mIoU " + ", ".join(f"{k} {v}" for k, v in miou.items()))
        metadata = replace(self._metadata(temperatures, miou), gate=gate)
        checkpoints.save(self.folder.weights, self.average, metadata, half=True)

    def _calibrating(self) -> list[CachedDataset]:
        """What temperatures are fitted on: the validation set, and whatever else calibrates."""
        more = zip(self.mixture.sets, self.config.data.train, strict=True)
        return [self.val, *(cached for cached, one in more if one.calibrates)]

    def _gate(self, segmenter: Segmenter) -> dict[str, Any]:
        """Which sensors are to be believed, as metadata."""
        frames = self.config.gate_frames
        if not frames:
            return {}
        self.report(f"fitting the gate on {frames} frames")
        return gate_fitting.fit(
            gate_fitting.observe(segmenter, self.mixture, frames, self.config.seed)
        ).metadata()

    def _metadata(
        self, temperatures: dict[str, float], miou: dict[str, float] | None = None
    ) -> Metadata:
        config = self.config
        about = {"step": self.step, **self.folder.about()}
        if miou:
            about["miou"] = miou
        return Metadata(
            self.taxonomy.name, config.image_size, temperatures, asdict(config.preprocessing), about
        )

    def _save_state(self) -> None:
        self.folder.save(
            {
                "step": self.step,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
            }
        )

    def _resume(self) -> None:
        state = self.folder.state(self.device)
        if state is not None:
            self._load(state)
            self.report(f"resuming at step {self.step}")
        distributed.wait()
        self.folder.go_on_from(self.step)

    def _load(self, state: dict[str, Any]) -> None:
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.step = int(state["step"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ValueError(
                f"{self.folder.state_file} is of another version ({_first_line(error)}): resume "
                f"with the any2seg_ros that wrote it, or delete {self.folder.path} to start over"
            ) from None


def _open(data: DataSetConfig, target: Target, split: str) -> Source:
    """The frames of a data set, of its own split or of this one."""
    path, labelling = Path(data.path), data.labelling()
    if is_cached(path):
        return CachedSource(path, target.taxonomy or DELIVER)
    return open_source(
        path,
        target,
        data.split or split,
        0,
        labelling,
        data.topics,
        motion_compensation=data.motion_compensation,
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda, but torch finds no GPU here: use auto or cpu")
    return torch.device(name)

"""The training loop: every step a function of the step before, the seed and the data alone (on a
GPU but for rounding)."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from any2seg_ros.datasets import Source, Target, open_source
from any2seg_ros.engine import Segmenter
from any2seg_ros.engine.torch_engine import TorchEngine
from any2seg_ros.files import checksum, clear_parts, replacing, write_atomically
from any2seg_ros.modalities import Modality
from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.network.adapters import ALONE, COMPANIES, company
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.network.efficientnet import EfficientNetLite0
from any2seg_ros.network.mit import MiT
from any2seg_ros.network.pretrained import UNREADABLE, load_encoder, load_head, weights_file
from any2seg_ros.training import distributed, teachers
from any2seg_ros.training.batches import Batch, Batches, companies
from any2seg_ros.training.config import OptimizerConfig, TrainingConfig, config_of
from any2seg_ros.training.losses import class_weights
from any2seg_ros.training.objective import Objective
from any2seg_ros.training.placed import PlacedSet, open_placed
from any2seg_ros.training.recorded import record
from any2seg_ros.training.validation import chosen, fit_temperatures, validate

FREE = ("output", "threads", "loaders", "device", "graphs", "validate_every", "checkpoint_every")
"""Keys that may change when a run goes on."""


class Trainer:
    """One run in the folder `config.output`, begun or gone on with.

    The folder gets run.json (configuration, revision, seed), metrics.jsonl (a line a step and a
    line a validation), state.pt (what is needed to go on) and weights.safetensors (averaged
    weights, after every validation and at the end, then with temperatures).
    """

    def __init__(
        self, config: TrainingConfig, report: Callable[[str], None] = lambda line: None
    ) -> None:
        self.config = config
        self.report = report
        self.rank, self.processes = distributed.start()
        self.output = Path(config.output)
        if config.threads:
            torch.set_num_threads(config.threads)
        cv2.setNumThreads(1)
        self.device = _device(config.device)
        if config.amp == "f16" and self.device.type == "cpu":
            raise ValueError("amp: f16 needs CUDA: use bf16 or none on a CPU")
        self._files = _checksums(config)
        begun = self._begun()
        self._open_data()
        self.network = build(config, len(self.taxonomy)).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.processes > 1 and config.shared_norms:
            distributed.share_norms(self.network)
        self._alike = self.network.adapters is not None and self.network.adapters.alike()
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = make_optimizer(self.network, config.optimizer)
        self.scaler = torch.amp.GradScaler(enabled=config.amp == "f16")
        self.objective = self._objective()
        self._record()
        self.step = 0
        self._board: Any = None
        if not begun and not self.rank:
            write_atomically(self.output / "run.json", json.dumps(self._about(), indent=2) + "\n")
        self._resume()

    def run(
        self, stop_at: int | None = None, progress: Callable[[int, float], None] | None = None
    ) -> Path | None:
        """Train up to `config.steps` (or to the step `stop_at`); tells the weights' path.

        None where there are no weights yet. `progress` is called with the step and its loss.
        """
        config = self.config
        last = min(config.steps, stop_at or config.steps)
        began = time.monotonic()
        for batch in self.batches.ahead(
            self.step, last, config.loaders, self.device.type == "cuda"
        ):
            row = self._train(batch)
            self.step += 1
            row |= {"step": self.step, "seconds": round(time.monotonic() - began, 2)}
            began = time.monotonic()
            self._log(row)
            if progress:
                progress(self.step, row["loss"])
            done = self.step == config.steps
            if self.step % config.validate_every == 0 or done:
                self._validate(final=done)
                began = time.monotonic()
            if self.step % config.checkpoint_every == 0 or self.step == last:
                self._save_state()
        distributed.wait()
        weights = self.output / "weights.safetensors"
        return weights if weights.is_file() else None

    def segmenter(self, temperatures: dict[str, float] | None = None) -> Segmenter:
        """The averaged network, ready to run."""
        engine = TorchEngine(self.average.folded(), str(self.device), 0, "f32")
        return Segmenter(engine, self._metadata(temperatures or {}))

    def _train(self, batch: Batch) -> dict[str, Any]:
        config = self.config
        batch = batch.to(self.device)
        torch.manual_seed(config.seed * 1_000_003 + self.step * self.processes + self.rank)
        train_mode(self.network, config)
        rate = set_rate(self.optimizer, config.optimizer, self.step, config.steps)
        kind = torch.float16 if config.amp == "f16" else torch.bfloat16
        with torch.autocast(self.device.type, kind, enabled=config.amp != "none"):
            losses = self.objective.losses(self.network, batch)
        parts = {
            name: amount / distributed.total(count).clamp(min=1e-6)
            for name, (amount, count) in losses.items()
        }
        loss = torch.stack(tuple(parts.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        distributed.add_gradients(parameters)
        self.scaler.unscale_(self.optimizer)
        if config.optimizer.clip:
            nn.utils.clip_grad_norm_(parameters, config.optimizer.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._let_companies_follow(batch.variants)
        update_average(self.average, self.network, config.optimizer.average, self.step)
        total, *each = distributed.total(torch.stack((loss, *parts.values()))).tolist()
        told = {name: round(part, 5) for name, part in zip(parts, each, strict=True)}
        if not math.isfinite(total):
            raise ValueError(f"the loss is {total} at step {self.step + 1}: lower optimizer.rate")
        return {"loss": round(total, 5), **told, "rate": rate}

    def _let_companies_follow(self, variants: tuple[str, ...]) -> None:
        """Adapters of a company that nothing trains, and nothing has trained, are those of the
        commonest full set, for which the encoders learn."""
        adapters = self.network.adapters
        if adapters is None or not self._alike:
            return
        counts = np.concatenate([placed.present.sum(1) for placed in self._sets])
        counts = counts[counts > 0]
        trained = companies(variants, counts.tolist())
        commonest = company(int(np.bincount(counts).argmax()))
        leader = commonest if commonest in trained else ALONE
        adapters.follow(leader, set(range(COMPANIES)) - trained)

    def _open_data(self) -> None:
        config, data = self.config, self.config.data
        target = Target(config.size, config.placing)
        train = [open_source(Path(root), target, data.train_split) for root in data.train]
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
        val = open_source(Path(data.val), target, data.val_split)
        if self.rank:  # the first process fills the cache
            distributed.wait()
        sets = [self._placed(source, target) for source in train]
        self.val = self._placed(val, target)
        if not self.rank:
            distributed.wait()
        self.batches = Batches(
            sets,
            config.augmentation,
            config.losses,
            config.batch,
            self._pixels(),
            config.seed,
            self.rank,
            self.processes,
        )
        self._sets = sets

    def _placed(self, source: Source, target: Target) -> PlacedSet:
        def progress(done: int, total: int) -> None:
            if done % 100 == 0 or done == total:
                self.report(f"placed {done} of {total} frames of {source.name} {source.split}")

        identity = f"{Path(source.name).resolve()} {source.split}"
        return open_placed(source, identity, target, Path(self.config.data.cache), progress)

    def _objective(self) -> Objective:
        losses = self.config.losses
        weights = None
        if losses.class_power:
            sample = [s.labels[i, ::4, ::4] for s in self._sets for i in chosen(len(s), 400)]
            counts = torch.cat([torch.from_numpy(a.reshape(-1).copy()) for a in sample]).numpy()
            weights = class_weights(
                counts, len(self.taxonomy), losses.class_power, losses.class_limit
            ).to(self.device)
        names = scenes = None
        if losses.intra_modal:
            names = teachers.name_correlation(losses.text_teacher, self.taxonomy).to(self.device)
        if losses.inter_modal:
            scenes = teachers.Scenes(
                losses.image_teacher, losses.captions, self.taxonomy, self.device
            )
        teacher = self._teacher(Path(losses.teacher)) if losses.teacher else None
        return Objective(losses, self._pixels(), weights, names, scenes, teacher)

    def _teacher(self, path: Path) -> Any2Seg:
        network, metadata = checkpoints.load(path)
        if metadata.taxonomy != self.taxonomy.name:
            raise ValueError(
                f"the teacher {path} has the classes of {metadata.taxonomy}, the data those of "
                f"{self.taxonomy.name}: take a teacher that was trained on the same classes"
            )
        placing = asdict(self.config.placing)
        changed = [k for k, v in metadata.placing.items() if placing.get(k, v) != v]
        if changed:
            raise ValueError(
                f"the teacher {path} sees modality images with another '{changed[0]}': set "
                f"placing.{changed[0]} to {metadata.placing[changed[0]]}, or take another teacher"
            )
        teacher = network.folded().to(self.device)
        return teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _record(self) -> None:
        """Record the encoders' passes where kernels are launched one by one otherwise."""
        config = self.config
        alone = self.processes == 1 and config.amp == "none"
        if not (config.graphs and alone and self.device.type == "cuda"):
            return
        width, height = config.augmentation.size(config.size)
        batch = torch.Size((config.batch, len(Modality), 3, height, width))
        train_mode(self.network, config)
        record(self.network, batch)
        if self.objective.teacher is not None:
            record(self.objective.teacher, batch)

    def _pixels(self) -> tuple[int, int]:
        """(width, height) of the raster that losses are taken on."""
        width, height = self.config.augmentation.size(self.config.size)
        return width // self.config.losses.stride, height // self.config.losses.stride

    def _validate(self, final: bool) -> None:
        if self.rank:
            return
        segmenter = self.segmenter()
        frames = self.config.data.val_frames
        miou = validate(segmenter, self.val, frames)
        temperatures = fit_temperatures(segmenter, self.val, frames) if final else {}
        extra = {"temperatures": temperatures} if final else {}
        self._log({"step": self.step, "miou": miou} | extra)
        self.report(f"step {self.step}: mIoU " + ", ".join(f"{k} {v}" for k, v in miou.items()))
        metadata = self._metadata(temperatures, miou)
        checkpoints.save(self.output / "weights.safetensors", self.average, metadata, half=True)

    def _metadata(
        self, temperatures: dict[str, float], miou: dict[str, float] | None = None
    ) -> Metadata:
        config = self.config
        about = {"step": self.step, **self._about()}
        if miou:
            about["miou"] = miou
        return Metadata(
            self.taxonomy.name, config.size, temperatures, asdict(config.placing), about
        )

    def _about(self) -> dict[str, Any]:
        """What the run is: configuration, revision, seed, and the files it is made from."""
        config = self.config
        return {
            "config": _plain(asdict(config)),
            "revision": revision(),
            "seed": config.seed,
            "files": self._files,
        }

    def _begun(self) -> bool:
        """Whether the folder holds this run; ValueError if it holds another."""
        path = self.output / "run.json"
        if not path.is_file():
            return False
        try:
            # Keys that are newer than the run have their defaults.
            about = json.loads(path.read_text())
            theirs = asdict(config_of(about["config"]))
            files = dict(about.get("files", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is of no run that this version knows ({error}): give another output, or "
                "delete the folder to begin again"
            ) from None
        mine = asdict(self.config)
        changed = [k for k in mine if k not in FREE and mine[k] != theirs[k]]
        if changed:
            raise ValueError(
                f"{self.output} holds a run with another '{changed[0]}': give another output, "
                "or delete the folder to begin again"
            )
        others = [name for name in files if files[name] != self._files.get(name)]
        if others:
            raise ValueError(
                f"{others[0]} is not what it was when {self.output} was begun with it: put it "
                "back, or delete the folder to begin again"
            )
        self._files = files
        return True

    def _log(self, row: dict[str, Any]) -> None:
        if self.rank:
            return
        with (self.output / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._log_board(row)

    def _log_board(self, row: dict[str, Any]) -> None:
        if self._board is None:
            self._board = _board(self.output / "board")
        if not self._board:
            return
        for name, value in row.items():
            if isinstance(value, (int, float)) and name != "step":
                self._board.add_scalar(name, value, row["step"])
            elif isinstance(value, dict):
                self._board.add_scalars(name, value, row["step"])

    def _save_state(self) -> None:
        if self.rank:
            return
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        with replacing(self.output / "state.pt") as part, part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    def _resume(self) -> None:
        path = self.output / "state.pt"
        if path.is_file():
            try:
                state = torch.load(path, map_location=self.device, weights_only=True)
            except UNREADABLE as error:
                raise ValueError(
                    f"{path} is damaged: delete {self.output} to begin again ({error})"
                ) from None
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.step = state["step"]
            self.report(f"going on at step {self.step}")
        distributed.wait()
        if not self.rank:
            clear_parts(path)
            clear_parts(self.output / "weights.safetensors")
            _forget_after(self.output / "metrics.jsonl", self.step)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda, but torch finds no GPU here: use auto or cpu")
    return torch.device(name)


def build(config: TrainingConfig, classes: int) -> Any2Seg:
    """The network of a run, with its initial weights; the same for the same seed."""
    torch.manual_seed(config.seed)
    network = Any2Seg(replace(config.network, classes=classes))
    initial = config.initial
    ours = initial.endswith(".safetensors") and _is_ours(Path(initial))
    if config.blend and not ours:
        raise ValueError("blend needs an Any2Seg checkpoint as initial, to be averaged with it")
    if ours:
        loaded, _ = checkpoints.load(Path(initial))
        mine = network.config
        if replace(loaded.config, refine=mine.refine, dropout=mine.dropout) != mine:
            raise ValueError(f"{initial} holds another network ({loaded.config})")
        # Blocks that refine add to what comes in: they may be added, as nothing, and left out.
        given = loaded.state_dict()
        if config.blend:
            given = _blended(given, Path(config.blend), config.blend_share)
        network.load_state_dict({n: given.get(n, t) for n, t in network.state_dict().items()})
    elif initial:
        load_encoder(network, initial)
        if initial != "imagenet" and isinstance(network.encoders[0], MiT):
            load_head(network, initial)
    for part in frozen_parts(network, config):
        part.requires_grad_(False)
    return network


def frozen_parts(network: Any2Seg, config: TrainingConfig) -> list[nn.Module]:
    """What keeps its weights: all but the adapters, or the stem and the first stages of each
    EfficientNet-Lite0, and nothing of a MiT."""
    if config.trained == "adapters":
        return [network.encoder, network.decoder]
    parts: list[nn.Module] = []
    for encoder in network.encoders:
        if config.frozen_stages and isinstance(encoder, EfficientNetLite0):
            parts += [encoder.stem, *encoder.stages[: config.frozen_stages]]
    return parts


def train_mode(network: Any2Seg, config: TrainingConfig) -> None:
    """Training mode, but for what is frozen: its norms keep their statistics."""
    network.train()
    for part in frozen_parts(network, config):
        part.eval()


def make_optimizer(network: Any2Seg, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW with groups: before the fusion and after it, with and without weight decay."""
    groups = []
    decoder = list(network.decoder.parameters())
    after = {id(p) for p in decoder}
    before = [p for p in network.parameters() if id(p) not in after]
    for part, factor in ((before, config.encoder_factor), (decoder, 1.0)):
        parameters = [p for p in part if p.requires_grad]
        for decay, chosen_ones in (
            (config.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            groups.append({"params": chosen_ones, "weight_decay": decay, "factor": factor})
    return torch.optim.AdamW(groups, lr=config.rate, fused=True)


def set_rate(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int, steps: int
) -> float:
    """Set the learning rate of a step and tell the decoder's."""
    done = step / steps
    if config.schedule == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * done))
    else:
        factor = (1 - done) ** config.power
    if step < config.warm_up:
        factor *= 0.1 + 0.9 * step / config.warm_up
    for group in optimizer.param_groups:
        group["lr"] = config.rate * group["factor"] * factor
    return config.rate * factor


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network; faster in the first steps."""
    decay = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    mine, new = average.state_dict(), network.state_dict()
    moving = [name for name, tensor in mine.items() if tensor.is_floating_point()]
    get_ema_multi_avg_fn(decay)([mine[n] for n in moving], [new[n] for n in moving], 0)
    for name in mine.keys() - set(moving):
        mine[name].copy_(new[name])


def revision() -> str:
    """The git revision of the source tree, or `unknown`."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def _board(folder: Path) -> Any:
    """TensorBoard's writer; False where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder))


def _blended(given: Mapping[str, Tensor], path: Path, share: float) -> dict[str, Tensor]:
    """`given` with a share of the weights of another Any2Seg of the same shape."""
    other = checkpoints.load(path)[0].state_dict()
    if {n: t.shape for n, t in other.items()} != {n: t.shape for n, t in given.items()}:
        raise ValueError(f"{path} holds another network than initial: they cannot be averaged")
    return {
        name: tensor.lerp(other[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in given.items()
    }


def _checksums(config: TrainingConfig) -> dict[str, str]:
    """The SHA-256 of every file of weights or captions that a run is made from, by its name."""
    losses = config.losses
    teachers = (losses.teacher, losses.text_teacher, losses.image_teacher)
    given = (config.initial, config.blend, *teachers)
    paths = [weights_file(Path(name)) for name in given] + [Path(losses.captions)]
    return {str(path): checksum(path) for path in paths if path.is_file()}


def _is_ours(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("format") == checkpoints.FORMAT
    except (SafetensorError, OSError):
        return False


def _plain(value: Any) -> Any:
    """What JSON makes of it: tuples are lists."""
    return json.loads(json.dumps(value))


def _forget_after(path: Path, step: int) -> None:
    """Drop what a cut-off run logged after its last checkpoint, and a half-written line."""
    if path.is_file():
        write_atomically(path, "".join(_lines_until(path, step)))


def _lines_until(path: Path, step: int) -> Iterator[str]:
    for line in path.read_text().splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                yield line
        except ValueError:
            continue

"""Makes a teacher of inter-modal LSCD that needs no download: modality images beside descriptions.

The images of every sensor are drawn to what MiniLM, which is on PyPI, makes of a description of
their scene ("a street scene at night with road, cars and sky", from label and condition), and to
the other sensors' images of the same frame, away from those of the other frames in the batch
(InfoNCE both ways, as CLIP). MiniLM stays as it is. The result is a folder, which a training run is
given as losses: {inter_modal: 0.2, image_teacher: FOLDER}.

  python -m any2seg_ros.training.scene_teacher config/training/scene_teacher.yaml
  python -m any2seg_ros.training.scene_teacher --keys

At the end it tells how often, of 100 frames of val, the nearest of their descriptions is the
frame's own (top 1), or one of the five nearest is (top 5), by each sensor. Descriptions that read
alike count as one, and frames that have it both as right. A run that was interrupted begins anew:
it takes minutes, and writes its folder at the end, whole or not at all.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from any2seg_ros.configuration import as_yaml, check, load, setting
from any2seg_ros.datasets import Target, open_source
from any2seg_ros.network.pretrained import lite_weights
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.progress import ProgressBar
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.training import scene_tower
from any2seg_ros.training.augmentation import AugmentationConfig
from any2seg_ros.training.batches import Batch, Batches
from any2seg_ros.training.cached_dataset import CachedDataset, open_cached
from any2seg_ros.training.config import LossConfig, OptimizerConfig
from any2seg_ros.training.depthwise import hasten
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.training.optimizer import MovingAverage, adamw, set_rate
from any2seg_ros.training.scene_tower import SceneTower
from any2seg_ros.training.scenes import describe
from any2seg_ros.training.teachers import MiniLM, TextTeacher
from any2seg_ros.training.validation import evenly_spread
from any2seg_ros.types import Modality

SHARPEST = 100.0
"""The inverse of the lowest temperature that is learned, as CLIP's."""
TOGETHER = 32
"""Texts and frames that are embedded at once."""


@dataclass(frozen=True)
class SceneTeacherConfig:
    """How a teacher is made. On a CPU, equal configuration, data and threads give equal weights."""

    output: str = setting("runs/scene_teacher", "folder of the teacher; one there is replaced")
    data: str = setting("data/benchmark", "root of the data set with train_split and val_split")
    train_split: str = setting("train", "split that it is trained on")
    val_split: str = setting("val", "split that descriptions are looked for in")
    val_frames: int = setting(100, "frames of it, evenly spread; 0 for all", low=0)
    cache: str = setting("runs/cache", "folder of the cached data sets, shared with training runs")
    seed: int = setting(0, "seed of initial weights and augmentation", low=0, high=2**31 - 1)
    steps: int = setting(600, "optimizer steps", low=1)
    batch_size: int = setting(32, "frames per step, told apart from each other", low=2)
    image_size: tuple[int, int] = setting(
        (256, 144),
        "width and height of the modality images, as training runs have them",
        "px",
        low=1,
    )
    seen_size: tuple[int, int] = setting(
        (96, 54), "width and height that the teacher makes images smaller to", "px", low=1
    )
    init_from: str = setting(
        "imagenet", "initial weights of its EfficientNet-Lite0s: imagenet, a file, or empty"
    )
    temperature: float = setting(0.07, "initial temperature of InfoNCE; it is learned", above=0)
    between: float = setting(
        0.5,
        "weight of InfoNCE between the sensors of a frame, relative to the descriptions'",
        low=0,
    )
    scene_prompt: str = setting(
        LossConfig.scene_prompt, "the descriptions, as losses.scene_prompt of a training run"
    )
    threads: int = setting(0, "CPU threads of torch; 0 for its own choice", low=0)
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        check(self)
        LossConfig(scene_prompt=self.scene_prompt)  # which checks it


@dataclass(frozen=True, eq=False)
class Descriptions:
    """The different descriptions of frames: vectors float32 (U, 384); of (N,): which is each
    frame's."""

    vectors: Tensor
    of: Tensor

    @classmethod
    def embedded(cls, texts: Sequence[str], teacher: TextTeacher) -> Descriptions:
        """Of the frames' texts, in their order."""
        different = list(dict.fromkeys(texts))
        vectors = [
            teacher.texts(different[first : first + TOGETHER])
            for first in range(0, len(different), TOGETHER)
        ]
        # Cloned: what was made in inference mode takes no part in gradients.
        return cls(torch.cat(vectors).clone(), torch.tensor([different.index(t) for t in texts]))


def main(arguments: list[str] | None = None) -> int:
    """Make the teacher of a YAML file; 1 where that failed, 130 where it was interrupted."""
    first, *more = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m any2seg_ros.training.scene_teacher",
        description=first,
        epilog="\n\n".join(more),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", nargs="?", type=Path, help="YAML file")
    parser.add_argument("--output", help="folder of the teacher, instead of the recipe's")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--keys", action="store_true", help="print all keys of a recipe")
    chosen = parser.parse_args(arguments)
    if chosen.keys:
        print(as_yaml(SceneTeacherConfig()), end="")
        return 0
    if chosen.recipe is None:
        parser.error("which recipe? config/training/scene_teacher.yaml is one")
    given = {"output": chosen.output, "steps": chosen.steps}
    console = Console(stderr=True)
    try:
        config = replace(load_config(chosen.recipe), **{k: v for k, v in given.items() if v})
        with ProgressBar("training", unit="steps", console=console) as bar:
            folder = train(
                config,
                lambda line: console.print(line, markup=False),
                lambda step, loss: bar.update(step, config.steps, f"loss {loss:.3f}"),
            )
    except (ValueError, OSError) as error:
        print(f"scene_teacher: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("scene_teacher: interrupted, nothing was written", file=sys.stderr)
        return 130
    console.print(f"teacher: {folder} (losses.image_teacher of a training run)", markup=False)
    return 0


def load_config(path: Path) -> SceneTeacherConfig:
    """The configuration in a YAML file; FileNotFoundError, ValueError: see `configuration.load`."""
    if not path.is_file():
        raise FileNotFoundError(f"no recipe at {path}: config/training/scene_teacher.yaml is one")
    return load(SceneTeacherConfig, path)


def train(
    config: SceneTeacherConfig,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> Path:
    """Make a teacher; returns its folder. `progress` is called with the step and its loss.

    FileNotFoundError or ValueError say what is wrong with data, weights or folder.
    """
    folder = Path(config.output)
    scene_tower.check_free(folder)
    if config.threads:
        torch.set_num_threads(config.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(config.seed)
    placed, taxonomy = _open(config, config.train_split, report)
    val, _ = _open(config, config.val_split, report)
    minilm = MiniLM()
    prompt = config.scene_prompt
    scenes = Descriptions.embedded(described(placed, taxonomy, prompt), minilm)
    report(f"{len(placed)} frames with {len(scenes.vectors)} different descriptions")
    began = time.process_time()

    def passed(step: int, loss: float) -> None:
        progress(step, loss)
        if step % max(1, config.steps // 10) == 0:
            report(f"step {step}: loss {loss:.3f} after {time.process_time() - began:.0f} s")

    tower = _trained(config, placed, scenes, len(taxonomy), passed)
    seconds = round(time.process_time() - began)
    chosen = evenly_spread(len(val), config.val_frames)
    known = Descriptions.embedded(described(val, taxonomy, prompt, chosen), minilm)
    found = retrieval(tower, val, chosen, known)
    report(f"{seconds} processor seconds; {told(found)}")
    about = {
        "encoder": "efficientnet_lite0",
        "text": "all-MiniLM-L6-v2",
        "taxonomy": taxonomy.name,
        "frames": len(placed),
        "processor_seconds": seconds,
        "retrieval": found,
        "config": asdict(config),
    }
    scene_tower.save(folder, tower, about)
    return folder


def described(
    cached: CachedDataset, taxonomy: Taxonomy, prompt: str, frames: Sequence[int] | None = None
) -> list[str]:
    """The description of each of these frames; of all by default."""
    groups = cached.class_groups(taxonomy)
    return [
        describe(cached.labels[index], cached.conditions[index], groups, prompt)
        for index in (range(len(cached)) if frames is None else frames)
    ]


def contrast(a: Tensor, b: Tensor, scale: Tensor, alike: Tensor) -> Tensor:
    """InfoNCE both ways of unit vectors (n, D), as a mean over both.

    alike: bool (n, n), symmetric, which of them belong together; all of a row are as right.
    """
    logits = scale * (a @ b.T)
    target = alike / alike.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def objective(
    vectors: Tensor,
    present: Tensor,
    scenes: Descriptions,
    frames: Tensor,
    scale: Tensor,
    between: float,
) -> Tensor:
    """The loss of a batch: vectors (M, B, D) where `present`, bool (B, M), of these frames (B,)."""
    own = scenes.of[frames]
    alike = own[:, None] == own[None]
    same = torch.eye(len(frames), dtype=torch.bool)
    terms, weights = [], []
    for modality in Modality:
        rows = present[:, modality]
        if rows.sum() > 1:
            texts = scenes.vectors[own[rows]]
            terms.append(contrast(vectors[modality][rows], texts, scale, alike[rows][:, rows]))
            weights.append(1.0)
        for other in range(modality + 1, len(Modality)):
            both = rows & present[:, other]
            if between and both.sum() > 1:
                mine, theirs = vectors[modality][both], vectors[other][both]
                terms.append(contrast(mine, theirs, scale, same[both][:, both]))
                weights.append(between)
    if not terms:
        raise ValueError("no sensor is in two frames of a batch: there is nothing to tell apart")
    return (torch.stack(terms) * torch.tensor(weights)).sum() / sum(weights)


@torch.no_grad()
def retrieval(
    tower: SceneTower, cached: CachedDataset, frames: Sequence[int], scenes: Descriptions
) -> dict[str, Any]:
    """How often the description nearest to a sensor's image is the frame's own, in percent.

    scenes: the descriptions of these frames. [top 1, top 5] by sensor, and `chance`, what guessing
    would have among the different ones. Only descriptions strictly nearer than its own count
    against a frame.
    """
    chosen, own = np.array(frames), scenes.of
    different = len(scenes.vectors)
    found: dict[str, Any] = {"frames": len(chosen), "descriptions": different}
    found["chance"] = [round(100 * min(1.0, k / different), 1) for k in (1, 5)]
    for modality in Modality:
        seen = np.flatnonzero(cached.present[chosen, modality])
        ranks = []
        for first in range(0, len(seen), TOGETHER):
            rows = seen[first : first + TOGETHER]
            images = torch.from_numpy(cached.images[chosen[rows], modality].astype(np.float32))
            near = tower(modality, images) @ scenes.vectors.T
            ranks.append((near > near.gather(1, own[rows][:, None])).sum(1))
        if ranks:
            rank = torch.cat(ranks)
            shares = [(rank < k).float().mean() for k in (1, 5)]
            found[modality.label] = [round(100 * float(share), 1) for share in shares]
    return found


def told(found: dict[str, Any]) -> str:
    """What `retrieval` found, as a line."""
    by_sensor = ", ".join(
        "{} {:g} / {:g}".format(m.label, *found[m.label]) for m in Modality if m.label in found
    )
    one, five = found["chance"]
    return (
        f"of {found['descriptions']} different descriptions of {found['frames']} frames the own "
        f"one is first / among five in percent: {by_sensor} (chance {one:g} / {five:g})"
    )


def _open(
    config: SceneTeacherConfig, split: str, report: Callable[[str], None]
) -> tuple[CachedDataset, Taxonomy]:
    target = Target(config.image_size, config.preprocessing)
    source = open_source(Path(config.data), target, split)

    def progress(done: int, total: int) -> None:
        if done % 100 == 0 or done == total:
            report(f"cached {done} of {total} frames of {source.name} {source.split}")

    identity = (
        f"{Path(source.name).resolve()} {source.split}"  # as the trainer's, whose cache it is
    )
    return open_cached(source, identity, target, Path(config.cache), progress), source.taxonomy


def _trained(
    config: SceneTeacherConfig,
    placed: CachedDataset,
    scenes: Descriptions,
    classes: int,
    progress: Callable[[int, float], None],
) -> SceneTower:
    """The averaged tower after all steps, in evaluation mode."""
    tower = _tower(config)
    average = copy.deepcopy(tower).requires_grad_(False).eval()
    moving = MovingAverage(average, tower, config.optimizer.ema_decay)
    sharpness = nn.Parameter(torch.tensor(1 / config.temperature).log())
    heads = [*tower.heads.parameters(), sharpness]
    optimizer = adamw(tower.encoders.parameters(), heads, config.optimizer)
    numbers = {name: number for number, name in enumerate(placed.names)}
    for step, batch in enumerate(_batches(config, placed, classes).ahead(0, config.steps)):
        set_rate(optimizer, config.optimizer, step, config.steps)
        frames = torch.tensor([numbers[name] for name in batch.names])
        scale = sharpness.exp().clamp(max=SHARPEST)
        vectors = _vectors(tower, batch)
        loss = objective(vectors, batch.present, scenes, frames, scale, config.between)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.optimizer.grad_clip_norm:
            nn.utils.clip_grad_norm_(tower.parameters(), config.optimizer.grad_clip_norm)
        optimizer.step()
        moving.update(step)
        if not torch.isfinite(loss):
            raise ValueError(f"the loss is {loss:g} at step {step + 1}: lower optimizer.lr")
        progress(step + 1, loss.item())
    return average


def _tower(config: SceneTeacherConfig) -> SceneTower:
    tower = SceneTower(config.seen_size)
    if config.init_from:
        weights = lite_weights(config.init_from)
        for encoder in tower.encoders:
            encoder.load_state_dict(weights)
    hasten(tower)
    tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Norms keep ImageNet's statistics: those of small batches tell frames of a batch apart by what
    # is not there outside of it.
    return tower.eval()


def _vectors(tower: SceneTower, batch: Batch) -> Tensor:
    """Unit vectors (M, B, 384) of the images that are there; zeros of those that are not."""
    vectors = torch.zeros(len(Modality), len(batch.names), scene_tower.DIMENSIONS)
    for modality in Modality:
        rows = torch.from_numpy(np.flatnonzero(batch.present[:, modality]))
        if len(rows):
            vectors[modality, rows] = tower(modality, batch.images[rows, modality])
    return vectors


def _batches(config: SceneTeacherConfig, placed: CachedDataset, classes: int) -> Batches:
    """The frames of each step, as a training run has them."""
    mixture = Mixture([placed], classes, preprocessing=config.preprocessing)
    everything = LossConfig(variants=("full",))
    size = min(config.batch_size, len(mixture.frames[0]))
    return Batches(mixture, config.augmentation, everything, size, (1, 1), config.seed)


if __name__ == "__main__":
    sys.exit(main())

"""The training run of each round of an adaptation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from any2seg_ros.adaptation.config import AdaptationConfig
from any2seg_ros.network import NetworkConfig
from any2seg_ros.network.checkpoints import Header
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.training.augmentation import AugmentationConfig
from any2seg_ros.training.config import (
    DataConfig,
    DataSetConfig,
    LossConfig,
    OptimizerConfig,
    TrainingConfig,
)
from any2seg_ros.types import Modality

CROP = 0.75
"""Width and height of what is trained on, as shares of the modality images'."""
STREETS_FOREIGN = 0.3
GATE_FRAMES = 200
VAL_FRAMES = 24
NEVER = 10**9


def round_config(
    config: AdaptationConfig,
    header: Header,
    start: Path,
    lessons: Path,
    streets: Path,
    learners: Collection[str],
    decoder: bool = False,
) -> TrainingConfig:
    """One round: from the weights `start`, on the lessons and on Streets; `steps` is to be set.

    learners: the sensors that learn; the others, and the decoder unless it learns, too, stay as
    they are. All learn where they have one encoder.
    """
    size = header.metadata.size
    network = NetworkConfig(**header.network)
    apart = not network.shared_encoder
    parts = "encoders" if apart and not decoder else "all"
    return TrainingConfig(
        output=str(config.out / "rounds" / "1"),
        seed=config.seed,
        steps=NEVER,
        batch_size=config.batch_size,
        image_size=size,
        init_from=str(start),
        trainable="adapters" if config.scope == "adapters" else parts,
        frozen_sensors=tuple(m.label for m in Modality if apart and m.label not in learners),
        frozen_stages=0,
        frozen_norms=True,
        device=config.device,
        threads=config.threads,
        validate_every=NEVER,
        checkpoint_every=25,
        terms=header.metadata.terms,
        gate_frames=GATE_FRAMES if header.metadata.gate else 0,
        network=network,
        data=_data(config, lessons, streets),
        preprocessing=PreprocessingConfig(**header.metadata.preprocessing),
        augmentation=_augmentation(size),
        optimizer=OptimizerConfig(
            lr=config.lr, encoder_lr_mult=0.4, ema_decay=0.97, warmup_steps=10
        ),
        losses=LossConfig(
            variant_shares=(1.0, 1.0, 1.5),
            single_shares=(1.0, 1.0, 2.0, 2.0),
            class_power=0.4,
            distillation=0.5,
        ),
    )


def _data(config: AdaptationConfig, lessons: Path, streets: Path) -> DataConfig:
    """Streets and the drive, by their shares of a batch."""
    small = config.batch_size
    return DataConfig(
        train=(
            DataSetConfig(
                str(streets), share=small * config.streets_share, foreign=STREETS_FOREIGN
            ),
            DataSetConfig(str(lessons), share=small * (1 - config.streets_share), foreign=0.0),
        ),
        val=DataSetConfig(str(streets)),
        val_frames=VAL_FRAMES,
        cache=str(config.out / "cache"),
    )


def _augmentation(size: tuple[int, int]) -> AugmentationConfig:
    """What is done to modality images of `size` (width, height)."""
    return AugmentationConfig(
        crop=crop(size),
        zoom=1.5,
        jitter=0.2,
        rgb_corruption=0.15,
        depth_corruption=0.1,
        lidar_corruption=0.1,
        event_corruption=0.1,
        stretch=1.3,
        foreign=1.0,
    )


def crop(size: tuple[int, int]) -> tuple[int, int]:
    """Three quarters of (width, height), in multiples of 16."""
    width, height = (min(length, max(32, round(CROP * length / 16) * 16)) for length in size)
    return width, height


def of_round(
    first: TrainingConfig, number: int, steps: int, init_from: Path, lessons: Path
) -> TrainingConfig:
    """Another round of the same adaptation, counted from 1, with draws of its own."""
    streets, drive = first.data.train
    return replace(
        first,
        output=str(Path(first.output).parent / str(number)),
        seed=first.seed + number - 1,
        steps=steps,
        init_from=str(init_from),
        data=replace(first.data, train=(streets, replace(drive, path=str(lessons)))),
    )


def shares(steps: int, rounds: int) -> list[int]:
    """Steps of each round, none 0; the last has what is left over."""
    rounds = min(rounds, steps)
    each = steps // rounds
    return [each] * (rounds - 1) + [steps - each * (rounds - 1)]

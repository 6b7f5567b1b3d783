"""What an adaptation is made of; `any2seg adapt` has an option for each that users change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from any2seg_ros.configuration import check, setting
from any2seg_ros.datasets import Labelling
from any2seg_ros.resources import DEFAULT_WEIGHTS

SCOPES = ("all", "adapters")


@dataclass(frozen=True)
class TeachingConfig:
    """Which pixels the teacher is sure of. Sureness is its confidence, raised by agreement."""

    share: float = setting(
        0.8, "share of each class's pixels, the surest, that are taught", above=0, high=1
    )
    floor: float = setting(0.5, "sureness below which no pixel is taught", low=0, high=1)
    always: float = setting(
        0.95, "sureness from which every pixel is, whatever its class's share", low=0, high=1
    )
    agreement: float = setting(
        0.5,
        "how much of its doubt is gone where all other sensors, each alone, see the same class",
        low=0,
        high=1,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Margins:
    """What new weights may lose, in points, and what they must gain to replace the old ones."""

    streets_full: float = setting(0.5, "mIoU of all sensors on Streets val", low=0)
    streets_alone: float = setting(1.0, "mean mIoU of each sensor alone on Streets val", low=0)
    teacher: float = setting(
        10.0,
        "accuracy, on what was sure, of the sensor that was best at it, and of all together",
        low=0,
    )
    confidence: float = setting(10.0, "mean confidence of all sensors together", low=0)
    agreement: float = setting(0.0, "mean agreement between two sensors, each alone", low=0)
    gain: float = setting(
        0.5, "what the other sensors must gain at least: mean mIoU on what was sure, each alone"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AdaptationConfig:
    """One adaptation. The same configuration, bags and threads give equal weights on a CPU."""

    bags: tuple[Path, ...]
    out: Path
    model: str = DEFAULT_WEIGHTS
    minutes: float = 10.0
    """Processor minutes of training (on a GPU minutes by the clock)."""
    scope: str = "all"
    frames: int = 600
    """Frames of all bags together that are kept at most."""
    streets: Path | None = None
    topics: tuple[str, ...] = ()
    labelling: Labelling = field(default_factory=Labelling)
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    steps: int = 0
    """Optimizer steps in all, instead of `minutes`; 0 for what these pay for."""
    rounds: int = 3
    """How often the teacher looks at the drive anew, each time with the weights learned so far."""
    batch_size: int = 8
    lr: float = 3e-4
    streets_share: float = 0.4
    """Share of every batch from Streets."""
    teaching: TeachingConfig = TeachingConfig()
    margins: Margins = Margins()

    def __post_init__(self) -> None:
        if not self.bags:
            raise ValueError("no bag to adapt to: add --data BAG")
        if self.scope not in SCOPES:
            raise ValueError(f"unknown scope '{self.scope}': use {' or '.join(SCOPES)}")
        if not self.minutes > 0:
            raise ValueError("--minutes must be above 0")
        if self.rounds < 1 or self.batch_size < 2 or not 0 < self.streets_share < 1:
            raise ValueError(
                "rounds must be 1 or more, batch_size 2 or more, streets_share in 0..1"
            )

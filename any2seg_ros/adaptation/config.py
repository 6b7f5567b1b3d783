"""What an adaptation is made of; `any2seg adapt` has an option for each that users change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from any2seg_ros.configuration import check, setting
from any2seg_ros.datasets import Labelling, parse_topics
from any2seg_ros.resources import DEFAULT_WEIGHTS


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
        "how much of its doubt is gone where all sensors, each alone, see the same class",
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
        0.5, "what the other sensors must gain at least: mean accuracy on what was sure, each alone"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AdaptationConfig:
    """One adaptation. The same configuration, bags and threads give equal weights on a CPU."""

    bags: tuple[Path, ...]
    out: Path
    model: str = setting(DEFAULT_WEIGHTS, "weights to begin with")
    minutes: float = setting(
        10.0, "processor minutes of training; on a GPU minutes by the clock", above=0
    )
    scope: str = setting("all", "what is trained", choices=("all", "adapters"))
    frames: int = setting(600, "frames of all bags together that are kept at most", low=1)
    streets: Path | None = setting(None, "data set with train and val; None for a rendered one")
    topics: tuple[str, ...] = setting((), "what a topic is, as rgb=/camera/image_raw")
    labelling: Labelling = field(default_factory=Labelling)
    seed: int = setting(0, "seed of the training", low=0, high=2**31 - 1)
    device: str = setting(
        "auto", "auto is the GPU where there is one", choices=("auto", "cuda", "cpu")
    )
    threads: int = setting(0, "CPU threads of torch; 0 for its own choice", low=0)
    steps: int = setting(
        0, "optimizer steps in all, instead of minutes; 0 for what these pay for", low=0
    )
    rounds: int = setting(
        3,
        "how often the teacher looks at the drive anew, each time with the weights learned so far",
        low=1,
    )
    batch_size: int = setting(8, "frames per step, over all processes", low=2)
    lr: float = setting(3e-4, "learning rate of the decoder", above=0)
    streets_share: float = setting(
        0.4, "share of every batch from Streets; the drive has the rest", above=0, high=0.95
    )
    teaching: TeachingConfig = TeachingConfig()
    margins: Margins = Margins()

    def __post_init__(self) -> None:
        check(self)
        if not self.bags:
            raise ValueError("no bag to adapt to: add --data BAG")
        if "label" in parse_topics(self.topics):
            raise ValueError(
                "labels in bags are not read: leave --topic label=... out, or write them to a "
                "folder, as <stamp in ns>.png, and give that with --labels"
            )

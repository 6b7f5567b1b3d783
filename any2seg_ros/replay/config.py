"""What a replay does with a bag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from any2seg_ros.replay.fault_schedule import Fault
from any2seg_ros.runtime.bag_player import DEFAULTS
from any2seg_ros.runtime.outputs import TOPICS
from any2seg_ros.runtime.parameters import NodeParameters


@dataclass(frozen=True)
class ReplayConfig:
    """What is replayed and how.

    outputs: which of the node's topics are written. topics: by role (`rgb`, ..., `label`), where
    they cannot be guessed. labels: a folder of label images. seed: of the noise of corruptions.
    """

    faults: Sequence[Fault] = ()
    outputs: Sequence[str] = tuple(TOPICS)
    topics: Mapping[str, str] = field(default_factory=dict)
    labels: Path | None = None
    seed: int = 0
    parameters: NodeParameters = DEFAULTS

    def __post_init__(self) -> None:
        for name in self.outputs:
            if name not in TOPICS:
                raise ValueError(f"unknown output '{name}': use some of {', '.join(TOPICS)}")

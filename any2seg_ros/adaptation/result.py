"""What became of an adaptation: which weights were chosen and why, and their history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from any2seg_ros.adaptation import judging
from any2seg_ros.adaptation.config import AdaptationConfig, Margins
from any2seg_ros.adaptation.judging import Judgement
from any2seg_ros.datasets.bag_source import bag_names, recorded_files
from any2seg_ros.files import checksum
from any2seg_ros.network import checkpoints

BEFORE = "before"
"""Name of the weights that an adaptation begins with."""


@dataclass
class Outcome:
    """judged: by name of the weights. why_not: what speaks against each but the first. chosen: the
    name of those that were taken; BEFORE where no others may replace them.

    teachers: share of the frames in which each sensor taught. notes: what was said about the bags.
    """

    chosen: str
    judged: dict[str, Judgement]
    why_not: dict[str, list[str]]
    steps: int = 0
    partial: bool = False
    teachers: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def better(self) -> bool:
        """Whether there are new weights."""
        return self.chosen != BEFORE

    @property
    def before(self) -> Judgement:
        """Of the weights that it began with."""
        return self.judged[BEFORE]

    @property
    def after(self) -> Judgement:
        """Of the weights that are shown beside the old ones."""
        return self.judged[self.shown]

    @property
    def shown(self) -> str:
        """Name of the chosen weights; where they are the old ones, of the last others."""
        return self.chosen if self.better else list(self.judged)[-1]


def choose(judged: Mapping[str, Judgement], margins: Margins) -> Outcome:
    """The best of the weights that lose nothing that matters, else those before."""
    before = judged[BEFORE]
    why_not = {
        name: judging.reasons_against(before, one, margins)
        for name, one in judged.items()
        if name != BEFORE
    }
    better = [name for name, reasons in why_not.items() if not reasons]
    chosen = max(better, key=lambda name: judging.gain(before, judged[name]), default=BEFORE)
    return Outcome(chosen, dict(judged), why_not)


def write_weights(path: Path, chosen: Path, outcome: Outcome, made_of: Mapping[str, Any]) -> None:
    """The chosen weights with their history in the metadata; none where the old ones stay."""
    if not outcome.better:
        path.unlink(missing_ok=True)
        return
    network, metadata = checkpoints.load(chosen)
    told = {
        **made_of,
        "steps": outcome.steps,
        "chosen": outcome.chosen,
        "before": asdict(outcome.before),
        "after": asdict(outcome.after),
    }
    training = {**metadata.training, "adaptation": told}
    checkpoints.save(path, network, replace(metadata, training=training), half=True)


def blend(first: Path, second: Path, share: float, path: Path) -> None:
    """Weights on the way from the first to the second, of which they have a share and the metadata.

    Averaging keeps what either knows (WiSE-FT, Wortsman et al., CVPR 2022).
    """
    one, _ = checkpoints.load(first)
    other, metadata = checkpoints.load(second)
    theirs = one.state_dict()
    for name, tensor in other.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(theirs[name], 1 - share)
    checkpoints.save(path, other, metadata, half=True)


def bag_checksums(bags: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of the recorded files of each bag, by the bag's name and the file's."""
    found = {}
    bags = list(bags)
    for name, bag in zip(bag_names(bags), bags, strict=True):
        for file in recorded_files(bag):
            found[f"{name}/{file.name}"] = checksum(file)
    return found


def plain(config: AdaptationConfig) -> Any:
    """A configuration as JSON has it."""
    return json.loads(json.dumps(asdict(config), default=str))

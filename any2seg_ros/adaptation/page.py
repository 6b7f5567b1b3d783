"""report.html and report.json of an adaptation, with pictures before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from any2seg_ros.adaptation.judging import mean
from any2seg_ros.adaptation.result import Outcome
from any2seg_ros.engine import Segmenter
from any2seg_ros.files import write_atomically
from any2seg_ros.html.pictures import overlay_image
from any2seg_ros.html.templating import number, render
from any2seg_ros.training.augmentation import MEAN, STD
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.training.validation import predict, some_frames, together_and_alone
from any2seg_ros.types import Modality, parse_subset, subset_name

MOMENTS = 4
"""Held-back frames that are shown."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A held-back frame: what the camera saw, what was sure of it, and by subset what the weights
    see before and after; pictures uint8 (h, w, 3)."""

    name: str
    camera: np.ndarray | None
    sure: np.ndarray
    views: Mapping[str, tuple[np.ndarray, np.ndarray]]


def write_report(
    out: Path,
    outcome: Outcome,
    made_of: Mapping[str, Any],
    networks: tuple[Segmenter, Segmenter],
    held: CachedDataset,
) -> None:
    """Write both; networks: before and after."""
    content = {**asdict(outcome), "made_of": made_of}
    write_atomically(out / "report.json", json.dumps(content, indent=1) + "\n")
    shown = moments(networks, held)
    write_atomically(
        out / "report.html", adaptation_page(outcome, made_of, shown, networks[0].taxonomy)
    )


def moments(networks: tuple[Segmenter, Segmenter], held: CachedDataset) -> list[Moment]:
    """Some of the held-back frames."""
    return [_moment(networks, held, index) for index in some_frames(held, MOMENTS)]


def _moment(networks: tuple[Segmenter, Segmenter], held: CachedDataset, index: int) -> Moment:
    label = np.asarray(held.labels[index])
    size = label.shape[::-1]
    rgb = np.asarray(held.images[index][Modality.RGB], np.float32)
    camera = None
    if held.present[index, Modality.RGB]:
        pixels = np.clip((rgb * STD + MEAN) * 255, 0, 255).astype(np.uint8)
        camera = cv2.resize(np.ascontiguousarray(pixels.transpose(1, 2, 0)), size)
    views: dict[str, list[np.ndarray]] = {}
    subsets = together_and_alone(held.present[[index]])
    for network in networks:
        ((_, found),) = predict(network, held, [index], subsets)
        for subset, one in found.items():
            colors = network.taxonomy.colorize(one.labels)
            shown = colors if camera is None else overlay_image(camera, colors)
            views.setdefault(subset_name(subset), []).append(shown)
    taxonomy = held.class_groups(networks[0].taxonomy).as_taxonomy
    pairs = {name: (both[0], both[1]) for name, both in views.items()}
    return Moment(held.names[index], camera, taxonomy.colorize(label), pairs)


def adaptation_page(
    outcome: Outcome, made_of: Mapping[str, Any], shown: list[Moment], taxonomy: Any
) -> str:
    """The page of an adaptation."""
    before, after = outcome.before, outcome.after
    return render(
        "adaptation.html.j2",
        title="Adaptation",
        subtitle=f"{made_of['parent']['file']} on {', '.join(made_of['bags'])}",
        footer=f"any2seg_ros {made_of['revision']}",
        outcome=outcome,
        before=before,
        after=after,
        figures=_figures(outcome),
        parsed={name: parse_subset(name) for name in {*before.sure_miou, *before.streets}},
        moments=shown,
        taxonomy=taxonomy,
        made_of=made_of,
        mean=mean,
    )


def _figures(outcome: Outcome) -> dict[str, str]:
    before, after = outcome.before, outcome.after
    return {
        "the weights": f"new: {outcome.chosen}" if outcome.better else "the old ones stay",
        "each sensor alone, accuracy on what was sure": _both(
            mean(before.sure_accuracy, before.alone), mean(after.sure_accuracy, before.alone)
        ),
        "agreement between sensors, %": _both(mean(before.agreement), mean(after.agreement)),
        "all sensors, Streets val": _both(before.streets_full, after.streets_full),
        "steps of training": str(outcome.steps),
    }


def _both(old: float, new: float) -> str:
    return f"{number(old)} → {number(new)}"

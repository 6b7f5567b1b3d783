"""The demo's report.html: key figures, a timeline, and pictures of each phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from any2seg_ros.demo.recorder import RecordedImage
from any2seg_ros.demo.scoring import Run, masks_of, mean_iou, status_by_stamp, truth_of
from any2seg_ros.html.charts import Axes, Curve, Span, line_chart
from any2seg_ros.html.pictures import confidence_image, overlay_image
from any2seg_ros.html.templating import SERIES, number, render
from any2seg_ros.metrics import Confusion
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality

MODALITY_COLORS = {modality.label: SERIES[modality] for modality in Modality}


def demo_page(
    report: Mapping[str, Any], run: Run, camera: Mapping[int, np.ndarray], taxonomy: Taxonomy
) -> str:
    """The page; `camera`: RGB images uint8 (H, W, 3) by ns since the start of the bag."""
    return render(
        "demo.html.j2",
        title="any2seg demo",
        subtitle="One node, one drive: sensors are taken away and brought back.",
        footer="",
        figures=_figures(report),
        phases=[
            {**phase, "subset": [Modality.parse(name) for name in phase["subset"]]}
            for phase in report["phases"]
        ],
        curves=_curves(run, taxonomy),
        truth=taxonomy.colorize(nearest(run.truth, _moment(run))),
        pictured=[
            {
                "name": phase.name,
                "subset": phase.subset,
                "miou": mean_iou(run, index, taxonomy),
                "pictures": _pictures(run, index, camera, taxonomy),
            }
            for index, phase in enumerate(run.phases)
        ],
        taxonomy=taxonomy,
    )


def _figures(report: Mapping[str, Any]) -> dict[str, str]:
    full = report["phases"][0]
    published = sum(phase["frames_published"] for phase in report["phases"])
    expected = sum(phase["frames_expected"] for phase in report["phases"])
    return {
        "masks / expected": f"{published} / {expected}",
        "mIoU, all four sensors": f"{number(full['miou'])} %",
        "p90 latency, all four": f"{number(full['latency_ms']['p90'], 0)} ms",
        "masks without any sensor": str(report["masks_without_sensors"]),
        "loss of all sensors reported": f"{number(report['loss_reported_after_s'], 2)} s",
        "recovery after": f"{number(report['recovery_s'], 2)} s",
    }


def _curves(run: Run, taxonomy: Taxonomy) -> dict[str, Markup]:
    spans, time = _spans(run), "time in s"
    rate, miou = {"rate": _rate_over_time(run)}, {"mIoU": _miou_over_time(run, taxonomy)}
    weights = _weights_over_time(run)
    return {
        "Mask rate": line_chart(rate, Axes(time, "Hz"), spans, height=170),
        "Fusion weights": line_chart(
            weights, Axes(time, "weight", (0.0, 1.0)), spans, MODALITY_COLORS
        ),
        "mIoU per second": line_chart(miou, Axes(time, "%", (0.0, 100.0)), spans),
    }


def _spans(run: Run) -> list[Span]:
    """The phases with missing sensors."""
    origin = run.starts[0]
    return [
        Span((start - origin) / 1e9, (start - origin) / 1e9 + phase.seconds, phase.name)
        for start, phase in zip(run.starts, run.phases, strict=True)
        if len(phase.subset) < len(Modality)
    ]


def _seconds(run: Run) -> np.ndarray:
    """Centres of the one-second bins of the run, s."""
    end = (run.starts[-1] - run.starts[0]) / 1e9 + run.phases[-1].seconds
    return np.arange(int(np.ceil(end))) + 0.5


def _rate_over_time(run: Run) -> Curve:
    centres = _seconds(run)
    stamps = np.array([(mask.stamp - run.starts[0]) / 1e9 + 1e-3 for mask in run.recording.masks])
    counts, _ = np.histogram(stamps, bins=len(centres), range=(0, len(centres)))
    return centres.tolist(), counts.astype(float).tolist()


def _weights_over_time(run: Run) -> dict[str, Curve]:
    statuses = sorted(status_by_stamp(run).values(), key=lambda status: status.stamp)
    series: dict[str, Curve] = {}
    for modality in Modality:
        times, weights, last = [], [], None
        for status in statuses:
            if last is not None and status.stamp - last > 1_000_000_000:
                times.append((last - run.starts[0]) / 1e9)
                weights.append(float("nan"))
            times.append((status.stamp - run.starts[0]) / 1e9)
            weights.append(status.weights.get(modality, 0.0))
            last = status.stamp
        series[modality.label] = (times, weights)
    return series


def _miou_over_time(run: Run, taxonomy: Taxonomy) -> Curve:
    centres = _seconds(run)
    confusions = [Confusion(len(taxonomy)) for _ in centres]
    for index in range(len(run.phases)):
        for mask in masks_of(run, index):
            label = truth_of(run, index, mask.stamp)
            second = int((mask.stamp - run.starts[0]) / 1e9 + 1e-3)
            if label is not None and 0 <= second < len(centres):
                confusions[second].add(label, mask.pixels)
    return centres.tolist(), [confusion.miou() for confusion in confusions]


def _pictures(
    run: Run, index: int, camera: Mapping[int, np.ndarray], taxonomy: Taxonomy
) -> dict[str, np.ndarray]:
    mask = pictured_mask(run, index)
    if mask is None:
        return {}
    image = nearest(camera, mask.stamp - run.starts[index])
    colors = taxonomy.colorize(mask.pixels)
    image = cv2.resize(image, colors.shape[1::-1], interpolation=cv2.INTER_AREA)
    seen = Modality.RGB in run.phases[index].subset
    pictures = {
        "camera" if seen else "camera (off: the node did not get this)": image,
        "mask": colors,
        "overlay": overlay_image(image, colors),
    }
    confidence = {image.stamp: image for image in run.recording.confidences}.get(mask.stamp)
    if confidence is not None:
        scaled = confidence.pixels.astype(np.float32) / 255.0
        pictures["confidence (dark: low)"] = confidence_image(scaled)
    return pictures


def _moment(run: Run) -> int:
    """The pictured moment, ns after the start of a phase."""
    return int(min(phase.seconds for phase in run.phases) * 0.5e9)


def pictured_mask(run: Run, index: int) -> RecordedImage | None:
    """The mask of phase `index` nearest to the pictured moment; None without masks."""
    moment = run.starts[index] + _moment(run)
    return min(masks_of(run, index), key=lambda m: abs(m.stamp - moment), default=None)


def nearest(images: Mapping[int, np.ndarray], stamp: int) -> np.ndarray:
    """The image nearest to a stamp (ns)."""
    return images[min(images, key=lambda s: abs(s - stamp))]

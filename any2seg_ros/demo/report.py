"""The demo's report.html: figures, a timeline, and what each phase looked like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.demo.recorder import RecordedImage
from any2seg_ros.demo.scoring import Run, masks_of, mean_iou, status_by_stamp, truth_of
from any2seg_ros.files import write_atomically
from any2seg_ros.html import elements as html
from any2seg_ros.metrics import Confusion
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality

MODALITY_COLORS = {modality.label: html.SERIES[modality] for modality in Modality}


def write_report(
    path: Path, report: Mapping, run: Run, camera: Mapping[int, np.ndarray], taxonomy: Taxonomy
) -> None:
    """Write the page; `camera` has the bag's RGB images, uint8 (H, W, 3), by ns after its start."""
    sections = [
        html.Section("At a glance", _facts(report)),
        html.Section("Phases", _table(report)),
        html.Section(
            "Timeline",
            _timeline(run, taxonomy),
            "Shaded: phases in which sensors are missing. Curves: what the node published.",
        ),
        html.Section(
            "What it saw",
            _pictures(run, camera, taxonomy) + html.legend(taxonomy),
            "The same moment of the drive in every phase. The camera image is shown for people "
            "even where the node did not get it.",
        ),
    ]
    subtitle = "One node, one drive, sensors taken away and brought back."
    write_atomically(path, html.page("any2seg demo", sections, subtitle))


def _facts(report: Mapping) -> str:
    full = report["phases"][0]
    published = sum(phase["frames_published"] for phase in report["phases"])
    expected = sum(phase["frames_expected"] for phase in report["phases"])
    return html.facts(
        {
            "masks of those expected": f"{published} / {expected}",
            "mIoU, all four sensors": f"{html.number(full['miou'])} %",
            "p90 latency, all four": f"{html.number(full['latency_ms']['p90'], 0)} ms",
            "masks without any sensor": str(report["masks_without_sensors"]),
            "loss of all sensors reported": f"{html.number(report['loss_reported_after_s'], 2)} s",
            "recovery": f"{html.number(report['recovery_s'], 2)} s",
        }
    )


def _table(report: Mapping) -> str:
    header = ("phase", "sensors", "masks", "rate Hz", "p50 ms", "p90 ms", "p99 ms", "mIoU %")
    rows = []
    for phase in report["phases"]:
        latency = phase["latency_ms"]
        rows.append(
            (
                phase["name"],
                html.Raw(html.subset_dots(Modality.parse(name) for name in phase["subset"])),
                f"{phase['frames_published']} of {phase['frames_expected']}",
                phase["rate_hz"],
                *(latency[p] for p in ("p50", "p90", "p99")),
                html.heat(phase["miou"], 0.0, 80.0),
            )
        )
    return html.table(header, rows) + html.subset_key()


def _timeline(run: Run, taxonomy: Taxonomy) -> str:
    marks = _marks(run)
    weights = _weights_over_time(run)
    charts = {
        "Masks a second": html.line_chart(
            {"rate": _rate_over_time(run)}, "time in s", "Hz", marks=marks, height=170
        ),
        "Weight of each sensor in the fusion": html.line_chart(
            weights, "time in s", "weight", (0.0, 1.0), marks, colors=MODALITY_COLORS
        ),
        "mIoU of each second": html.line_chart(
            {"mIoU": _miou_over_time(run, taxonomy)}, "time in s", "%", (0.0, 100.0), marks
        ),
    }
    return "".join(f"<h3>{html.text(title)}</h3>{chart}" for title, chart in charts.items())


def _marks(run: Run) -> list[html.Mark]:
    """The phases in which something is missing."""
    origin = run.starts[0]
    return [
        html.Mark((start - origin) / 1e9, (start - origin) / 1e9 + phase.seconds, phase.name)
        for start, phase in zip(run.starts, run.phases, strict=True)
        if len(phase.subset) < len(Modality)
    ]


def _seconds(run: Run) -> np.ndarray:
    """The centres of the one-second stretches of the run."""
    end = (run.starts[-1] - run.starts[0]) / 1e9 + run.phases[-1].seconds
    return np.arange(int(np.ceil(end))) + 0.5


def _rate_over_time(run: Run) -> tuple[list[float], list[float]]:
    centres = _seconds(run)
    stamps = np.array([(mask.stamp - run.starts[0]) / 1e9 + 1e-3 for mask in run.recording.masks])
    counts, _ = np.histogram(stamps, bins=len(centres), range=(0, len(centres)))
    return centres.tolist(), counts.astype(float).tolist()


def _weights_over_time(run: Run) -> dict[str, tuple[list[float], list[float]]]:
    statuses = sorted(status_by_stamp(run).values(), key=lambda status: status.stamp)
    series: dict[str, tuple[list[float], list[float]]] = {}
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


def _miou_over_time(run: Run, taxonomy: Taxonomy) -> tuple[list[float], list[float]]:
    centres = _seconds(run)
    confusions = [Confusion(len(taxonomy)) for _ in centres]
    for index in range(len(run.phases)):
        for mask in masks_of(run, index):
            label = truth_of(run, index, mask.stamp)
            second = int((mask.stamp - run.starts[0]) / 1e9 + 1e-3)
            if label is not None and 0 <= second < len(centres):
                confusions[second].add(label, mask.pixels)
    return centres.tolist(), [confusion.miou() for confusion in confusions]


def _pictures(run: Run, camera: Mapping[int, np.ndarray], taxonomy: Taxonomy) -> str:
    truth = taxonomy.colorize(nearest(run.truth, _moment(run)))
    parts = [html.pictures([html.picture(truth, "ground truth", lossless=True)])]
    for index, phase in enumerate(run.phases):
        figures = _phase_pictures(run, index, camera, taxonomy)
        body = html.pictures(figures) if figures else html.note("No mask, as it should be.")
        dots = html.subset_dots(phase.subset)
        miou = html.number(mean_iou(run, index, taxonomy))
        parts.append(f"<h3>{html.text(phase.name)} {dots} &nbsp; mIoU {miou}</h3>{body}")
    return "".join(parts)


def _phase_pictures(
    run: Run, index: int, camera: Mapping[int, np.ndarray], taxonomy: Taxonomy
) -> list[str]:
    mask = pictured_mask(run, index)
    if mask is None:
        return []
    image = nearest(camera, mask.stamp - run.starts[index])
    colors = taxonomy.colorize(mask.pixels)
    image = cv2.resize(image, colors.shape[1::-1], interpolation=cv2.INTER_AREA)
    seen = Modality.RGB in run.phases[index].subset
    figures = [
        html.picture(image, "camera" if seen else "camera (dead: the node did not get this)"),
        html.picture(colors, "mask", lossless=True),
        html.picture(html.overlay_image(image, colors), "overlay"),
    ]
    confidence = {heard.stamp: heard for heard in run.recording.confidences}.get(mask.stamp)
    if confidence is not None:
        scaled = confidence.pixels.astype(np.float32) / 255.0
        figures.append(html.picture(html.confidence_image(scaled), "confidence (dark: unsure)"))
    return figures


def _moment(run: Run) -> int:
    """The time in every phase that is pictured: ns after its start."""
    return int(min(phase.seconds for phase in run.phases) * 0.5e9)


def pictured_mask(run: Run, index: int) -> RecordedImage | None:
    """The mask of phase `index` nearest to the pictured moment, if it has one."""
    moment = run.starts[index] + _moment(run)
    return min(masks_of(run, index), key=lambda m: abs(m.stamp - moment), default=None)


def nearest(images: Mapping[int, np.ndarray], stamp: int) -> np.ndarray:
    """The image nearest to a stamp (ns)."""
    return images[min(images, key=lambda s: abs(s - stamp))]

"""What the node says of itself: SegmentationStatus messages and /diagnostics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import diagnostic_updater
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header

from any2seg_ros.modalities import Availability, Modality
from any2seg_ros.monitor import Monitor
from any2seg_ros.msg import ModalityStatus, SegmentationStatus
from any2seg_ros.pipeline import Result

_FRESH = 1_000_000_000


@dataclass
class Totals:
    """Counted since activation; `waiting` are frames that wait for the network now."""

    waiting: int = 0
    frames_in: int = 0
    published: int = 0
    incomplete: int = 0
    late: int = 0
    busy: int = 0
    failed: int = 0


@dataclass
class Latencies:
    """Seconds by stage, of the last frame."""

    wait: float = 0.0
    decode: float = 0.0
    infer: float = 0.0
    publish: float = 0.0
    total: float = 0.0


@dataclass
class Report:
    """The state that statuses and diagnostics are made from."""

    monitors: Mapping[Modality, Monitor]
    enabled: dict[Modality, bool]
    silent_after: float
    """s without a message after which a sensor is silent."""
    interval: float = 0.1
    """s between frames, as far as it is known: their period, or longer with a maximum rate."""
    offset_s: Mapping[Modality, float] = field(default_factory=dict)
    """Added to a sensor's stamps."""
    judged: Mapping[Modality, tuple[Availability, str]] = field(default_factory=dict)
    """What the last frame had of each modality, and why not more."""
    judged_at: int = 0
    """When that was, ns of the steady clock."""
    gap: float = 0.0
    """s between the last two frames, at most 1."""
    failure: str = ""
    """Why the last frame has failed; empty if it has not."""
    totals: Totals = field(default_factory=Totals)
    latencies: Latencies = field(default_factory=Latencies)
    engine: str = ""
    mean_confidence: float = math.nan
    published_at: int = 0

    def judge(self, judged: Mapping[Modality, tuple[Availability, str]], now: int) -> None:
        """Note what a frame had of each modality; now: ns of the steady clock."""
        self.gap = min(1.0, (now - self.judged_at) * 1e-9)
        self.judged, self.judged_at, self.failure = judged, now, ""


def status_of(report: Report, result: Result, header: Header) -> SegmentationStatus:
    """The status that belongs to a Result; `header` is that of the mask."""
    segmentation = result.segmentation
    weights = segmentation.weights if segmentation is not None else {}
    rows = []
    for modality, monitor in report.monitors.items():
        availability = result.frame.availability[modality]
        received = result.received.get(modality)
        stamp = received.stamp if received is not None else monitor.stamp
        measured = result.frame.measurements.get(modality)
        at = measured.stamp if measured is not None else stamp
        at += round(report.offset_s.get(modality, 0.0) * 1e9)
        rows.append(
            ModalityStatus(
                modality=modality.label,
                availability=int(availability),
                stamp=_time(stamp),
                age=(result.frame.stamp - at) * 1e-9 if stamp else math.nan,
                rate=float(monitor.rate),
                weight=float(weights.get(modality, 0.0)),
                reason=result.frame.reasons.get(modality, ""),
            )
        )
    confidence = float(segmentation.confidence.mean()) if segmentation is not None else math.nan
    return _status(report, header, rows, confidence)


def idle_status(report: Report, header: Header, now: int) -> SegmentationStatus:
    """The status between frames: who is silent, and why others are not used. now: steady ns.

    While the next frame may still be on its way, sensors that are heard are what they were.
    """
    rows = []
    for modality, monitor in report.monitors.items():
        availability, reason = idle_availability(report, modality, now)
        used = availability in (Availability.OK, Availability.HELD)
        rows.append(
            ModalityStatus(
                modality=modality.label,
                availability=int(availability),
                stamp=_time(monitor.stamp),
                age=float(monitor.age(now)) if monitor.stamp else math.nan,
                rate=float(monitor.rate),
                weight=float(monitor.weight) if used else 0.0,
                reason=reason,
            )
        )
    return _status(report, header, rows, math.nan)


def idle_availability(report: Report, modality: Modality, now: int) -> tuple[Availability, str]:
    """What can be said of a sensor while there is no frame."""
    monitor = report.monitors[modality]
    if not report.enabled[modality]:
        return Availability.DISABLED, "taken out by configuration"
    if not monitor.count:
        return Availability.MISSING, "nothing heard yet"
    if monitor.age(now) > report.silent_after:
        return Availability.MISSING, "silent"
    due = 1.5 * max(report.interval, report.gap)
    if modality in report.judged and now - report.judged_at < due * 1e9:
        return report.judged[modality]
    if monitor.reason and now - monitor.reason_at < _FRESH:
        return Availability.INVALID, monitor.reason
    if report.failure:
        return Availability.INVALID, f"heard, but its frame has failed: {report.failure}"
    return Availability.MISSING, "heard, waiting for its frame"


def _status(
    report: Report, header: Header, rows: list[ModalityStatus], confidence: float
) -> SegmentationStatus:
    totals, latencies = report.totals, report.latencies
    return SegmentationStatus(
        header=header,
        modalities=rows,
        mean_confidence=confidence,
        latency_wait=float(latencies.wait),
        latency_decode=float(latencies.decode),
        latency_infer=float(latencies.infer),
        latency_publish=float(latencies.publish),
        latency_total=float(latencies.total),
        frames_in=int(totals.frames_in),
        frames_published=int(totals.published),
        frames_incomplete=int(totals.incomplete),
        dropped_late=int(totals.late),
        dropped_busy=int(totals.busy),
    )


class Diagnostics:
    """/diagnostics: one status a sensor, one for what comes out. `update` publishes them."""

    def __init__(self, node: Any, report: Report, period: float) -> None:
        self._report = report
        self._updater = diagnostic_updater.Updater(node, period)
        self._updater.setHardwareID(node.get_name())
        self._now = 0
        for modality in Modality:
            self._updater.add(modality.label, lambda stat, m=modality: self._sensor(stat, m))
        self._updater.add("segmentation", self._segmentation)
        # The updater's timer stands still with simulated time: ours drives it.
        timer = getattr(self._updater, "timer", None)
        if timer is not None:
            timer.cancel()

    def update(self, now: int) -> None:
        """Publish; now: ns of the steady clock."""
        self._now = now
        self._updater.force_update()

    def _sensor(self, stat: Any, modality: Modality) -> Any:
        report, now = self._report, self._now
        monitor = report.monitors[modality]
        availability, reason = idle_availability(report, modality, now)
        if availability == Availability.DISABLED:
            stat.summary(DiagnosticStatus.OK, "taken out by configuration")
        elif monitor.age(now) > report.silent_after:
            stat.summary(DiagnosticStatus.WARN, reason)
        elif monitor.reason and now - monitor.reason_at < _FRESH:
            stat.summary(DiagnosticStatus.WARN, monitor.reason)
        else:
            stat.summary(DiagnosticStatus.OK, "alive")
        age = monitor.age(now)
        stat.add("rate (Hz)", f"{monitor.rate:.1f}")
        stat.add("age (s)", f"{age:.2f}" if math.isfinite(age) else "never heard")
        stat.add("weight", f"{monitor.weight:.3f}")
        stat.add("messages", str(monitor.count))
        stat.add("refused", str(monitor.refused))
        stat.add("last reason", monitor.reason)
        return stat

    def _segmentation(self, stat: Any) -> Any:
        report, now = self._report, self._now
        lost = [m.label for m in Modality if report.enabled[m] and not self._used(m)]
        patience = max(report.silent_after, 1.0, 2 * report.interval)
        blind = now - report.published_at > patience * 1e9
        if blind:
            stat.summary(DiagnosticStatus.ERROR, "blind: nothing to segment")
        elif lost:
            stat.summary(DiagnosticStatus.WARN, f"degraded: without {', '.join(lost)}")
        else:
            stat.summary(DiagnosticStatus.OK, "all sensors are used")
        totals, latencies = report.totals, report.latencies
        stat.add("engine", report.engine)
        stat.add("mean confidence", f"{report.mean_confidence:.3f}")
        for name in ("wait", "decode", "infer", "publish", "total"):
            stat.add(f"latency {name} (ms)", f"{1e3 * getattr(latencies, name):.1f}")
        stat.add("queue", str(totals.waiting))
        for name in ("frames_in", "published", "incomplete", "late", "busy", "failed"):
            stat.add(name.replace("_", " "), str(getattr(totals, name)))
        return stat

    def _used(self, modality: Modality) -> bool:
        monitor = self._report.monitors[modality]
        return monitor.weight > 0 and monitor.age(self._now) <= self._report.silent_after


def _time(stamp: int) -> Time:
    seconds, nanoseconds = divmod(max(0, int(stamp)), 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)

"""What the node says on /diagnostics."""

from __future__ import annotations

import math
from typing import Any

import diagnostic_updater
from diagnostic_msgs.msg import DiagnosticStatus

from any2seg_ros.modalities import Availability, Modality
from any2seg_ros.reports import FRESH, Report, idle_availability


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
        elif monitor.reason and now - monitor.reason_at < FRESH:
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

"""What the node says on /diagnostics."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import diagnostic_updater
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from any2seg_ros.runtime.status import FRESH, NodeState, idle_availability
from any2seg_ros.types import Availability, Modality

RECENT = 3_000_000_000
"""ns for which a jump of time is told."""


class NamedUpdater(diagnostic_updater.Updater):
    """An updater whose statuses are named after the node with its namespace.

    Not every distribution's Python updater knows the parameter `diagnostic_updater.use_fqn`.
    """

    def publish(self, msg: Any) -> None:
        """Publish a status or a list of them."""
        array = DiagnosticArray()
        array.header.stamp = self.node.get_clock().now().to_msg()
        for status in msg if isinstance(msg, list) else [msg]:
            array.status.append(
                DiagnosticStatus(
                    level=status.level,
                    name=f"{self.node.get_fully_qualified_name()}: {status.name}",
                    message=status.message,
                    hardware_id=status.hardware_id,
                    values=status.values,
                )
            )
        self.publisher.publish(array)


class Diagnostics:
    """/diagnostics: one status a sensor, one for what comes out. `update` publishes them."""

    def __init__(self, node: Any, state: NodeState, period: float) -> None:
        self._state = state
        self._updater = NamedUpdater(node, period)
        self._updater.setHardwareID(node.get_fully_qualified_name())
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
        state, now = self._state, self._now
        monitor = state.monitors[modality]
        availability, reason = idle_availability(state, modality, now)
        if availability == Availability.DISABLED:
            stat.summary(DiagnosticStatus.OK, "disabled by parameter")
        elif monitor.age(now) > state.silent_after:
            stat.summary(DiagnosticStatus.WARN, reason)
        elif monitor.reason and now - monitor.reason_at < FRESH:
            stat.summary(DiagnosticStatus.WARN, monitor.reason)
        elif state.lost(modality, now):
            stat.summary(DiagnosticStatus.WARN, reason or "received but not used")
        else:
            stat.summary(DiagnosticStatus.OK, "OK")
        age = monitor.age(now)
        stat.add("rate (Hz)", f"{monitor.rate:.1f}")
        stat.add("age (s)", f"{age:.2f}" if math.isfinite(age) else "never")
        stat.add("weight", f"{monitor.weight:.3f}")
        stat.add("messages", str(monitor.count))
        stat.add("refused", str(monitor.refused))
        stat.add("lost on the way", str(monitor.lost))
        stat.add("last reason", monitor.reason)
        if state.geometry.get(modality):
            stat.add("geometry", state.geometry[modality])
        return stat

    def _segmentation(self, stat: Any) -> Any:
        state, now = self._state, self._now
        lost = [m.label for m in Modality if state.enabled[m] and state.lost(m, now)]
        if why := state.blind(now):
            stat.summary(DiagnosticStatus.ERROR, f"blind: {why}")
        elif state.counters.resets > 1 and now - state.reset_at < RECENT:
            stat.summary(
                DiagnosticStatus.WARN,
                f"time jumped backwards {state.counters.resets} times: two clocks?",
            )
        elif lost:
            stat.summary(DiagnosticStatus.WARN, f"degraded: without {', '.join(lost)}")
        else:
            stat.summary(DiagnosticStatus.OK, "all sensors in use")
        counters, latencies = state.counters, state.latencies
        stat.add("engine", state.engine)
        stat.add("mean confidence", f"{state.mean_confidence:.3f}")
        for name in ("wait", "decode", "infer", "publish", "total"):
            stat.add(f"latency {name} (ms)", f"{1e3 * getattr(latencies, name):.1f}")
        stat.add("queue", str(counters.waiting))
        for name, count in asdict(counters).items():
            if name != "waiting":
                stat.add(name.replace("_", " "), str(count))
        for topic, count in list(state.undecodable.items()):
            stat.add(f"undecodable on {topic}", str(count))
        return stat

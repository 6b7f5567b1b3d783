"""The node's state, and the SegmentationStatus messages made from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from any2seg_ros.messages.kinds import MODALITY_STATUS, STATUS
from any2seg_ros.messages.making import Make, time_message
from any2seg_ros.runtime.monitor import Monitor
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.types import Availability, Modality

FIRST_S = 5.0
"""s after activation before a sensor without messages is logged as lost."""
FRESH = 1_000_000_000
"""ns for which the reason of a refusal is reported."""
LEFT_OUT = "left out by the gate: it looks as if it would do harm"


@dataclass
class FrameCounters:
    """Counters since activation; `waiting` is the number of frames queued for inference now.

    Each of `frames_in` ends as published, unusable, failed, reset or busy, or is in progress.
    """

    waiting: int = 0
    frames_in: int = 0
    published: int = 0
    unusable: int = 0
    failed: int = 0
    reset: int = 0
    busy: int = 0
    incomplete: int = 0
    late: int = 0
    resets: int = 0


@dataclass
class Latencies:
    """Seconds by stage, of the last frame."""

    wait: float = 0.0
    decode: float = 0.0
    infer: float = 0.0
    publish: float = 0.0
    total: float = 0.0


@dataclass
class NodeState:
    """The state that statuses and diagnostics are made from."""

    monitors: Mapping[Modality, Monitor] = field(
        default_factory=lambda: {modality: Monitor() for modality in Modality}
    )
    enabled: dict[Modality, bool] = field(default_factory=lambda: dict.fromkeys(Modality, True))
    hindrances: dict[Modality, str] = field(default_factory=dict)
    """Why nothing of a sensor can arrive, where that is known."""
    undecodable: dict[str, int] = field(default_factory=dict)
    """By topic: messages that arrived and could not be decoded."""
    geometry: dict[Modality, str] = field(default_factory=dict)
    """Which part of its camera_info is a sensor's geometry, in words."""
    silent_after: float = 0.3
    """s without a message after which a sensor is silent."""
    interval: float = 0.1
    """s between frames, as far as it is known: their period, or longer with a maximum rate."""
    offset_s: Mapping[Modality, float] = field(default_factory=dict)
    """Added to a sensor's stamps."""
    last_frame: Mapping[Modality, tuple[Availability, str]] = field(default_factory=dict)
    """Availability of each modality in the last frame, and the reason if it was not OK."""
    frame_at: int = 0
    """Time of the last frame, ns of the steady clock."""
    gap: float = 0.0
    """s between the last two frames, at most 1."""
    failure: str = ""
    """Why the last frame has failed; empty if it has not."""
    working_since: int = 0
    """Start of the frame in progress, ns of the steady clock; 0 if there is none."""
    began: int = 0
    """Time of activation, ns of the steady clock."""
    blind_since: int = 0
    """Since when sensors are heard and no mask comes, ns of the steady clock; see `blind_for`."""
    told_lost: dict[Modality, bool] = field(default_factory=dict)
    """What `changes` reported last."""
    reset_at: int = 0
    """Time of the last jump, ns of the steady clock."""
    counters: FrameCounters = field(default_factory=FrameCounters)
    latencies: Latencies = field(default_factory=Latencies)
    engine: str = ""
    mean_confidence: float = math.nan
    published_at: int = 0

    def begin(self, parameters: NodeParameters, now: int = 0) -> None:
        """Reset for an activation with these parameters. now: ns of the steady clock."""
        self.began, self.blind_since, self.told_lost = now, now, {}
        self.hindrances, self.geometry, self.undecodable = {}, {}, {}
        self.counters, self.latencies = FrameCounters(), Latencies()
        self.mean_confidence = math.nan
        self.published_at = self.frame_at = 0
        self.failure, self.working_since, self.reset_at = "", 0, 0
        self.silent_after = parameters.silent_after
        self.interval = parameters.interval
        self.offset_s = parameters.pipeline_config().offset_s
        for modality, monitor in self.monitors.items():
            monitor.reset()
            self.enabled[modality] = parameters.sensors[modality].enabled

    def on_result(self, result: Result, now: int) -> None:
        """Record which modalities a frame had; now: ns of the steady clock."""
        weights = _weights(result)
        self.gap = min(1.0, (now - self.frame_at) * 1e-9)
        self.last_frame = {m: _availability(result, m) for m in Modality}
        self.frame_at, self.failure = now, ""
        for modality, monitor in self.monitors.items():
            monitor.weight = float(weights.get(modality, 0.0))
            if monitor.weight:
                monitor.used_at = now

    def count(self, result: Result, now: int) -> None:
        """Count a frame whose outputs, if any, are published; now: ns of the steady clock."""
        segmentation = result.segmentation
        if segmentation is None:
            self.counters.unusable += 1
            return
        self.counters.published += 1
        self.counters.incomplete += any(
            self.enabled[m] and m not in segmentation.subset for m in Modality
        )
        self.mean_confidence = float(segmentation.confidence.mean())
        self.published_at = now

    @property
    def patience(self) -> float:
        """s after which a sensor that no frame uses is lost, and a node without masks is blind."""
        return max(self.silent_after, 1.0, 2 * self.interval)

    def working(self, now: int) -> float:
        """s since the start of the frame in progress, 0 without one; now: ns, steady clock."""
        since = self.working_since  # read once: another thread sets it
        return (now - since) * 1e-9 if since else 0.0

    def blind(self, now: int) -> str:
        """Why no mask comes; empty while masks do. now: ns of the steady clock."""
        if self.failure:
            return self.failure
        if now - self.published_at <= self.patience * 1e9:
            return ""
        working = self.working(now)
        if working > self.patience:
            return f"inference has been busy for {working:.0f} s"
        return "no usable sensor"

    def blind_for(self, now: int) -> float:
        """s for which sensors have been heard without a mask; call this several times a second.

        Time in which no sensor is heard does not count: nobody could see then.
        """
        heard = any(
            self.enabled[m] and monitor.age(now) <= 2 * self.patience
            for m, monitor in self.monitors.items()
        )
        self.blind_since = max(self.blind_since, self.published_at) if heard else now
        return (now - self.blind_since) * 1e-9

    def overdue(self, watchdog: float, now: int) -> str:
        """Why a node is of no use: blind for `watchdog` s and two frames; empty while it is not.

        watchdog: 0 for never. now: ns of the steady clock.
        """
        blind = self.blind_for(now)
        if not watchdog or blind <= max(watchdog, 2 * self.interval):
            return ""
        return f"blind for {blind:.1f} s: {self.blind(now) or 'no mask'}"

    def expect(self, interval: float, now: int) -> None:
        """Frames are `interval` s apart from now on; now: ns of the steady clock."""
        if interval != self.interval:
            self.interval = interval
            self.blind_since = now

    def unused(self, modality: Modality, now: int) -> bool:
        """Whether no recent frame used the sensor; now: ns of the steady clock."""
        return now - self.monitors[modality].used_at > self.patience * 1e9

    def lost(self, modality: Modality, now: int) -> bool:
        """Whether the sensor is silent or unused; now: ns of the steady clock."""
        silent = self.monitors[modality].age(now) > self.silent_after
        return silent or self.unused(modality, now)

    def changes(self, now: int) -> list[tuple[Modality, bool]]:
        """Sensors lost (True) or used again (False) since the last call.

        A slow sensor is silent again and again but not lost while frames use it. One that was never
        used is lost `FIRST_S` after `began`.
        """
        changed = []
        for modality, monitor in self.monitors.items():
            lost = self.enabled[modality] and self.unused(modality, now)
            early = not monitor.used_at and now - self.began < FIRST_S * 1e9
            if lost != self.told_lost.get(modality, False) and not early:
                self.told_lost[modality] = lost
                changed.append((modality, lost))
        return changed

    def idle(self, now: int) -> None:
        """Clear the weights of silent sensors; now: ns of the steady clock."""
        for monitor in self.monitors.values():
            if monitor.age(now) > self.silent_after:
                monitor.weight = 0.0


def status_of(make: Make, state: NodeState, result: Result, header: Any) -> Any:
    """The SegmentationStatus of the Result that was counted last; `header` is the mask's."""
    weights = _weights(result)
    rows = []
    for modality, monitor in state.monitors.items():
        received = result.received.get(modality)
        stamp = received.stamp if received is not None else monitor.stamp
        measured = result.frame.measurements.get(modality)
        at = measured.stamp if measured is not None else stamp
        at += round(state.offset_s.get(modality, 0.0) * 1e9)
        age = (result.frame.stamp - at) * 1e-9 if stamp else math.nan
        last_frame = _availability(result, modality)
        weight = weights.get(modality, 0.0)
        rows.append(_row(make, modality, last_frame, stamp, age, monitor.rate, weight))
    confidence = state.mean_confidence if result.segmentation is not None else math.nan
    return _status(make, state, header, rows, confidence)


def idle_status(make: Make, state: NodeState, header: Any, now: int) -> Any:
    """The SegmentationStatus between frames: which sensors are silent, and why others are unused.

    Until the next frame is overdue, a sensor keeps the availability that it had in the last one.
    now: ns of the steady clock.
    """
    rows = []
    for modality, monitor in state.monitors.items():
        last_frame = idle_availability(state, modality, now)
        age = monitor.age(now) if monitor.stamp else math.nan
        weight = monitor.weight if last_frame[0].usable else 0.0
        rows.append(_row(make, modality, last_frame, monitor.stamp, age, monitor.rate, weight))
    return _status(make, state, header, rows, math.nan)


def idle_availability(state: NodeState, modality: Modality, now: int) -> tuple[Availability, str]:
    """A sensor's availability between frames, and the reason."""
    monitor = state.monitors[modality]
    if not state.enabled[modality]:
        return Availability.DISABLED, "disabled by parameter"
    if not monitor.count:
        return Availability.MISSING, state.hindrances.get(modality) or "no message yet"
    if monitor.age(now) > state.silent_after:
        return Availability.MISSING, state.hindrances.get(modality) or "silent"
    if state.failure:
        return Availability.INVALID, f"received, but its frame failed: {state.failure}"
    due = 1.5 * max(state.interval, state.gap)
    if modality in state.last_frame and now - state.frame_at < due * 1e9:
        return state.last_frame[modality]
    if monitor.reason and now - monitor.reason_at < FRESH:
        return Availability.INVALID, monitor.reason
    busy = state.working(now)
    if busy > FRESH * 1e-9:
        return Availability.MISSING, f"received, but inference has been busy for {busy:.0f} s"
    return Availability.MISSING, "received, waiting for its frame"


def _availability(result: Result, modality: Modality) -> tuple[Availability, str]:
    """A sensor's availability in the Result's frame, and why it was not used."""
    left_out = _weights(result).get(modality) == 0
    reason = LEFT_OUT if left_out else result.frame.reasons.get(modality, "")
    return result.frame.availability[modality], reason


def _weights(result: Result) -> Mapping[Modality, float]:
    return result.segmentation.weights if result.segmentation is not None else {}


def _row(
    make: Make,
    modality: Modality,
    last_frame: tuple[Availability, str],
    stamp: int,
    age: float,
    rate: float,
    weight: float,
) -> Any:
    availability, reason = last_frame
    return make(
        MODALITY_STATUS,
        modality=modality.label,
        availability=int(availability),
        stamp=time_message(make, stamp),
        age=float(age),
        rate=float(rate),
        weight=float(weight),
        reason=reason,
    )


def _status(make: Make, state: NodeState, header: Any, rows: list[Any], confidence: float) -> Any:
    counters, latencies = state.counters, state.latencies
    return make(
        STATUS,
        header=header,
        modalities=rows,
        mean_confidence=confidence,
        latency_wait=float(latencies.wait),
        latency_decode=float(latencies.decode),
        latency_infer=float(latencies.infer),
        latency_publish=float(latencies.publish),
        latency_total=float(latencies.total),
        frames_in=int(counters.frames_in),
        frames_published=int(counters.published),
        frames_unusable=int(counters.unusable),
        frames_failed=int(counters.failed),
        frames_reset=int(counters.reset),
        dropped_busy=int(counters.busy),
        frames_incomplete=int(counters.incomplete),
        dropped_late=int(counters.late),
        resets=int(counters.resets),
    )

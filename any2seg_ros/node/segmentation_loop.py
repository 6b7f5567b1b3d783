"""What runs while the node is active: subscriptions -> synchronizer -> inference -> publishers."""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from std_msgs.msg import Header

from any2seg_ros import memory
from any2seg_ros.messages.kinds import ros_message
from any2seg_ros.node.calibration_listener import CalibrationListener
from any2seg_ros.node.publishers import Publishers
from any2seg_ros.node.subscriptions import Subscriptions, topic_of
from any2seg_ros.node.synchronizer_filter import SynchronizerFilter
from any2seg_ros.node.worker import Worker
from any2seg_ros.runtime.calibration import CalibrationTracker
from any2seg_ros.runtime.intake import Intake
from any2seg_ros.runtime.monitor import Repeats
from any2seg_ros.runtime.outputs import mask_header
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Pipeline, Result
from any2seg_ros.runtime.sensor_buffer import NEVER
from any2seg_ros.runtime.status import (
    Latencies,
    NodeState,
    idle_availability,
    idle_status,
    status_of,
)
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.runtime.transform_history import TransformHistory
from any2seg_ros.types import LONGEST_REASON, Frame, Modality, plain, unmeasured

DELIVERY_EVERY_S = 0.5
_CLOCK_HOLDS = 1_000_000
"""ns for which the node's clock is not read again."""
_TRIM_EVERY = 10_000_000_000
"""ns after which memory is given back: a storm of events leaves 50 to 80 MB."""


class SegmentationLoop:
    """Messages come in on the executor's thread, which owns the intake; Frames are handed to the
    inference thread, which segments and publishes them. While a Frame waits for sensors, that
    thread decodes what the Frame has.
    """

    def __init__(
        self,
        node: Any,
        pipeline: Pipeline,
        publishers: Publishers,
        state: NodeState,
        parameters: NodeParameters,
    ) -> None:
        self._node = node
        self._pipeline = pipeline
        self._publishers = publishers
        self._state = state
        self._broken_packets = pipeline.broken_packets[0]
        fixed = parameters.motion_compensation
        self._history = TransformHistory(fixed) if fixed else None
        self._transforms = CalibrationListener(node, self._history, node.on_undecodable)
        self._status_period = parameters.status_period * 1e9
        self._status_at = 0
        self._repeats, self._failures = Repeats(), Repeats()
        self._delivery_at = self._trimmed_at = 0
        self._read, self._read_at = 0, -_CLOCK_HOLDS
        """The node's clock, and when (ns of the steady clock) it was read."""
        self._waiting: Frame | None = None
        """The last Frame that waited for sensors, with what it had already."""
        self._segmented = NEVER
        """Stamp of the last Frame that was segmented."""
        pipeline.budgets = parameters.decode_budgets()
        self._intake = self._open_intake(parameters)
        self.worker = Worker(self._segment, self._on_failure, self._look_ahead)
        self._subscriptions = Subscriptions(
            node,
            parameters,
            self._on_camera_info,
            self._intake.synchronizer.awaits,
            node.on_undecodable,
            lambda modality, reason: _on_flood(self, modality, reason),
        )
        self.synchronizer = SynchronizerFilter(
            self._subscriptions.filters, node=node, failed=self._on_failure, matcher=self._intake
        )
        self.synchronizer.registerCallback(self.worker.submit)
        self._warned: dict[Modality, str] = {}
        self._timer: Any = None
        self._jumps: Any = None

    def _open_intake(self, parameters: NodeParameters) -> Intake:
        window = self._pipeline.preprocessing.event_window_ms * 1e-3
        simulated = bool(self._node.get_parameter("use_sim_time").value)
        self._pipeline.reset()
        return Intake(
            self._pipeline,
            Synchronizer(parameters.synchronizer_config(window, simulated)),
            CalibrationTracker(
                parameters,
                self._transforms.lookup,
                topics={
                    m: self._node.resolve_topic_name(topic_of(m, parameters)) for m in Modality
                },
            ),
            self._state.monitors,
            self._clock,
            self._on_refused,
            lambda: self._after_reset("stamps jumped backwards, resetting"),
            self._history,
            self._on_waiting,
        )

    def _clock(self, arrival: int) -> int | None:
        """None while simulated time stands at zero: there is no clock then."""
        passed = arrival - self._read_at
        if not 0 <= passed < _CLOCK_HOLDS:  # a thousand packets a second ask
            self._read, self._read_at = self._node.get_clock().now().nanoseconds, arrival
        return self._read or None

    def start(self) -> None:
        """Subscribe and publish. Where that fails half-way, `stop` ends what was begun."""
        node = self._node
        self._log_notes()
        self._publishers.publish_classes(self.own_header())
        self._transforms.start()
        self._subscriptions.start()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(self._status_period * 0.5e-9, self._tick, clock=steady)
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._jumps = node.get_clock().create_jump_callback(
            threshold, post_callback=self._on_clock_jump
        )

    def stop(self, patience: float = 10.0) -> bool:
        """End everything; whether the inference thread came to its frame's end in so many s."""
        if self._jumps is not None:
            self._jumps.unregister()
            self._jumps = None
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self._subscriptions.stop()
        self.synchronizer.stop()
        stopped = self.worker.stop(patience)
        self._transforms.stop()
        return stopped

    def enable(self, modality: Modality, enabled: bool) -> None:
        """Subscribe to a sensor, or unsubscribe, while the node runs."""
        try:
            if enabled:
                self._subscriptions.add(modality)
            else:
                self._subscriptions.remove(modality)
        except Exception as error:  # a QoS that is none
            self._node.get_logger().error(f"{modality.label} stays disabled: {error_text(error)}")
            self._subscriptions.remove(modality)
            return
        self._state.enabled[modality] = enabled
        self.synchronizer.run(lambda: self._intake.synchronizer.enable(modality, enabled))

    def limit(self, maximum_rate: float) -> None:
        """Open at most so many Frames a second from now on; 0 for no limit."""
        self.synchronizer.run(lambda: self._intake.synchronizer.limit(maximum_rate))

    def on_undecodable(self, topic: str) -> None:
        """A message on a topic could not be decoded."""
        now = time.monotonic_ns()
        modality, kind = self._subscriptions.role_of(topic)
        as_kind = f" as {kind}" if kind else ""
        reason = (
            f"messages on {topic} cannot be decoded{as_kind}: their publisher has another version "
            "of it, or they are damaged"
        )
        if modality is None:
            if self._repeats.due(reason, now):
                self._node.get_logger().warning(reason)
            return
        self.synchronizer.run(lambda: self._intake.on_undecodable(modality, reason, now))

    def own_header(self) -> Header:
        """The header of messages that belong to no frame."""
        frame_id = self._intake.tracker.current.reference_frame
        return Header(stamp=self._node.get_clock().now().to_msg(), frame_id=frame_id)

    def _on_camera_info(self, modality: Modality, msg: Any) -> None:
        self._intake.on_camera_info(modality, msg, time.monotonic_ns())
        self._state.geometry[modality] = self._intake.tracker.geometry(modality)
        self._log_notes()

    def _on_refused(self, modality: Modality, reason: str, arrival: int) -> None:
        if self._state.monitors[modality].refuse(reason, arrival):
            self._node.get_logger().warning(f"{modality.label}: {reason}")

    def _on_waiting(self, frame: Frame | None) -> None:
        self._waiting = frame or self._waiting
        self.worker.nudge()

    def _on_clock_jump(self, jump: Any) -> None:
        self.synchronizer.run(self._intake.reset)
        self._after_reset("time jumped, resetting")

    def _after_reset(self, text: str) -> None:
        self._state.reset_at = time.monotonic_ns()
        if self._repeats.due(text, self._state.reset_at):
            self._node.get_logger().warning(text)
        self.worker.forget()
        self._segmented = NEVER
        self._waiting = None
        self._transforms.forget()

    def _log_notes(self) -> None:
        for notes in (self._intake.tracker.notes, self._transforms.notes):
            while notes:
                self._node.get_logger().warning(notes.pop(0))
        for modality, text in self._pipeline.warnings.items():
            known = f"{modality.label}: {unmeasured(text)}"
            if self._warned.get(modality) == known:
                continue
            self._warned[modality] = known
            if self._repeats.due(known, time.monotonic_ns()):
                self._node.get_logger().warning(f"{modality.label}: {text}")

    def _tick(self) -> None:
        """Several times a second on the steady clock: rates, and a status where none came."""
        now = time.monotonic_ns()
        for monitor in self._state.monitors.values():
            monitor.tick(now)
        self._log_notes()
        self._look_at_delivery(now)
        self._log_changes(now)
        if now - self._status_at >= self._status_period * 0.9:
            self._state.idle(now)
            self._count()
            self._status_at = now
            status = idle_status(ros_message, self._state, self.own_header(), now)
            self._publishers.publish_status(status)
        self._node.diagnose(now)
        self._node.watch(now)
        if now - self._trimmed_at >= _TRIM_EVERY:
            self._trimmed_at = now
            memory.trim()

    def _look_at_delivery(self, now: int) -> None:
        """Now and then: take what publishers offer, and tell what does not arrive."""
        if now - self._delivery_at < DELIVERY_EVERY_S * 1e9:
            return
        self._delivery_at = now
        self._subscriptions.adapt()
        self._transforms.adapt()
        for modality, counter in self._subscriptions.losses.items():
            monitor = self._state.monitors[modality]
            misfit = "" if monitor.count else self._subscriptions.misfit(modality)
            self._state.hindrances[modality] = self._subscriptions.flood(modality) or misfit
            monitor.lost = counter.lost
            if counter.news(now):
                self._node.get_logger().warning(
                    f"{modality.label}: {monitor.lost} of {monitor.lost + monitor.count} messages "
                    "lost on the way: see Delivery in docs/node.md"
                )

    def _log_changes(self, now: int) -> None:
        """A line in the log for each sensor that is lost, or used again."""
        for modality, lost in self._state.changes(now):
            if not lost:
                self._node.get_logger().info(f"{modality.label} is used again")
                continue
            _, reason = idle_availability(self._state, modality, now)
            received = self._state.monitors[modality].count
            where = "" if received else self._subscriptions.where(modality)
            why = reason or "received but not used"
            self._node.get_logger().warning(f"{modality.label} is lost: {why}{where}")

    def _count(self) -> None:
        made, counters = self._intake.synchronizer.counters, self._state.counters
        counters.frames_in, counters.late, counters.resets = made.opened, made.late, made.resets
        counters.reset = made.forgotten + self.worker.forgotten
        counters.busy, counters.waiting = self.worker.busy, self.worker.waiting

    # On the inference thread.

    def _look_ahead(self) -> None:
        frame = self._waiting
        if frame is not None and frame.stamp <= self._segmented:
            frame = None
        if not self._pipeline.prepare_ahead(frame, lambda: self.worker.waiting > 0):
            self.worker.nudge()

    def _segment(self, frame: Frame) -> None:
        self._state.working_since = time.monotonic_ns()
        try:
            self._segment_now(frame, self._state.working_since)
        finally:
            self._state.working_since = 0

    def _segment_now(self, frame: Frame, began: int) -> None:
        state = self._state
        self._segmented = frame.stamp
        result = self._pipeline.process(frame)
        self._note_result(result)
        anchor = result.anchor
        if result.segmentation is not None and anchor is not None:
            ready = time.monotonic_ns()
            self._publishers.publish(result)
            done = time.monotonic_ns()
            state.latencies = Latencies(
                (began - anchor.arrival) * 1e-9,
                result.decode_s,
                result.infer_s,
                (done - ready) * 1e-9,
                (done - anchor.arrival) * 1e-9,
            )
        state.count(result, time.monotonic_ns())
        if anchor is None:
            return
        self._count()
        self._status_at = time.monotonic_ns()
        header = mask_header(ros_message, result, self._publishers.config)
        self._publishers.publish_status(status_of(ros_message, state, result, header))
        self._pipeline.warm(frame.calibration)

    def _note_result(self, result: Result) -> None:
        now = time.monotonic_ns()
        self._state.on_result(result, now)
        for modality in result.received:
            if modality not in result.frame.measurements:
                self._on_refused(modality, result.frame.reasons.get(modality, ""), now)
            elif modality == Modality.EVENT:
                self._note_broken_packets(now)

    def _note_broken_packets(self, now: int) -> None:
        """Those among good ones, so that the frame had events all the same."""
        broken, reason = self._pipeline.broken_packets
        for _ in range(broken - self._broken_packets):
            self._on_refused(Modality.EVENT, reason, now)
        self._broken_packets = broken

    def _on_failure(self, error: Exception) -> None:
        if not self._node.context.ok():
            return
        text = plain(f"{type(error).__name__}: {error}", LONGEST_REASON)
        self._state.counters.failed += 1
        self._state.failure = text
        if self._failures.due(text, time.monotonic_ns()):
            self._node.get_logger().error(f"a frame failed: {text}")


def _on_flood(loop: SegmentationLoop, modality: Modality, reason: str) -> None:
    """A topic is left alone, or with an empty reason not any more."""
    loop._state.hindrances[modality] = loop._subscriptions.flood(modality)
    if not reason:
        return
    if loop._state.hindrances[modality]:
        loop.synchronizer.run(lambda: loop._intake.refuse(modality, reason, time.monotonic_ns()))
    else:
        loop._on_refused(modality, reason, time.monotonic_ns())


def error_text(error: Exception) -> str:
    """What went wrong; unexpected errors with their type."""
    expected = isinstance(error, (ValueError, OSError, ImportError, RuntimeError))
    return str(error) if expected else f"{type(error).__name__}: {error}"

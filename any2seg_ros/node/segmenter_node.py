"""The lifecycle node `segmenter`: configure loads the network, activate listens and publishes."""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header

from any2seg_ros.engine import Segmenter
from any2seg_ros.messages.kinds import ros_message
from any2seg_ros.node.calibration_listener import CalibrationListener
from any2seg_ros.node.diagnostics import Diagnostics
from any2seg_ros.node.publishers import Publishers
from any2seg_ros.node.ros_parameters import RosParameters
from any2seg_ros.node.subscriptions import Subscriptions
from any2seg_ros.node.worker import Worker
from any2seg_ros.runtime.outputs import mask_header
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Pipeline, Result
from any2seg_ros.runtime.status import Latencies, Report, idle_availability, idle_status, status_of
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.types import Frame, InvalidMeasurement, Modality

_POLL_S = 0.02
_LOG_EVERY_S = 1.0
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class SegmenterNode(LifecycleNode):
    """Messages come in on the executor's thread, which owns the synchronizer; Frames are handed
    to the inference thread, which segments and publishes them.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__("segmenter", **arguments)
        self._declaration = RosParameters(self)
        self._report = Report()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._pipeline: Pipeline | None = None
        self._synchronizer: Synchronizer | None = None
        self._geometry: CalibrationListener | None = None
        self._inputs: Subscriptions | None = None
        self._outputs: Publishers | None = None
        self._worker: Worker | None = None
        self._stuck: list[Worker] = []
        """Workers that were stopped and are not at the end of their frame yet."""
        self._diagnostics: Diagnostics | None = None
        self._timers: list[Any] = []
        self._jumps: Any = None
        self._status_at = 0
        self._broken_packets = 0
        self._diagnosed_at = 0
        self.add_on_set_parameters_callback(self._declaration.judge)
        self.add_post_set_parameters_callback(self._apply)

    @property
    def parameters(self) -> NodeParameters:
        """What the parameters say now."""
        return self._declaration.parameters

    @property
    def running(self) -> bool:
        """Whether the network is loaded: then most parameters are fixed."""
        return self._pipeline is not None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and warm it up."""
        began = time.monotonic()
        self.get_logger().info("loading the network, which takes some seconds")
        try:
            parameters = self._declaration.read()
            segmenter = Segmenter.open(parameters.engine_config())
            self._pipeline = Pipeline(segmenter, parameters.pipeline_config())
            segmenter.prepare(m for m, sensor in parameters.sensors.items() if sensor.enabled)
            self._outputs = Publishers(self, segmenter.taxonomy, self.parameters.look())
            if self._diagnostics is None:
                self._diagnostics = Diagnostics(self, self._report, parameters.diagnostics_period)
        except Exception as error:  # whatever a model's file, an engine or a QoS trips over
            self.get_logger().error(f"cannot configure: {_reason(error)}")
            self._release()
            return FAILURE
        self._report.engine = segmenter.description
        seconds = time.monotonic() - began
        self.get_logger().info(f"{segmenter.description}; ready after {seconds:.1f} s")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, segment, publish."""
        result = super().on_activate(state)
        try:
            self._start()
        except Exception as error:  # a package that is missing, a QoS that is none
            self.get_logger().error(f"cannot activate: {_reason(error)}")
            self._stop()
            super().on_deactivate(state)
            return FAILURE
        return result

    def _start(self) -> None:
        assert self._pipeline is not None and self._outputs is not None
        self._stuck = [worker for worker in self._stuck if not worker.stop(0)]
        if self._stuck:
            raise RuntimeError("the network is still busy with a frame of before: try again")
        parameters = self.parameters
        self._report.begin(parameters, time.monotonic_ns())
        self._broken_packets = self._pipeline.broken_packets[0]
        window = self._pipeline.placing.event_window_ms * 1e-3
        simulated = bool(self.get_parameter("use_sim_time").value)
        self._pipeline.reset()
        self._synchronizer = Synchronizer(parameters.synchronizer_config(window, simulated))
        self._geometry = CalibrationListener(self, parameters, self._pipeline)
        self._tell_notes()
        self._outputs.publish_classes(self._own_header())
        self._worker = Worker(self._segment, self._tell_failure)
        self._inputs = Subscriptions(self, parameters, self._hear, self._hear_info)
        self._inputs.start()
        self._timers = [
            self.create_timer(_POLL_S, self._poll, clock=self._steady),
            self.create_timer(parameters.status_period / 2, self._tick, clock=self._steady),
        ]
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            ),
            post_callback=self._jumped,
        )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen and segment no more; the network stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the network."""
        self._release()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed in a way that nobody foresaw: let go of everything."""
        self._stop()
        self._release()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        self._stop()
        self._release()
        return SUCCESS

    def close(self) -> None:
        """End the threads; for the end of the process, whatever the state is."""
        self._stop()

    def _stop(self) -> None:
        if self._jumps is not None:
            self._jumps.unregister()
            self._jumps = None
        for timer in self._timers:
            self.destroy_timer(timer)
        self._timers = []
        if self._inputs is not None:
            self._inputs.stop()
            self._inputs = None
        if self._worker is not None:
            if not self._worker.stop():
                self._stuck.append(self._worker)
            self._worker = None
        if self._geometry is not None:
            self._geometry.stop()
            self._geometry = None
        self._synchronizer = None

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.stop()
            self._outputs = None
        self._pipeline = None

    def _hear(self, modality: Modality, msg: Any) -> None:
        """A sensor's message, on the executor's thread."""
        pipeline, synchronizer, worker = self._pipeline, self._synchronizer, self._worker
        if pipeline is None or synchronizer is None or worker is None or self._geometry is None:
            return
        arrival = time.monotonic_ns()
        monitor = self._report.monitors[modality]
        monitor.hear(arrival)
        try:
            received = pipeline.admit(modality, msg, arrival, self._now())
            self._geometry.locate(modality, msg.header.frame_id)
        except InvalidMeasurement as reason:
            synchronizer.refuse(modality, str(reason))
            self._note_refusal(modality, str(reason), arrival)
            return
        except Exception as error:
            text = f"cannot be read: {type(error).__name__}: {error}"
            synchronizer.refuse(modality, text)
            self._note_refusal(modality, text, arrival)
            return
        monitor.stamp = received.stamp
        resets = synchronizer.counters.resets
        frames = synchronizer.add(modality, received.stamp, received, arrival)
        if synchronizer.counters.resets > resets:
            self._tell_jump("stamps have jumped backwards: starting anew")
            self._forget()
        for frame in frames:
            worker.hand(frame)

    def _hear_info(self, modality: Modality, msg: Any) -> None:
        if self._geometry is None:
            return
        try:
            self._geometry.hear_info(modality, msg)
            self._tell_notes()
        except InvalidMeasurement as reason:
            self._note_refusal(modality, str(reason), time.monotonic_ns())

    def _tell_notes(self) -> None:
        while self._geometry is not None and self._geometry.notes:
            self.get_logger().warning(self._geometry.notes.pop(0))

    def _now(self) -> int | None:
        """ns of the clock that stamps belong to; None while simulated time stands at zero."""
        return self.get_clock().now().nanoseconds or None

    def _poll(self) -> None:
        if self._synchronizer is not None and self._worker is not None:
            for frame in self._synchronizer.poll(time.monotonic_ns()):
                self._worker.hand(frame)

    def _segment(self, frame: Frame) -> None:
        """A Frame, on the inference thread."""
        self._report.working_since = time.monotonic_ns()
        try:
            self._segment_now(frame)
        finally:
            self._report.working_since = 0

    def _segment_now(self, frame: Frame) -> None:
        pipeline, outputs, report = self._pipeline, self._outputs, self._report
        if pipeline is None or outputs is None or self._geometry is None:
            return
        began = report.working_since
        result = pipeline.process(frame)
        self._note_result(result)
        anchor, frame_id = result.anchor, self._geometry.reference_frame
        if result.segmentation is not None and pipeline.reference is not None:
            assert anchor is not None
            ready = time.monotonic_ns()
            outputs.publish(result, pipeline.reference, frame_id)
            done = time.monotonic_ns()
            report.latencies = Latencies(
                (began - anchor.arrival) * 1e-9,
                result.decode_s,
                result.infer_s,
                (done - ready) * 1e-9,
                (done - anchor.arrival) * 1e-9,
            )
        report.count(result, time.monotonic_ns())
        if anchor is None:
            return
        self._count()
        self._status_at = time.monotonic_ns()
        header = mask_header(ros_message, result, outputs.look, frame_id)
        outputs.publish_status(status_of(ros_message, report, result, header))
        if self._geometry.changed:
            self._geometry.changed = False
            pipeline.warm()

    def _note_result(self, result: Result) -> None:
        now = time.monotonic_ns()
        self._report.judge(result, now)
        for modality in Modality:
            if modality in result.received and modality not in result.frame.measurements:
                self._note_refusal(modality, result.frame.reasons.get(modality, ""), now)
            elif modality == Modality.EVENT:
                self._note_broken_packets(now)

    def _note_broken_packets(self, now: int) -> None:
        """Those among good ones, so that the frame had events all the same."""
        assert self._pipeline is not None
        broken, reason = self._pipeline.broken_packets
        for _ in range(broken - self._broken_packets):
            self._note_refusal(Modality.EVENT, reason, now)
        self._broken_packets = broken

    def _note_refusal(self, modality: Modality, reason: str, now: int) -> None:
        if self._report.monitors[modality].refuse(reason, now):
            self.get_logger().warning(f"{modality.label}: {reason}")

    def _tell_failure(self, error: Exception) -> None:
        if not self.context.ok():
            return
        self._report.totals.failed += 1
        self._report.failure = f"{type(error).__name__}: {error}"
        self.get_logger().error(
            f"a frame failed: {type(error).__name__}: {error}",
            throttle_duration_sec=_LOG_EVERY_S,
        )

    def _count(self) -> None:
        totals = self._report.totals
        if self._synchronizer is not None:
            totals.frames_in = self._synchronizer.counters.opened
            totals.late = self._synchronizer.counters.late
            totals.resets = self._synchronizer.counters.resets
            dropped = self._worker.forgotten if self._worker is not None else 0
            totals.reset = self._synchronizer.counters.forgotten + dropped
        if self._worker is not None:
            totals.busy = self._worker.busy
            totals.waiting = self._worker.waiting

    def _tick(self) -> None:
        """Several times a second on the steady clock: rates, and a status where none came."""
        now = time.monotonic_ns()
        for monitor in self._report.monitors.values():
            monitor.tick(now)
        self._tell_changes(now)
        if now - self._status_at >= self.parameters.status_period * 0.9e9 and self._outputs:
            self._report.idle(now)
            self._count()
            self._status_at = now
            status = idle_status(ros_message, self._report, self._own_header(), now)
            self._outputs.publish_status(status)
        if now - self._diagnosed_at >= self.parameters.diagnostics_period * 1e9:
            self._diagnosed_at = now
            if self._diagnostics is not None:
                self._diagnostics.update(now)

    def _tell_changes(self, now: int) -> None:
        """A sensor that is lost, or used again, is a line in the log."""
        for modality, lost in self._report.changes(now):
            if not lost:
                self.get_logger().info(f"{modality.label} is used again")
                continue
            _, reason = idle_availability(self._report, modality, now)
            monitor = self._report.monitors[modality]
            where = "" if monitor.count or self._inputs is None else self._inputs.where(modality)
            self.get_logger().warning(f"{modality.label} is lost: {reason}{where}")

    def _own_header(self) -> Header:
        frame = self._geometry.reference_frame if self._geometry is not None else ""
        return Header(stamp=self.get_clock().now().to_msg(), frame_id=frame)

    def _jumped(self, jump: Any) -> None:
        if self._synchronizer is not None and self._pipeline is not None:
            self._tell_jump("time has jumped: starting anew")
            self._synchronizer.reset()
            self._forget()

    def _tell_jump(self, text: str) -> None:
        self._report.reset_at = time.monotonic_ns()
        self.get_logger().warning(text, throttle_duration_sec=_LOG_EVERY_S)

    def _forget(self) -> None:
        """What belongs to the time before a jump."""
        if self._worker is not None:
            self._worker.forget()
        if self._geometry is not None:
            self._geometry.forget()
        if self._pipeline is not None:
            self._pipeline.reset()

    def _apply(self, changed: list[Any]) -> None:
        """Parameters have been changed at run time; what could not be was refused before."""
        before, now = self._declaration.accept(changed)
        if self._outputs is not None:
            self._outputs.look = self.parameters.look()
            if before.minimum_confidence != now.minimum_confidence and self._synchronizer:
                self._outputs.publish_classes(self._own_header())
        if self._pipeline is not None and before.pipeline_config() != now.pipeline_config():
            self._pipeline.configure(now.pipeline_config())
        self._report.interval = now.interval
        if self._synchronizer is not None and before.maximum_rate != now.maximum_rate:
            self._synchronizer.limit(now.maximum_rate)
        for modality, sensor in now.sensors.items():
            if sensor.enabled != before.sensors[modality].enabled:
                self._enable(modality, sensor.enabled)

    def _enable(self, modality: Modality, enabled: bool) -> None:
        if self._synchronizer is None or self._inputs is None:
            return
        try:
            if enabled:
                self._inputs.add(modality)
            else:
                self._inputs.remove(modality)
        except Exception as error:  # a QoS that is none
            self.get_logger().error(f"{modality.label} stays out: {_reason(error)}")
            self._inputs.remove(modality)
            return
        self._report.enabled[modality] = enabled
        self._synchronizer.enable(modality, enabled)


def _reason(error: Exception) -> str:
    """What went wrong; errors that nobody foresaw with their type."""
    foreseen = isinstance(error, (ValueError, OSError, ImportError, RuntimeError))
    return str(error) if foreseen else f"{type(error).__name__}: {error}"

"""The lifecycle node `segmenter`: configure loads the network, activate listens and publishes."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from any2seg_ros import memory
from any2seg_ros.engine import Segmenter
from any2seg_ros.messages import events
from any2seg_ros.node.diagnostics import Diagnostics
from any2seg_ros.node.publishers import Publishers
from any2seg_ros.node.ros_parameters import RosParameters
from any2seg_ros.node.segmentation_loop import SegmentationLoop, error_text
from any2seg_ros.runtime import motion_compensation
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Pipeline
from any2seg_ros.runtime.status import NodeState
from any2seg_ros.types import Modality

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE

SEVERAL, SEVERAL_WITHIN_S = 3, 30.0
"""As many messages that cannot be decoded within so long are a reason: one alone may be a wake-up
for nothing, as after a node that was killed."""


class WatchdogExpired(Exception):
    """Sensors were heard and no mask came for longer than the parameter `watchdog` allows."""


class SegmenterNode(LifecycleNode):
    """Transitions and parameters; what runs while it is active is the SegmentationLoop."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("segmenter", **arguments)
        self._ros_parameters = RosParameters(self)
        self._state = NodeState()
        self._pipeline: Pipeline | None = None
        self._outputs: Publishers | None = None
        self._diagnostics: Diagnostics | None = None
        self._diagnosed_at = 0
        self._loop: SegmentationLoop | None = None
        self._stuck: list[SegmentationLoop] = []
        """Loops that were stopped and whose last frame has not come to its end."""
        self._undecodable: dict[str, deque[float]] = {}
        """When the last messages that could not be decoded came, in s, by topic."""
        self.add_on_set_parameters_callback(self._ros_parameters.check)
        self.add_post_set_parameters_callback(self._apply)

    @property
    def parameters(self) -> NodeParameters:
        """The parameters as they are now."""
        return self._ros_parameters.parameters

    @property
    def running(self) -> bool:
        """Whether the network is loaded: then most parameters are fixed."""
        return self._pipeline is not None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and warm it up."""
        began = time.monotonic()
        self.get_logger().info("loading the network, this takes some seconds")
        if self._state.engine:  # an earlier one, which the executor held until the cleanup ended
            memory.collect()
        try:
            parameters = self._ros_parameters.read()
            segmenter = Segmenter.open(parameters.engine_config())
            self._pipeline = Pipeline(segmenter, parameters.pipeline_config())
            segmenter.prepare(m for m, sensor in parameters.sensors.items() if sensor.enabled)
            if parameters.sensors[Modality.EVENT].enabled:
                events.warm()
            if parameters.motion_compensation:
                motion_compensation.prepare()
            self._outputs = Publishers(self, segmenter.taxonomy, parameters.output_config())
            if self._diagnostics is None:
                self._diagnostics = Diagnostics(self, self._state, parameters.diagnostics_period)
        except Exception as error:  # whatever a model's file, an engine or a QoS trips over
            self.get_logger().error(f"cannot configure: {error_text(error)}")
            self._release()
            return FAILURE
        self._state.engine = segmenter.description
        seconds = time.monotonic() - began
        self.get_logger().info(f"{segmenter.description}; ready after {seconds:.1f} s")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, segment, publish."""
        self._undecodable.clear()
        result = super().on_activate(state)
        try:
            self._start()
        except Exception as error:  # a package that is missing, a QoS that is none
            self.get_logger().error(f"cannot activate: {error_text(error)}")
            self._stop()
            super().on_deactivate(state)
            return FAILURE
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and segmenting; the network stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unload the network."""
        self._release()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed unexpectedly: let go of everything."""
        self.close()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        self.close()
        return SUCCESS

    def close(self, patience: float = 10.0) -> None:
        """End the threads and unload the network, whatever the state is.

        patience: s that the inference thread has for the frame it is at.
        """
        self._stop(patience)
        self._release()

    def diagnose(self, now: int) -> None:
        """Publish diagnostics when they are due; now: ns of the steady clock."""
        if now - self._diagnosed_at >= self.parameters.diagnostics_period * 1e9:
            self._diagnosed_at = now
            if self._diagnostics is not None:
                self._diagnostics.update(now)

    def on_undecodable(self, topic: str) -> None:
        """A message has arrived that the middleware could not decode."""
        counts = self._state.undecodable
        counts[topic] = counts.get(topic, 0) + 1
        recent = self._undecodable.setdefault(topic, deque(maxlen=SEVERAL))
        recent.append(time.monotonic())
        several = len(recent) == SEVERAL and recent[-1] - recent[0] < SEVERAL_WITHIN_S
        if several and self._loop is not None:
            self._loop.on_undecodable(topic)

    def watch(self, now: int) -> None:
        """WatchdogExpired, with the reason, where the node is of no use; now: ns, steady clock.

        On the executor's thread, so that an inference that hangs is found as well.
        """
        why = self._state.overdue(self.parameters.watchdog, now)
        if why:
            raise WatchdogExpired(f"watchdog: {why}")

    def _start(self) -> None:
        assert self._pipeline is not None and self._outputs is not None
        self._stuck = [loop for loop in self._stuck if not loop.worker.stop(0)]
        if self._stuck:
            raise RuntimeError("the network is still busy with an earlier frame: try again")
        self._state.begin(self.parameters, time.monotonic_ns())
        self._loop = SegmentationLoop(
            self, self._pipeline, self._outputs, self._state, self.parameters
        )
        self._loop.start()

    def _stop(self, patience: float = 10.0) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.stop(patience):
            self._stuck.append(loop)

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.stop()
            self._outputs = None
        self._pipeline = None

    def _apply(self, changed: list[Any]) -> None:
        """Parameters have been changed at run time; what could not be was refused before."""
        before, now = self._ros_parameters.accept(changed)
        loop, publishers = self._loop, self._outputs
        self._state.expect(now.interval, time.monotonic_ns())
        if publishers is not None:
            publishers.config = now.output_config()
        if self._pipeline is not None and before.pipeline_config() != now.pipeline_config():
            self._pipeline.configure(now.pipeline_config())
        if loop is None or publishers is None:
            return
        if before.minimum_confidence != now.minimum_confidence:
            publishers.publish_classes(loop.own_header())
        if before.maximum_rate != now.maximum_rate:
            loop.limit(now.maximum_rate)
        for modality, sensor in now.sensors.items():
            if sensor.enabled != before.sensors[modality].enabled:
                loop.enable(modality, sensor.enabled)

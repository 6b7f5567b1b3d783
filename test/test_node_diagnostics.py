"""What /diagnostics says, by the updater that the node has."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402

from any2seg_ros.node.diagnostics import Diagnostics  # noqa: E402
from any2seg_ros.runtime.pipeline import Result  # noqa: E402
from any2seg_ros.runtime.status import NodeState  # noqa: E402
from any2seg_ros.types import Frame, Measurement, Modality, Segmentation  # noqa: E402

RGB, DEPTH, LIDAR, EVENT = Modality
SECOND = 1_000_000_000
NOW = 1000 * SECOND
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def heard(monkeypatch):
    """(state, listen): the state, and what is published of it at a time."""
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    # As with an updater that does not know the parameter.
    short = rclpy.parameter.Parameter("diagnostic_updater.use_fqn", value=False)
    node = rclpy.create_node("segmenter", namespace="car", parameter_overrides=[short])
    state = NodeState()
    diagnostics = Diagnostics(node, state, 1.0)
    messages: list[Any] = []
    node.create_subscription(DiagnosticArray, "/diagnostics", messages.append, 10)

    def listen(now: int) -> dict[str, Any]:
        messages.clear()
        for _ in range(200):
            diagnostics.update(now)
            rclpy.spin_once(node, timeout_sec=0.1)
            if messages:
                break
        return {status.name.split()[-1]: status for status in messages[-1].status}

    yield state, listen
    node.destroy_node()
    rclpy.try_shutdown()


def use(state: NodeState, *modalities: Modality, now: int = NOW) -> None:
    """Everything is heard; a frame uses some of it and gives a mask."""
    for monitor in state.monitors.values():
        monitor.on_message(now)
    frame = Frame.of(*(Measurement(m, now, None) for m in modalities), stamp=now)
    reasons = {m: "no measurement in the window" for m in Modality if m not in modalities}
    frame = replace(frame, reasons=reasons)
    blank = np.zeros((2, 2))
    found = Segmentation(blank.astype(np.uint8), blank, dict.fromkeys(modalities, 0.5))
    result = Result(frame, {}, {}, SimpleNamespace(), 0.0, found, 0.0)  # type: ignore[arg-type]
    state.on_result(result, now)
    state.count(result, now)


def test_all_is_well_while_all_are_used(heard) -> None:
    state, listen = heard
    use(state, *Modality)
    said = listen(NOW)
    assert {name: status.level for name, status in said.items()} == {
        name: OK for name in ("rgb", "depth", "lidar", "event", "segmentation")
    }
    assert said["rgb"].hardware_id == "/car/segmenter"


def test_a_sensor_that_is_heard_and_not_used_is_a_warning_with_the_reason(heard) -> None:
    state, listen = heard
    use(state, RGB, LIDAR, EVENT)
    said = listen(NOW)
    assert said["depth"].level == WARN and "no measurement" in said["depth"].message
    assert said["segmentation"].level == WARN
    assert said["segmentation"].message == "degraded: without depth"


def test_refusals_and_silence_are_warnings(heard) -> None:
    state, listen = heard
    use(state, *Modality)
    state.monitors[RGB].refuse("image is black", NOW)
    assert (said := listen(NOW)["rgb"]).level == WARN and said.message == "image is black"
    later = NOW + 10 * SECOND
    assert listen(later)["rgb"].level == WARN and listen(later)["rgb"].message == "silent"


def test_blindness_is_an_error_and_a_busy_network_is_its_reason(heard) -> None:
    state, listen = heard
    use(state, *Modality)
    later = NOW + 10 * SECOND
    said = listen(later)["segmentation"]
    assert said.level == ERROR and said.message == "blind: no usable sensor"
    state.working_since = NOW
    assert listen(later)["segmentation"].message == "blind: inference has been busy for 10 s"


def test_a_frame_that_fails_is_an_error_with_its_reason_before_a_second_has_passed(heard) -> None:
    state, listen = heard
    use(state, *Modality)
    state.failure = "NonFiniteOutput: the network gave NaN or infinity for rgb"
    said = listen(NOW)["segmentation"]
    assert said.level == ERROR and said.message.startswith("blind: NonFiniteOutput")
    use(state, *Modality)
    assert listen(NOW)["segmentation"].level == OK


def test_time_that_keeps_jumping_is_a_warning_for_a_while(heard) -> None:
    state, listen = heard
    state.counters.resets, state.reset_at = 5, NOW
    use(state, *Modality)
    assert "jumped backwards 5 times" in listen(NOW)["segmentation"].message
    use(state, *Modality, now=NOW + 10 * SECOND)
    assert listen(NOW + 10 * SECOND)["segmentation"].level == OK


def test_statuses_are_named_after_the_node_with_its_namespace(heard) -> None:
    state, listen = heard
    use(state, *Modality)
    assert {status.name for status in listen(NOW).values()} >= {
        f"/car/segmenter: {modality.label}" for modality in Modality
    }


def test_losses_on_the_way_and_the_geometry_are_told(heard) -> None:
    state, listen = heard
    use(state, *Modality)
    state.monitors[Modality.LIDAR].lost = 19
    state.geometry[Modality.RGB] = "rectified: P, no distortion"
    said = {
        name: {pair.key: pair.value for pair in status.values}
        for name, status in listen(NOW).items()
    }
    assert said["lidar"]["lost on the way"] == "19" and said["rgb"]["lost on the way"] == "0"
    assert said["rgb"]["geometry"].startswith("rectified") and "geometry" not in said["lidar"]

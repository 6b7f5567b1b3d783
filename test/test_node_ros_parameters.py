"""The node's parameters in ROS: what cannot run is refused with a reason."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from any2seg_ros.runtime.parameters import NodeParameters, entries


def node_with(given: dict[str, Any], running: bool) -> SimpleNamespace:
    values = {e.name: list(e.default) if e.name == "anchors" else e.default for e in entries()}
    return SimpleNamespace(
        running=running,
        declare_parameter=lambda *a: None,
        get_parameter=lambda name: SimpleNamespace(value=(values | given)[name]),
    )


@pytest.mark.parametrize("name", ["rgb.topic", "lidar.topic", "depth.camera_info"])
def test_a_topic_that_cannot_be_is_refused_before_anything_listens(name) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from any2seg_ros.node.ros_parameters import RosParameters

    why = f"{name} is '/front/ image': topic name must not contain"
    with pytest.raises(ValueError, match=why):
        RosParameters(node_with({name: "/front/ image"}, running=False)).read()
    declaration = RosParameters(node_with({}, running=False))
    answer = declaration.check([SimpleNamespace(name=name, value="/front/ image")])
    assert not answer.successful and why in answer.reason
    assert declaration.check([SimpleNamespace(name=name, value="~/front/{ns}/image_1")]).successful


def test_a_sensor_whose_package_is_missing_is_not_let_in() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from any2seg_ros.node.ros_parameters import RosParameters

    given = {"event.enabled": False, "event.type": "prophesee"}
    declaration = RosParameters(node_with(given, running=True))
    assert isinstance(declaration.parameters, NodeParameters)
    change = SimpleNamespace(name="event.enabled", value=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "prophesee_event_msgs.msg", None)
        answer = declaration.check([change])
    assert not answer.successful and "prophesee_event_msgs is not installed" in answer.reason


@pytest.mark.parametrize("frozen", [True, False])
def test_files_are_named_at_the_start_alone_where_they_are_frozen(frozen, tmp_path) -> None:
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
    pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")
    import ros_vehicle
    from rclpy.parameter import Parameter

    from any2seg_ros.node.segmenter_node import SegmenterNode

    given = [
        "--ros-args", "-p", f"freeze_files:={str(frozen).lower()}", "-p", "model:=/a.safetensors"
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        rclpy.init()
        node = SegmenterNode(cli_args=given)
        try:
            assert node.get_parameter("model").value == "/a.safetensors"
            changes = [
                Parameter("model", value="/b.safetensors"),
                Parameter("reference_file", value="/b"),
                Parameter("freeze_files", value=not frozen),
                Parameter("deadline", value=0.2),
            ]
            answers = [node.set_parameters([change])[0] for change in changes]
            assert [a.successful for a in answers] == [not frozen, not frozen, False, True]
            assert "read-only" in answers[2].reason
        finally:
            node.destroy_node()
            rclpy.try_shutdown()

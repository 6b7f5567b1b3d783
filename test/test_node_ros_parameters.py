"""The node's parameters in ROS: what cannot run is refused with a reason."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from any2seg_ros.runtime.parameters import NodeParameters, entries


def test_a_sensor_whose_package_is_missing_is_not_let_in() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from any2seg_ros.node.ros_parameters import RosParameters

    values = {e.name: list(e.default) if e.name == "anchors" else e.default for e in entries()}
    values |= {"event.enabled": False, "event.type": "prophesee"}
    node = SimpleNamespace(
        running=True,
        declare_parameter=lambda *a: None,
        get_parameter=lambda name: SimpleNamespace(value=values[name]),
    )
    declaration = RosParameters(node)
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

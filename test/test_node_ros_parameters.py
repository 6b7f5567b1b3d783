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

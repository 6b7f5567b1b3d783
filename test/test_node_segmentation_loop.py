"""Topics whose QoS cannot be: what the node says, and that it lives."""

from __future__ import annotations

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    model = ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))
    return ros_vehicle.arguments_of(model=model)


@pytest.fixture(scope="module")
def vehicle():
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        rclpy.init()
        vehicle = ros_vehicle.Vehicle()
        yield vehicle
        vehicle.close()
        rclpy.try_shutdown()


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("/segmenter/mask.publisher", "cannot configure: "),
        ("/event/packets.subscription", "cannot activate: "),
    ],
)
def test_a_node_whose_topics_cannot_be_says_so(vehicle, arguments, topic, words):
    wrong = ("-p", f"qos_overrides.{topic}.reliability:=morse")
    with ros_vehicle.NodeInProcess(*arguments, *wrong) as node:
        assert vehicle.wait(lambda: words in node.log, 60), node.log


def test_a_sensor_that_cannot_be_listened_to_stays_disabled_and_the_node_lives(vehicle, arguments):
    topic = "qos_overrides./event/packets.subscription.reliability:=morse"
    out = ("-p", "event.enabled:=false", "-p", topic)
    with ros_vehicle.NodeInProcess(*arguments, *out) as node:
        assert vehicle.wait(lambda: "ready after" in node.log, 60), node.log
        value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True)
        request = SetParameters.Request(parameters=[Parameter(name="event.enabled", value=value)])
        vehicle.ask("/segmenter/set_parameters", SetParameters, request)
        assert vehicle.wait(lambda: "event stays disabled" in node.log, 30), node.log
        assert node.lives

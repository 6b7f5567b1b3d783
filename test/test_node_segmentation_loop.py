"""Topics whose QoS cannot be, a network that gives NaN or hangs: what the node says."""

from __future__ import annotations

import threading

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402

from any2seg_ros.node.segmenter_node import WatchdogExpired  # noqa: E402
from any2seg_ros.types import Availability, Modality  # noqa: E402


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


def test_a_network_that_gives_nan_is_an_error_without_masks_and_the_node_lives(vehicle, arguments):
    vehicle.alive = set(Modality)
    vehicle.clear()
    with ros_vehicle.NodeInProcess(*arguments) as node:
        assert vehicle.wait(lambda: vehicle.uses(*Modality), 90), node.log
        network = node.node._pipeline.segmenter._engine._network
        bias = network.decoder.classifier.bias.data
        kept = bias.clone()
        bias.fill_(float("nan"))
        assert vehicle.wait(lambda: "a frame failed: NonFiniteOutput" in node.log, 60), node.log
        vehicle.clear()
        why = "its frame failed: NonFiniteOutput: the network gave NaN"
        for modality in Modality:
            said = lambda m=modality: vehicle.says(m, Availability.INVALID, why)  # noqa: E731
            assert vehicle.wait(said, 30), vehicle.heard["status"]
        assert vehicle.wait(lambda: errors(vehicle), 30)
        assert "blind: NonFiniteOutput: the network gave NaN" in errors(vehicle)[-1]
        assert not vehicle.heard["mask"] and node.lives
        bias.copy_(kept)
        assert vehicle.wait(lambda: vehicle.heard["mask"], 60), node.log


def test_an_inference_that_hangs_is_found_by_the_watchdog(vehicle, arguments):
    vehicle.alive = set(Modality)
    vehicle.clear()
    released = threading.Event()
    with ros_vehicle.NodeInProcess(*arguments, "-p", "watchdog:=3.0") as node:
        assert vehicle.wait(lambda: vehicle.uses(*Modality), 90), node.log
        node.node._pipeline.process = lambda frame: released.wait()
        assert vehicle.wait(lambda: node.failure is not None, 60), node.log
        released.set()
        assert isinstance(node.failure, WatchdogExpired)
        assert "inference has been busy for" in str(node.failure)


def errors(vehicle) -> list[str]:
    """What /diagnostics says of the segmentation, as far as it is an error."""
    said = [status for array in list(vehicle.diagnostics) for status in array.status]
    return [s.message for s in said if s.level == b"\x02" and s.name.endswith("segmentation")]

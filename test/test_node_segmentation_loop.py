"""Topics whose QoS cannot be, a network that gives NaN or hangs: what the node says."""

from __future__ import annotations

import re
import threading
import time
from itertools import count
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
import yaml  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402

from any2seg_ros.node.segmentation_loop import SegmentationLoop  # noqa: E402
from any2seg_ros.node.segmenter_node import WatchdogExpired  # noqa: E402
from any2seg_ros.runtime.parameters import from_values, load_parameters  # noqa: E402
from any2seg_ros.runtime.status import NodeState  # noqa: E402
from any2seg_ros.types import Availability, Modality  # noqa: E402


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    model = ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))
    return ros_vehicle.arguments_of(model=model)


@pytest.fixture(scope="module")
def vehicle():
    with ros_vehicle.opened() as vehicle:
        yield vehicle


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


def test_a_loop_that_cannot_be_made_leaves_no_subscription_behind(vehicle, monkeypatch):
    node, before = vehicle.node, len(list(vehicle.node.subscriptions))
    monkeypatch.setattr(node, "on_undecodable", print, raising=False)
    window = SimpleNamespace(event_window_ms=50.0)
    pipeline = SimpleNamespace(broken_packets=(0, ""), preprocessing=window, reset=lambda: None)
    parameters = from_values({"rgb.topic": "/front/ image"})
    for _ in range(3):
        with pytest.raises(Exception, match="topic name"):
            SegmentationLoop(node, pipeline, None, NodeState(), parameters)
    assert len(list(node.subscriptions)) == before


def test_what_cannot_be_heard_is_in_the_status_with_both_sides(vehicle, arguments):
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = vehicle.node.create_publisher(PointCloud2, "/front/points", best_effort)
    given = ("-r", "lidar/points:=/front/points", "-p", "lidar.reliable:=yes")
    words = "incompatible QoS: /vehicle offers best effort, volatile; this node asks for reliable"
    try:
        with ros_vehicle.NodeInProcess(*arguments, *given) as node:
            assert vehicle.wait(lambda: words in node.log, 60), node.log
            assert vehicle.wait(
                lambda: vehicle.says(Modality.LIDAR, Availability.MISSING, words), 30
            )
    finally:
        vehicle.node.destroy_publisher(publisher)


def test_what_a_frame_has_while_it_waits_is_decoded_ahead_and_taken(vehicle, arguments):
    arrived, taken = threading.Event(), threading.Event()

    def wait_until_made(message):
        """The depth image is published when the cloud, which was before it, has been made."""
        arrived.wait(5)
        arrived.clear()

    rgb, depth, lidar, _ = Modality
    with ros_vehicle.NodeInProcess(*arguments, "-p", "anchors:=[lidar, depth, rgb]") as node:
        assert vehicle.wait(lambda: "ready after" in node.log, 60), node.log
        pipeline = node.node._pipeline
        ahead, made = pipeline.prepare_ahead, pipeline._made

        def prepare_ahead(frame, hurry):
            done = ahead(frame, hurry)
            if lidar in pipeline._ahead:
                arrived.set()
            return done

        def watched(modality, frame):
            known = pipeline._ahead.get(modality)
            found = made(modality, frame)
            if modality is lidar and known is not None and found is known.made:
                taken.set()
            return found

        pipeline.prepare_ahead, pipeline._made = prepare_ahead, watched
        vehicle.alive = {rgb, depth, lidar}
        try:
            assert vehicle.wait(lambda: vehicle.uses(rgb, depth, lidar), 60), node.log
            # Not at once: its first message was refused, for there was no camera_info yet.
            synchronizer = node.node._loop._intake.synchronizer
            assert vehicle.wait(lambda: synchronizer._anchor.modality is lidar, 60), node.log
            vehicle.spoil[depth] = wait_until_made
            assert taken.wait(60)
        finally:
            vehicle.spoil.clear()
            vehicle.alive = set()


def test_a_slow_sensor_that_no_frame_used_for_a_while_is_lost_with_a_reason(vehicle, arguments):
    """Its last frame, of 1.2 s ago, is not yet overdue and says that all is well."""
    with ros_vehicle.NodeInProcess(*arguments) as node:
        assert vehicle.wait(lambda: "ready after" in node.log and node.node._loop, 60), node.log
        state, now = node.node._loop._state, time.monotonic_ns()
        state.last_frame = {modality: (Availability.OK, "") for modality in Modality}
        state.frame_at, state.gap = now - 1_200_000_000, 1.0
        monitor = state.monitors[Modality.RGB]
        monitor.count, monitor.arrival, monitor.used_at = 1, now, state.frame_at
        node.node._loop._log_changes(now)
        assert vehicle.wait(lambda: "rgb is lost: received but not used" in node.log, 10), node.log


def test_event_packets_that_are_missing_are_counted_and_told(vehicle, arguments):
    numbers = count(1, 5)

    def number(packet):
        packet.seq = next(numbers)

    with ros_vehicle.NodeInProcess(*arguments) as node:
        assert vehicle.wait(lambda: "ready after" in node.log, 60), node.log
        vehicle.spoil[Modality.EVENT] = number
        vehicle.alive = {Modality.EVENT}
        try:
            assert vehicle.wait(lambda: "messages lost on the way" in node.log, 60), node.log
        finally:
            vehicle.alive = set()
            vehicle.spoil.clear()
        said = re.search(r"event: (\d+) of (\d+) messages lost", node.log)
        lost, sent = int(said[1]), int(said[2])
        assert lost and lost % 4 == 0 and lost < sent <= lost + lost // 4 + 2


def test_a_dump_of_the_nodes_parameters_can_be_loaded_again(vehicle, arguments, tmp_path):
    given = ("-r", "__ns:=/car", "-p", "replay:=yes", "-p", "lidar.reliable:=false")
    with ros_vehicle.NodeInProcess(*arguments, *given) as node:
        assert vehicle.wait(lambda: "ready after" in node.log, 60), node.log
        assert vehicle.wait(lambda: any(names(vehicle, "/car/segmenter: rgb")), 30)
        last = "/car/event/camera_info"
        assert vehicle.wait(lambda: vehicle.node.count_subscribers(last), 30)
        before = dumped(node.node)
    file = tmp_path / "dump.yaml"
    file.write_text(yaml.dump({"/car/segmenter": {"ros__parameters": nested(before)}}))
    assert {"qos_overrides", "diagnostic_updater", "use_sim_time"} <= nested(before).keys()
    loaded = load_parameters(file)
    assert (loaded.replay, loaded.sensors[Modality.LIDAR].reliable) == ("yes", "no")
    with ros_vehicle.NodeInProcess("--params-file", str(file), "-r", "__ns:=/car") as node:
        assert vehicle.wait(lambda: "ready after" in node.log, 60), node.log
        assert node.node.parameters == loaded and "unknown" not in node.log
        vehicle.wait(lambda: dumped(node.node) == before, 30)
        assert dumped(node.node) == before


def names(vehicle, name):
    """Whether each status of /diagnostics that was heard has this name."""
    return [row.name == name for array in list(vehicle.diagnostics) for row in array.status]


def dumped(node):
    """The values that `ros2 param dump` asks a node for."""
    return {name: _plain(node.get_parameter(name).value) for name in sorted(node._parameters)}


def _plain(value):
    return list(value) if isinstance(value, (list, tuple)) else value


def nested(values):
    """As `ros2 param dump` writes them: a level for each point in a name."""
    tree = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return tree


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
        # Another node of that name may be heard before this one is active.
        assert vehicle.wait(lambda: node.node._loop and vehicle.uses(*Modality), 90), node.log
        node.node._pipeline.process = lambda frame: released.wait()
        assert vehicle.wait(lambda: node.failure is not None, 60), node.log
        released.set()
        assert isinstance(node.failure, WatchdogExpired)
        assert "inference has been busy for" in str(node.failure)


def errors(vehicle) -> list[str]:
    """What /diagnostics says of the segmentation, as far as it is an error."""
    said = [status for array in list(vehicle.diagnostics) for status in array.status]
    return [s.message for s in said if s.level == b"\x02" and s.name.endswith("segmentation")]

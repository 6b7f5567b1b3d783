"""What publishers offer is taken; what cannot be heard, or was lost, is said."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, PointCloud2  # noqa: E402

from any2seg_ros.messages import info_fields  # noqa: E402
from any2seg_ros.node.delivery import TELL_EVERY, LossCounter  # noqa: E402
from any2seg_ros.node.subscriptions import Subscriptions  # noqa: E402
from any2seg_ros.runtime.parameters import from_values  # noqa: E402
from any2seg_ros.types import Modality  # noqa: E402

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OTHERS = {"depth.enabled": False, "event.enabled": False}


@pytest.fixture(scope="module", autouse=True)
def ros():
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        rclpy.init()
        yield
        rclpy.try_shutdown()


class Hearing:
    """Subscriptions on a node of their own, and a node that publishes."""

    def __init__(self, *arguments: str, **values) -> None:
        self.driver = rclpy.create_node("driver", namespace="/car")
        self.infos: list = []
        self.clouds: list = []
        self.log: list[str] = []
        given = ["--ros-args", *arguments] if arguments else None
        self.node = rclpy.create_node("hearing", cli_args=given)
        warning = self.node.get_logger().warning
        self.node.get_logger().warning = lambda text, **_: (self.log.append(text), warning(text))
        self.executor = SingleThreadedExecutor()
        for node in (self.node, self.driver):
            self.executor.add_node(node)
        parameters = from_values({**OTHERS, **{k.replace("__", "."): v for k, v in values.items()}})
        self.subscriptions = Subscriptions(
            self.node, parameters, lambda modality, msg: self.infos.append((modality, msg))
        )
        self.subscriptions.filters[Modality.LIDAR].registerCallback(self.clouds.append)

    def spin(self, condition, seconds: float = 30.0) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.subscriptions.adapt()
            if condition():
                return True
            self.executor.spin_once(timeout_sec=0.05)
        return bool(condition())

    def asked(self, topic: str) -> list:
        """Reliability of the subscriptions of a topic, as others see them."""
        found = self.driver.get_subscriptions_info_by_topic(topic)
        return [info.qos_profile.reliability for info in found]

    def close(self) -> None:
        self.subscriptions.stop()
        self.executor.shutdown()
        self.node.destroy_node()
        self.driver.destroy_node()


@pytest.fixture
def hearing(request):
    made = []

    def make(*arguments: str, **values) -> Hearing:
        made.append(Hearing(*arguments, **values))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_latched_camera_info_that_was_published_before_is_heard(hearing):
    here = hearing()
    info = here.driver.create_publisher(CameraInfo, "/rgb/camera_info", LATCHED)
    info.publish(CameraInfo(**info_fields(ros_vehicle.CAMERA)))
    assert here.spin(lambda: here.node.count_publishers("/rgb/camera_info"))
    here.subscriptions.start()
    assert here.spin(lambda: here.infos) and here.infos[0][1].k[0] == ros_vehicle.CAMERA.fx


def test_a_latched_camera_info_that_appears_later_is_heard(hearing):
    here = hearing()
    here.subscriptions.start()
    info = here.driver.create_publisher(CameraInfo, "/rgb/camera_info", LATCHED)
    info.publish(CameraInfo(**info_fields(ros_vehicle.CAMERA)))
    assert here.spin(lambda: here.infos)


def test_a_camera_info_that_is_not_latched_is_heard_as_ever(hearing):
    here = hearing()
    here.subscriptions.start()
    best_effort = QoSProfile(depth=1, reliability=BEST_EFFORT)
    info = here.driver.create_publisher(CameraInfo, "/rgb/camera_info", best_effort)

    def heard() -> bool:
        info.publish(CameraInfo(**info_fields(ros_vehicle.CAMERA)))
        return bool(here.infos)

    assert here.spin(heard)


@pytest.mark.parametrize("first", ["latched", "volatile"])
@pytest.mark.parametrize("policy", [RELIABLE, BEST_EFFORT])
def test_of_publishers_some_of_which_latch_all_are_heard(hearing, first, policy):
    here = hearing()
    topic, heard = "/rgb/camera_info", lambda: {msg.width for _, msg in here.infos}
    profiles = {"latched": LATCHED, "volatile": QoSProfile(depth=1, reliability=policy)}
    publishers = {first: here.driver.create_publisher(CameraInfo, topic, profiles.pop(first))}
    here.subscriptions.start()
    assert here.spin(lambda: here.node.count_publishers(topic) == 1)
    if first == "latched":
        publishers[first].publish(CameraInfo(width=1))
        assert here.spin(lambda: heard() == {1})
    # The other one comes later; what it latched was published before it is known.
    ((second, profile),) = profiles.items()
    publishers[second] = here.driver.create_publisher(CameraInfo, topic, profile)
    if second == "latched":
        publishers[second].publish(CameraInfo(width=1))
        assert here.spin(lambda: heard() == {1})

    def hears(width: int, name: str) -> bool:
        publishers[name].publish(CameraInfo(width=width))
        return width in heard()

    assert here.spin(lambda: hears(2, "volatile")) and here.spin(lambda: hears(3, "latched"))
    here.driver.destroy_publisher(publishers["latched"])
    assert here.spin(lambda: len(here.asked(topic)) == 1)
    assert here.spin(lambda: hears(4, "volatile"))


def test_a_mixture_that_is_there_first_gives_what_was_latched_before(hearing):
    here = hearing()
    latched = here.driver.create_publisher(CameraInfo, "/rgb/camera_info", LATCHED)
    volatile = here.driver.create_publisher(CameraInfo, "/rgb/camera_info", 1)
    latched.publish(CameraInfo(width=1))
    volatile.publish(CameraInfo(width=2))
    assert here.spin(lambda: here.node.count_publishers("/rgb/camera_info") == 2)
    here.subscriptions.start()
    assert here.spin(lambda: [msg.width for _, msg in here.infos] == [1])
    here.subscriptions.stop()
    assert here.spin(lambda: here.asked("/rgb/camera_info") == [])


def test_auto_takes_what_all_publishers_of_a_topic_offer(hearing):
    here = hearing()
    here.subscriptions.start()
    assert here.spin(lambda: here.asked("/lidar/points") == [BEST_EFFORT])
    sure = here.driver.create_publisher(PointCloud2, "/lidar/points", 10)
    assert here.spin(lambda: here.asked("/lidar/points") == [RELIABLE])
    unsure = here.driver.create_publisher(
        PointCloud2, "/lidar/points", QoSProfile(depth=1, reliability=BEST_EFFORT)
    )
    assert here.spin(lambda: here.asked("/lidar/points") == [BEST_EFFORT])

    def heard() -> bool:
        unsure.publish(PointCloud2())
        return bool(here.clouds)

    assert here.spin(heard)
    here.driver.destroy_publisher(unsure)
    assert here.spin(lambda: here.asked("/lidar/points") == [RELIABLE])
    here.driver.destroy_publisher(sure)
    assert here.spin(lambda: not here.node.count_publishers("/lidar/points"))
    assert here.asked("/lidar/points") == [RELIABLE]


@pytest.mark.parametrize(
    ("value", "policy"), [("no", BEST_EFFORT), (False, BEST_EFFORT), (True, RELIABLE)]
)
def test_yes_and_no_are_kept_whatever_is_offered(hearing, value, policy):
    here = hearing(lidar__reliable=value)
    here.driver.create_publisher(PointCloud2, "/lidar/points", 10)
    here.subscriptions.start()
    assert here.spin(lambda: here.node.count_publishers("/lidar/points"))
    assert here.spin(lambda: here.asked("/lidar/points") == [policy])


def test_a_qos_override_is_not_overruled_by_auto(hearing):
    here = hearing("-p", "qos_overrides./lidar/points.subscription.reliability:=best_effort")
    here.driver.create_publisher(PointCloud2, "/lidar/points", 10)
    here.subscriptions.start()
    assert here.spin(lambda: here.node.count_publishers("/lidar/points"))
    assert here.spin(lambda: here.asked("/lidar/points") == [BEST_EFFORT])
    names = here.node.list_parameters(["qos_overrides"], 0).names
    assert "qos_overrides./lidar/points.subscription.depth" in names


def test_an_offer_that_does_not_fit_is_said_with_both_sides(hearing):
    here = hearing(rgb__reliable="yes")
    here.subscriptions.start()
    here.driver.create_publisher(Image, "/rgb/image", QoSProfile(depth=1, reliability=BEST_EFFORT))
    assert here.spin(lambda: here.log)
    said = here.log[0]
    assert "rgb: incompatible QoS: /car/driver offers best effort, volatile" in said
    assert "asks for reliable, volatile on /rgb/image: set rgb.reliable to auto" in said
    assert here.subscriptions.misfit(Modality.RGB) and not here.subscriptions.misfit(Modality.LIDAR)


def test_missing_numbers_of_packets_are_losses_and_a_new_driver_is_none():
    counter = LossCounter()
    for number in (100, 101, 105, 106, 3, 4):
        counter.on_message(SimpleNamespace(seq=number))
    assert counter.lost == 3
    counter.on_message(SimpleNamespace())
    counter.on_lost(2)
    assert counter.lost == 3  # the same, counted twice
    counter.on_lost(5)
    assert counter.lost == 7


def test_losses_are_told_now_and_then():
    counter = LossCounter()
    assert not counter.news(0)
    counter.on_lost(1)
    assert counter.news(1) and not counter.news(2)
    counter.on_lost(1)
    assert not counter.news(3) and counter.news(2 + TELL_EVERY)

"""The synchronizer as a filter of message_filters: how it composes, and what callbacks may do."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

message_filters = pytest.importorskip("message_filters", reason="message_filters is not here")

from any2seg_ros.node.synchronizer_filter import MessageMatcher, SynchronizerFilter  # noqa: E402
from any2seg_ros.runtime.synchronizer import SynchronizerConfig  # noqa: E402
from any2seg_ros.types import Availability, Frame, Modality  # noqa: E402

RGB, DEPTH, LIDAR, EVENT = Modality


def message(ms: int) -> SimpleNamespace:
    stamp = SimpleNamespace(sec=1000 + ms // 1000, nanosec=ms % 1000 * 1_000_000)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), ms=ms)


@pytest.fixture
def inputs():
    return {RGB: message_filters.SimpleFilter(), DEPTH: message_filters.SimpleFilter()}


def test_messages_of_other_filters_become_frames(inputs):
    frames: list[Frame] = []
    joined = SynchronizerFilter(inputs)
    joined.registerCallback(frames.append)
    for k in range(5):
        inputs[DEPTH].signalMessage(message(100 * k))
        inputs[RGB].signalMessage(message(100 * k + 1))
    assert [f.measurements[RGB].ms for f in frames[1:]] == [101, 201, 301, 401]
    assert [f.measurements[DEPTH].ms for f in frames[1:]] == [100, 200, 300, 400]


def test_a_callback_gets_the_arguments_that_it_was_registered_with(inputs):
    heard = []
    joined = SynchronizerFilter(inputs)
    joined.registerCallback(lambda frame, *rest: heard.append(rest), "a", 2)
    inputs[RGB].signalMessage(message(0))
    assert heard == [("a", 2)]


def test_an_exception_in_a_callback_harms_nothing(inputs):
    frames, failures = [], []
    joined = SynchronizerFilter(inputs, failed=failures.append)

    def fail(frame):
        raise RuntimeError("not today")

    joined.registerCallback(fail)
    joined.registerCallback(frames.append)
    for k in range(3):
        inputs[RGB].signalMessage(message(100 * k))
    assert len(frames) == 3
    assert [str(failure) for failure in failures] == ["not today"] * 3


def test_callbacks_run_outside_the_lock(inputs):
    joined = SynchronizerFilter(inputs)
    entered = []

    def wait_for_another_thread(frame):
        other = threading.Thread(target=inputs[DEPTH].signalMessage, args=(message(0),))
        other.start()
        other.join(5.0)
        entered.append(not other.is_alive())

    joined.registerCallback(wait_for_another_thread)
    inputs[RGB].signalMessage(message(0))
    assert entered == [True]


def test_a_deadline_passes_without_a_message(inputs):
    frames: list[Frame] = []
    joined = SynchronizerFilter(inputs, SynchronizerConfig(deadline=0.0))
    joined.registerCallback(frames.append)
    inputs[DEPTH].signalMessage(message(0))
    inputs[RGB].signalMessage(message(100))
    time.sleep(0.001)
    joined.poll()
    assert frames[-1].measurements[RGB].ms == 100


def test_one_filter_that_is_silent_does_not_silence_the_others(inputs):
    frames: list[Frame] = []
    joined = SynchronizerFilter(inputs)
    joined.registerCallback(frames.append)
    for k in range(10):
        inputs[RGB].signalMessage(message(100 * k))
    assert len(frames) == 10


def test_a_node_s_timer_lets_frames_go_whose_time_is_up(inputs, monkeypatch):
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
    import ros_vehicle

    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("mine")
    frames: list[Frame] = []
    SynchronizerFilter(inputs, node=node).registerCallback(frames.append)
    for k in range(5):
        inputs[DEPTH].signalMessage(message(100 * k))
        inputs[RGB].signalMessage(message(100 * k + 1))
    inputs[RGB].signalMessage(message(501))  # and depth is silent
    assert frames[-1].measurements[RGB].ms < 501
    for _ in range(500):
        rclpy.spin_once(node, timeout_sec=0.02)
        if frames[-1].measurements[RGB].ms == 501:
            break
    node.destroy_node()
    rclpy.try_shutdown()
    assert frames[-1].measurements[RGB].ms == 501
    assert frames[-1].availability[DEPTH] != Availability.OK


def test_the_timer_sleeps_until_the_next_deadline_and_while_nothing_waits(inputs, monkeypatch):
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
    import ros_vehicle

    class Counting(MessageMatcher):
        polled = 0

        def __init__(self) -> None:
            super().__init__(SynchronizerConfig(deadline=0.2))
            self.poll = self.counted

        def counted(self, now: int) -> list[Frame]:
            self.polled += 1
            return self.synchronizer.poll(now)

    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("mine")
    matcher = Counting()
    joined = SynchronizerFilter(inputs, node=node, matcher=matcher)
    frames: list[Frame] = []
    joined.registerCallback(frames.append)

    def spin_until(condition) -> None:
        for _ in range(500):
            rclpy.spin_once(node, timeout_sec=0.02)
            if condition():
                break

    for k in range(5):
        inputs[DEPTH].signalMessage(message(100 * k))
        inputs[RGB].signalMessage(message(100 * k + 1))
    assert joined.next_deadline is None
    for _ in range(20):
        rclpy.spin_once(node, timeout_sec=0.02)
    assert matcher.polled == 0
    for k in (5, 6):  # and depth is silent
        left = len(frames)
        inputs[RGB].signalMessage(message(100 * k + 1))
        spin_until(lambda left=left: len(frames) > left)
    assert [frame.measurements[RGB].ms for frame in frames[-2:]] == [501, 601]
    assert matcher.polled <= 4
    joined.stop()
    node.destroy_node()
    rclpy.try_shutdown()


def test_a_cache_fits_before_and_behind(inputs):
    msgs = pytest.importorskip("sensor_msgs.msg", reason="ROS 2 is not here")
    caches = {m: message_filters.Cache(one, cache_size=5) for m, one in inputs.items()}
    joined = SynchronizerFilter(caches)
    # A Frame has no header.
    behind = message_filters.Cache(joined, cache_size=2, allow_headerless=True)
    frames: list[Frame] = []
    behind.registerCallback(frames.append)
    for second in (1, 2, 3):
        for modality in (DEPTH, RGB):
            image = msgs.Image()
            image.header.stamp.sec = second
            inputs[modality].signalMessage(image)
    assert [frame.stamp for frame in frames] == [10**9, 2 * 10**9, 3 * 10**9]
    kept = caches[DEPTH].getElemBeforeTime(caches[RGB].getOldestTime())
    assert kept.header.stamp.sec == 1


def test_what_came_while_the_thread_was_busy_is_in_the_frame_whose_deadline_has_passed(monkeypatch):
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
    import ros_vehicle
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node, driver = rclpy.create_node("mine"), rclpy.create_node("driver")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    topics = {RGB: "/one", DEPTH: "/other"}
    filters = {m: message_filters.Subscriber(node, Image, t) for m, t in topics.items()}
    publishers = {m: driver.create_publisher(Image, t, 10) for m, t in topics.items()}
    frames: list[Frame] = []
    joined = SynchronizerFilter(filters, SynchronizerConfig(deadline=0.2), node)
    joined.registerCallback(frames.append)

    def publish(modality: Modality, stamp: int) -> None:
        image = Image()
        image.header.stamp.sec, image.header.stamp.nanosec = 1000, stamp
        publishers[modality].publish(image)

    def spin(condition) -> bool:
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        return bool(condition())

    try:
        publish(DEPTH, 100)
        publish(RGB, 200)
        assert spin(lambda: frames)  # both are heard, so that each waits for the other
        for number in range(3):
            frames.clear()
            stamp = 100_000_000 * (number + 1)
            publish(RGB, stamp)
            assert spin(lambda: joined.next_deadline is not None)
            publish(DEPTH, stamp + 1)
            time.sleep(0.3)  # the deadline passes, and nobody looks
            assert spin(lambda: frames)
            assert frames[0].availability[DEPTH] == Availability.OK
    finally:
        joined.stop()
        executor.shutdown()
        node.destroy_node()
        driver.destroy_node()
        rclpy.try_shutdown()

"""Faults around the node: each is there within its block, and gone after it."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.serialization import deserialize_message, serialize_message

from any2seg_ros.bench.faults import graph, spoiling
from any2seg_ros.bench.faults.vehicle import BEST_EFFORT, RELIABLE, Vehicle
from any2seg_ros.bench.fuzz import samples
from any2seg_ros.messages import as_bytes, from_array, stamp_ns
from any2seg_ros.messages.kinds import EVENTS, message_class, ros_message
from any2seg_ros.messages.making import header_message
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality


class Scene:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.accepts = True
        self.vehicle = Vehicle.__new__(Vehicle)
        self.vehicle.alter, self.vehicle.alter_info = {}, {}
        self.vehicle.stamp_shift = 0
        self.vehicle.reopen = lambda *how: self.asked.append(how)  # type: ignore[method-assign]

    def change_state(self, *transitions: int) -> bool:
        self.asked.append(transitions)
        return self.accepts

    def set_parameter(self, name: str, value: Any) -> bool:
        self.asked.append((name, value))
        return self.accepts

    @contextmanager
    def flood(self, *how: Any) -> Any:
        self.asked.append(how)
        yield


@pytest.mark.parametrize("info", (False, True))
def test_messages_of_some_sensors_are_altered_within_the_block(info) -> None:
    scene: Any = Scene()
    altered = scene.vehicle.alter_info if info else scene.vehicle.alter
    with graph.messages(lambda: spoiling.drop, DEPTH, EVENT, info=info)(scene):
        assert altered == {DEPTH: spoiling.drop, EVENT: spoiling.drop}
    assert scene.vehicle.alter == scene.vehicle.alter_info == {}


def test_clocks_jump_and_come_back() -> None:
    scene: Any = Scene()
    with graph.time_jump(scene, -1.5):
        assert scene.vehicle.stamp_shift == -1_500_000_000
    assert scene.vehicle.stamp_shift == 0


def test_a_driver_starts_again_with_another_qos_and_with_its_own() -> None:
    scene: Any = Scene()
    with graph.best_effort(LIDAR)(scene):
        assert scene.asked == [(LIDAR, BEST_EFFORT)]
    assert scene.asked == [(LIDAR, BEST_EFFORT), (LIDAR, RELIABLE)]


def test_transitions_lead_there_and_back_or_the_fault_is_not_done() -> None:
    scene: Any = Scene()
    with graph.states(4, 2, back=(1, 3))(scene):
        assert scene.asked == [(4, 2)]
    assert scene.asked == [(4, 2), (1, 3)]
    with pytest.raises(RuntimeError, match=r"\(1, 3\) failed"), graph.states(4, back=(1, 3))(scene):
        scene.accepts = False
    with pytest.raises(RuntimeError, match=r"\(4,\) failed"), graph.states(4, back=(3,))(scene):
        pass


def test_a_wrong_value_that_is_taken_is_told() -> None:
    scene: Any = Scene()
    with pytest.raises(RuntimeError, match="was taken"), graph.wrong_parameters(scene):
        pass
    scene.accepts = False
    with graph.wrong_parameters(scene):
        assert ("period", "x") in scene.asked


def test_a_storm_has_packets_of_whole_words_as_often_as_makes_the_megabytes() -> None:
    scene: Any = Scene()
    topic = "/event/packets"
    words = as_bytes(dict((n, m) for n, _, m in samples.samples())["event evt3"](10**12).events)
    packet = ros_message(
        EVENTS, header=header_message(ros_message, 0, "camera"), encoding="evt3", height=48,
        width=64, seq=0, time_base=0, is_bigendian=False, events=from_array(words),
    )  # fmt: skip
    scene.vehicle.log = SimpleNamespace(types={topic: EVENTS})
    scene.vehicle.last = {topic: serialize_message(packet)}
    with graph.event_storm(84, 8001)(scene):
        ((_, kind, cdr, hertz),) = scene.asked
    sent = as_bytes(deserialize_message(cdr, message_class(kind)).events)
    assert len(sent) == 8000 and hertz * 8001 == pytest.approx(84e6)
    assert sent[: len(words)].tobytes() == words.tobytes()


def test_a_transform_is_of_now_when_it_is_sent() -> None:
    first = stamp_ns(graph._now(graph.link("lidar", "base", x=2.0)).header.stamp)
    again = graph._now(graph.link("lidar", "base", x=2.0))
    assert 0 < first <= stamp_ns(again.header.stamp)
    assert (again.child_frame_id, again.header.frame_id) == ("lidar", "base")
    assert again.transform.translation.x == 2.0

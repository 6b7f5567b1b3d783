"""What the player of full-size sensors publishes."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

from any2seg_ros import messages
from any2seg_ros.bench import vehicle_sensors
from any2seg_ros.bench.vehicle_sensors import PACKET_NS, PacketStream
from any2seg_ros.messages.serialized import view_packet
from any2seg_ros.types import Modality

START = 1_800_000_000_000_000_000


@pytest.fixture(scope="module")
def scene():
    return vehicle_sensors.load()


@pytest.mark.parametrize("first", [0, 63, 16_380, 5_000_000])
def test_the_packets_follow_each_other_over_rounds_and_wraps_of_their_time(scene, first):
    stream, decoder, last = PacketStream(scene.sensors[Modality.EVENT]), messages.EventDecoder(), 0
    for number in range(first, first + 10):
        packet = view_packet(stream.packet(number, START + number * PACKET_NS))
        events = decoder.decode(packet)
        assert packet.seq == number and len(events) == vehicle_sensors.EVENTS_A_PACKET
        assert events.t[0] >= last and events.t[-1] <= START + number * PACKET_NS
        assert events.t[-1] - events.t[0] < PACKET_NS
        last = events.t[-1]

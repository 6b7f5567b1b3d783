"""Packets that wait until a frame wants one of them."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.runtime.video_stream import VideoStream
from any2seg_ros.types import InvalidMeasurement

pytest.importorskip("av", reason="PyAV is not here: requirements-video.txt")
from test_messages_video import COUNT, encoded, foxglove, scene


@pytest.fixture(scope="module")
def stream():
    return "h264", encoded("h264")


def test_of_many_packets_that_wait_all_are_decoded_for_the_one_that_is_wanted(stream):
    name, packets = stream
    video = VideoStream()
    added = [video.add(foxglove(data, name)) for data in packets]
    for index in (17, 17, 35):
        pixels = video.picture(added[index])
        assert np.abs(pixels.astype(int) - scene(index)).mean() < 2.5
    with pytest.raises(InvalidMeasurement, match="a newer picture of the video was used"):
        video.picture(added[20])


def test_a_backlog_is_dropped_and_bounded(stream):
    name, packets = stream
    video = VideoStream()
    many = [(i, video.add(foxglove(packets[i % COUNT], name))) for i in range(10 * COUNT)]
    assert sum(packet.message is not None for _, packet in many) <= 150
    with pytest.raises(InvalidMeasurement, match="faster than they were decoded"):
        video.picture(many[5][1])
    assert video.picture(many[-1][1]).shape == (144, 192, 3)
    heavy = [video.add(foxglove(bytes(9_000_000), name)) for _ in range(6)]
    assert sum(packet.message is not None for packet in heavy) <= 3


def test_a_jump_of_time_begins_anew(stream):
    name, packets = stream
    video = VideoStream()
    before = [video.add(foxglove(data, name)) for data in packets[:3]]
    video.reset()
    with pytest.raises(InvalidMeasurement, match="lost in a jump of time"):
        video.picture(before[-1])
    assert video.picture(video.add(foxglove(packets[0], name))).shape == (144, 192, 3)

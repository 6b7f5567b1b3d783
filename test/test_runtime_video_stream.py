"""Packets that wait until a frame wants one of them."""

from __future__ import annotations

import threading

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


def never():
    return False


def test_ahead_all_is_decoded_but_what_a_frame_may_still_want(stream):
    name, packets = stream
    video = VideoStream()
    added = [video.add(foxglove(data, name)) for data in packets[:30]]
    assert video.spare == 20
    video.decode_ahead(lambda: video.decoded == 7)
    assert video.decoded == 7
    video.decode_ahead(never)
    assert video.decoded == 20 and video.spare == 0
    for index in (20, 29):
        pixels = video.picture(added[index])
        assert np.abs(pixels.astype(int) - scene(index)).mean() < 2.5


def test_what_takes_too_long_is_let_go(stream):
    name, packets = stream
    video = VideoStream()
    added = [video.add(foxglove(data, name)) for data in packets[:12]]
    with pytest.raises(InvalidMeasurement, match="faster than they were decoded"):
        video.picture(added[-1], 0.0)
    assert video.decoded == 1 and added[-1].message is None


def test_what_is_skipped_is_missed_until_the_next_key_frame(stream):
    name, packets = stream
    video = VideoStream()
    for data in packets[:3]:
        video.picture(video.add(foxglove(data, name)))
    skipped = video.add(foxglove(packets[3], name))
    video.skip()
    found = {}
    for index in range(4, 12):
        try:
            found[index] = video.picture(video.add(foxglove(packets[index], name)))
        except InvalidMeasurement as reason:
            assert "waits for a key frame" in str(reason)
    assert sorted(found) == [10, 11]  # a key frame every ten
    with pytest.raises(InvalidMeasurement, match="waits for a key frame"):
        video.picture(skipped)


@pytest.mark.parametrize("change", ["add", "reset", "too many"])
def test_messages_do_not_wait_for_pictures(stream, change, monkeypatch):
    name, packets = stream
    video = VideoStream()
    added = [video.add(foxglove(data, name)) for data in packets[:5]]
    many = lambda: [video.add(foxglove(packets[0], name)) for _ in range(150)]  # noqa: E731
    heard = {"add": lambda: video.add(foxglove(packets[0], name)), "reset": video.reset}
    decode, decoded = video._decoder.decode, []

    def meanwhile(message):
        decoded.append(message)
        thread = threading.Thread(target=heard.get(change, many), daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        return decode(message)

    monkeypatch.setattr(video._decoder, "decode", meanwhile)
    if change == "add":
        assert video.picture(added[4]).shape == (144, 192, 3)
        return
    with pytest.raises(InvalidMeasurement, match="lost in a jump|faster than"):
        video.picture(added[4])
    assert len(decoded) == 1  # what was let go meanwhile is not decoded
    monkeypatch.setattr(video._decoder, "decode", decode)
    assert video.picture(video.add(foxglove(packets[0], name))).shape == (144, 192, 3)


def test_what_breaks_the_decoder_costs_its_own_packet(stream, monkeypatch):
    name, packets = stream
    video = VideoStream()
    decode = video._decoder.decode
    monkeypatch.setattr(video._decoder, "decode", None)
    with pytest.raises(InvalidMeasurement, match="video cannot be read: TypeError"):
        video.picture(video.add(foxglove(packets[0], name)))
    monkeypatch.setattr(video._decoder, "decode", decode)
    assert video.picture(video.add(foxglove(packets[0], name))).shape == (144, 192, 3)


def test_a_jump_of_time_begins_anew(stream):
    name, packets = stream
    video = VideoStream()
    before = [video.add(foxglove(data, name)) for data in packets[:3]]
    video.reset()
    with pytest.raises(InvalidMeasurement, match="lost in a jump of time"):
        video.picture(before[-1])
    assert video.picture(video.add(foxglove(packets[0], name))).shape == (144, 192, 3)

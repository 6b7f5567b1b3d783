"""The synchronizer among message_filters: it composes, and callbacks cannot harm it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

message_filters = pytest.importorskip("message_filters", reason="message_filters is not here")

from any2seg_ros.modalities import Modality  # noqa: E402
from any2seg_ros.node.filter import FrameFilter  # noqa: E402

RGB, LIDAR = Modality.RGB, Modality.LIDAR


def _message(tenths):
    stamp = SimpleNamespace(sec=100 + tenths // 10, nanosec=tenths % 10 * 100_000_000)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp))


@pytest.fixture
def inputs():
    return {RGB: message_filters.SimpleFilter(), LIDAR: message_filters.SimpleFilter()}


def _drive(inputs, count=6):
    for tenths in range(count):
        inputs[LIDAR].signalMessage(_message(tenths))
        inputs[RGB].signalMessage(_message(tenths))


def test_frames_of_messages_reach_every_callback_with_its_arguments(inputs):
    filter_ = FrameFilter(inputs)
    first, second = [], []
    filter_.registerCallback(first.append)
    filter_.registerCallback(lambda frame, word: second.append(word), "word")
    _drive(inputs)
    assert len(first) == len(second) >= 5
    assert set(second) == {"word"}
    assert set(first[-1].measurements) == {RGB, LIDAR}
    assert first[-1].measurements[RGB].header.stamp.nanosec == 500_000_000


def test_an_exception_in_a_callback_harms_neither_others_nor_later_frames(inputs):
    errors, heard = [], []
    filter_ = FrameFilter(inputs, failed=errors.append)

    def fall(frame):
        raise RuntimeError("no")

    filter_.registerCallback(fall)
    filter_.registerCallback(heard.append)
    _drive(inputs)
    assert len(heard) == len(errors) >= 5
    assert all(str(error) == "no" for error in errors)


def test_callbacks_run_outside_the_lock(inputs):
    filter_ = FrameFilter(inputs)
    done = []

    def feed_from_another_thread(frame):
        if done:
            return
        done.append(False)
        thread = threading.Thread(target=filter_.poll)
        thread.start()
        thread.join(5)
        done[0] = not thread.is_alive()

    filter_.registerCallback(feed_from_another_thread)
    _drive(inputs)
    assert done == [True]


def test_a_frame_leaves_at_its_deadline_by_poll_alone(inputs):
    heard = []
    filter_ = FrameFilter(inputs)
    filter_.registerCallback(heard.append)
    _drive(inputs)
    before = len(heard)
    inputs[RGB].signalMessage(_message(6))
    assert len(heard) == before
    until = filter_.synchronizer.next_deadline
    assert until is not None
    clock = threading.Event()
    while len(heard) == before and not clock.wait(0.01):
        filter_.poll()
    assert set(heard[-1].measurements) >= {RGB}

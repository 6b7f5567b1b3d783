"""The inference thread: newest wins, nothing breaks it, it ends."""

from __future__ import annotations

import threading

import pytest

from any2seg_ros.node.worker import Worker
from any2seg_ros.types import Availability, Frame, Modality


def _frame(stamp):
    return Frame(stamp, {}, dict.fromkeys(Modality, Availability.MISSING))


@pytest.fixture
def slow():
    """A worker whose frames wait at a gate: (worker, done, gate, entered)."""
    done, gate, entered = [], threading.Semaphore(0), threading.Semaphore(0)

    def process(frame):
        entered.release()
        gate.acquire()
        done.append(frame.stamp)

    worker = Worker(process, lambda error: None)
    yield worker, done, gate, entered
    for _ in range(10):
        gate.release()
    worker.stop()


def test_the_newest_frame_wins_and_those_it_replaces_are_counted(slow):
    worker, done, gate, entered = slow
    worker.submit(_frame(1))
    assert entered.acquire(timeout=10)
    for stamp in (2, 3, 4):
        worker.submit(_frame(stamp))
    assert (worker.busy, worker.waiting) == (2, 1)
    gate.release()
    assert entered.acquire(timeout=10)
    gate.release()
    worker.stop()
    assert done == [1, 4]


def test_an_exception_is_told_and_the_next_frame_is_processed():
    errors, done, turn = [], [], threading.Semaphore(0)

    def process(frame):
        turn.release()
        if frame.stamp == 1:
            raise ValueError("bad frame")
        done.append(frame.stamp)

    worker = Worker(process, errors.append)
    for stamp in (1, 2):
        worker.submit(_frame(stamp))
        assert turn.acquire(timeout=10)
    worker.stop()
    assert [str(error) for error in errors] == ["bad frame"]
    assert done == [2]


def test_stopping_lets_the_frame_at_hand_finish(slow):
    worker, done, gate, entered = slow
    worker.submit(_frame(1))
    assert entered.acquire(timeout=10)
    gate.release()
    worker.stop()
    assert done == [1]


def test_a_frame_that_waits_can_be_forgotten(slow):
    worker, done, gate, entered = slow
    worker.submit(_frame(1))
    assert entered.acquire(timeout=10)
    worker.submit(_frame(2))
    worker.forget()
    assert worker.waiting == 0
    worker.submit(_frame(3))
    for _ in range(2):
        gate.release()
    assert entered.acquire(timeout=10)
    worker.stop()
    assert done == [1, 3]


def test_when_nudged_it_does_what_else_there_is_after_the_frame_that_waits():
    done, gate, entered, idled = [], threading.Semaphore(0), threading.Semaphore(0), []
    idle = threading.Semaphore(0)

    def process(frame):
        entered.release()
        gate.acquire()
        done.append(frame.stamp)

    def rest():
        idled.append(list(done))
        idle.release()

    worker = Worker(process, lambda error: None, rest)
    worker.nudge()
    assert idle.acquire(timeout=10)
    worker.submit(_frame(1))
    assert entered.acquire(timeout=10)
    worker.nudge()
    worker.nudge()
    worker.submit(_frame(2))
    gate.release()
    assert entered.acquire(timeout=10)
    gate.release()
    assert idle.acquire(timeout=10)
    worker.stop()
    assert idled == [[], [1, 2]]

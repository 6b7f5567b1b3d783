"""Signals while something must not be left half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import ctrl_c
import pytest
from ctrl_c import press

from any2seg_ros.interrupts import (
    deferred_interrupt,
    ignored_interrupts,
    interrupted_by_any_signal,
    uninterrupted,
)


@pytest.fixture(autouse=True)
def heeded():
    with ctrl_c.heeded():
        yield
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_deferred_interrupt_is_noted_and_the_second_one_is_raised():
    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as pressed:
        assert not pressed.is_set()
        press()
        assert pressed.is_set()
        press()
        pytest.fail("the second one was swallowed")


def test_a_block_is_finished_before_the_interrupt_is_raised():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        press()
        done.append("all of it")
    assert done == ["all of it"]


def test_pressed_twice_a_block_is_interrupted_at_once():
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        press()
        press()
        pytest.fail("the second one was swallowed")


def test_a_block_without_an_interrupt_raises_nothing():
    with uninterrupted():
        pass


def test_an_ignored_interrupt_does_nothing():
    with ignored_interrupts():
        press()


def test_where_ctrl_c_is_ignored_already_it_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted(), ignored_interrupts():
        press()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_which_get_no_signals_run_through():
    done = []

    def work() -> None:
        with uninterrupted(), ignored_interrupts():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_as_ctrl_c_does_and_cleaning_up_is_left_alone(number):
    cleaned = []
    with pytest.raises(KeyboardInterrupt), interrupted_by_any_signal():
        try:
            os.kill(os.getpid(), number)
            pytest.fail("the signal was swallowed")
        finally:
            os.kill(os.getpid(), number)
            cleaned.append(True)
    assert cleaned and signal.getsignal(number) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_by_any_signal():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of a parent's end")
def test_a_process_whose_parent_has_ended_already_ends_too():
    """A process of its own: it ends."""
    code = "from any2seg_ros.interrupts import end_with_parent; end_with_parent(-1)"
    ended = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1 and "has ended" in ended.stderr

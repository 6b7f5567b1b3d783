"""Ctrl-C while something must not be left half done."""

from __future__ import annotations

import signal
import threading

import ctrl_c
import pytest
from ctrl_c import press

from any2seg_ros.interrupts import deferred_interrupt, ignored_interrupts, uninterrupted


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

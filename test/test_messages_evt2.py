"""EVT 2.0 and 2.1, packed by hand from the formats' definitions, decoded."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.messages import EventDecoder
from any2seg_ros.messages.evt2 import Evt2Decoder
from any2seg_ros.types import InvalidMeasurement

SECOND = 1_000_000_000


def time_high(t):
    return 0x8 << 28 | t >> 6


def event(x, y, p, t):
    return p << 28 | (t & 63) << 22 | x << 11 | y


def evt2(words, order="<"):
    return struct.pack(f"{order}{len(words)}I", *words)


def evt21(words, sensor="GenX320", order="<"):
    """Words are (upper half, lower half); the two sensors send them in two ways."""
    flat = []
    for upper, lower in words:
        whole = (lower, upper) if (order == "<") else (upper, lower)
        flat += whole if sensor == "GenX320" else whole[::-1]
    return struct.pack(f"{order}{len(flat)}I", *flat)


def decoded(data, vectors, order="<", decoder=None):
    decoder = decoder or Evt2Decoder(vectors)
    t, x, y, p = decoder.decode(np.frombuffer(data, np.uint8), order)
    return list(zip(t.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True))


@pytest.mark.parametrize("order", "<>")
def test_single_events_have_their_place_their_sign_and_the_time_of_both_parts(order):
    words = [time_high(6400), event(5, 7, 1, 6403), event(2047, 1000, 0, 6463), time_high(6464),
             event(0, 0, 1, 6464)]  # fmt: skip
    expected = [(6403, 5, 7, True), (6463, 2047, 1000, False), (6464, 0, 0, True)]
    assert decoded(evt2(words, order), False, order) == expected


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("sensor", ["GenX320", "IMX636"])
def test_a_vector_is_an_event_for_each_of_its_bits(sensor, order):
    words = [
        (time_high(6400), 0),
        (event(32, 7, 1, 6401), 0b1001),
        (event(64, 8, 0, 6402), 1 << 31),
        (event(96, 9, 0, 6403), 0),
        (0xA << 28, 3),
    ]
    found = decoded(evt21(words, sensor, order), True, order)
    assert found == [(6401, 32, 7, True), (6401, 35, 7, True), (6402, 95, 8, False)]


def test_events_before_the_first_time_and_other_words_are_left_out():
    words = [
        event(1, 1, 1, 0),
        0xA << 28 | 5,
        0xE << 28,
        0xF << 28,
        time_high(64),
        event(2, 2, 0, 64),
    ]
    assert decoded(evt2(words), False) == [(64, 2, 2, False)]
    assert decoded(evt21([(event(1, 1, 1, 0), 7)]), True) == []
    assert decoded(b"", True) == []


def test_time_goes_on_over_packets_and_over_its_loop():
    last, decoder = (1 << 34) - 64, Evt2Decoder(False)
    assert decoded(evt2([time_high(last)]), False, decoder=decoder) == []
    assert decoded(evt2([event(1, 1, 1, 3)]), False, decoder=decoder)[0][0] == last + 3
    found = decoded(evt2([time_high(0), event(1, 1, 1, 5), time_high(64)]), False, decoder=decoder)
    assert found[0][0] == (1 << 34) + 5
    assert decoded(evt2([event(1, 1, 1, 1)]), False, decoder=decoder)[0][0] == (1 << 34) + 65


def slowly(packets, vectors):
    high, loops, found = None, 0, []
    for words in packets:
        for upper, lower in words:
            kind = upper >> 28
            if kind == 8:
                value = upper & 0xFFFFFFF
                loops += high is not None and value - high < -(1 << 27)
                high = value
            elif kind <= 1 and high is not None:
                t = (loops << 28 | high) << 6 | (upper >> 22 & 63)
                x, y = upper >> 11 & 0x7FF, upper & 0x7FF
                bits = [i for i in range(32) if lower >> i & 1] if vectors else [0]
                found += [(t, x + i, y, kind == 1) for i in bits]
    return found


HALF = st.one_of(
    st.builds(lambda kind, rest: kind << 28 | rest, st.sampled_from([0, 1, 8, 8, 10, 14]),
              st.integers(0, (1 << 28) - 1)),
    st.integers(0, (1 << 32) - 1),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.tuples(HALF, st.integers(0, (1 << 32) - 1)), max_size=30), max_size=4),
    st.booleans(),
)
def test_any_words_are_decoded_as_one_after_the_other(packets, vectors):
    decoder = Evt2Decoder(vectors)
    decoder._upper_first = False
    found = []
    for words in packets:
        data = evt21(words) if vectors else evt2([upper for upper, _ in words])
        found += decoded(data, vectors, decoder=decoder)
    assert found == slowly(packets, vectors)


def packet(data, encoding, stamp=5 * SECOND):
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=stamp // SECOND, nanosec=stamp % SECOND)),
        width=1280, height=720, encoding=encoding, time_base=0, seq=0, is_bigendian=False,
        events=array("B", data),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (
            "evt21",
            evt21([(time_high(6400), 0), (event(32, 7, 1, 6401), 1), (event(64, 8, 0, 6410), 1)]),
        ),
        ("evt2", evt2([time_high(6400), event(32, 7, 1, 6401), event(64, 8, 0, 6410)])),
    ],
)
def test_packets_of_both_become_events_in_the_host_s_time(encoding, data):
    events = EventDecoder().decode(packet(data, encoding))
    assert events.t.tolist() == [5 * SECOND - 9000, 5 * SECOND]
    assert (events.x.tolist(), events.y.tolist(), events.p.tolist()) == ([32, 64], [7, 8], [1, 0])
    with pytest.raises(InvalidMeasurement, match="truncated"):
        EventDecoder().decode(packet(data[:-3], encoding))


def test_an_encoding_that_is_not_read_is_named_with_those_that_are():
    with pytest.raises(InvalidMeasurement, match="'evt4': read are evt3, evt21, evt2, mono, lib"):
        EventDecoder().decode(packet(b"", "evt4"))

"""Streams of EVT3 words, decoded as the format's definition reads."""

from __future__ import annotations

import numpy as np
from evt3_words import addr_x, addr_y, base_x, time_high, time_low, vect_8, vect_12
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.messages.words import EVT3, LIBCAER_CMP, WordDecoder


def test_evt3_state_goes_on_over_packets_cut_anywhere():
    words = [time_high(2), time_low(1), addr_y(3), base_x(40, 1), vect_12(0xFFF), vect_8(0xFF)]
    words += [addr_x(9, 0), time_low(50), vect_12(0x801), addr_y(8), base_x(7, 0), vect_8(3)]
    whole, _, position, polarity = WordDecoder(EVT3).decode(np.array(words, np.uint16))
    for cut in range(len(words) + 1):
        decoder = WordDecoder(EVT3)
        parts = [decoder.decode(np.array(w, np.uint16)) for w in (words[:cut], words[cut:])]
        np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), whole)
        np.testing.assert_array_equal(np.concatenate([p[2] for p in parts]), position)
        np.testing.assert_array_equal(np.concatenate([p[3] for p in parts]), polarity)


def test_evt3_time_goes_on_over_the_loop_of_its_24_bits():
    decoder = WordDecoder(EVT3)
    words = [time_high(0xFFF), time_low(0xFFF), addr_y(1), addr_x(1, 1)]
    words += [time_high(0), time_low(0), addr_x(2, 1)]
    t = decoder.decode(np.array(words, np.uint16))[0]
    assert t.tolist() == [(1 << 24) - 1, 1 << 24]
    words = [time_high(0xFFF), time_low(3), addr_x(1, 1), time_high(0), addr_x(2, 1)]
    t = decoder.decode(np.array(words, np.uint16))[0]
    assert t.tolist() == [(2 << 24) - 0x1000 + 3, 2 << 24]


def test_evt3_upper_time_may_step_back_a_little_without_a_loop():
    decoder = WordDecoder(EVT3)
    words = [time_high(100), time_low(0), addr_x(1, 1), time_high(99), time_low(0), addr_x(1, 1)]
    assert decoder.decode(np.array(words, np.uint16))[0].tolist() == [100 << 12, 99 << 12]


def test_evt3_lower_time_begins_anew_with_a_new_upper_time_only():
    words = [time_high(4), time_low(900), time_high(4), addr_x(1, 0), time_high(5), addr_x(2, 0)]
    t = WordDecoder(EVT3).decode(np.array(words, np.uint16))[0]
    assert t.tolist() == [(4 << 12) + 900, 5 << 12]


def slowly(words):
    """EVT3, one word after the other, as the definition reads."""
    y = base = polarity = low = loops = 0
    high = None
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 0x0:
            y = value & 0x7FF
        elif kind == 0x8:
            loops += high is not None and value - high < -2048
            low = low if value == high else 0
            high = value
        elif kind == 0x6:
            low = value
        elif kind == 0x3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind in (0x2, 0x4, 0x5) and high is not None:
            time = (loops << 24) + (high << 12) + low
            if kind == 0x2:
                yield time, y, value & 0x7FF, value >> 11
            for bit in range({0x2: 0, 0x4: 12, 0x5: 8}[kind]):
                if value >> bit & 1:
                    yield time, y, base + bit, polarity
        if kind in (0x4, 0x5):
            base += 12 if kind == 0x4 else 8


WORD = st.builds(
    lambda kind, value: kind << 12 | value,
    st.sampled_from([0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x8, 0xA]),
    st.integers(0, 0xFFF),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(WORD, max_size=40), max_size=4))
def test_evt3_decodes_any_words_as_one_after_the_other(packets):
    decoder = WordDecoder(EVT3)
    found = []
    for words in packets:
        columns = decoder.decode(np.array(words, np.uint16))
        found += list(zip(*(column.tolist() for column in columns), strict=True))
    assert found == list(slowly(sum(packets, [])))


def test_after_a_reset_events_wait_for_a_new_time() -> None:
    decoder = WordDecoder(EVT3)
    words = np.array([time_high(3), time_low(2), addr_y(9), addr_x(1, 1)], np.uint16)
    assert len(decoder.decode(words)[0]) == 1
    decoder.reset()
    assert len(decoder.decode(words[2:])[0]) == 0
    assert len(decoder.decode(words)[0]) == 1


def test_libcaer_packets_begin_with_a_time_of_their_own() -> None:
    """Type 3 is a single event, 2 a column, 0 and 1 the halves of the time."""
    decoder = WordDecoder(LIBCAER_CMP)
    words = np.array([0x0001, 0x1005, 0x2007, 0x3804], np.uint16)
    for _ in range(2):
        time, line, position, polarity = decoder.decode(words)
        assert (time.tolist(), line.tolist()) == ([(1 << 12) + 5], [7])
        assert (position.tolist(), polarity.tolist()) == ([4], [True])

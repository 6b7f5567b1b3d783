"""Event packets packed by hand from the formats' definitions, decoded."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.messages import EventDecoder, EventDecoderConfig
from any2seg_ros.messages.events import SensorClock
from any2seg_ros.messages.words import EVT3, WordDecoder
from any2seg_ros.types import InvalidMeasurement

SECOND = 1_000_000_000


def header(ns):
    return SimpleNamespace(stamp=SimpleNamespace(sec=ns // SECOND, nanosec=ns % SECOND))


def packet(data, encoding, stamp=5 * SECOND, base=0, width=1280, height=720, big=False):
    return SimpleNamespace(
        header=header(stamp),
        width=width,
        height=height,
        encoding=encoding,
        time_base=base,
        seq=0,
        is_bigendian=big,
        events=array("B", data),
    )


# Words of EVT 3.0: type in bits 15 to 12.
def addr_y(y):
    return 0x0 << 12 | y


def addr_x(x, p):
    return 0x2 << 12 | p << 11 | x


def base_x(x, p):
    return 0x3 << 12 | p << 11 | x


def vect_12(bits):
    return 0x4 << 12 | bits


def vect_8(bits):
    return 0x5 << 12 | bits


def time_low(t):
    return 0x6 << 12 | t


def time_high(t):
    return 0x8 << 12 | t


TRIGGER, OTHERS, CONTINUED_4, CONTINUED_12 = 0xA101, 0xE123, 0x7001, 0xF123


def evt3(words, order="<", **rest):
    data = struct.pack(f"{order}{len(words)}H", *words)
    return packet(data, "evt3", big=order == ">", **rest)


def listed(events):
    return list(
        zip(events.x.tolist(), events.y.tolist(), events.p.tolist(), events.t.tolist(), strict=True)
    )


@pytest.mark.parametrize("order", "<>")
def test_evt3_events_have_the_last_line_and_the_last_time(order):
    words = [time_high(1), time_low(5), addr_y(7), addr_x(100, 1), addr_x(102, 0)]
    words += [time_low(9), addr_x(1279, 1), addr_y(719), addr_x(0, 0)]
    events = EventDecoder().decode(evt3(words, order))
    # Times are moved so that the last event is at the stamp.
    end = 5 * SECOND
    assert listed(events) == [
        (100, 7, True, end - 4000),
        (102, 7, False, end - 4000),
        (1279, 7, True, end),
        (0, 719, False, end),
    ]
    assert (events.width, events.height) == (1280, 720)


def test_evt3_vectors_go_on_from_their_base():
    words = [time_high(0), time_low(0), addr_y(3), base_x(40, 1)]
    words += [vect_12(0b1000_0000_0001), vect_12(0b10), vect_8(0b1000_0001), vect_8(1)]
    events = EventDecoder().decode(evt3(words))
    assert events.x.tolist() == [40, 51, 53, 64, 71, 72]
    assert events.y.tolist() == [3] * 6
    assert events.p.all()


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


def test_evt3_events_before_the_first_time_are_left_out():
    words = [addr_y(1), addr_x(1, 1), time_low(7), addr_x(2, 1), time_high(3), addr_x(3, 1)]
    events = EventDecoder().decode(evt3(words))
    assert events.x.tolist() == [3]


def test_evt3_words_of_other_kinds_are_passed_over():
    words = [time_high(1), time_low(1), TRIGGER, OTHERS, CONTINUED_12, CONTINUED_4, addr_y(2)]
    words += [OTHERS, addr_x(5, 1), CONTINUED_12, 0x1000, 0xB123]
    assert EventDecoder().decode(evt3(words)).x.tolist() == [5]


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


def test_packets_decoded_at_once_give_the_events_of_packets_decoded_one_by_one():
    packets = []
    for i in range(12):
        words = [time_high(i // 4), time_low(i * 100), addr_y(i), base_x(i, 1), vect_8(i)]
        late = (0, 700, 200, 300, 0, 50)[i % 6]  # us that the host took to stamp it
        stamp = 5 * SECOND + ((i // 4) * 4096 + i * 100 + late) * 1000
        packets.append(evt3([*words, addr_x(i, 0)], stamp=stamp))
    alone, together = EventDecoder(), EventDecoder()
    one_by_one = sum((listed(alone.decode(msg)) for msg in packets), [])
    at_once = listed(together.decode_all(packets[:5])) + listed(together.decode_all(packets[5:]))
    assert at_once == one_by_one


def test_mono_words_hold_polarity_y_x_and_nanoseconds():
    rows = [(1, 719, 1279, 0), (0, 0, 0, 999), (1, 32767 & 700, 17, 4_000_000_000)]
    words = [p << 63 | y << 48 | x << 32 | t for p, y, x, t in rows]
    base = 77 * SECOND
    events = EventDecoder().decode(packet(struct.pack("<3Q", *words), "mono", base=base))
    last = rows[-1][3]
    expected = [(x, y, bool(p), 5 * SECOND - last + t) for p, y, x, t in rows]
    assert listed(events) == expected
    big = EventDecoder().decode(packet(struct.pack(">3Q", *words), "mono", base=base, big=True))
    assert listed(big) == expected


def test_libcaer_events_are_two_words_of_32_bits():
    # libcaer polarity.h: valid bit 0, polarity bit 1, y 2 to 16, x 17 to 31; int32 microseconds.
    rows = [(1, 100, 20, 10), (0, 345, 259, 11)]
    data = b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for p, x, y, t in rows)
    base = 5 * SECOND
    msg = packet(data, "libcaer", stamp=base + 20_000, base=base)
    # Its times are the host's already, so that they are kept.
    expected = [(x, y, bool(p), base + t * 1000) for p, x, y, t in rows]
    assert listed(EventDecoder().decode(msg)) == expected


def test_libcaer_time_goes_on_over_its_31_bits():
    rows = [(1 << 31) - 1, 0]
    data = b"".join(struct.pack("<II", 1, t) for t in rows)
    msg = packet(data, "libcaer", stamp=SECOND)
    assert np.diff(EventDecoder().decode(msg).t).tolist() == [1000]


def test_libcaer_cmp_has_columns_for_lines_and_times_after_the_base():
    high, low, x, y, base_y, vect8 = (lambda v, k=k: k << 12 | v for k in range(6))
    words = [high(1), low(2), x(30), y(0x800 | 40), base_y(100), vect8(0b101), low(9), x(31)]
    words += [y(41)]
    stamp = 5 * SECOND
    data = struct.pack(f"<{len(words)}H", *words)
    decoder = EventDecoder()
    expected = [(30, 40, True, 4098), (30, 100, False, 4098), (30, 102, False, 4098)]
    expected += [(31, 41, False, 4105)]
    for _ in range(2):
        events = decoder.decode(packet(data, "libcaer_cmp", stamp=stamp, base=stamp))
        assert listed(events) == [(*row[:3], stamp + row[3] * 1000) for row in expected]


def event(x, y, p, ns):
    return SimpleNamespace(
        x=x, y=y, polarity=p, ts=SimpleNamespace(sec=ns // SECOND, nanosec=ns % SECOND)
    )


def test_event_arrays_keep_times_of_the_host_and_move_those_of_the_sensor():
    rows = [(1, 2, True, 0), (3, 4, False, 1000)]
    msg = SimpleNamespace(header=header(9 * SECOND), width=10, height=10)
    for start, expected in ((9 * SECOND - 1000, 9 * SECOND), (4 * SECOND, 9 * SECOND)):
        msg.events = [event(x, y, p, start + t) for x, y, p, t in rows]
        events = EventDecoder().decode(msg)
        assert listed(events) == [(x, y, p, expected - 1000 + t) for x, y, p, t in rows]


def test_events_that_are_out_of_order_are_put_in_order():
    events = [event(k, k, True, 5 * SECOND - 1000 * (9 - k)) for k in range(10)]
    events[0], events[9] = events[9], events[0]
    msg = SimpleNamespace(header=header(5 * SECOND), width=20, height=20, events=events)
    decoded = EventDecoder().decode(msg)
    assert (np.diff(decoded.t) == 1000).all()
    assert decoded.x.tolist() == list(range(10))


def test_a_late_packet_does_not_move_the_clock():
    decoder = EventDecoder(EventDecoderConfig(drift_ppm=0.0))
    ends = []
    for i, delay in enumerate((3, 1, 40, 2)):
        stamp = 5 * SECOND + i * 10_000_000 + delay * 1_000_000
        words = [time_high(i * 10_000 >> 12), time_low(i * 10_000 & 0xFFF), addr_x(1, 1)]
        ends.append(int(decoder.decode(evt3(words, stamp=stamp)).t[-1]) - 5 * SECOND)
    assert ends == [3_000_000, 11_000_000, 21_000_000, 31_000_000]


def test_a_sensor_that_begins_anew_gets_a_new_offset():
    decoder = EventDecoder()
    words = [time_high(9), time_low(0), addr_x(1, 1)]
    for stamp in (5 * SECOND, 90 * SECOND):
        assert decoder.decode(evt3(words, stamp=stamp)).t[-1] == stamp


def test_a_silent_packet_has_no_events_and_is_no_fault():
    events = EventDecoder().decode(evt3([]))
    assert len(events) == 0
    assert events.t.dtype == np.int64


@pytest.mark.parametrize(
    ("msg", "reason"),
    [
        (packet(b"abc", "evt3"), "truncated"),
        (packet(b"abc", "mono"), "truncated"),
        (packet(b"abcd", "libcaer"), "truncated"),
        (packet(b"", "banana"), "unknown event encoding"),
        (packet(bytes(8), "mono", base=(1 << 64) - 1), "absurd time base"),
        (evt3([time_high(1), addr_x(1, 1)], stamp=0), "stamp is zero"),
        (evt3([time_high(1), addr_x(1, 1)], width=0), "absurd size"),
        (evt3([time_high(1), addr_x(1, 1)], width=4096, height=2048), "absurd size"),
        (evt3([time_high(1), addr_x(500, 1)], width=100), "outside their sensor"),
    ],
)
def test_a_packet_that_cannot_be_decoded_is_unusable(msg, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        EventDecoder().decode(msg)


def test_events_outside_the_sensor_are_left_out():
    words = [time_high(1), addr_y(5), addr_x(99, 1), addr_x(100, 1), addr_y(720), addr_x(3, 1)]
    assert EventDecoder().decode(evt3(words, width=100)).x.tolist() == [99]


def test_a_bad_packet_does_not_spoil_the_next_one():
    decoder = EventDecoder()
    decoder.decode(evt3([time_high(1), time_low(1), addr_y(5), addr_x(1, 1)]))
    with pytest.raises(InvalidMeasurement):
        decoder.decode(packet(b"abc", "evt3"))
    events = decoder.decode(evt3([addr_x(9, 0)], stamp=5 * SECOND + 1))
    assert (events.x.tolist(), events.y.tolist()) == ([9], [5])


def test_a_message_of_rclpy_is_decoded():
    msgs = pytest.importorskip("event_camera_msgs.msg")
    msg = msgs.EventPacket(width=64, height=64, encoding="evt3")
    msg.header.stamp.sec = 4
    msg.events = array("B", struct.pack("<3H", time_high(1), addr_y(5), addr_x(7, 1)))
    assert listed(EventDecoder().decode(msg)) == [(7, 5, True, 4 * SECOND)]


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(["evt3", "mono", "libcaer", "libcaer_cmp"]),
    st.booleans(),
)
def test_any_bytes_are_decoded_or_refused(data, encoding, big):
    try:
        events = EventDecoder().decode(packet(data, encoding, big=big, base=5 * SECOND))
    except InvalidMeasurement:
        return
    assert events.t.dtype == np.int64 and events.p.dtype == bool
    assert events.x.dtype == events.y.dtype == np.uint16
    assert len(events.t) == len(events.x) == len(events.y) == len(events.p)
    assert (events.x < 1280).all() and (events.y < 720).all()


@pytest.mark.parametrize("step", [0.06, 0.3, 0.49, 0.6])
def test_a_host_s_clock_that_is_set_forward_is_followed_within_seconds(step):
    clock, second = SensorClock(), 1_000_000_000
    for i in range(400):
        sensor = i * second // 100
        stamp = 100 * second + sensor + (round(step * second) if i >= 100 else 0)
        offset = clock.offset(sensor, stamp)
        if i < 100 or i >= 350:
            assert abs(sensor + offset - stamp) <= second // 100


def test_one_packet_that_is_stamped_too_early_is_forgotten_within_seconds():
    clock, second = SensorClock(), 1_000_000_000
    for i in range(400):
        sensor = i * second // 100
        stamp = 100 * second + sensor - (round(0.3 * second) if i == 100 else 0)
        offset = clock.offset(sensor, stamp)
    assert abs(sensor + offset - stamp) <= second // 100

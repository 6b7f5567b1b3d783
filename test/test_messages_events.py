"""Event packets packed by hand from the formats' definitions, decoded."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from evt3_words import addr_x, addr_y, base_x, time_high, time_low, vect_8, vect_12
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.messages import EventDecoder, EventDecoderConfig
from any2seg_ros.messages import words as loops
from any2seg_ros.messages.events import SensorClock, warm
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


def test_evt3_events_before_the_first_time_are_left_out():
    words = [addr_y(1), addr_x(1, 1), time_low(7), addr_x(2, 1), time_high(3), addr_x(3, 1)]
    events = EventDecoder().decode(evt3(words))
    assert events.x.tolist() == [3]


def test_evt3_words_of_other_kinds_are_passed_over():
    words = [time_high(1), time_low(1), TRIGGER, OTHERS, CONTINUED_12, CONTINUED_4, addr_y(2)]
    words += [OTHERS, addr_x(5, 1), CONTINUED_12, 0x1000, 0xB123]
    assert EventDecoder().decode(evt3(words)).x.tolist() == [5]


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


def test_no_packet_waits_for_a_loop_to_be_compiled():
    def compiled():
        return [list(getattr(loop, "signatures", [])) for loop in (loops._count, loops._decode)]

    warm()
    before = compiled()
    message = evt3([time_high(9), time_low(0), addr_x(1, 1)])
    message.events = bytes(message.events)  # which cannot be written to
    assert len(EventDecoder().decode(message)) == 1
    assert compiled() == before


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


def test_stamps_that_were_wrong_are_forgotten_within_a_second():
    clock, second = SensorClock(), 1_000_000_000
    early = np.random.default_rng(0).uniform(0, 0.4, 300)
    for i in range(400):
        sensor = i * second // 100
        wrong = round(early[i] * second) if 100 <= i < 300 else 0
        offset = clock.offset(sensor, 100 * second + sensor - wrong)
    assert abs(offset - 100 * second) <= second // 100


def test_one_packet_that_is_stamped_too_early_is_forgotten_within_seconds():
    clock, second = SensorClock(), 1_000_000_000
    for i in range(400):
        sensor = i * second // 100
        stamp = 100 * second + sensor - (round(0.3 * second) if i == 100 else 0)
        offset = clock.offset(sensor, stamp)
    assert abs(sensor + offset - stamp) <= second // 100

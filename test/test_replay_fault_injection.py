"""Faults injected into messages: which are affected, and that they keep their type."""

from __future__ import annotations

import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from any2seg_ros.messages import (
    EventDecoder,
    decode_cloud,
    decode_compressed,
    decode_depth,
    decode_image,
    image_fields,
    stamp_ns,
)
from any2seg_ros.replay.fault_injection import FaultInjector, event_packet
from any2seg_ros.replay.fault_schedule import parse_corruptions, parse_drops
from any2seg_ros.types import Events, Modality

START = 1_700_000_000_000_000_000
RNG = np.random.default_rng(0)


def header(seconds: float) -> SimpleNamespace:
    stamp = START + round(seconds * 1e9)
    return SimpleNamespace(
        stamp=SimpleNamespace(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id="sensor"
    )


def picture(seconds: float) -> SimpleNamespace:
    pixels = RNG.integers(60, 200, (20, 30, 3)).astype(np.uint8)
    return SimpleNamespace(header=header(seconds), **image_fields(pixels, "rgb8"))


def jpeg(seconds: float) -> SimpleNamespace:
    data = cv2.imencode(".jpg", np.full((20, 30, 3), 120, np.uint8))[1].tobytes()
    return SimpleNamespace(header=header(seconds), format="rgb8; jpeg compressed bgr8", data=data)


def compressed_depth(seconds: float) -> SimpleNamespace:
    depth = np.full((20, 30), 12_000, np.uint16)
    depth[:, :10] = 4_000
    data = struct.pack("<iff", 0, 0, 0) + cv2.imencode(".png", depth)[1].tobytes()
    return SimpleNamespace(header=header(seconds), format="16UC1; compressedDepth png", data=data)


def cloud(seconds: float) -> SimpleNamespace:
    points = RNG.normal(0, 10, (800, 4)).astype(np.float32)
    points[:, 3] = 0.5
    fields = [
        SimpleNamespace(name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return SimpleNamespace(
        header=header(seconds), height=1, width=800, fields=fields, is_bigendian=False,
        point_step=16, row_step=12800, data=points.tobytes(), is_dense=True,
    )  # fmt: skip


def packet(seconds: float, count: int = 400) -> SimpleNamespace:
    last = START + round(seconds * 1e9)
    t = np.sort(RNG.integers(last - 10_000_000, last, count))
    t[-1] = last
    x, y = RNG.integers(0, 64, count).astype(np.uint16), RNG.integers(0, 48, count)
    events = Events(t, x, y.astype(np.uint16), RNG.random(count) < 0.5, 64, 48)
    return event_packet(SimpleNamespace(header=header(seconds), seq=3), events)


def test_dropped_messages_are_lost_in_their_time_and_counted():
    injector = FaultInjector(parse_drops("rgb@2-5"), START)
    given = [(t, injector.apply(Modality.RGB, picture(t))) for t in (0.0, 1.9, 2.0, 4.9, 5.0)]
    assert [t for t, message in given if message is not None] == [0.0, 1.9, 5.0]
    assert injector.apply(Modality.LIDAR, cloud(3.0)) is not None
    assert injector.counts == {"no rgb@2-5": 2}


def test_a_message_outside_every_failure_is_given_on_as_it_is():
    injector = FaultInjector(parse_corruptions("rgb:night@3-"), START)
    message = picture(1.0)
    assert injector.apply(Modality.RGB, message) is message


def test_pictures_get_dark_and_stay_pictures_of_their_kind():
    injector = FaultInjector(parse_corruptions("rgb:night@*"), START)
    raw = injector.apply(Modality.RGB, picture(1.0))
    assert raw.encoding == "rgb8" and decode_image(raw).mean() < 40
    packed = injector.apply(Modality.RGB, jpeg(1.0))
    assert not hasattr(packed, "encoding")
    assert decode_compressed(packed).mean() < 40
    assert stamp_ns(packed.header.stamp) == START + 10**9


def test_a_picture_of_zstd_image_transport_can_be_corrupted_too():
    pixels = np.full((20, 30, 3), 120, np.uint8)
    head = struct.pack("<2IB2I", 20, 30, 0, 90, 4) + b"rgb8"
    data = head + zlib.compress(pixels.tobytes())
    message = SimpleNamespace(header=header(1.0), format="zstd", data=data)
    injector = FaultInjector(parse_corruptions("rgb:night@*"), START)
    assert decode_image(injector.apply(Modality.RGB, message)).mean() < 40


def test_depth_and_clouds_can_be_decoded_after_their_corruption():
    injector = FaultInjector(parse_corruptions("depth:short@*,lidar:sparse@*"), START)
    depth = decode_depth(injector.apply(Modality.DEPTH, compressed_depth(1.0)))
    assert depth.dtype == np.uint16
    assert (depth[:, :10] == 4000).all() and (depth[:, 10:] == 0).all()
    points = decode_cloud(injector.apply(Modality.LIDAR, cloud(1.0)))
    assert 50 < len(points) < 150 and (points[:, 3] == 0.5).all()


def test_events_are_the_same_before_a_failure_and_fewer_in_it():
    injector = FaultInjector(parse_corruptions("event:sparse@2-"), START)
    plain, seen = EventDecoder(), EventDecoder()
    for seconds in (1.0, 1.5, 2.0, 2.5):
        message = packet(seconds)
        expected = plain.decode(message)
        found = seen.decode(injector.apply(Modality.EVENT, message))
        if seconds < 2.0:
            for name in "txyp":
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        else:
            assert 0 < len(found) < 0.3 * len(expected)


def test_a_packet_without_events_stays_one():
    injector = FaultInjector(parse_corruptions("event:noise@*"), START)
    found = EventDecoder().decode(injector.apply(Modality.EVENT, packet(1.0, count=1)))
    assert len(found) == 2
    empty = Events(*(np.zeros(0, t) for t in (np.int64, np.uint16, np.uint16, bool)), 64, 48)
    message = event_packet(SimpleNamespace(header=header(1.0)), empty)
    assert len(EventDecoder().decode(injector.apply(Modality.EVENT, message))) == 0


def test_a_message_that_cannot_be_decoded_goes_on_with_its_own_fault():
    injector = FaultInjector(parse_corruptions("rgb:night@*"), START)
    broken = SimpleNamespace(header=header(1.0), format="jpeg", data=b"no jpeg")
    assert injector.apply(Modality.RGB, broken) is broken


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_depends_on_the_seed_and_the_stamp_alone(seed):
    faults = parse_corruptions("rgb:noise@*")
    message = picture(1.0)
    first = FaultInjector(faults, START, seed)
    first.apply(Modality.RGB, picture(0.5))
    again = FaultInjector(faults, START, seed).apply(Modality.RGB, message)
    assert bytes(first.apply(Modality.RGB, message).data) == bytes(again.data)
    other = FaultInjector(faults, START, seed + 5).apply(Modality.RGB, message)
    assert bytes(other.data) != bytes(again.data)


@pytest.mark.parametrize("message", [picture(1.0), jpeg(1.0)])
def test_pictures_of_events_can_be_dropped_and_not_corrupted(message):
    assert FaultInjector(parse_drops("event@*"), START).apply(Modality.EVENT, message) is None
    injector = FaultInjector(parse_corruptions("event:noise@2-"), START)
    with pytest.raises(ValueError, match="events come as images here: only --drop works on them"):
        injector.apply(Modality.EVENT, message)


def test_a_packet_that_cannot_be_decoded_is_dropped_in_its_time():
    faults = parse_drops("event@2-") + parse_corruptions("event:noise@0-1")
    injector = FaultInjector(faults, START)
    broken = [packet(seconds) for seconds in (1.5, 2.5)]
    for message in broken:
        message.encoding = "unheard of"
    assert injector.apply(Modality.EVENT, broken[0]) is broken[0]
    assert injector.apply(Modality.EVENT, broken[1]) is None

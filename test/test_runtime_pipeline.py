"""From the messages of a frame to masks, with reasons for what was not used."""

from __future__ import annotations

import struct
from array import array
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.runtime.event_stream import EventStream
from any2seg_ros.runtime.outputs import outputs
from any2seg_ros.runtime.pipeline import Pipeline, PipelineConfig, Received
from any2seg_ros.runtime.rendering import OutputConfig, semantic_points
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import UNCALIBRATED, Availability, Calibration, Camera, Frame, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
MS = 1_000_000
STAMP = 5_000_000_000_000
CAMERA = Camera(128, 96, 100.0, 100.0, 63.5, 47.5)
FORWARD = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
"""From x forward, y left, z up to x right, y down, z forward."""
CALIBRATION = Calibration(
    CAMERA, "camera", {RGB: CAMERA, DEPTH: CAMERA, EVENT: CAMERA}, {LIDAR: FORWARD}
)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    checkpoints.save(path, network, Metadata(size=(64, 64)))
    return Segmenter.open(EngineConfig(str(path), "torch", "cpu", threads=1))


@pytest.fixture
def pipeline(segmenter) -> Pipeline:
    return Pipeline(segmenter)


def header(stamp: int) -> SimpleNamespace:
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return SimpleNamespace(
        stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds), frame_id="somewhere"
    )


def rgb(stamp: int = STAMP, encoding: str = "rgb8") -> SimpleNamespace:
    coarse = np.random.default_rng(stamp).integers(0, 255, (12, 16, 3), np.uint8)
    pixels = coarse.repeat(8, 0).repeat(8, 1)
    return SimpleNamespace(
        header=header(stamp),
        height=96,
        width=128,
        encoding=encoding,
        is_bigendian=0,
        step=384,
        data=array("B", pixels.tobytes()),
    )


def depth(stamp: int = STAMP, fill: int | None = None) -> SimpleNamespace:
    coarse = np.random.default_rng(stamp).integers(2000, 40000, (12, 16), np.uint16)
    pixels = coarse.repeat(8, 0).repeat(8, 1)
    pixels = pixels if fill is None else np.full_like(pixels, fill)
    return SimpleNamespace(
        header=header(stamp),
        height=96,
        width=128,
        encoding="16UC1",
        is_bigendian=0,
        step=256,
        data=array("B", pixels.tobytes()),
    )


def cloud(stamp: int = STAMP, count: int = 500) -> SimpleNamespace:
    points = np.random.default_rng(stamp).uniform(-4, 4, (count, 4)).astype("<f4")
    points[:, 0] += 12
    fields = [
        SimpleNamespace(name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return SimpleNamespace(
        header=header(stamp),
        height=1,
        width=count,
        fields=fields,
        is_bigendian=False,
        point_step=16,
        row_step=16 * count,
        data=array("B", points.tobytes()),
    )


def packet(stamp: int = STAMP, count: int = 20, encoding: str = "mono") -> SimpleNamespace:
    """`count` events in the last ms before the stamp, as 64-bit words."""
    step = MS // max(count, 1)
    words = [
        (k % 2) << 63 | (k % 96) << 48 | (k % 128) << 32 | (k + 1) * step for k in range(count)
    ]
    return SimpleNamespace(
        header=header(stamp),
        width=128,
        height=96,
        encoding=encoding,
        time_base=stamp - MS,
        seq=0,
        is_bigendian=False,
        events=array("B", b"".join(struct.pack("<Q", word) for word in words)),
    )


def received(message, body=None, clock: int | None = None) -> Received:
    stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
    return Received(stamp, 0, message.header, body or message, clock)


def frame_of(
    pipeline: Pipeline, calibration: Calibration = CALIBRATION, clock: int | None = None, **messages
) -> Frame:
    got: dict[Modality, Any] = {}
    for name, message in messages.items():
        modality = Modality.parse(name)
        if modality is EVENT:
            several = message if isinstance(message, list) else [message]
            got[EVENT] = [received(one, pipeline.stream.add(one), clock) for one in several]
        else:
            got[modality] = received(message, None, clock)
    availability = {m: Availability.OK if m in got else Availability.MISSING for m in Modality}
    return Frame(STAMP, got, availability, {}, min(got), calibration=calibration)


def test_four_messages_become_one_mask_of_the_reference_camera(pipeline):
    frame = frame_of(pipeline, rgb=rgb(), depth=depth(), lidar=cloud(), event=packet())
    result = pipeline.process(frame)
    assert result.segmentation.labels.shape == (96, 128)
    assert result.segmentation.subset == (RGB, DEPTH, LIDAR, EVENT)
    assert sum(result.segmentation.weights.values()) == pytest.approx(1.0)
    assert set(result.frame.availability.values()) == {Availability.OK}


@pytest.mark.parametrize("alone", ["rgb", "depth", "lidar", "event"])
def test_any_single_sensor_is_enough_and_its_header_is_kept(pipeline, alone):
    message = {"rgb": rgb, "depth": depth, "lidar": cloud, "event": packet}[alone]()
    result = pipeline.process(frame_of(pipeline, **{alone: message}))
    assert result.segmentation.subset == (Modality.parse(alone),)
    assert result.anchor.header is message.header


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"rgb": rgb(encoding="16UC1")}, "wrong encoding"),
        ({"rgb": SimpleNamespace(**{**vars(rgb()), "data": b"123"})}, "truncated"),
        ({"rgb": SimpleNamespace(**{**vars(rgb()), "height": 90})}, "another size"),
        ({"depth": depth(fill=0)}, "no valid pixels"),
        ({"lidar": cloud(count=0)}, "cloud is empty"),
        ({"event": packet(count=0)}, "no events"),
        ({"event": packet(encoding="morse")}, "unknown event encoding"),
    ],
)
def test_what_cannot_be_used_is_invalid_with_a_reason_and_the_rest_goes_on(
    pipeline, spoilt, reason
):
    (name,) = spoilt
    other = {"depth": depth()} if name == "rgb" else {"rgb": rgb()}
    result = pipeline.process(frame_of(pipeline, **spoilt, **other))
    modality = Modality.parse(name)
    assert result.frame.availability[modality] is Availability.INVALID
    assert reason in result.frame.reasons[modality]
    assert modality not in result.segmentation.weights


def test_a_frame_with_nothing_usable_is_not_segmented(pipeline):
    result = pipeline.process(frame_of(pipeline, lidar=cloud(count=0)))
    assert result.segmentation is None
    assert result.frame.subset == ()


def test_an_offset_brings_a_clock_that_is_ahead_back_to_the_present(pipeline):
    pipeline.configure(PipelineConfig(offset_s={LIDAR: -1.0, EVENT: -1.0}))
    ahead = STAMP + 1000 * MS
    frame = frame_of(pipeline, lidar=cloud(ahead), event=packet(ahead), clock=STAMP)
    prepared = pipeline.prepare(frame)
    assert set(prepared.images) == {LIDAR, EVENT}, prepared.frame.reasons


def test_without_a_reference_camera_nothing_is_segmented_and_the_reason_is_said(pipeline):
    result = pipeline.process(frame_of(pipeline, UNCALIBRATED, rgb=rgb()))
    assert result.segmentation is None
    assert "reference camera" in result.frame.reasons[RGB]


def test_a_frozen_camera_is_told_by_its_content(pipeline):
    message = rgb()
    for k in range(12):
        message.header = header(STAMP + k * 100 * MS)
        result = pipeline.process(frame_of(pipeline, rgb=message, depth=depth(STAMP + k)))
    assert result.frame.reasons[RGB] == "content is frozen"
    assert result.segmentation.subset == (DEPTH,)


def test_a_reset_forgets_what_was_usual(pipeline):
    message = rgb()
    for k in range(24):
        message.header = header(STAMP + k * 100 * MS)
        if k == 11:
            pipeline.reset()
        result = pipeline.process(frame_of(pipeline, rgb=message, depth=depth(STAMP + k)))
        assert (result.frame.reasons.get(RGB) == "content is frozen") == (k in (10, 21, 22, 23))


def heard(calibration: Calibration = CALIBRATION, **cameras: Camera) -> Calibration:
    """The calibration once depth and events were heard with the size of CAMERA."""
    sizes = {DEPTH: (128, 96), EVENT: (128, 96)}
    own = {Modality.parse(name): camera for name, camera in cameras.items()}
    return replace(calibration, image_sizes=sizes, cameras={**calibration.cameras, **own})


def test_warming_makes_no_difference_but_that_tables_are_there(pipeline):
    moved = transform((0.1, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    calibration = heard(replace(CALIBRATION, poses={LIDAR: FORWARD, DEPTH: moved}))
    cold = pipeline.process(frame_of(pipeline, calibration, depth=depth(), event=packet()))
    pipeline.reset()
    pipeline.warm(calibration)
    warm = pipeline.process(frame_of(pipeline, calibration, depth=depth(), event=packet()))
    assert np.array_equal(cold.segmentation.labels, warm.segmentation.labels)


def test_warming_makes_tables_for_cameras_whose_sensor_was_heard_with_their_size(
    pipeline, monkeypatch
):
    made = []
    monkeypatch.setattr(
        "any2seg_ros.runtime.pipeline.Preprocessor.preprocess",
        lambda _, frame: made.extend(frame.measurements),
    )
    pipeline.warm(CALIBRATION)
    assert made == []
    pipeline.warm(heard(depth=CAMERA.resized(7000, 7000)))
    assert made == [EVENT]
    pipeline.warm(heard())
    assert made == [EVENT, DEPTH, EVENT]
    pipeline.warm(heard())
    assert made == [EVENT, DEPTH, EVENT]  # they are made


def test_warming_that_fails_harms_nothing(pipeline, monkeypatch):
    def trip(*_):
        raise MemoryError("no room for a table")

    for name in ("preprocess_depth", "preprocess_events"):
        monkeypatch.setattr(f"any2seg_ros.preprocessing.preprocessor.{name}", trip)
    pipeline.warm(heard())
    result = pipeline.process(frame_of(pipeline, depth=depth(), rgb=rgb()))
    assert "MemoryError: no room for a table" in result.frame.reasons[DEPTH]
    assert result.segmentation.subset == (RGB,)


@pytest.mark.parametrize(("name", "pixels"), [("rgb", np.uint8), ("depth", np.uint16)])
def test_a_packed_image_of_another_size_is_refused_before_it_is_unpacked(
    pipeline, monkeypatch, name, pixels
):
    packed = cv2.imencode(".png", np.zeros((3000, 4000), pixels))[1].tobytes()
    message = SimpleNamespace(header=header(STAMP), format="16UC1; png", data=packed)
    frame = frame_of(pipeline, **{name: message})
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("unpacked"))
    reasons = pipeline.process(frame).frame.reasons
    assert "another size than its camera_info: 4000x3000" in reasons[Modality.parse(name)]


def test_a_mask_and_its_points_come_from_the_calibration_of_its_own_frame(pipeline):
    other = Camera(64, 48, 45.0, 45.0, 31.5, 23.5)
    turned = replace(CALIBRATION, reference=other, reference_frame="other")
    frames = [frame_of(pipeline, one, lidar=cloud()) for one in (CALIBRATION, turned, CALIBRATION)]
    results = [pipeline.process(frame) for frame in frames]  # after the geometry has changed
    for result, camera, frame_id in zip(
        results, (CAMERA, other, CAMERA), ("camera", "other", "camera"), strict=True
    ):
        assert result.segmentation.labels.shape == (camera.height, camera.width)
        made = outputs(make_message, result, OutputConfig(), DELIVER)
        info, points = made["camera_info"](), made["points"]()
        assert (info.width, info.k[0], info.header.frame_id) == (camera.width, camera.fx, frame_id)
        assert points.header.frame_id == frame_id
        expected = semantic_points(result, result.segmentation.labels, DELIVER)
        assert points.width == len(expected) > 0


def make_message(kind: str, **fields) -> SimpleNamespace:
    return SimpleNamespace(**fields)


def test_broken_packets_among_good_ones_are_counted_and_the_frame_has_its_events(pipeline):
    before, _ = pipeline.broken_packets
    packets = [packet(STAMP - 2 * MS), packet(STAMP - MS, encoding="morse"), packet(STAMP)]
    result = pipeline.process(frame_of(pipeline, event=packets))
    assert result.frame.availability[EVENT] == Availability.OK
    count, reason = pipeline.broken_packets
    assert count == before + 1 and "encoding" in reason


# The stream of events.


def test_events_are_the_same_whether_packets_are_wanted_one_by_one_or_together():
    messages = [packet(STAMP + k * MS) for k in range(30)]
    one, many = EventStream(), EventStream()
    singles = [one.add(message) for message in messages]
    for single in singles:
        one.events([single], 0, STAMP * 2)
    alone = one.events(singles, STAMP, STAMP + 20 * MS)
    together = many.events([many.add(message) for message in messages], STAMP, STAMP + 20 * MS)
    for column in "txyp":
        assert np.array_equal(getattr(alone, column), getattr(together, column))
    assert len(alone) == 20 * 20


def test_packets_that_no_frame_wants_are_decoded_before_those_that_one_wants():
    words = struct.pack("<3H", 0x8 << 12 | 1, 0x6 << 12 | 5, 7)
    event = struct.pack("<1H", 0x2 << 12 | 1 << 11 | 100)
    first, second = packet(encoding="evt3"), packet(STAMP + MS, encoding="evt3")
    first.events, second.events = array("B", words), array("B", event)
    stream = EventStream()
    stream.add(first)
    events = stream.events([stream.add(second)], 0, STAMP * 2)
    assert (events.x.tolist(), events.y.tolist()) == ([100], [7])


def test_a_broken_packet_does_not_take_the_good_ones_with_it():
    stream = EventStream()
    broken = packet(STAMP + MS)
    broken.events = broken.events[:-3]
    packets = [stream.add(m) for m in (packet(STAMP), broken, packet(STAMP + 2 * MS))]
    assert len(stream.events(packets, 0, STAMP * 2)) == 40
    assert stream.invalid == 1
    assert "truncated" in packets[1].reason


def test_a_slice_has_its_events_when_packets_beyond_it_were_decoded_with_them():
    stream = EventStream()
    packets = [stream.add(packet(STAMP + k * MS, 10)) for k in range(400)]
    begin, end = STAMP + 249 * MS, STAMP + 275 * MS
    assert len(stream.events(packets[250:276], begin, end)) == 26 * 10


def test_packets_that_nobody_wants_do_not_pile_up():
    stream = EventStream()
    packets = [stream.add(packet(STAMP + k * MS)) for k in range(1000)]
    assert sum(not p.decoded for p in packets) <= 300
    assert all(p.message is None for p in packets if p.decoded)


def array_of(stamp: int, count: int) -> SimpleNamespace:
    events = [SimpleNamespace(ts=header(stamp).stamp, x=1, y=1, polarity=True)] * count
    return SimpleNamespace(header=header(stamp), width=128, height=96, events=events)


@pytest.mark.parametrize("make", [lambda s: array_of(s, 5_000), lambda s: packet(s, 62_500)])
def test_what_nobody_wants_does_not_pile_up_where_it_is_heavy(make):
    stream = EventStream()
    waiting = []
    for k in range(20):
        waiting = [p for p in [*waiting, stream.add(make(STAMP + k * MS))] if not p.decoded]
        assert len(waiting) < 8
    assert not stream.invalid

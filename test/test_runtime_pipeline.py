"""From the messages of a frame to masks, with reasons for what was not used."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import published_reference as reference
import pytest
import tiny_network
from published_checkpoints import opened, saved
from sensor_messages import MS, STAMP, cloud, depth, header, packet, rgb

from any2seg_ros.engine import Segmenter
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.runtime import pipeline as runtime_pipeline
from any2seg_ros.runtime.decode_budget import DecodeBudget
from any2seg_ros.runtime.outputs import outputs
from any2seg_ros.runtime.pipeline import Pipeline, PipelineConfig, Received
from any2seg_ros.runtime.rendering import OutputConfig, semantic_points
from any2seg_ros.runtime.status import NodeState, status_of
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import UNCALIBRATED, Availability, Calibration, Camera, Frame, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
CAMERA = Camera(128, 96, 100.0, 100.0, 63.5, 47.5)
FORWARD = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
"""From x forward, y left, z up to x right, y down, z forward."""
CALIBRATION = Calibration(
    CAMERA, "camera", {RGB: CAMERA, DEPTH: CAMERA, EVENT: CAMERA}, {LIDAR: FORWARD}
)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    return tiny_network.segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture
def pipeline(segmenter) -> Pipeline:
    return Pipeline(segmenter)


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


def test_a_published_network_is_given_what_it_takes_and_the_rest_has_a_reason(tmp_path):
    """CMNeXt of RGB and LiDAR: depth is not said to be left out by a gate, which it has not."""
    weights = reference.layout_cmnext(others=1)
    pipeline = Pipeline(opened(saved(tmp_path, weights, "cmnext_b2_deliver_rgbl.pth")))
    result = pipeline.process(frame_of(pipeline, rgb=rgb(), depth=depth(), lidar=cloud()))
    assert result.segmentation.weights == {RGB: 0.5, LIDAR: 0.5}
    assert result.frame.availability[DEPTH] is Availability.INVALID
    assert "take rgb+lidar alone" in result.frame.reasons[DEPTH]
    assert pipeline.process(frame_of(pipeline, depth=depth())).segmentation is None


def test_a_published_mean_network_segments_any_sensors(tmp_path):
    pipeline = Pipeline(opened(saved(tmp_path, reference.layout_mean(64), "rmmss_b0.pth")))
    for messages in ({"lidar": cloud()}, {"depth": depth(), "event": packet()}):
        result = pipeline.process(frame_of(pipeline, **messages))
        assert result.segmentation.labels.shape == (96, 128)
        assert len(result.segmentation.weights) == len(messages)


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


@pytest.mark.parametrize(("fill", "said"), [(1.0, "is dead"), (None, "is saturated"), (0.4, "")])
def test_of_a_lidar_whose_intensity_is_no_good_the_status_says_so_and_it_is_used(
    segmenter, fill, said
):
    pipeline = Pipeline(segmenter)
    for number in range(12):
        message = cloud(STAMP)
        points = np.frombuffer(message.data, "<f4").reshape(-1, 4).copy()
        rng = np.random.default_rng(number)
        points[:, 3] = rng.random(len(points)) * (1.0 if fill is None else fill)
        if fill != 0.4:
            share = 0.6 if fill is None else 1.0
            points[rng.random(len(points)) < share, 3] = 1.0
        message.data = array("B", points.tobytes())
        result = pipeline.process(frame_of(pipeline, lidar=message))
    assert result.frame.availability[LIDAR] == Availability.OK
    told = status_of(make_message, NodeState(), result, None)
    reason = next(row.reason for row in told.modalities if row.modality == "lidar")
    assert (said in reason) if said else reason == ""


def test_a_reset_forgets_what_was_usual(pipeline):
    message = rgb()
    for k in range(24):
        message.header = header(STAMP + k * 100 * MS)
        if k == 11:
            pipeline.reset()
        result = pipeline.process(frame_of(pipeline, rgb=message, depth=depth(STAMP + k)))
        assert (result.frame.reasons.get(RGB) == "content is frozen") == (k in (10, 21, 22, 23))


@pytest.mark.parametrize("forget", ["reset", "configure"])
def test_how_many_bits_a_camera_fills_is_learned_again(pipeline, forget):
    def make(low: int, high: int, number: int):
        coarse = np.random.default_rng(number).integers(low, high, (12, 16)).astype("<u2")
        pixels = coarse.repeat(8, 0).repeat(8, 1)
        message = rgb(STAMP + number * 100 * MS)
        message.encoding, message.step = "mono16", 256
        message.data = array("B", pixels.tobytes())
        result = pipeline.process(frame_of(pipeline, rgb=message))
        return result.frame.reasons.get(RGB, "")

    assert not any(make(100, 60_000, k) for k in range(5))
    assert "black" in make(50, 900, 5)
    pipeline.reset() if forget == "reset" else pipeline.configure(pipeline.config)
    assert not make(50, 900, 6)


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


def never() -> bool:
    return False


def test_what_is_made_ahead_is_taken_and_gives_the_same_mask(segmenter, monkeypatch):
    messages = dict(rgb=rgb(), depth=depth(), lidar=cloud(), event=packet())
    plain_one, ahead = Pipeline(segmenter), Pipeline(segmenter)
    wanted = plain_one.process(frame_of(plain_one, **messages))
    frame = frame_of(ahead, **messages)
    some = {m: x for m, x in frame.measurements.items() if m is not LIDAR}
    assert ahead.prepare_ahead(replace(frame, measurements=some), never)
    made = []
    make = ahead._make
    monkeypatch.setattr(ahead, "_make", lambda m, f: (made.append(m), make(m, f))[1])
    result = ahead.process(frame)
    assert made == [LIDAR]
    assert np.array_equal(result.segmentation.labels, wanted.segmentation.labels)
    assert np.array_equal(result.segmentation.confidence, wanted.segmentation.confidence)
    for modality, image in wanted_images(segmenter, messages).items():
        assert np.array_equal(ahead.prepare(frame).images[modality], image)


def wanted_images(segmenter, messages) -> dict[Modality, np.ndarray]:
    pipeline = Pipeline(segmenter)
    return dict(pipeline.prepare(frame_of(pipeline, **messages)).images)


@pytest.mark.parametrize("change", ["message", "camera", "pose", "reference", "packets", "reset"])
def test_what_was_made_ahead_of_something_else_is_made_anew(pipeline, monkeypatch, change):
    frame = frame_of(pipeline, rgb=rgb(), event=[packet(STAMP - MS), packet()])
    pipeline.prepare_ahead(frame, never)
    other, geometry = dict(frame.measurements), frame.calibration
    if change == "message":
        other[RGB] = received(rgb())
    elif change == "packets":
        other[EVENT] = other[EVENT][1:]
    elif change == "camera":
        closer = replace(CAMERA, fx=90.0)
        geometry = replace(geometry, cameras={RGB: closer, EVENT: closer})
    elif change == "pose":
        turned = transform((0, 0, 0), (0.01, 0, 0, 1))
        geometry = replace(geometry, poses={RGB: turned, EVENT: turned})
    elif change == "reference":
        geometry = replace(geometry, reference=replace(CAMERA, fx=90.0))
    else:
        pipeline.reset()
    made = []
    make = pipeline._make
    monkeypatch.setattr(pipeline, "_make", lambda m, f: (made.append(m), make(m, f))[1])
    pipeline.prepare(replace(frame, measurements=other, calibration=geometry))
    assert made == {"message": [RGB], "packets": [EVENT]}.get(change, [RGB, EVENT])


def test_the_same_geometry_told_anew_is_the_same(pipeline, monkeypatch):
    frame = frame_of(pipeline, rgb=rgb())
    pipeline.prepare_ahead(frame, never)
    monkeypatch.setattr(pipeline, "_make", None)
    again = replace(frame, calibration=replace(CALIBRATION, image_sizes={RGB: (128, 96)}))
    assert set(pipeline.prepare(again).images) == {RGB}


def test_work_ahead_ends_when_a_frame_is_to_be_segmented(pipeline):
    frame = frame_of(pipeline, rgb=rgb(), depth=depth())
    assert not pipeline.prepare_ahead(frame, lambda: True)
    assert pipeline._ahead == {}


def test_event_packets_are_decoded_though_no_frame_waits(pipeline):
    entry = pipeline.stream.add(packet())
    assert pipeline.prepare_ahead(None, never)
    assert entry.decoded and pipeline.stream.waiting == 0


def test_a_frozen_camera_is_told_as_soon_where_its_pictures_are_made_ahead(pipeline):
    message = rgb()
    for k in range(12):
        message.header = header(STAMP + k * 100 * MS)
        frame = frame_of(pipeline, rgb=message, depth=depth(STAMP + k))
        pipeline.prepare_ahead(frame, never)
        result = pipeline.process(frame)
        assert ("content is frozen" in result.frame.reasons.get(RGB, "")) == (k >= 10)


@pytest.mark.parametrize("ahead", (False, True))
def test_events_that_are_decoded_ahead_count_against_their_budget(pipeline, ahead):
    pipeline.budgets = {EVENT: DecodeBudget(1e-9, "event.decode_budget")}
    spent: list[float] = []
    spend = pipeline.budgets[EVENT].spend
    pipeline.budgets[EVENT].spend = lambda seconds, now: (
        spent.append(seconds),
        spend(seconds, now),
    )
    entry = pipeline.stream.add(packet())
    if ahead:
        pipeline.prepare_ahead(None, never)
    frame = frame_of(pipeline, rgb=rgb())
    events = [received(packet())._replace(body=entry)]
    pipeline.prepare(replace(frame, measurements={**frame.measurements, EVENT: events}))
    pipeline.prepare(frame_of(pipeline, rgb=rgb()))
    assert len(spent) == 1 and entry.decoded  # one measurement, however often there was work
    waits = pipeline.stream.add(packet())
    pipeline.prepare_ahead(None, never)
    assert waits.events is None and pipeline.stream.waiting == 0  # refused, and not kept


@pytest.mark.parametrize(("seconds", "refused"), [(4.0, False), (0.05, True)])
def test_events_of_a_slow_frame_may_take_as_long_as_those_of_many_fast_ones(
    seconds, refused, pipeline, monkeypatch
):
    """Each frame's take 0.2 s of the processor, all at once or over four seconds."""
    clock = {"monotonic_ns": 0, "thread_time": 0.0}
    fake = {name: lambda name=name: clock[name] for name in clock}
    monkeypatch.setattr(runtime_pipeline, "time", SimpleNamespace(**vars(time) | fake))
    pipeline.budgets = {EVENT: DecodeBudget(0.1, "event.decode_budget")}
    decode = pipeline.stream.decode_ahead

    def slow() -> None:
        decode()
        clock["thread_time"] += 0.02

    monkeypatch.setattr(pipeline.stream, "decode_ahead", slow)
    for _ in range(4):
        for _ in range(10):
            pipeline.stream.add(packet())
            pipeline.prepare_ahead(None, never)
            clock["monotonic_ns"] += round(seconds * 1e8)
        pipeline.prepare(frame_of(pipeline, rgb=rgb()))
    assert bool(pipeline.budgets[EVENT].refusal(clock["monotonic_ns"])) == refused


def video_of(pipeline: Pipeline, cost: float, monkeypatch) -> Callable[..., Frame]:
    """Makes a Frame of the next `count` packets of a video, each of which takes `cost` s."""
    pytest.importorskip("av", reason="PyAV is not here: requirements-video.txt")
    from test_messages_video import encoded, foxglove

    camera = Camera(192, 144, 100.0, 100.0, 95.5, 71.5)
    calibration = Calibration(camera, "camera", {RGB: camera})
    packets, clock, count = encoded("h264"), [0.0], [0]
    decode = pipeline.video._decoder.decode

    def slow(message):
        clock[0] += cost
        return decode(message)

    def next_frame(many: int) -> Frame:
        for _ in range(many):
            message = foxglove(packets[count[0] % len(packets)], index=count[0])
            entry = pipeline.video.add(message)
            count[0] += 1
        last = Received(STAMP + count[0], 0, header(STAMP), entry)
        availability = {m: Availability.OK if m == RGB else Availability.MISSING for m in Modality}
        return Frame(last.stamp, {RGB: last}, availability, {}, RGB, calibration=calibration)

    monkeypatch.setattr(time, "thread_time", lambda: clock[0])
    monkeypatch.setattr(pipeline.video._decoder, "decode", slow)
    return next_frame


def test_video_of_which_few_frames_are_made_is_used(pipeline, monkeypatch):
    next_frame = video_of(pipeline, 0.01, monkeypatch)
    pipeline.budgets = {RGB: DecodeBudget(0.25, "rgb.decode_budget")}
    for _ in range(6):
        prepared = pipeline.prepare(next_frame(30))
        assert RGB in prepared.images, prepared.frame.reasons


@pytest.mark.parametrize("ahead", [False, True])
def test_video_that_is_refused_is_not_kept(pipeline, monkeypatch, ahead):
    next_frame = video_of(pipeline, 0.3, monkeypatch)
    pipeline.budgets = {RGB: DecodeBudget(0.25, "rgb.decode_budget")}
    assert "faster than they were decoded" in pipeline.prepare(next_frame(30)).frame.reasons[RGB]
    frame, decoded = next_frame(30), pipeline.video.decoded
    if ahead:
        assert pipeline.prepare_ahead(None, never)
    else:
        assert "refused for 1 s" in pipeline.prepare(frame).frame.reasons[RGB]
    assert frame.measurements[RGB].body.message is None and pipeline.video.decoded == decoded == 4


def test_video_is_decoded_though_no_frame_waits(pipeline, monkeypatch):
    next_frame = video_of(pipeline, 0.01, monkeypatch)
    frame = next_frame(30)
    assert pipeline.prepare_ahead(None, never) and pipeline.video.decoded == 20
    assert RGB in pipeline.prepare(frame).images


def test_a_sensor_that_takes_too_long_is_refused_and_the_others_go_on(pipeline):
    pipeline.budgets = {RGB: DecodeBudget(1e-9, "rgb.decode_budget")}
    reasons = []
    for k in range(3):
        frame = frame_of(pipeline, rgb=rgb(STAMP + k), depth=depth(STAMP + k))
        result = pipeline.process(frame)
        reasons.append(result.frame.reasons.get(RGB, ""))
        assert DEPTH in result.segmentation.subset
    assert reasons[0] == ""
    assert "refused for 1 s: decoding took" in reasons[1] and "rgb.decode_budget" in reasons[2]

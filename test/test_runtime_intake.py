"""From messages to Frames: what is refused, with which reason, and what goes along with a Frame."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from sensor_messages import MS, STAMP, cloud, depth, packet, rgb
from test_runtime_calibration import camera_info, nothing

from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.runtime.calibration import CalibrationTracker
from any2seg_ros.runtime.intake import Intake
from any2seg_ros.runtime.monitor import Monitor
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.runtime.transform_history import TransformHistory
from any2seg_ros.types import Availability, Frame, Modality

RGB, DEPTH, LIDAR, EVENT = Modality


class Bench:
    """An intake of some parameters whose clock shows `now`, and what it refused."""

    def __init__(
        self,
        lookup: Callable = lambda target, source: np.eye(4),
        history: TransformHistory | None = None,
        **values,
    ) -> None:
        parameters = from_values(values)
        self.now: int | None = STAMP
        self.refused: list[tuple[Modality, str]] = []
        self.resets = 0
        self.waiting: list[Frame | None] = []
        self.monitors = {modality: Monitor() for modality in Modality}
        config = parameters.pipeline_config()
        self.preparation = Preparation((96, 64), PreprocessingConfig(), config)
        self.intake = Intake(
            self.preparation,
            Synchronizer(parameters.synchronizer_config(0.05, True)),
            CalibrationTracker(parameters, lookup),
            self.monitors,
            lambda arrival: self.now,
            lambda modality, reason, arrival: self.refused.append((modality, reason)),
            self._on_reset,
            history,
            self.waiting.append,
        )
        self.intake.on_camera_info(RGB, camera_info("camera", width=128, height=96), 0)

    def _on_reset(self) -> None:
        self.resets += 1

    def feed(self, modality: Modality, message, arrival: int = 0) -> list[Frame]:
        return self.intake.on_message(modality, message, arrival)

    @property
    def reason(self) -> str:
        return self.refused[-1][1]


def test_a_frame_takes_the_calibration_along_that_it_was_made_with() -> None:
    bench = Bench()
    (first,) = bench.feed(RGB, rgb(STAMP))
    for k in range(3):
        other = camera_info("other", focal=80.0, width=128, height=96)
        bench.intake.on_camera_info(RGB, other, k * 1000 * MS)
    bench.now = STAMP + 100 * MS
    (second,) = bench.feed(RGB, rgb(STAMP + 100 * MS))
    assert (first.calibration.reference.fx, first.calibration.reference_frame) == (40.0, "camera")
    assert (second.calibration.reference.fx, second.calibration.reference_frame) == (80.0, "other")


def test_what_can_be_made_while_a_frame_waits_is_told_once_a_sensor() -> None:
    bench = told_of_two_sensors(Bench())
    (waiting,) = bench.waiting  # by the camera's message; the LiDAR's let the frame leave
    assert waiting.subset == (RGB,)
    assert waiting.calibration is bench.intake.tracker.current
    bench.feed(DEPTH, depth(STAMP + 300 * MS))
    assert [frame.subset for frame in bench.waiting] == [(RGB,)]


def test_nothing_is_made_before_it_is_known_where_the_vehicle_goes() -> None:
    assert told_of_two_sensors(Bench(history=TransformHistory("odom"))).waiting == []


def test_packets_are_to_be_decoded_when_there_are_many() -> None:
    bench = Bench()
    bench.intake.on_camera_info(EVENT, camera_info("event", width=128, height=96), 0)
    for k in range(40):
        bench.now = STAMP + k * MS
        bench.feed(EVENT, packet(STAMP + k * MS))
        assert bench.waiting == [None] * max(0, k - 30)


def told_of_two_sensors(bench: Bench) -> Bench:
    """Camera and LiDAR at 10 Hz; what was told when the camera's third image came, and then."""
    for k in range(3):
        bench.now = STAMP + k * 100 * MS
        bench.waiting.clear()
        bench.feed(RGB, rgb(bench.now))
        bench.feed(LIDAR, cloud(bench.now))
    return bench


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (rgb(0), "stamp is zero"),
        (rgb(STAMP + 10_000 * MS), "stamp is in the future by 10"),
        (SimpleNamespace(header=SimpleNamespace(stamp=None)), "cannot be read: AttributeError"),
        (None, "cannot be read: AttributeError"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_frame_without_it_says_why(message, reason) -> None:
    bench = Bench()
    assert bench.feed(RGB, message) == []
    assert bench.reason.startswith(reason)
    frames = bench.feed(LIDAR, cloud(STAMP)) + bench.intake.flush()
    assert frames[0].availability[RGB] == Availability.INVALID
    assert frames[0].reasons[RGB].startswith(reason)


def test_a_clock_that_is_unknown_leaves_out_the_check_of_the_future() -> None:
    bench = Bench()
    bench.now = None
    bench.feed(RGB, rgb(STAMP + 10_000 * MS))
    assert not bench.refused


def test_an_offset_counts_before_a_stamp_is_called_a_future_one() -> None:
    bench = Bench(**{"lidar.offset": -1.0})
    bench.feed(LIDAR, cloud(STAMP + 1000 * MS))
    assert not bench.refused
    bench.feed(LIDAR, cloud(STAMP + 1500 * MS))
    assert "in the future by 0.50 s" in bench.reason


def test_a_camera_info_that_is_not_calibrated_or_no_camera_info_at_all_is_refused() -> None:
    bench = Bench()
    bench.intake.on_camera_info(DEPTH, camera_info("depth", focal=0.0), 0)
    assert bench.refused[-1][0] == DEPTH and "not calibrated" in bench.reason
    bench.intake.on_camera_info(DEPTH, SimpleNamespace(), 0)
    assert bench.reason.startswith("camera_info cannot be read")


def test_a_frame_with_a_leading_slash_is_the_frame_without_it() -> None:
    asked = []

    def lookup(target: str, source: str) -> np.ndarray:
        asked.append((target, source))
        return np.eye(4)

    bench = Bench(lookup)
    message = cloud(STAMP)
    message.header.frame_id = "/lidar"
    bench.feed(LIDAR, message)
    assert asked == [("camera", "lidar")] and not bench.refused


def test_a_sensor_without_a_transform_is_refused_and_the_others_go_on() -> None:
    bench = Bench(nothing)
    bench.feed(LIDAR, cloud(STAMP))
    assert "no transform from somewhere" in bench.reason
    message = rgb(STAMP)
    message.header.frame_id = "camera"
    assert [frame.subset for frame in bench.feed(RGB, message)] == [(RGB,)]


def test_where_an_anchor_s_message_is_refused_the_next_sensor_triggers_the_frame() -> None:
    def lookup(target: str, source: str) -> np.ndarray:
        return nothing(target, source) if source == "moon" else np.eye(4)

    bench = Bench(lookup, **{"depth.registered": True})
    bench.feed(DEPTH, depth(STAMP))
    bench.feed(RGB, rgb(STAMP), 5 * MS)
    bench.now = STAMP + 100 * MS
    assert not bench.feed(DEPTH, depth(bench.now), 100 * MS)
    other = rgb(bench.now)
    other.header.frame_id = "moon"
    frames = bench.feed(RGB, other, 105 * MS) + bench.intake.flush()
    assert "frame_id is 'moon'" in bench.reason
    assert [(frame.anchor, frame.availability[RGB]) for frame in frames] == [
        (DEPTH, Availability.INVALID)
    ]


def test_what_leaves_is_made_before_anything_is_made_ready_for_the_next_frame() -> None:
    bench = Bench(**{"depth.registered": True})
    bench.feed(LIDAR, cloud(STAMP))
    bench.feed(RGB, rgb(STAMP))
    for k in (1, 2):  # two frames that wait for the LiDAR
        bench.now = STAMP + 20 * k * MS
        assert not bench.feed(RGB, rgb(bench.now), k)
    told = len(bench.waiting)
    assert told
    (left,) = bench.feed(LIDAR, cloud(STAMP + 20 * MS), 3)
    assert left.stamp == STAMP + 20 * MS and len(bench.waiting) == told
    assert not bench.feed(DEPTH, depth(bench.now), 4)
    assert bench.waiting[-1] is not None and bench.waiting[-1].stamp == bench.now


def test_packets_join_their_stream_even_when_their_pose_is_unknown() -> None:
    bench = Bench(nothing, **{"event.registered": False})
    bench.feed(EVENT, packet(STAMP))
    assert bench.refused and len(bench.preparation.stream._waiting) == 1


def test_stamps_that_jump_back_begin_anew_and_are_told() -> None:
    bench = Bench()
    bench.now = None
    for k in range(3):
        bench.feed(RGB, rgb(STAMP + k * 100 * MS), k)
    for k in range(2):
        bench.feed(RGB, rgb(STAMP - 60_000 * MS + k * 100 * MS), 3 + k)
    assert bench.resets == 1 and bench.intake.synchronizer.counters.resets == 1


def test_monitors_hear_of_every_message_and_of_the_stamp_of_the_good_ones() -> None:
    bench = Bench()
    bench.feed(RGB, rgb(STAMP), 7)
    bench.feed(RGB, rgb(0), 8)
    monitor = bench.monitors[RGB]
    assert (monitor.count, monitor.arrival, monitor.stamp) == (2, 8, STAMP)


@pytest.mark.parametrize("refused", [False, True])
def test_video_is_to_be_decoded_before_it_is_a_backlog(refused) -> None:
    pytest.importorskip("av", reason="PyAV is not here: requirements-video.txt")
    from test_messages_video import foxglove

    def lookup(target: str, source: str) -> np.ndarray:
        if refused:
            raise LookupError
        return np.eye(4)

    bench = Bench(lookup, **{"maximum_rate": 1.0})
    for index in range(14):
        bench.now = 100 * 10**9 + index * 33 * MS
        bench.feed(RGB, foxglove(b"packet", index=index))
    assert bool(bench.refused) == refused
    assert bench.waiting[-1] is None
    bench.preparation.prepare_ahead(None, lambda: False)
    assert bench.preparation.video.spare == 0


def test_video_is_decoded_up_to_the_packet_of_the_frame() -> None:
    pytest.importorskip("av", reason="PyAV is not here: requirements-video.txt")
    from test_messages_video import encoded, foxglove, scene

    bench = Bench()
    for k in range(3):
        bench.intake.on_camera_info(RGB, camera_info("cam", width=192, height=144), k * 1000 * MS)
    bench.intake.tracker.on_image_size(RGB, (192, 144))
    frames = []
    for index, data in enumerate(encoded("h264")[:9]):
        message = foxglove(data, index=index)
        bench.now = (100 * 10**9) + index * 33 * MS
        frames += bench.feed(RGB, message)
    frames += bench.intake.flush()
    picture = bench.preparation.prepare(frames[-1]).frame.measurements[RGB].data
    assert np.abs(picture.astype(int) - scene(8)).mean() < 2.5
    late = bench.preparation.prepare(frames[0]).frame
    assert "a newer picture of the video was used" in late.reasons[RGB]


@pytest.mark.parametrize(("scale", "largest", "warned"), [(0.05, 0.2, False), (100.0, 1.0, True)])
def test_a_lidar_s_intensity_has_the_scale_of_its_parameter(scale, largest, warned) -> None:
    bench = Bench(**{"lidar.intensity_scale": scale})
    for k in range(12):
        bench.now = STAMP + 100 * k * MS
        frames = bench.feed(LIDAR, cloud(bench.now)) + bench.intake.flush()
        prepared = [bench.preparation.prepare(frame).frame for frame in frames]
        for found in (p.measurements[LIDAR] for p in prepared if LIDAR in p.measurements):
            assert found.data[:, 3].max() == pytest.approx(largest, rel=0.05)
    assert ("is saturated" in bench.preparation.warnings.get(LIDAR, "")) is warned


NASTY = "\x1b]0;owned\x07\n[ERROR] all is lost\u202e" + "x" * 1_000_000


def named(message, **fields):
    for name, text in fields.items():
        setattr(message.header if name == "frame_id" else message, name, text)
    return message


def field_named(message, name: str, offset: int = 0):
    kind = 7 if offset else 77
    message.fields[0] = SimpleNamespace(name=name, offset=offset, datatype=kind, count=1)
    return message


@pytest.mark.parametrize(
    ("modality", "message"),
    [
        (RGB, named(rgb(STAMP), encoding=NASTY)),
        (RGB, named(rgb(STAMP), frame_id=NASTY)),
        (RGB, SimpleNamespace(header=rgb(STAMP).header, format=NASTY, data=b"none")),
        (RGB, SimpleNamespace(header=rgb(STAMP).header, format=NASTY + ".h264", data=b"none")),
        (LIDAR, named(cloud(STAMP), frame_id=NASTY)),
        (LIDAR, field_named(cloud(STAMP), NASTY)),
        (LIDAR, field_named(cloud(STAMP), NASTY, offset=1000)),
        (EVENT, named(packet(STAMP), encoding=NASTY)),
        (EVENT, named(packet(STAMP), frame_id=NASTY)),
    ],
)
def test_no_reason_holds_control_characters_or_more_than_a_line_of_a_message(
    modality, message
) -> None:
    bench = Bench(**{"event.registered": True})
    frames = bench.feed(modality, message)
    bench.now = STAMP + 100 * MS
    frames += bench.feed(DEPTH if modality == RGB else RGB, rgb(bench.now), 100 * MS)
    frames += bench.intake.flush()
    prepared = [bench.preparation.prepare(frame).frame for frame in frames]
    said = [reason for _, reason in bench.refused]
    said += [reason for frame in prepared for reason in frame.reasons.values()]
    said += [bench.preparation.broken_packets[1]]
    assert any(said) and all(reason.isprintable() and len(reason) < 410 for reason in said)


def test_a_camera_info_of_a_strange_frame_is_refused() -> None:
    bench = Bench()
    bench.intake.on_camera_info(RGB, camera_info(NASTY, width=128, height=96), 0)
    assert "frame_id '?]0;owned" in bench.reason
    lens = camera_info("camera", width=128, height=96)
    lens.d, lens.distortion_model = [0.1] * 5, NASTY
    bench.intake.on_camera_info(RGB, lens, 0)
    assert "unknown distortion model '?]0;owned" in bench.reason and len(bench.reason) < 410
    assert bench.intake.tracker.current.reference_frame == "camera"


@pytest.mark.parametrize("ahead", [37.0, -37.0])
def test_a_sensor_whose_clock_differs_is_told_by_how_much(ahead) -> None:
    bench = Bench()
    frames = []
    for k in range(5):
        at = STAMP + 100 * k * MS
        bench.now = None
        frames += bench.feed(LIDAR, cloud(at + round(ahead * 1e9)), 100 * k * MS + MS)
        frames += bench.feed(RGB, rgb(at), 100 * k * MS + 2 * MS)
    frames += bench.intake.flush()
    lacking, other = (RGB, "lidar") if ahead > 0 else (LIDAR, "rgb")
    assert frames[-1].reasons[lacking] == f"clock differs by 37.0 s from {other}'s"


def test_a_sensor_that_died_or_is_slow_has_no_other_clock() -> None:
    bench = Bench()
    bench.feed(LIDAR, cloud(STAMP), 0)
    frames = []
    for k in range(1, 100):
        bench.now = STAMP + 100 * k * MS
        frames += bench.feed(RGB, rgb(bench.now), 100 * k * MS)
    frames += bench.intake.flush()
    assert {frame.reasons.get(LIDAR, "") for frame in frames[5:]} == {
        "no measurement in the window"
    }


def test_a_clock_that_differs_from_all_others_costs_its_own_sensor_even_the_anchor() -> None:
    bench = Bench(**{"depth.registered": True})
    used = []
    for k in range(40):
        bench.now = at = STAMP + k * 100 * MS
        behind = 37_000 * MS if 10 <= k < 30 else 0
        made = [
            *bench.feed(DEPTH, depth(at), at),
            *bench.feed(LIDAR, cloud(at), at),
            *bench.feed(RGB, rgb(at - behind), at),
        ]
        used.append({m for frame in made for m in frame.measurements})
    assert used[5] == used[38] == {RGB, DEPTH, LIDAR}
    assert all(one == {DEPTH, LIDAR} for one in used[15:30])
    assert "clock differs by 37.0 s from those of all other sensors" in bench.reason


@pytest.mark.parametrize("seed", range(3))
def test_stamps_of_the_anchor_that_jump_to_and_fro_take_no_frame_from_the_others(seed) -> None:
    bench, random = Bench(**{"depth.registered": True}), Random(seed)
    frames = []
    for k in range(100):
        bench.now = at = STAMP + k * 100 * MS
        wrong = random.uniform(-2000, 2000) if 10 <= k < 90 else 0
        frames += bench.feed(RGB, rgb(at + round(wrong * MS)), at)
        frames += bench.feed(DEPTH, depth(at + MS), at + MS)
        frames += bench.feed(LIDAR, cloud(at + 2 * MS), at + 2 * MS)
    assert sum(LIDAR in frame.measurements for frame in frames) >= 96
    assert all(RGB in frame.measurements for frame in frames[-3:])
    assert frames[-1].anchor is RGB


def test_clocks_that_jump_together_cost_a_message() -> None:
    bench = Bench(**{"depth.registered": True})
    for k in range(20):
        bench.now = STAMP + k * 100 * MS
        at = bench.now if k < 10 else bench.now - 10_000 * MS
        for modality, make in ((RGB, rgb), (DEPTH, depth), (LIDAR, cloud)):
            bench.feed(modality, make(at), k)
    assert len(bench.refused) == 1 and bench.resets == 1


@pytest.mark.parametrize("pace", [0.02, 1.0, 20.0])
def test_sensors_that_end_together_and_bags_that_are_played_slowly_are_no_clocks_that_differ(
    pace,
) -> None:
    bench = Bench(**{"depth.registered": True})
    for k in range(60):
        stamp = STAMP + k * 100 * MS
        bench.now = STAMP + round(k * 100 * MS / min(pace, 1.0))
        bench.feed(RGB, rgb(stamp), round(k * 100 * MS / pace))
        for modality, make in ((DEPTH, depth), (LIDAR, cloud)):
            if k < 20:
                bench.feed(modality, make(stamp), round(k * 100 * MS / pace))
    assert not bench.refused

"""Frames whose measurements are moved to their stamp, from a bag's messages to modality images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tiny_drive
from tiny_drive import PERIOD, START

from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.runtime.bag_player import BagPlayer
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.runtime.pipeline import Preparation, Prepared
from any2seg_ros.types import Availability, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
SPEED, LATE = 12.0, 40_000_000
"""m/s, and ns from the LiDAR to the camera's image."""
FRAMES = 10
END = START + PERIOD * (FRAMES + 1)


def play(bag: Path, **values: Any) -> tuple[list[Prepared], list[str]]:
    parameters = from_values(values)
    preparation = Preparation((64, 64), PreprocessingConfig(), parameters.pipeline_config())
    player = BagPlayer(bag, preparation, parameters=parameters)
    made = [preparation.prepare(step.frame) for step in player.frames() if step.frame is not None]
    return made, player.notes


def drive(path: Path, odometry: list[tiny_drive.Row], sweep: float = 0.0) -> Path:
    rows = tiny_drive.rows(FRAMES)
    for _, topic, message in rows:
        if topic == "/lidar/points":
            _earlier(message.header.stamp, LATE)
            if sweep:
                tiny_drive.timed(message, sweep)
    return tiny_drive.write(path / "bag", sorted([*rows, *odometry], key=lambda row: row[0]))


def _earlier(stamp: Any, by: int) -> None:
    whole = stamp.sec * 10**9 + stamp.nanosec - by
    stamp.sec, stamp.nanosec = divmod(whole, 10**9)


def odom_from_base(stamp: int) -> np.ndarray:
    s = (stamp - START) * 1e-9 * SPEED
    return transform((s, 0.0, 0.0), (0.0, 0.0, np.sin(s / 100), np.cos(s / 100)))


def odom_from_lidar(stamp: int) -> np.ndarray:
    return odom_from_base(stamp) @ transform((0.0, 0.0, 2.5), (0.0, 0.0, 0.0, 1.0))


def odom_from_camera(stamp: int) -> np.ndarray:
    return odom_from_base(stamp) @ transform((0.0, 0.0, 1.5), (-0.5, 0.5, -0.5, 0.5))


def in_lidar(prepared: Prepared, points: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Where points of a cloud are at the frame's time, in the LiDAR's frame then: one by one."""
    to = np.linalg.inv(odom_from_lidar(prepared.frame.stamp))
    at = prepared.frame.stamp - LATE
    return np.array(
        [
            (to @ odom_from_lidar(at + round(t * 1e9)) @ np.append(p[:3].astype(float), 1.0))[:3]
            for p, t in zip(points, seconds, strict=True)
        ]
    )


def found_in_lidar(prepared: Prepared, off: Prepared) -> np.ndarray:
    """Where the points of a cloud were put, in the LiDAR's frame at the frame's time."""
    moved, mount = prepared.frame.measurements[LIDAR], off.calibration.pose_of(LIDAR)
    rows = np.concatenate([moved.data[:, :3].astype(float), np.ones((len(moved.data), 1))], 1)
    return (rows @ (np.linalg.inv(mount) @ moved.reference_from_sensor).T)[:, :3]


def both(prepared: list[Prepared]) -> list[Prepared]:
    return [one for one in prepared if {RGB, LIDAR} <= set(one.frame.subset)]


def test_clouds_are_moved_to_the_camera_s_time(tmp_path) -> None:
    bag = drive(tmp_path, tiny_drive.odometry(START, END, SPEED))
    off, _ = play(bag)
    on, notes = play(bag, motion_compensation="odom")
    assert len(both(on)) == len(both(off)) >= FRAMES - 1
    for one, before in zip(both(on), both(off), strict=True):
        cloud = before.frame.measurements[LIDAR].data
        expected = in_lidar(one, cloud, np.zeros(len(cloud)))
        assert np.abs(found_in_lidar(one, before) - expected).max() < 0.02
        assert np.abs(cloud[:, :3] - expected).max() > 0.4
        assert one.frame.availability[LIDAR] == Availability.OK and not one.frame.reasons.get(LIDAR)
        assert not np.array_equal(one.images[LIDAR], before.images[LIDAR])
        np.testing.assert_array_equal(one.images[DEPTH], before.images[DEPTH])
    assert not any("compensated" in note for note in notes)


def test_sweeps_with_times_are_moved_point_by_point(tmp_path) -> None:
    bag = drive(tmp_path, tiny_drive.odometry(START, END, SPEED), sweep=0.1)
    off, _ = play(bag)
    on, _ = play(bag, motion_compensation="odom")
    whole, _ = play(bag, motion_compensation="odom", **{"lidar.time_field": "none"})
    for one, before, rough in list(zip(both(on), both(off), both(whole), strict=True))[1:]:
        cloud = before.frame.measurements[LIDAR].data
        expected = in_lidar(one, cloud, np.linspace(-0.1, 0.0, len(cloud)))
        far = np.linalg.norm(cloud[:, :3], axis=1) > 1.01
        assert np.abs(found_in_lidar(one, before) - expected)[far].max() < 0.03
        assert np.abs(found_in_lidar(rough, before) - expected)[far].max() > 0.8


def test_held_measurements_are_moved_as_wholes(tmp_path) -> None:
    rows = [
        row for row in tiny_drive.rows(FRAMES)
        if not row[1].startswith("/depth/image") or (row[0] - START) // PERIOD % 3 == 1
    ]  # fmt: skip
    rows = sorted([*rows, *tiny_drive.odometry(START, END, SPEED)], key=lambda row: row[0])
    bag = tiny_drive.write(tmp_path / "bag", rows)
    on, _ = play(bag, motion_compensation="odom", **{"depth.hold": 0.5})
    held = [p.frame for p in on if p.frame.availability[DEPTH] == Availability.HELD]
    assert len(held) >= 4
    for frame in held:
        depth = frame.measurements[DEPTH]
        expected = np.linalg.inv(odom_from_camera(frame.stamp)) @ odom_from_camera(depth.stamp)
        assert expected[2, 3] < -1
        assert np.abs(depth.reference_from_sensor - expected).max() < 0.01
        assert frame.reasons[DEPTH] == "held: nothing newer came"


def test_without_transforms_all_is_as_without_compensation_and_said(tmp_path) -> None:
    bag = drive(tmp_path, [])
    off, _ = play(bag)
    on, notes = play(bag, motion_compensation="odom")
    reason = (
        "not motion compensated: no transform from rgb_camera_optical to odom (motion_compensation)"
    )
    for one, before in zip(on, off, strict=True):
        for modality, image in before.images.items():
            np.testing.assert_array_equal(one.images[modality], image)
        if {RGB, LIDAR} <= set(one.frame.subset):
            assert one.frame.reasons[LIDAR] == reason
            assert one.frame.availability[LIDAR] == Availability.OK
    assert notes.count(f"lidar: {reason}") == 1
    assert not any(note.startswith(("depth: not", "rgb: not")) for note in notes)


def test_transforms_that_end_are_missed_after_a_moment(tmp_path) -> None:
    middle = START + 5 * PERIOD
    on, notes = play(
        drive(tmp_path, tiny_drive.odometry(START, middle, SPEED)), motion_compensation="odom"
    )
    said = {p.frame.stamp: p.frame.reasons.get(LIDAR, "") for p in both(on)}
    assert not any(text for stamp, text in said.items() if stamp < middle + 150_000_000)
    late = [text for stamp, text in said.items() if stamp > middle + 250_000_000]
    assert late and all("TF of 'base_link' is behind by 0." in text for text in late)
    assert sum("is behind" in note for note in notes) == 1


def test_what_was_said_of_transforms_is_over_once_they_are_there(tmp_path) -> None:
    middle = START + 5 * PERIOD
    on, notes = play(
        drive(tmp_path, tiny_drive.odometry(middle, END, SPEED)), motion_compensation="odom"
    )
    said = {p.frame.stamp: p.frame.reasons.get(LIDAR, "") for p in both(on)}
    early = [text for stamp, text in said.items() if stamp < middle]
    assert early and all("not motion compensated" in text for text in early)
    later = [text for stamp, text in said.items() if stamp > middle + 150_000_000]
    assert later and not any(later)
    assert any("not motion compensated" in note for note in notes)


def test_times_that_are_none_are_said_and_the_cloud_is_moved_as_a_whole(tmp_path) -> None:
    rows = tiny_drive.rows(FRAMES)
    for _, topic, message in rows:
        if topic == "/lidar/points":
            _earlier(message.header.stamp, LATE)
            tiny_drive.timed(message, 900.0)
    rows = sorted([*rows, *tiny_drive.odometry(START, END, SPEED)], key=lambda row: row[0])
    on, notes = play(tiny_drive.write(tmp_path / "bag", rows), motion_compensation="odom")
    assert all(p.frame.measurements[LIDAR].moved for p in both(on))
    assert sum("lidar: moved as a whole: its field 'time'" in note for note in notes) == 1


def test_transforms_change_nothing_where_it_is_off(tmp_path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    moving, _ = play(drive(tmp_path / "with", tiny_drive.odometry(START, END, SPEED), sweep=0.1))
    still, _ = play(drive(tmp_path / "without", [], sweep=0.1))
    for one, other in zip(moving, still, strict=True):
        assert one.frame.trajectory is None
        for modality, image in one.images.items():
            np.testing.assert_array_equal(image, other.images[modality])


def test_an_offset_of_stamps_counts(tmp_path) -> None:
    """A LiDAR whose clock is 40 ms behind has measured at the camera's time: nothing has moved."""
    bag = drive(tmp_path, tiny_drive.odometry(START, END, SPEED))
    on, _ = play(bag, motion_compensation="odom", **{"lidar.offset": 0.04})
    assert both(on) and not any(p.frame.measurements[LIDAR].moved for p in both(on))

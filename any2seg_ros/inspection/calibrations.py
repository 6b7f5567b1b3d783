"""What is known of the geometry of a bag's sensors, as rows of a table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from any2seg_ros.bags import BagCalibration
from any2seg_ros.bags.writer import quaternion
from any2seg_ros.types import Camera, Modality


class CalibrationRow(NamedTuple):
    """One sensor; empty where nothing is known."""

    sensor: str
    camera: str
    """Size and focal lengths in px, centre, lens."""
    pose: str
    """In the reference camera's frame, as `<sensor>.extrinsics` takes it: x y z qx qy qz qw, m."""


def calibration_rows(calibration: BagCalibration | None) -> list[CalibrationRow]:
    """A row for each sensor of which something is known."""
    if calibration is None:
        return []
    known = sorted({*calibration.cameras, *calibration.poses})
    return [_row(modality, calibration) for modality in known]


def _row(modality: Modality, calibration: BagCalibration) -> CalibrationRow:
    camera, pose = calibration.cameras.get(modality), calibration.poses.get(modality)
    return CalibrationRow(
        modality.label,
        "" if camera is None else _of_camera(camera),
        "" if pose is None else _of_pose(pose),
    )


def _of_camera(camera: Camera) -> str:
    lens = " ".join((camera.model, *(f"{value:.4g}" for value in camera.distortion)))
    pinhole = not camera.distortion and camera.model == "plumb_bob"
    return (
        f"{camera.width}x{camera.height}, f {camera.fx:.1f} {camera.fy:.1f}, "
        f"c {camera.cx:.1f} {camera.cy:.1f}, {'no distortion' if pinhole else lens}"
    )


def _of_pose(pose: np.ndarray) -> str:
    values = *pose[:3, 3].tolist(), *quaternion(pose[:3, :3])
    return " ".join(f"{round(value, 4) + 0.0:.4f}" for value in values)

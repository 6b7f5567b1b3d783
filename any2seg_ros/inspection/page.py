"""The report of a look at a bag: one HTML file."""

from __future__ import annotations

from pathlib import Path

from any2seg_ros.html.templating import render
from any2seg_ros.inspection.bag import BagInspection
from any2seg_ros.inspection.calibrations import calibration_rows
from any2seg_ros.inspection.overlay import lidar_over_image
from any2seg_ros.inspection.parameter_file import parameter_file


def inspection_page(found: BagInspection) -> str:
    """The page, with LiDAR over the camera's image where both are there."""
    return render(
        "inspection.html.j2",
        title=f"Inspection of {Path(found.title).name}",
        subtitle=f"{found.title}, {found.duration:.1f} s",
        footer="Made by any2seg inspect.",
        found=found,
        calibrations=calibration_rows(found.calibration),
        overlay=lidar_over_image(found),
        parameters=parameter_file(found),
    )

"""The page of a look at a bag."""

from __future__ import annotations

import tiny_drive

from any2seg_ros.cli import main
from any2seg_ros.inspection import inspect_bag, inspection_page


def test_a_page_has_topics_problems_parameters_and_the_picture(tmp_path):
    rows = tiny_drive.rows(8)
    for _, topic, message in rows:
        if topic == "/lidar/points":
            message.header.stamp.sec += 2
    page = inspection_page(inspect_bag(tiny_drive.write(tmp_path / "bag", rows)))
    assert "<td>/rgb/image/compressed</td><td>CompressedImage</td><td>rgb</td>" in page
    assert "s in the future: synchronise its clock" in page
    assert "lidar:\n      topic: /lidar/points" in page
    assert "<td>depth</td><td>96x64, f 60.0 60.0, c 47.5 31.5, no distortion</td>" in page
    assert "LiDAR over the camera" in page and "data:image/jpeg;base64" in page


def test_a_bag_without_a_lidar_has_a_page_without_the_picture(tmp_path):
    rows = [row for row in tiny_drive.rows(8) if row[1] != "/lidar/points"]
    file = tmp_path / "look.html"
    bag = tiny_drive.write(tmp_path / "bag", rows)
    assert main(["inspect", str(bag), "--page", str(file)]) == 0
    assert "None found" in file.read_text() and "data:image" not in file.read_text()

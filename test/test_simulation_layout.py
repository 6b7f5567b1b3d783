"""Files of the DELIVER layout: names, codings, and what a partial run leaves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.simulation import layout
from any2seg_ros.simulation.scene import SceneSpec
from any2seg_ros.types import Camera

SPEC = SceneSpec("val", 103, "night", "lidarjitter")


def test_coded_depth_decodes_to_metres() -> None:
    depth = np.float32([[0.0, 1.5], [42.42, 999.0]])
    r, g, b = (layout.coded_depth(depth)[..., k].astype(int) for k in range(3))
    assert np.allclose((r + 256 * g + 65536 * b) / (2**24 - 1) * 1000, depth, atol=1e-4)


def test_a_frame_has_six_images_and_three_raw_files(tmp_path: Path) -> None:
    files = layout.frame_files(tmp_path, SPEC, 12)
    assert len(set(files)) == 9
    scene = "night/val/MAP_2_point4_lidarjitter"
    assert tmp_path / f"img/{scene}/000012_rgb_front.png" in files
    assert tmp_path / f"raw/{scene}/000012_event_front.npz" in files


def test_partial_files_of_a_scene_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    folder = layout.folder(tmp_path, "img", SPEC)
    folder.mkdir(parents=True)
    (folder / ".000000_rgb_front.png.1.part").touch()
    (folder / "000000_rgb_front.png").touch()
    layout.clear_parts(tmp_path, SPEC)
    assert [path.name for path in folder.iterdir()] == ["000000_rgb_front.png"]


def test_a_png_gives_back_its_image_whatever_its_filter() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (9, 13, 3), np.uint8)
    depth = rng.integers(0, 65536, (9, 13), np.uint16)
    for flat in (False, True):
        decoded = cv2.imdecode(np.frombuffer(layout.png(rgb, flat), np.uint8), -1)
        assert np.array_equal(decoded[..., ::-1], rgb)
        decoded = cv2.imdecode(np.frombuffer(layout.png(depth, flat), np.uint8), -1)
        assert np.array_equal(decoded, depth)


def test_hha_has_the_angle_to_gravity() -> None:
    """The ground, 1.5 m below a level camera, looks up; a wall ahead stands at 90 degrees."""
    view = Camera(60, 40, 50.0, 50.0, 29.5, 9.5)
    rows = np.arange(40, dtype=np.float32)[:, None] - 9.5
    ground = np.where(rows > 3, 1.5 * 50.0 / np.maximum(rows, 0.1), 0).astype(np.float32)
    depth = np.repeat(ground, 60, 1)
    placed = np.full((40, 60, 3), 77, np.uint8)
    image = layout.hha(depth, view, placed)
    assert (image[:12] == 0).all()
    assert np.abs(image[25:35, 10:50, 2].astype(int)).max() < 12
    wall = layout.hha(np.full((40, 60), 8.0, np.float32), view, placed)
    assert np.abs(wall[5:35, 10:50, 2].astype(int) - 127).max() < 6
    assert (wall[..., :2] == 77).all()

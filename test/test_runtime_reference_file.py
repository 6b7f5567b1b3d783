"""The reference camera on disk: kept over restarts, never written over another kind of file."""

from __future__ import annotations

import json

import pytest

from any2seg_ros.runtime.reference_file import ReferenceFile
from any2seg_ros.types import Camera

GOOD = {
    "width": 64,
    "height": 48,
    "fx": 40.0,
    "fy": 40.0,
    "cx": 31.5,
    "cy": 23.5,
    "distortion": [],
    "model": "plumb_bob",
}
CAMERA = Camera(64, 48, 40.0, 40.0, 31.5, 23.5)
BROKEN = [
    {"width": 0},
    {"width": "64"},
    {"width": 64.5},
    {"width": float("inf")},
    {"width": 20000, "height": 20000},
    {"fx": float("nan")},
    {"model": "foo"},
    {"model": None},
    {"distortion": None},
    {"lens": "good"},
]


@pytest.mark.parametrize(
    "camera",
    [
        CAMERA,
        Camera(64, 48, 40.0, 41.0, 31.5, 23.5, (0.1, -0.2, 0.0, 0.01), "equidistant"),
        Camera(64, 48, 40.0, 41.0, 31.5, 23.5, (0.1,) * 8, "rational_polynomial"),
    ],
)
def test_what_was_stored_is_loaded(tmp_path, camera) -> None:
    path = str(tmp_path / "kept" / "camera.json")
    first = ReferenceFile(path)
    assert first.load() == (None, "")
    assert first.store(camera, "front") == []
    assert ReferenceFile(path).load() == ((camera, "front"), "")


@pytest.mark.parametrize(
    "kept",
    [
        *({"frame": "camera", "camera": {**GOOD, **change}} for change in BROKEN),
        {"frame": None, "camera": GOOD},
        {"camera": GOOD},
    ],
)
def test_a_file_with_an_impossible_camera_is_noted_and_replaced(tmp_path, kept) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(kept))
    file = ReferenceFile(str(path))
    camera, note = file.load()
    assert camera is None and "holds no reference camera and will be replaced" in note
    file.store(CAMERA, "camera")
    assert json.loads(path.read_text()) == {"frame": "camera", "camera": GOOD}


def test_another_kind_of_file_is_never_overwritten(tmp_path) -> None:
    path = tmp_path / "drive.mcap"
    path.write_bytes(b"\x89MCAP0\r\n and a drive")
    file = ReferenceFile(str(path))
    assert "is another kind of file" in file.load()[1]
    assert file.store(CAMERA, "camera") == []
    assert path.read_bytes() == b"\x89MCAP0\r\n and a drive"


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-at-all/camera.json", "/proc/none/x.json"])
def test_a_path_that_cannot_be_costs_a_note_and_nothing_else(name) -> None:
    file = ReferenceFile(name)
    notes = [file.load()[1], *file.store(CAMERA, "camera")]
    assert any(name in note for note in notes)

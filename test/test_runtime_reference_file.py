"""The reference camera on disk: kept over restarts, never written over another kind of file."""

from __future__ import annotations

import json
import os

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
        {"any2seg": "reference camera", "camera": GOOD},
    ],
)
def test_a_file_with_an_impossible_camera_is_noted_and_replaced(tmp_path, kept) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(kept, indent=2))
    file = ReferenceFile(str(path))
    camera, note = file.load()
    assert camera is None and "holds no reference camera and will be replaced" in note
    file.store(CAMERA, "camera")
    assert json.loads(path.read_text()) == {
        "any2seg": "reference camera",
        "frame": "camera",
        "camera": GOOD,
    }


FOREIGN = [
    b"\x89MCAP0\r\n and a drive",
    b'{"name": "package", "version": "1.0"}',
    b'{"frame": "camera", "camera": {}, "mine": [1, 2]}',
    b'{"camera": ' + b"[" * 100_000,
    b"",
    b"\xff" * 1000,
]


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_another_kind_of_file_is_never_replaced(tmp_path, content, when) -> None:
    path = tmp_path / "precious.json"
    if when == "before":
        path.write_bytes(content)
    file = ReferenceFile(str(path))
    notes = [file.load()[1]]
    path.write_bytes(content)
    notes += file.store(CAMERA, "camera")
    assert any("is another kind of file" in note for note in notes)
    assert path.read_bytes() == content


def test_what_was_written_here_and_was_cut_off_is_replaced(tmp_path) -> None:
    path = tmp_path / "camera.json"
    first = ReferenceFile(str(path))
    first.load()
    first.store(CAMERA, "front")
    path.write_text(path.read_text()[:60])
    file = ReferenceFile(str(path))
    assert "will be replaced" in file.load()[1] and file.store(CAMERA, "rear") == []
    assert ReferenceFile(str(path)).load() == ((CAMERA, "rear"), "")


def test_a_pipe_in_its_place_does_not_keep_the_node_waiting(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    file = ReferenceFile(str(path))
    notes = [file.load()[1], *file.store(CAMERA, "camera")]
    assert all("it is no file" in note for note in notes) and path.is_fifo()


def test_a_link_is_replaced_by_the_file_and_not_followed(tmp_path) -> None:
    path, target = tmp_path / "camera.json", tmp_path / "elsewhere.json"
    path.symlink_to(target)
    file = ReferenceFile(str(path))
    file.load()
    assert file.store(CAMERA, "camera") == []
    assert not path.is_symlink() and not target.exists()


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-at-all/camera.json", "/proc/none/x.json"])
def test_a_path_that_cannot_be_costs_a_note_and_nothing_else(name) -> None:
    file = ReferenceFile(name)
    notes = [file.load()[1], *file.store(CAMERA, "camera")]
    assert any(name in note for note in notes)

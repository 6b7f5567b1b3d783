"""Files of data sets: what is missing or unreadable is named."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest

from any2seg_ros.bench.fuzz.watching import Watch
from any2seg_ros.datasets.files import (
    NoLabel,
    other_splits,
    read_array,
    read_json,
    read_label,
    read_label_ids,
    read_rgb,
)


def test_a_colour_image_has_red_first(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((2, 3, 3), (1, 2, 3), np.uint8))
    assert read_rgb(path)[0, 0].tolist() == [3, 2, 1]


def test_a_file_that_is_too_large_for_an_image_is_not_read(tmp_path):
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(1 << 29)
    with pytest.raises(ValueError, match="a.png is too large for an image"):
        read_rgb(path)


def test_arrays_come_alone_or_by_name(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3))
    np.savez(tmp_path / "some.npz", a=np.arange(2), b=np.arange(4))
    assert read_array(tmp_path / "one.npy").tolist() == [0, 1, 2]
    assert {name: len(a) for name, a in read_array(tmp_path / "some.npz").items()} == {
        "a": 2,
        "b": 4,
    }


@pytest.mark.parametrize(("read", "name"), [(read_rgb, "a.png"), (read_array, "a.npy")])
def test_a_missing_file_is_named(read, name, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{name} is missing: the data set is not complete"):
        read(tmp_path / name)


def test_a_missing_label_is_no_label(tmp_path):
    with pytest.raises(NoLabel, match=r"a\.png is missing"):
        read_label(tmp_path / "a.png", cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(
    ("read", "name", "words"),
    [
        (read_rgb, "a.png", "is no readable image"),
        (read_array, "a.npy", "cannot be read"),
        (read_array, "a.npz", "cannot be read"),
    ],
)
def test_an_unreadable_file_is_named(read, name, words, tmp_path):
    (tmp_path / name).write_bytes(b"no such thing")
    with pytest.raises(ValueError, match=f"{name} {words}"):
        read(tmp_path / name)


def test_arrays_of_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy cannot be read"):
        read_array(tmp_path / "a.npy")


def test_arrays_that_become_more_than_any_data_set_s_are_not_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("t.npy", "w") as t:
        np.lib.format.write_array_header_1_0(
            t, {"descr": "|u1", "fortran_order": False, "shape": (1_200_000_000,)}
        )
        for _ in range(120):
            t.write(bytes(10_000_000))
    with pytest.raises(ValueError, match=r"a\.npz cannot be read \(its arrays have 1200000"):
        read_array(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", ""])
def test_json_that_cannot_be_read_is_one_line_with_its_file(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json cannot be read"):
        read_json(tmp_path / "a.json")


def test_the_splits_that_are_there_are_named(tmp_path):
    for split in ("val", "train"):
        (tmp_path / "img/sun" / split).mkdir(parents=True)
    assert other_splits(tmp_path, "img/*/*") == "its splits are train, val"
    assert other_splits(tmp_path, "frame_camera/*") == ""


@pytest.mark.parametrize("read", [read_rgb, read_label_ids])
def test_a_picture_that_claims_to_be_larger_than_its_file_costs_nothing(read, tmp_path):
    path = tmp_path / "a.png"
    png = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    at = png.index(b"IDAT") - 4
    path.write_bytes(png[:at] + (0x7FFFFFF0).to_bytes(4, "big") + png[at + 4 :])
    large: list[str] = []
    with (
        Watch().bounded(large.append),
        pytest.raises(ValueError, match=r"a\.png is no readable"),
    ):
        read(path)
    assert not large

"""Folders of labelled images: what is read, what is scored, and what is refused."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from any2seg_ros.datasets import Labelling, Target, open_source
from any2seg_ros.datasets.files import read_label_ids
from any2seg_ros.datasets.labelled_folder import in_split
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.types import IGNORE, Modality

TARGET = Target((48, 32), PreprocessingConfig())
MAP = "0: Sky\n1: [Road, RoadLine]\n2: null\n"


def folder(root, count=3, label=None, labels="labels.yaml"):
    """Images of 60 x 40 with labels: sky above, road below, a stripe of nothing."""
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    if labels:
        (root / labels).write_text(MAP)
    ids = np.zeros((40, 60), np.uint8)
    ids[20:], ids[18:20] = 1, 2
    for i in range(count):
        cv2.imwrite(str(root / "images" / f"drive{i}_0{i}.jpg"), np.full((40, 60, 3), 90, np.uint8))
        cv2.imwrite(str(root / "labels" / f"drive{i}_0{i}.png"), ids if label is None else label)
    return root


def samples(root, split="val", **rest):
    return list(open_source(root, TARGET, split, **rest).samples(0, 1))


def test_images_and_labels_of_the_same_stem_are_frames_with_the_camera_alone(tmp_path):
    source = open_source(folder(tmp_path / "set"), TARGET)
    found = list(source.samples(0, 1))
    assert [s.name for s in found] == ["drive0_00", "drive1_01", "drive2_02"]
    assert source.modalities == (Modality.RGB,) and set(found[0].images) == {Modality.RGB}
    assert found[0].label[[0, 19, 39], 0].tolist() == [0, IGNORE, 1]
    assert source.groups.as_taxonomy.classes == ("Sky", "RoadLine+Road")


def test_a_label_map_may_be_named_instead_of_written_beside(tmp_path):
    root = folder(tmp_path / "set", labels="")
    with pytest.raises(FileNotFoundError, match="does not say what its label ids mean"):
        open_source(root, TARGET)
    (tmp_path / "mine.yaml").write_text(MAP)
    found = samples(root, labelling=Labelling(label_maps=(str(tmp_path / "mine.yaml"),)))
    assert len(found) == 3


@pytest.mark.parametrize("shape", [(20, 30), (80, 120), (13, 20)])
def test_labels_of_another_size_but_the_images_proportions_are_taken(tmp_path, shape):
    label = np.ones(shape, np.uint8)
    assert samples(folder(tmp_path / "set", label=label))[0].label.shape == shape


def test_labels_of_other_proportions_are_refused(tmp_path):
    root = folder(tmp_path / "set", label=np.ones((40, 40), np.uint8))
    with pytest.raises(ValueError, match="drive0_00.png is 40x40, its image 60x40"):
        samples(root)


def test_labels_in_colours_are_refused(tmp_path):
    label = np.dstack([np.full((40, 60), value, np.uint8) for value in (0, 1, 2)])
    with pytest.raises(ValueError, match="has colours: labels are ids"):
        open_source(folder(tmp_path / "set", label=label), TARGET)


def test_a_set_in_which_nothing_is_labelled_is_refused(tmp_path):
    root = folder(tmp_path / "set", label=np.full((40, 60), 2, np.uint8))
    with pytest.raises(ValueError, match="no pixel of .*set is labelled"):
        open_source(root, TARGET)
    for label in (root / "labels").iterdir():
        label.unlink()
    with pytest.raises(FileNotFoundError, match="no image of .* has a label"):
        open_source(root, TARGET)


def test_a_set_without_images_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no images in"):
        open_source(folder(tmp_path / "set", 0), TARGET)


def test_a_split_without_a_sequence_says_what_one_is(tmp_path):
    root = folder(tmp_path / "set", 1)
    split = "val/6" if in_split("drive0_00", "train/6") else "train/6"
    with pytest.raises(ValueError, match=f"none of the 1 images of .* is in {split}: a sequence"):
        open_source(root, TARGET, split)


def test_sensors_that_it_does_not_have_are_not_made_up(tmp_path):
    with pytest.raises(ValueError, match="only sensor is rgb"):
        open_source(folder(tmp_path / "set"), TARGET, wanted=(Modality.RGB, Modality.LIDAR))


def test_label_maps_are_not_for_data_that_have_our_classes(tmp_path):
    (tmp_path / "img").mkdir()
    with pytest.raises(ValueError, match="has its own classes"):
        open_source(tmp_path, TARGET, labelling=Labelling(label_maps=("camvid",)))


@pytest.mark.parametrize("stems", [[f"{i}_{j}" for i in range(12) for j in "ab"], ["a_1", "b_1"]])
def test_sequences_are_divided_whole_and_every_image_is_in_one_part(stems):
    parts = {
        stem: {name for name in ("train", "val") if in_split(stem, f"{name}/6")} for stem in stems
    }
    assert all(len(part) == 1 for part in parts.values())
    for stem in stems:
        sequence = stem.rpartition("_")[0]
        assert all(parts[s] == parts[stem] for s in stems if s.rpartition("_")[0] == sequence)


def test_every_sixth_sequence_is_for_validation():
    assert [i for i in range(18) if in_split(f"{i}_7", "val/6")] == [5, 11, 17]
    with pytest.raises(ValueError, match="is no split of a folder"):
        in_split("1_2", "test/6")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_are_read_by_their_numbers(tmp_path, bits):
    ids = np.random.default_rng(0).integers(0, 2**bits, (5, 16)).astype(np.uint8)
    (tmp_path / "p.png").write_bytes(with_palette(ids, bits))
    assert np.array_equal(read_label_ids(tmp_path / "p.png"), ids)


@pytest.mark.parametrize("damage", [lambda png: b"", lambda png: png[:24] + b"\0" + png[25:]])
def test_labels_that_are_damaged_are_named(tmp_path, damage):
    path = tmp_path / "p.png"
    path.write_bytes(damage(with_palette(np.zeros((5, 16), np.uint8), 8)))
    with pytest.raises(ValueError, match=r"p\.png is no readable PNG"):
        read_label_ids(path)


def with_palette(ids, bits):
    """A PNG of ids with a palette of colours that have nothing to do with them."""
    per_byte = 8 // bits
    places = np.arange(per_byte)[::-1] * bits
    packed = (ids.reshape(len(ids), -1, per_byte) << places).sum(2).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", ids.shape[1], len(ids), bits, 3, 0, 0, 0)
    palette = np.random.default_rng(1).integers(0, 255, 3 * 2**bits).astype(np.uint8).tobytes()
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )

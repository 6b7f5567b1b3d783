"""Labels of bags, in a topic and in a folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_drive

from any2seg_ros.datasets import Sample, Target, open_source
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.datasets.ground_truth import LabelFolder, Labelling, LabelTopic, MappedLabels
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import IGNORE

TOPIC = "/ground_truth/label/compressed"
STAMP = tiny_drive.START + tiny_drive.PERIOD


def bag_of(path: Path, image: np.ndarray) -> Path:
    """A bag with one label, as a PNG."""
    data = cv2.imencode(".png", image)[1].tobytes()
    message = tiny_drive.compressed(STAMP, "rgb_camera_optical", "16UC1; png", data)
    return tiny_drive.write(path, [(STAMP, TOPIC, message)], lambda topic: topic == TOPIC)


def test_a_topic_s_labels_of_16_bits_keep_their_class_ids(tmp_path):
    expected = tiny_drive.label(0)
    wide = np.where(expected == 255, np.uint16(65535), expected)
    found = LabelTopic(bag_of(tmp_path / "bag", wide), TOPIC, DELIVER).label(STAMP, STAMP)
    np.testing.assert_array_equal(found, expected)


def test_a_topic_says_why_it_has_no_label(tmp_path):
    truth = LabelTopic(bag_of(tmp_path / "bag", np.full((8, 8), 300, np.uint16)), TOPIC, DELIVER)
    assert truth.label(STAMP, STAMP) is None
    assert truth.lacking.startswith(f"a label on {TOPIC} cannot be used: labels of 16 bits")
    assert truth.notes == [truth.lacking]
    assert truth.label(STAMP + 10**9, STAMP + 10**9) is None
    assert truth.lacking == "no ground truth near the frame's stamp"


def test_a_folder_s_labels_may_have_16_bits_and_alpha(tmp_path):
    expected = tiny_drive.label(0)
    cv2.imwrite(str(tmp_path / f"{STAMP}.png"), expected.astype(np.uint16))
    seen_through = np.dstack([expected] * 3 + [np.full_like(expected, 9)])
    cv2.imwrite(str(tmp_path / f"{STAMP + 10**9}.png"), seen_through)
    truth = LabelFolder(tmp_path, DELIVER)
    for stamp in (STAMP, STAMP + 10**9):
        np.testing.assert_array_equal(truth.label(stamp, stamp), expected)


def test_a_file_that_holds_no_labels_is_one_error_that_names_it(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    cv2.imwrite(str(tmp_path / f"{STAMP}.png"), colours)
    with pytest.raises(ValueError, match=f"{STAMP}.png cannot be used: labels are colours"):
        LabelFolder(tmp_path, DELIVER).label(STAMP, STAMP)
    (tmp_path / f"{STAMP}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=f"{STAMP}.png cannot be used: .*cannot be unpacked"):
        LabelFolder(tmp_path, DELIVER).label(STAMP, STAMP)


ROAD, LINE, CAR = (DELIVER.id(name) for name in ("Road", "RoadLine", "Cars"))
TEACHER = "0: [Road, RoadLine]\n13: Cars\n"
MARKINGS = "0: null\n1: Road\n3: RoadLine\n"


def teacher(root, confidences=None, stamps=(STAMP,)):
    """Folders of what another network saw: road on the left, cars on the right; a line above."""
    labels, lines = np.zeros((8, 12), np.uint8), np.zeros((8, 12), np.uint8)
    labels[:, 6:] = 13
    lines[:2], lines[4:6] = 3, 1
    sure = np.full((8, 12), 255, np.uint8) if confidences is None else confidences
    for name, image in (("labels", labels), ("lines", lines), ("sure", sure)):
        (root / name).mkdir(parents=True, exist_ok=True)
        for stamp in stamps:
            cv2.imwrite(str(root / name / f"{stamp}.png"), image)
    (root / "labels.yaml").write_text(TEACHER)
    (root / "lines.yaml").write_text(MARKINGS)
    return root


def labelling(root, lines=False, confidence=False, sure=0.0):
    names = ("labels", "lines") if lines else ("labels",)
    maps = tuple(str(root / f"{name}.yaml") for name in names)
    folders = tuple(root / name for name in names)
    return Labelling(folders, maps, root / "sure" if confidence else None, sure)


def meant(truth, stamp=STAMP):
    """The classes that each value of a label stands for."""
    label = truth.label(stamp, stamp)
    return np.vectorize(lambda v: "" if v == IGNORE else str(sorted(truth.groups.groups[v])))(label)


def test_ids_of_a_folder_stand_for_what_its_map_says(tmp_path):
    truth = MappedLabels(labelling(teacher(tmp_path)), DELIVER)
    found = meant(truth)
    assert set(found[:, :6].ravel()) == {str(sorted([LINE, ROAD]))}
    assert set(found[:, 6:].ravel()) == {f"[{CAR}]"}
    assert truth.weight is None and truth.label(STAMP + 10**9, 0) is None


def test_a_further_folder_narrows_the_first_and_says_nothing_against_it(tmp_path):
    found = meant(MappedLabels(labelling(teacher(tmp_path), lines=True), DELIVER))
    assert set(found[:2, :6].ravel()) == {f"[{LINE}]"}
    assert set(found[4:6, :6].ravel()) == {f"[{ROAD}]"}
    assert set(found[2:4, :6].ravel()) == {str(sorted([LINE, ROAD]))}
    assert set(found[:, 6:].ravel()) == {f"[{CAR}]"}


def test_labels_that_are_not_sure_are_not_used_and_the_others_count_as_much_as_they_are(tmp_path):
    sure = np.full((8, 12), 230, np.uint8)
    sure[:4] = 100
    truth = MappedLabels(labelling(teacher(tmp_path, sure), confidence=True, sure=0.8), DELIVER)
    label = truth.label(STAMP, STAMP)
    assert (label[:4] == IGNORE).all() and (label[4:] != IGNORE).all()
    assert (truth.weight[4:] == 230).all()


def test_confidences_of_another_size_are_refused(tmp_path):
    root = teacher(tmp_path, np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match="has another size than the label of the same stamp"):
        MappedLabels(labelling(root, confidence=True), DELIVER).label(STAMP, STAMP)


def test_folders_and_maps_go_together(tmp_path):
    with pytest.raises(ValueError, match="one label map for each folder"):
        Labelling((tmp_path,), ("camvid", "kitti"))
    with pytest.raises(ValueError, match="several folders of labels need a label map each"):
        Labelling((tmp_path, tmp_path))
    with pytest.raises(ValueError, match="confidences needs a folder of labels"):
        Labelling(confidence=tmp_path)
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        Labelling(sure=2)


def test_a_bag_is_labelled_by_its_teachers_folders(tmp_path):
    tiny_drive.write(tmp_path / "drive")
    stamps = [tiny_drive.START + i * tiny_drive.PERIOD for i in range(10)]
    root = teacher(tmp_path / "teacher", np.full((8, 12), 210, np.uint8), stamps)
    source = open_source(
        tmp_path / "drive",
        Target((48, 32), PreprocessingConfig()),
        labelling=labelling(root, lines=True, confidence=True, sure=0.8),
    )
    samples = [sample for sample in source.samples(0, 1) if hasattr(sample, "label")]
    assert len(samples) > 5
    assert frozenset([LINE]) in source.groups.groups and frozenset([CAR]) in source.groups.groups
    for sample in samples:
        assert sample.label.shape == (8, 12) and (sample.weight == 210).all()


def test_labels_that_are_optional_leave_no_frame_out(tmp_path):
    """Half of the frames have one; the bag's own topic is not read."""
    tiny_drive.write(tmp_path / "drive")
    stamps = [tiny_drive.START + i * tiny_drive.PERIOD for i in range(1, 6)]
    root = teacher(tmp_path / "teacher", np.full((8, 12), 210, np.uint8), stamps)
    target = Target((48, 32), PreprocessingConfig())
    given = labelling(root, lines=False, confidence=True, sure=0.8)
    with_some = BagSource("drive", [tmp_path / "drive"], target, 0, given, unlabelled=True)
    samples = list(with_some.samples(0, 1))
    assert len(samples) >= 10 and all(isinstance(one, Sample) for one in samples)
    known = [one for one in samples if one.label.size > 1]
    assert len(known) == 5 and all((one.weight == 210).all() for one in known)
    without = BagSource("drive", [tmp_path / "drive"], target, unlabelled=True)
    assert all((one.label == 255).all() and one.weight is None for one in without.samples(0, 1))


def test_a_label_map_for_a_bag_needs_a_folder(tmp_path):
    tiny_drive.write(tmp_path / "drive")
    with pytest.raises(ValueError, match="needs a folder of labels"):
        open_source(
            tmp_path / "drive",
            Target((48, 32), PreprocessingConfig()),
            labelling=Labelling(label_maps=("camvid",)),
        )

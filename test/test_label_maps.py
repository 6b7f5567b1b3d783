"""What the ids of other people's labels stand for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from any2seg_ros.label_maps import ClassGroups, read_label_map
from any2seg_ros.resources import find
from any2seg_ros.taxonomy import CITYSCAPES, DELIVER
from any2seg_ros.types import IGNORE

SHIPPED = sorted(path.stem for path in find("config/label_maps").glob("*.yaml"))
ROAD, LINE, CAR, PERSON, BIKE = (
    DELIVER.id(name) for name in ("Road", "RoadLine", "Cars", "Pedestrian", "TwoWheeler")
)


def written(folder, text):
    path = folder / "map.yaml"
    path.write_text(text)
    return path


def test_more_groups_than_values_of_an_image_are_refused(tmp_path):
    pairs = list(combinations(DELIVER.classes, 2))[:255]
    path = written(tmp_path, "".join(f"{i}: [{a}, {b}]\n" for i, (a, b) in enumerate(pairs)))
    with pytest.raises(ValueError, match="255 different groups of classes, at most 254"):
        read_label_map(path, DELIVER)


def test_ids_stand_for_a_class_for_several_or_for_nothing(tmp_path):
    path = written(tmp_path, "0: [Road, RoadLine]\n7: Cars\n8: Cars\n9: null\n")
    label_map = read_label_map(path, DELIVER)
    values = label_map.apply(np.array([[0, 7, 8, 9, 255]], np.uint8), "label.png")
    assert values.tolist() == [[0, 1, 1, IGNORE, IGNORE]]
    assert label_map.groups.groups == (frozenset([ROAD, LINE]), frozenset([CAR]))


def test_16_bit_ids_are_looked_up_whole(tmp_path):
    label_map = read_label_map(written(tmp_path, "259: Cars\n3: Road\n"), DELIVER)
    assert label_map.apply(np.array([[259, 3, 65535]], np.uint16), "x").tolist() == [[0, 1, IGNORE]]


def test_an_id_that_the_map_does_not_name_is_told_with_the_mend(tmp_path):
    label_map = read_label_map(written(tmp_path, "0: Road\n"), DELIVER)
    with pytest.raises(ValueError, match="b.png has the label 4.*'4: null'"):
        label_map.apply(np.array([[0, 4]], np.uint8), "b.png")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0: Asphalt\n", "label 0 is 'Asphalt', which is no class of deliver: use Building"),
        ("0: null\n1: null\n", "names no class"),
        ("{}\n", "names no class"),
        ("- Road\n", "must map label ids to classes"),
        ("road: Road\n", "'road' is no label id"),
        ("70000: Road\n", "'70000' is no label id"),
        ("0: {Road: 1}\n", "neither a class, a list"),
        ("0: [\n", "is no YAML"),
    ],
)
def test_a_map_that_cannot_be_used_says_why(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        read_label_map(written(tmp_path, text), DELIVER)


@pytest.mark.parametrize(
    "text",
    [
        "&a [Road, &b [Road, &c [Road]]]: Road",
        "1: " + "[" * 3000 + "]" * 3000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{k}: &{k} [{', '.join(['*' + p] * 9)}]\n"
            for p, k in zip("abcde", "bcdef", strict=True)
        ),
        '"a\\nb": Road',
        '1: ["no\\nclass"]',
    ],
)
def test_whatever_stands_in_a_map_costs_nothing_and_is_told_in_one_line(tmp_path, text):
    with pytest.raises(ValueError, match=r"map\.yaml") as caught:
        read_label_map(written(tmp_path, text), DELIVER)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_name_that_no_map_has_lists_those_that_there_are():
    with pytest.raises(FileNotFoundError, match="no label map is called 'citiscapes': use camvid"):
        read_label_map("citiscapes", DELIVER)


def test_a_folder_hides_no_map_of_the_package(tmp_path, monkeypatch):
    (tmp_path / "camvid").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(read_label_map("camvid", DELIVER).groups) > 1


def test_a_file_may_name_a_map_of_the_package(tmp_path):
    here = read_label_map(written(tmp_path, "camvid\n"), DELIVER)
    assert here.groups == read_label_map("camvid", DELIVER).groups


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_maps_are_of_our_classes(name):
    assert len(read_label_map(name, DELIVER).groups) > 1


@pytest.mark.parametrize(("name", "ids"), [("cityscapes", 34), ("mapillary_vistas", 66)])
def test_shipped_maps_name_every_id_of_their_data(name, ids):
    read_label_map(name, DELIVER).apply(np.arange(ids, dtype=np.uint8)[None], "x")


def test_labels_of_another_taxonomy_are_refused():
    with pytest.raises(ValueError, match="no class of cityscapes"):
        read_label_map("camvid", CITYSCAPES)


def test_a_prediction_is_right_if_it_is_one_of_the_labels_classes():
    groups = ClassGroups(DELIVER, (frozenset([ROAD, LINE]), frozenset([CAR])))
    labels = np.array([[0, 0, 0, 1, 1, 1]], np.uint8)
    found = np.array([[ROAD, LINE, CAR, CAR, LINE, PERSON]], np.uint8)
    assert groups.seen(labels, found).tolist() == [[0, 0, 1, 1, 0, 2]]


def test_where_groups_overlap_the_label_decides_and_else_the_smallest():
    groups = ClassGroups(DELIVER, (frozenset([PERSON, BIKE]), frozenset([PERSON])))
    labels, found = np.array([[0, 1, 1]], np.uint8), np.array([[PERSON, PERSON, BIKE]], np.uint8)
    assert groups.seen(labels, found).tolist() == [[0, 1, 0]]
    assert groups.seen(np.full((1, 1), IGNORE, np.uint8), found[:, :1]).tolist() == [[1]]


def test_the_networks_own_classes_are_groups_of_one():
    groups = ClassGroups.of_classes(DELIVER)
    prediction = np.arange(25, dtype=np.uint8)[None]
    assert groups.seen(prediction, prediction) is prediction
    assert groups.as_taxonomy is DELIVER

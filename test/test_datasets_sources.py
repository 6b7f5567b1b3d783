"""Which source of frames a path is, and what is said of one that is none."""

from __future__ import annotations

import pytest
import training_data

from any2seg_ros.datasets import Target, find_bags, open_data, open_source, parse_topics
from any2seg_ros.datasets.deliver import DeliverData
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.types import Modality

TARGET = Target((48, 32), PreprocessingConfig())


@pytest.fixture
def root(tmp_path):
    training_data.write(tmp_path / "deliver", "train", 2)
    return tmp_path / "deliver"


def test_a_folder_is_known_by_what_is_in_it(root):
    data = open_data(root, "train", (Modality.LIDAR,))
    assert isinstance(data, DeliverData) and data.modalities == (Modality.LIDAR,)
    source = open_source(root, TARGET, "train")
    assert (source.name, source.split, len(source)) == (str(root), "train", 2)


def test_an_empty_split_and_a_strange_folder_say_what_they_lack(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="no frames at .*val.*: its splits are train"):
        open_data(root, "val")
    with pytest.raises(FileNotFoundError, match="no data at"):
        open_source(tmp_path / "none", TARGET, "train")
    with pytest.raises(ValueError, match="neither img/"):
        open_source(tmp_path, TARGET, "train")
    with pytest.raises(ValueError, match=f"no bag; give {root}"):
        open_source(root / "img" / "sun", TARGET, "train")


def test_labels_and_topics_are_for_bags(root):
    for given in ({"topics": ["rgb=/a"]}, {"motion_compensation": "odom"}):
        with pytest.raises(ValueError, match="--labels, --topic and --motion-compensation are for"):
            open_source(root, TARGET, "train", **given)


@pytest.mark.parametrize("name", ["b_0.mcap", "b_0.db3", "b_0.mcap.zstd", "b_0.db3.zstd"])
def test_bags_are_found_with_and_without_metadata(tmp_path, name):
    one, other = tmp_path / "a" / "metadata.yaml", tmp_path / "b" / name
    for file in (one, other):
        file.parent.mkdir()
        file.touch()
    (tmp_path / "c").mkdir()
    assert find_bags(tmp_path) == [one.parent, other.parent]
    assert find_bags(one.parent) == [one.parent] and find_bags(other) == [other]
    assert find_bags(tmp_path / "c") == find_bags(tmp_path / "none") == []


def test_topics_are_given_by_role():
    assert parse_topics(["rgb=/camera/image", "label=/truth"]) == {
        "rgb": "/camera/image",
        "label": "/truth",
    }
    for text, words in (("rgb", "names no topic"), ("rgb=a", "names no topic"), ("x=/a", "label")):
        with pytest.raises(ValueError, match=words):
            parse_topics([text])

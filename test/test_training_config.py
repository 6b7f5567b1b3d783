"""A training run's configuration: numbers out of range and files that are none name the mend."""

from __future__ import annotations

import pytest
import yaml

from any2seg_ros.training.config import RANGES, config_of, load_config


def nested(key: str, value: object) -> dict:
    content = {key.rpartition(".")[2]: value}
    return {key.partition(".")[0]: content} if "." in key else content


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("threads", -1, "0 or more"),
        ("loaders", -1, "0 or more"),
        ("seed", -1, "0 or more"),
        ("steps", 0, "1 or more"),
        ("size", [0, 0], "1 or more"),
        ("frozen_stages", -1, "0 or more"),
        ("blend_share", 1.5, "from 0 to 1"),
        ("network.width", 0, "1 or more"),
        ("data.val_frames", -2, "0 or more"),
        ("augmentation.flip", 2.0, "from 0 to 1"),
        ("augmentation.event_corruption", 1.1, "from 0 to 1"),
        ("augmentation.zoom", 0.5, "1 or more"),
        ("augmentation.crop", [-8, 16], "0 or more"),
        ("optimizer.rate", -1.0, "0 or more"),
        ("optimizer.rate", float("nan"), "0 or more"),
        ("optimizer.average", 1.5, "from 0 to 1"),
        ("losses.class_limit", 0.0, "1 or more"),
        ("losses.distillation", -1.0, "0 or more"),
        ("losses.distillation_temperature", 0.0, "above 0"),
        ("losses.stride", 0, "1 or more"),
        ("losses.stride", 1000, "144 or less"),
    ],
)
def test_a_number_out_of_range_names_its_key_and_what_it_may_be(key, value, words, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(nested(key, value)))
    with pytest.raises(ValueError) as told:
        load_config(path)
    assert f"run.yaml: {key} is {value}: it must be {words}" in str(told.value)


def test_the_ends_of_the_ranges_may_be_taken():
    ends = {"1 or more": 1, "0 or more": 0, "above 0": 0.1, "from 0 to 1": 1, "from 0 to 3": 3}
    for words, _, keys in RANGES:
        for key in set(keys.split()) - {"size", "augmentation.crop"}:
            assert config_of(nested(key, ends[words]))


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ValueError, match=r"run\.yaml is no YAML"):
        load_config(path)
    path.write_bytes(b"output: \xe4")
    with pytest.raises(ValueError, match=r"run\.yaml is no YAML"):
        load_config(path)

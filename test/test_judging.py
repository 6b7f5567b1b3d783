"""No figure of the card is had by showing the network the data that it is judged on."""

from __future__ import annotations

import yaml

from any2seg_ros.resources import find
from any2seg_ros.training.config import load_config

JUDGED = yaml.safe_load(find("config/judging.yaml").read_text())


def lineage(recipe):
    """The recipe and those that its weights come from, as far as they are real ones."""
    config = load_config(find(f"config/training/{recipe}.yaml"))
    before = config.init_from.removeprefix("runs/").removesuffix("/weights.safetensors")
    return [config, *(lineage(before) if before.startswith("real") else [])]


def trained_on(recipe):
    return {
        (one.path, one.split or config.data.train_split)
        for config in lineage(recipe)
        for one in config.data.train
    }


def parts(path, split):
    """What a data set and its split share frames with: a bag is whole, splits of a name are not."""
    return path if path.endswith("bag") else (path, split)


def test_nothing_is_judged_by_a_network_that_was_trained_on_it():
    for name, judged in JUDGED.items():
        seen = {parts(path, split) for path, split in trained_on(judged["recipe"])}
        mine = parts(judged["data"], judged.get("split", "val"))
        assert mine not in seen, name
        if mine[1].count("/"):
            count = mine[1].partition("/")[2]
            others = {split for path, split in trained_on(judged["recipe"]) if path == mine[0]}
            assert others == {f"train/{count}"}, name


def test_a_folder_that_is_one_split_is_not_trained_and_judged_on():
    for name, judged in JUDGED.items():
        if "/" not in judged.get("split", "val"):
            split = judged.get("split", "val")
            same = {s for path, s in trained_on(judged["recipe"]) if path == judged["data"]}
            assert split not in same and not {s for s in same if "/" in s}, name


def test_each_drive_is_judged_by_weights_that_have_seen_the_other_one_only():
    for drive, other in (("kitti_drive", "nuscenes_0523"), ("nuscenes_0523", "kitti_drive")):
        paths = {path for path, _ in trained_on(JUDGED[drive]["recipe"])}
        assert f"data/{drive}/bag" not in paths and f"data/{other}/bag" in paths


def test_the_trunk_has_seen_neither_drive():
    assert not any("bag" in path for path, _ in trained_on("real_sharp"))


def test_shipped_weights_have_learned_from_all_sources():
    paths = {path for path, _ in trained_on("real_jaccard")}
    assert paths >= {f"data/{name}" for name in ("benchmark", "rigs", "camvid/train")}
    assert paths >= {f"data/{name}/bag" for name in ("kitti_drive", "nuscenes_0523")}

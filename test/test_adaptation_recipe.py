"""What each round of an adaptation trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adaptation_data import Place

from any2seg_ros.adaptation.recipe import crop, of_round, round_config, shares
from any2seg_ros.network.checkpoints import read_header


def test_rounds_share_the_steps_and_none_is_empty():
    assert shares(10, 3) == [3, 3, 4]
    assert shares(2, 3) == [1, 1]


def test_crops_are_three_quarters_in_sixteens():
    assert crop((256, 144)) == (192, 112)
    assert crop((24, 24)) == (24, 24)


def test_a_round_goes_on_from_the_one_before_on_new_lessons(drive: Place):
    config = drive.config("recipe", scope="adapters", seed=7)
    header = read_header(drive.weights)
    first = round_config(config, header, drive.weights, Path("lessons/1"), drive.streets, ["lidar"])
    assert first.trainable == "adapters" and first.image_size == (96, 64)
    streets, lessons = first.data.train
    assert streets.share > 0 and lessons.share > streets.share
    second = of_round(first, 2, 5, Path("w.safetensors"), Path("lessons/2"))
    assert second.steps == 5 and second.init_from == "w.safetensors" and second.seed == 8
    assert second.data.train == (streets, replace(lessons, path="lessons/2"))
    assert Path(second.output) == config.out / "rounds" / "2"


def test_only_learners_are_trained(drive: Place):
    config, header = drive.config("learners"), read_header(drive.weights)
    first = round_config(config, header, drive.weights, Path("l"), drive.streets, ["lidar"])
    assert first.trainable == "encoders" and first.frozen_sensors == ("rgb", "depth", "event")
    later = of_round(first, 2, 5, Path("w.safetensors"), Path("lessons/2"))
    assert (later.trainable, later.frozen_sensors) == (first.trainable, first.frozen_sensors)
    both = round_config(config, header, drive.weights, Path("l"), drive.streets, ["rgb"], True)
    assert both.trainable == "all" and both.frozen_sensors == ("depth", "lidar", "event")
    shared = replace(header, network={**header.network, "shared_encoder": True})
    one = round_config(config, shared, drive.weights, Path("l"), drive.streets, ["lidar"])
    assert one.trainable == "all" and one.frozen_sensors == ()

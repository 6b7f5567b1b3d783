"""A training run's configuration: what is wrong is named with what it must be."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from any2seg_ros.configuration import as_yaml, build, info_of
from any2seg_ros.training.config import LossConfig, OptimizerConfig, TrainingConfig, load_config

RECIPES = Path(__file__).resolve().parents[1] / "config/training"
OF_TEACHERS = ("scene_teacher",)
"""Recipes of another configuration, read by a test of theirs."""


def nested(key: str, value: object) -> dict:
    content = {key.rpartition(".")[2]: value}
    return {key.partition(".")[0]: content} if "." in key else content


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("threads", -1, "0 or more"),
        ("num_workers", -1, "0 or more"),
        ("seed", -1, "from 0 to 2147483647"),
        ("steps", 0, "1 or more"),
        ("image_size", [0, 0], "1 px or more"),
        ("frozen_stages", -1, "0 or more"),
        ("blend_share", 1.5, "from 0 to 1"),
        ("trainable", "decoder", "one of all, encoders, adapters"),
        ("amp", "f8", "one of none, bf16, f16"),
        ("network.width", 0, "from 1 to 4096"),
        ("network.encoder", "resnet", "one of mit_b0,"),
        ("preprocessing.range_near", 0.0, "above 0 m"),
        ("data.val_frames", -2, "0 or more"),
        ("augmentation.flip", 2.0, "from 0 to 1"),
        ("augmentation.event_corruption", 1.1, "from 0 to 1"),
        ("augmentation.zoom", 0.5, "1 or more"),
        ("augmentation.crop", [-8, 16], "0 px or more"),
        ("augmentation.crop", [8], "2 whole numbers"),
        ("optimizer.lr", -1.0, "0 or more"),
        ("optimizer.lr", float("nan"), "a number"),
        ("optimizer.schedule", "step", "one of cosine, poly"),
        ("optimizer.ema_decay", 1.5, "from 0 to 1"),
        ("losses.variants", ["full", "both"], "one of full, random, single"),
        ("losses.variant_shares", [1, 0, 1], "above 0"),
        ("losses.class_limit", 0.0, "1 or more"),
        ("losses.distillation", -1.0, "0 or more"),
        ("losses.distillation_temperature", 0.0, "above 0"),
        ("losses.stride", 0, "1 or more"),
        ("losses.stride", 1000, "144 or less"),
    ],
)
def test_a_value_out_of_range_names_its_key_and_what_it_must_be(key, value, words, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(nested(key, value)))
    with pytest.raises(ValueError) as told:
        load_config(path)
    text = str(told.value)
    assert f"run.yaml: {key} is " in text and f", but must be {words}" in text


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("batch", 4, "batch_size"),
        ("size", [64, 32], "image_size"),
        ("initial", "", "init_from"),
        ("loaders", 2, "num_workers"),
        ("trained", "all", "trainable"),
        ("graphs", True, "cuda_graphs"),
        ("shared_norms", True, "sync_batchnorm"),
        ("placing", {}, "preprocessing"),
        ("optimizer.rate", 1e-3, "optimizer.lr"),
        ("optimizer.encoder_factor", 1.0, "optimizer.encoder_lr_mult"),
        ("optimizer.warm_up", 2, "optimizer.warmup_steps"),
        ("optimizer.clip", 1.0, "optimizer.grad_clip_norm"),
        ("optimizer.average", 0.9, "optimizer.ema_decay"),
    ],
)
def test_a_key_that_was_renamed_is_refused_with_its_new_name(old, value, new, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(nested(old, value)))
    with pytest.raises(ValueError, match=f"'{old}' is called '{new}' now"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer: {lrr: 1}", "unknown key 'optimizer.lrr': did you mean 'optimizer.lr'?"),
        ("optimizer: {magic: 1}", "unknown key 'optimizer.magic': use one of lr, encoder_lr_mult"),
        ("steps: many", "steps is 'many', but must be a whole number"),
        ("optimizer: [1]", "optimizer is [1], but must be a mapping"),
    ],
)
def test_an_unknown_key_and_a_wrong_type_name_what_was_meant(text, words, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as told:
        load_config(path)
    assert f"{path}: {words}" in str(told.value)


def test_every_new_name_is_a_key():
    for kind in (TrainingConfig, OptimizerConfig):
        names = {item.name for item in fields(kind)}
        assert set(kind.RENAMED.values()) <= names and not set(kind.RENAMED) & names


def test_the_ends_of_the_ranges_are_allowed():
    for item in fields(OptimizerConfig):
        info = info_of(item)
        for end in (info.low, info.high):
            if end is not None:
                assert build(OptimizerConfig, {item.name: int(end)})


def test_the_printed_reference_is_the_default_configuration(tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(as_yaml(TrainingConfig()))
    assert load_config(path) == TrainingConfig()


@pytest.mark.parametrize(
    "path",
    sorted(path for path in RECIPES.glob("*.yaml") if path.stem not in OF_TEACHERS),
    ids=lambda path: path.stem,
)
def test_the_recipes_that_come_along_are_read(path):
    assert load_config(path).output == f"runs/{path.stem}"


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ValueError, match=r"run\.yaml is no YAML"):
        load_config(path)
    path.write_bytes(b"output: \xe4")
    with pytest.raises(ValueError, match=r"run\.yaml is no YAML"):
        load_config(path)


def test_variants_share_the_loss_as_they_are_told_to():
    variants = ("full", "random", "single")
    assert LossConfig(variants=variants).shares_of(variants) == pytest.approx([1 / 3] * 3)
    told = LossConfig(variants=variants, variant_shares=(2, 1, 1))
    assert told.shares_of(variants) == (0.5, 0.25, 0.25)
    assert told.shares_of(("full",)) == (1.0,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"variant_shares": (1.0, 1.0)}, "variant_shares"),
        ({"variants": ("full", "full")}, "names one twice"),
        ({"teacher": "w.safetensors", "distillation": 0.0}, "teaches nothing"),
        ({"variants": ("single", "full"), "intra_modal": 0.1}, "name full first"),
    ],
)
def test_losses_that_make_no_sense_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        LossConfig(**values)

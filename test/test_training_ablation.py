"""Ablations: rows differ in what they name, are trained and evaluated for real, and are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import training_data
import yaml

from any2seg_ros.training import ablation
from any2seg_ros.training.ablation import (
    A_STEP,
    COST,
    main,
    merged,
    write_configs,
)
from any2seg_ros.training.ablation_table import stages_before
from any2seg_ros.training.config import load_config

SOURCE = Path(__file__).resolve().parents[1]
WEIGHTS = "/weights.safetensors"


def plan(folder: Path, rows: dict) -> Path:
    recipe = {
        "batch_size": 2,
        "image_size": [64, 32],
        "init_from": "",
        "frozen_stages": 0,
        "threads": 1,
        "network": {"encoder": "mit_b0", "width": 16},
        "data": {
            "train": [str(folder / "data")],
            "val": str(folder / "data"),
            "cache": str(folder / "cache"),
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    content = {
        "recipe": "recipe.yaml",
        "output": str(folder / "out"),
        "changes": {"steps": 2, "validate_every": 2},
        "rows": rows,
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_changes_are_laid_over_section_by_section():
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(base, {"a": {"b": 4}, "e": 5}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": 5}
    assert base["a"]["b"] == 1


def test_the_committed_plan_is_of_configurations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = write_configs(SOURCE / "config/ablation.yaml")
    configs = [load_config(folder / "config.yaml") for folder in rows.values()]
    assert [c.network.fusion for c in configs] == ["mean", *["mff"] * (len(rows) - 1)]
    assert len({(c.steps, c.batch_size, c.seed, c.data) for c in configs}) == 1
    assert [bool(c.losses.intra_modal) for c in configs].count(True) == 1
    assert [c.network.shared_encoder for c in configs[-3:]] == [True, False, False]
    assert [c.network.adapters for c in configs[-3:]] == [False, False, True]


def test_a_row_with_an_unknown_key_is_refused_before_anything_is_trained(tmp_path, capsys):
    assert main([str(plan(tmp_path, {"good": {}, "bad": {"losses": {"magic": 1}}}))]) == 1
    assert "unknown key 'losses.magic'" in capsys.readouterr().err
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "key 'recipe' is missing"),
        ("a: [", "is no YAML"),
        ("output: out\nrows: {a: {}}", "key 'recipe' is missing"),
        ("recipe: recipe.yaml\noutput: out\nrows: {}", "name at least one row"),
        (
            "recipe: recipe.yaml\noutput: OUT\nchanges:\nrows: {+ MFF: {}, MFF: {}}",
            "two rows have the folder",
        ),
    ],
)
def test_a_plan_that_is_none_says_what_is_wrong(text, words, tmp_path, capsys):
    path = plan(tmp_path, {"good": {}})
    path.write_text(text.replace("OUT", str(tmp_path / "out")))
    assert main([str(path)]) == 1
    told = capsys.readouterr().err
    assert words in told and "plan.yaml" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "recipe: recipe.yaml\noutput: OUT\nrows: {1: MFF}",
            "row '1': is 'MFF', but must be a mapping",
        ),
        (
            "recipe: recipe.yaml\noutput: OUT\nchanges: [1]\nrows: {a: {}}",
            "changes is [1], but must be a mapping",
        ),
        ("recipe: 3\noutput: OUT\nrows: {a: {}}", "recipe is 3, but must be text"),
    ],
)
def test_what_is_no_mapping_in_a_plan_is_named(text, words, tmp_path, capsys):
    path = plan(tmp_path, {"good": {}})
    path.write_text(text.replace("OUT", str(tmp_path / "out")))
    assert main([str(path)]) == 1
    told = capsys.readouterr().err
    assert words in told and "plan.yaml" in told


def test_a_row_may_be_called_by_a_number(tmp_path):
    rows = write_configs(plan(tmp_path, {1: None}))
    assert rows == {"1": tmp_path / "out" / "1"}


def test_rows_are_trained_evaluated_and_kept(tmp_path):
    training_data.write(tmp_path / "data", "train", 4)
    training_data.write(tmp_path / "data", "val", 2)
    path = plan(tmp_path, {"mean": {"network": {"fusion": "mean"}}})
    assert main([str(path)]) == 0
    table = (tmp_path / "out/val.md").read_text()
    assert "| mean | " in table and table.count("\n") == 3
    report = tmp_path / "out/mean/val/report.json"
    before = report.stat().st_mtime_ns
    assert main([str(path)]) == 0
    assert report.stat().st_mtime_ns == before


def seconds(rows: dict, folder: Path, **more) -> Path:
    path = plan(folder, rows)
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, **more}, sort_keys=False))
    return path


def test_stages_share_the_processor_seconds_and_hand_weights_on(tmp_path):
    teacher = {"share": 1, "losses": {"variants": ["full"], "distillation": 0}}
    student = {"share": 3, "losses": {"variants": ["random"], "teacher": "{previous}"}}
    path = seconds({"taught": [teacher, student]}, tmp_path, processor_seconds=80, seeds=[4, 5])
    rows = write_configs(path)
    assert list(rows) == ["taught, seed 4", "taught, seed 5"]
    for seed, folder in zip((4, 5), rows.values(), strict=True):
        first = folder / "stage_1"
        assert stages_before(folder) == [first]
        config = load_config(folder / "config.yaml")
        assert config.losses.teacher == str(first / "run/weights.safetensors")
        assert config.seed == load_config(first / "config.yaml").seed == seed
        given = [json.loads((f / COST).read_text())["seconds"] for f in (first, folder)]
        assert given == [20, 60]


def test_what_steps_cost_is_measured_once_for_all_seeds_before_anything_is_trained(
    tmp_path, monkeypatch, capsys
):
    asked = []

    def costs(config: dict) -> float:
        asked.append(config)
        return float(len(asked))

    monkeypatch.setattr(ablation, "seconds_a_step", costs)
    training_data.write(tmp_path / "data", "train", 2)
    training_data.write(tmp_path / "data", "val", 1)
    losses = {"variants": ["full"], "distillation": 0}
    student = {"init_from": "{previous}", "losses": {"variants": ["random"], "distillation": 0}}
    rows = {"plain": {"losses": losses}, "taught": [{"losses": losses}, student]}
    path = seconds(rows, tmp_path, processor_seconds=60, seeds=[4, 5])
    assert main([str(path), "--costs"]) == 0
    found = json.loads((tmp_path / "out" / A_STEP).read_text())
    assert {row: of["seconds"] for row, of in found.items()} == {"plain": [1], "taught": [2, 3]}
    assert "taught: 2.00, 3.00 s a step" in capsys.readouterr().out
    assert not Path(asked[2]["init_from"]).is_relative_to(tmp_path / "out")
    folders = write_configs(path)
    assert {load_config(folders[f"plain, seed {s}"] / "config.yaml").steps for s in (4, 5)} == {60}
    for seed in (4, 5):
        last = folders[f"taught, seed {seed}"]
        stages = (*stages_before(last), last)
        assert [load_config(s / "config.yaml").steps for s in stages] == [15, 10]
    assert not list((tmp_path / "out").rglob("run.json"))
    assert main([str(path), "--costs"]) == 0 and len(asked) == 3
    rows["plain"] = {"losses": losses, "batch_size": 4}  # costs something else
    path = seconds(rows, tmp_path, processor_seconds=60, seeds=[4, 5])
    assert main([str(path), "--costs"]) == 0 and len(asked) == 4


def test_a_seed_that_no_row_has_is_an_error(tmp_path, capsys):
    path = seconds({"plain": {}}, tmp_path, seeds=[4])
    assert main([str(path), "--seed", "7"]) == 1
    assert "no row has the seed 7" in capsys.readouterr().err


@pytest.mark.timeout(900)
def test_a_row_is_trained_with_what_its_processor_seconds_pay_for(tmp_path):
    training_data.write(tmp_path / "data", "train", 4)
    training_data.write(tmp_path / "data", "val", 2)
    losses = {"variants": ["full"], "distillation": 0}
    row = {"network": {"fusion": "hub"}, "losses": losses}
    path = seconds({"hub": row}, tmp_path, processor_seconds=1.5)
    assert main([str(path)]) == 0
    assert "| hub | " in (tmp_path / "out/val.md").read_text()
    cost = json.loads((tmp_path / "out/hub" / COST).read_text())
    steps = load_config(tmp_path / "out/hub/config.yaml").steps
    assert cost["seconds"] == 1.5 and cost["spent"] > 0 and steps >= 1
    assert main([str(path)]) == 0  # finished: looking at it costs nothing
    assert json.loads((tmp_path / "out/hub" / COST).read_text()) == cost
    assert load_config(tmp_path / "out/hub/config.yaml").steps == steps


def test_seconds_that_were_spent_are_not_changed(tmp_path):
    student = {"init_from": "{previous}", "losses": {"variants": ["random"], "distillation": 0}}
    losses = {"variants": ["full"], "distillation": 0}
    rows = {"taught": [{"losses": losses}, student]}
    path = seconds(rows, tmp_path, processor_seconds=60)
    folder = write_configs(path)["taught"]
    seconds(rows, tmp_path, processor_seconds=90)
    write_configs(path)  # nothing was spent yet
    assert json.loads((folder / COST).read_text())["seconds"] == 45
    (folder / COST).write_text(json.dumps({"seconds": 45, "spent": 40.0}))
    seconds(rows, tmp_path, processor_seconds=120)
    with pytest.raises(ValueError, match="was trained with 45 processor seconds, not 60"):
        write_configs(path)


def test_the_fair_plan_is_of_configurations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = write_configs(SOURCE / "config/ablation_fair.yaml")
    configs = {name: load_config(folder / "config.yaml") for name, folder in rows.items()}
    assert {c.network.fusion for c in configs.values()} == {"hub", "mean", "mff"}
    assert {c.seed for c in configs.values()} == {1, 2, 3}
    assert len({(c.batch_size, c.data, c.image_size) for c in configs.values()}) == 1
    total = set()
    for folder in rows.values():
        stages = (*stages_before(folder), folder)
        total.add(round(sum(json.loads((f / COST).read_text())["seconds"] for f in stages)))
    assert len(total) == 1


def test_the_plan_of_lscd_changes_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = write_configs(SOURCE / "config/ablation_lscd.yaml")
    assert len(rows) == 9
    shapes, weights = set(), []
    for folder in rows.values():
        stages = [load_config(f / "config.yaml") for f in (*stages_before(folder), folder)]
        for stage in stages:
            plain = replace(
                stage.losses, intra_modal=0, inter_modal=0, image_teacher="", teacher=""
            )
            shapes.add((stage.network, stage.data, stage.batch_size, stage.optimizer, plain))
        assert stages[1].init_from == stages[1].losses.teacher == stages[0].output + WEIGHTS
        weights.append([(s.losses.intra_modal, s.losses.inter_modal) for s in stages])
    assert len(shapes) == 2  # that of either stage
    for row in ([(0, 0)] * 2, [(0.2, 0)] * 2, [(0, 0.2)] * 2):
        assert weights.count(row) == 3

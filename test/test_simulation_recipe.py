"""Recipes: read from YAML, proved by checksums of decoded content."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from any2seg_ros import resources
from any2seg_ros.simulation import layout
from any2seg_ros.simulation.dataset import Plan
from any2seg_ros.simulation.recipe import checksums, load_recipe, record_checksums


def test_a_wrong_recipe_names_its_entry(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("splits: {val: {frames: 1, scnes: 2}}")
    with pytest.raises(ValueError, match="scnes"):
        load_recipe(recipe)


def test_the_benchmark_is_2000_500_and_500_frames() -> None:
    recipe = load_recipe(resources.find("config/simulation_benchmark.yaml"))
    frames = {plan.split: plan.scenes * plan.frames for plan in recipe.plans}
    assert frames == {"train": 2000, "val": 500, "test": 500}


PLAN = Plan("val", scenes=1, frames=1, conditions=("cloud",), failures=(), size=(64, 48))


def write_frame(root: Path, compression: int, red: int = 7) -> None:
    """The files of the plan's only frame that a checksum reads."""
    image = np.full((48, 64, 3), (1, 2, red), np.uint8)
    quality = [cv2.IMWRITE_PNG_COMPRESSION, compression]
    files = layout.frame_files(root, PLAN.specs()[0], 0)
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".png":
            cv2.imwrite(str(file), image, quality)
    np.save(files[-2], np.zeros((3, 4), np.float32))
    np.savez(files[-1], t=np.zeros(2, np.int64), x=[1, 2], y=[1, 2], p=[True, False])


def test_a_checksum_is_of_the_content_and_not_of_its_compression(tmp_path: Path) -> None:
    write_frame(tmp_path / "small", compression=9)
    write_frame(tmp_path / "quick", compression=0)
    write_frame(tmp_path / "other", compression=9, red=8)
    small, quick, other = (
        checksums(tmp_path / name, [PLAN])["val"] for name in ("small", "quick", "other")
    )
    assert small == quick != other


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    write_frame(tmp_path, compression=1)
    file = layout.frame_files(tmp_path, PLAN.specs()[0], 0)[0]
    file.unlink()
    with pytest.raises(FileNotFoundError, match=file.name):
        checksums(tmp_path, [PLAN])


def test_recorded_checksums_leave_the_rest_of_the_file_alone(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    head = "# a comment\nsplits:\n  val: {scenes: 1, frames: 1}\n  test: {scenes: 1, frames: 1}\n"
    recipe.write_text(head)
    record_checksums(recipe, {"val": "aa", "test": "bb"})
    record_checksums(recipe, {"val": "cc"})
    assert recipe.read_text().startswith(head)
    assert load_recipe(recipe).checksums == {"val": "cc", "test": "bb"}

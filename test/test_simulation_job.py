"""Options become plans; recipes are rendered, recorded and verified."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from any2seg_ros.simulation import job, layout
from any2seg_ros.simulation.recipe import load_recipe
from any2seg_ros.simulation.weather import CONDITIONS, FAILURES

RECIPE = """
splits:
  val: {scenes: 1, frames: 1, conditions: [cloud], failures: [], size: [96, 64]}
sensors:
  event: {width: 64, height: 36, window: 0.02, step: 0.02}
"""


def options(**values: object) -> job.Options:
    return job.Options(out=Path("unused"), **values)  # type: ignore[arg-type]


def test_defaults_depend_on_the_format() -> None:
    folders, bag = job.plan_of(options()), job.plan_of(options(format="bag"))
    assert (folders.rate, folders.failures, folders.conditions) == (2.0, FAILURES, CONDITIONS)
    assert (bag.rate, bag.failures) == (10.0, ())


def test_words_and_sizes_are_read() -> None:
    plan = job.plan_of(options(conditions="night, rain", failures="none", size="640x360"))
    assert (plan.conditions, plan.failures, plan.size) == (("night", "rain"), (), (640, 360))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"size": "big"}, "512x288"),
        ({"format": "zip"}, "deliver or bag"),
        ({"jobs": -1}, "--jobs"),
        ({"verify": True}, "--recipe"),
        ({"conditions": "snow"}, "snow"),
        ({"frames": 0}, "--frames"),
    ],
)
def test_what_cannot_be_is_one_clear_line(values: dict, named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=named) as error:
        job.run(job.Options(out=tmp_path / "out", **values))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_is_made_recorded_verified_and_found_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(RECIPE)
    job.run(job.Options(out=out, recipe=recipe, jobs=1, record=True))
    assert set(load_recipe(recipe).checksums) == {"val"}
    job.run(job.Options(out=out, recipe=recipe, verify=True))
    spec = load_recipe(recipe).plans[0].specs()[0]
    label, picture = (layout.frame_files(out, spec, 0)[k] for k in (1, 0))
    label.write_bytes(picture.read_bytes())
    with pytest.raises(ValueError, match="val of"):
        job.run(job.Options(out=out, recipe=recipe, verify=True))
    job.run(job.Options(out=out, recipe=recipe))  # other processors round differently: said, done
    assert "does not match" in " ".join(capsys.readouterr().err.split())
    label.unlink()
    with pytest.raises(FileNotFoundError, match="missing"):
        job.run(job.Options(out=out, recipe=recipe, verify=True))


def test_the_installed_command_makes_frames_in_two_processes(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("any2seg")
    if not command.is_file():
        pytest.skip("the command is installed elsewhere: not in an environment that make set up")
    words = ["--scenes", "2", "--frames", "1", "--size", "96x64", "--conditions", "cloud"]
    out = tmp_path / "out"
    ended = subprocess.run(
        [command, "simulate", "--out", out, *words, "--jobs", "2"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(list(out.rglob("*_rgb_front.png"))) == 2

"""Shipped files are found in the source tree, a ROS prefix or the running Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from any2seg_ros import resources

ROOT = Path(__file__).resolve().parents[1]


def test_the_source_tree_comes_first() -> None:
    assert resources.find("config/any2seg.yaml") == ROOT / "config" / "any2seg.yaml"


@pytest.mark.parametrize(
    ("prefix", "environment"),
    [
        ("second", {"AMENT_PREFIX_PATH": "{0}/first:{0}/second"}),
        ("user", {"PYTHONUSERBASE": "{0}/user"}),
    ],
)
def test_an_installed_package_finds_them_below_a_ros_prefix_and_where_pip_puts_a_users_files(
    tmp_path: Path, prefix: str, environment: dict[str, str]
) -> None:
    """A copy without package.xml beside it, as colcon and pip install it."""
    package = tmp_path / "lib" / "any2seg_ros"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "resources.py").write_bytes(Path(resources.__file__).read_bytes())
    shared = tmp_path / prefix / "share" / "any2seg_ros" / "config"
    shared.mkdir(parents=True)
    (shared / "any2seg.yaml").touch()
    code = "from any2seg_ros.resources import find; print(find('config/any2seg.yaml'))"
    given = {name: value.format(tmp_path) for name, value in environment.items()}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(package.parent), **given},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(shared / "any2seg.yaml"), done.stderr


def test_a_missing_file_names_where_it_was_looked_for() -> None:
    with pytest.raises(FileNotFoundError, match=r"absent.yaml is in none of .*/absent.yaml"):
        resources.find("absent.yaml")


def test_weights_of_the_package_have_names_and_all_others_are_paths() -> None:
    assert resources.weights_path("streets") == ROOT / "models" / "any2seg_streets.safetensors"
    assert resources.weights_path("runs/mine/weights.safetensors") == Path(
        "runs/mine/weights.safetensors"
    )

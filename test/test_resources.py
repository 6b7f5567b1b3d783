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


def test_an_installed_package_finds_them_below_a_ros_prefix(tmp_path: Path) -> None:
    """A copy without package.xml beside it, as colcon installs it."""
    package = tmp_path / "lib" / "any2seg_ros"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "resources.py").write_bytes(Path(resources.__file__).read_bytes())
    shared = tmp_path / "second" / "share" / "any2seg_ros" / "config"
    shared.mkdir(parents=True)
    (shared / "any2seg.yaml").touch()
    code = "from any2seg_ros.resources import find; print(find('config/any2seg.yaml'))"
    environment = {
        "PYTHONPATH": str(package.parent),
        "AMENT_PREFIX_PATH": f"{tmp_path / 'first'}:{tmp_path / 'second'}",
    }
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(shared / "any2seg.yaml"), done.stderr


def test_what_pip_installed_for_a_user_is_found(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "any2seg_ros"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "resources.py").write_bytes(Path(resources.__file__).read_bytes())
    shared = tmp_path / "user" / "share" / "any2seg_ros" / "config"
    shared.mkdir(parents=True)
    (shared / "any2seg.yaml").touch()
    code = "from any2seg_ros.resources import find; print(find('config/any2seg.yaml'))"
    environment = {"PYTHONPATH": str(package.parent), "PYTHONUSERBASE": str(tmp_path / "user")}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(shared / "any2seg.yaml"), done.stderr


def test_a_missing_file_names_where_it_was_looked_for() -> None:
    with pytest.raises(FileNotFoundError, match=r"absent.yaml is in none of .*/absent.yaml"):
        resources.find("absent.yaml")


def test_weights_of_the_package_have_names_and_all_others_are_paths() -> None:
    assert resources.weights_path("streets") == ROOT / "models" / "any2seg_streets.safetensors"
    assert resources.weights_path("runs/mine/weights.safetensors") == Path(
        "runs/mine/weights.safetensors"
    )

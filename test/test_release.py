"""The version is the same wherever it is stated, and the changelog knows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def found(pattern: str, name: str) -> str:
    match = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"))
    assert match, f"{name} states no version"
    return match[1]


def test_package_xml_and_setup_py_state_one_version() -> None:
    version = found(r"<version>([\d.]+)</version>", "package.xml")
    assert version == found(r'version="([\d.]+)"', "setup.py")


def test_the_changelog_begins_with_what_is_not_released_or_with_this_version() -> None:
    newest = found(r"\n\n([^\n]+)\n-{3,}\n", "CHANGELOG.rst")
    version = found(r"<version>([\d.]+)</version>", "package.xml")
    assert newest == "Forthcoming" or newest.startswith(f"{version} (")


def test_the_node_needs_no_pip_keys_and_no_rosbags() -> None:
    """bloom refuses pip keys; bags are read by the commands, not by the node."""
    package = (ROOT / "package.xml").read_text(encoding="utf-8")
    keys = re.findall(r"<(?:exec_depend|depend)>(.+?)</", package)
    assert "rclpy" in keys and not [key for key in keys if key.endswith("-pip")]
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    code = "import sys; sys.modules['rosbags'] = None; import any2seg_ros.node.segmenter_node"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

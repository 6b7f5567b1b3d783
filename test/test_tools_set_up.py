"""What the set-up repeats, and when; how its tools build."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def load(path: Path):
    if not path.is_file():
        pytest.skip("the tools come with the source tree only")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # its dataclasses look there for their types
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[path.stem]
    return module


@pytest.fixture
def repeated(monkeypatch, tmp_path):
    """The steps that a set-up does, none of which does anything."""
    set_up = load(TOOLS / "set_up.py")
    monkeypatch.setenv("VENV", str(tmp_path / "venv"))
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "opt"))
    done: list[str] = []
    monkeypatch.setattr(set_up, "_works", lambda place: True)
    for name in ("run", "install", "install_colcon", "write_commands", "make_graphs"):
        monkeypatch.setattr(set_up, name, lambda *a, n=name: done.append(n))
    monkeypatch.setattr(set_up, "make_venv", lambda place: done.append("make_venv"))
    monkeypatch.setattr(set_up, "build_messages", lambda place: done.append("build_messages"))

    def again() -> list[str]:
        done.clear()
        (tmp_path / "venv" / ".any2seg").mkdir(parents=True, exist_ok=True)
        set_up.set_up(tests=False)
        return list(done)

    return again


def test_a_workspace_that_is_sourced_repeats_nothing(repeated, monkeypatch, tmp_path):
    assert {"make_venv", "build_messages", "make_graphs"} <= set(repeated())
    assert repeated() == []
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'ws'}:{tmp_path / 'opt'}")
    assert repeated() == []


def test_a_real_package_in_place_of_a_stand_in_repeats_the_messages_alone(
    repeated, monkeypatch, tmp_path
):
    repeated()
    share = tmp_path / "ws" / "share" / "event_camera_msgs"
    share.mkdir(parents=True)
    (share / "package.xml").write_text("<package/>")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'ws'}:{tmp_path / 'opt'}")
    assert repeated() == ["build_messages"]
    assert repeated() == []


def test_another_ros_repeats_everything(repeated, monkeypatch):
    everything = repeated()
    monkeypatch.setenv("ROS_DISTRO", "rolling")
    assert repeated() == everything


@pytest.mark.parametrize(
    ("given", "jobs"), [(None, True), ("", True), (" ", True), ("-j3 -k", False)]
)
def test_make_gets_jobs_unless_it_has_flags(monkeypatch, given, jobs):
    build = load(TOOLS / "ros_from_pypi" / "build_messages.py")
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    if given is not None:
        monkeypatch.setenv("MAKEFLAGS", given)
    flags = build.build_environment()["MAKEFLAGS"]
    assert flags.startswith("-j") if jobs else flags == given


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """The tool, and an environment in which event_camera_msgs is a stand-in; its own files."""
    build = load(TOOLS / "ros_from_pypi" / "build_messages.py")
    prefix = tmp_path / "venv"
    site = prefix / "lib" / "python" / "site-packages"
    monkeypatch.setattr(build, "PREFIX", prefix)
    monkeypatch.setattr(build, "SITE_PACKAGES", site)
    monkeypatch.syspath_prepend(str(site))
    for loaded in [name for name in sys.modules if name.split(".")[0] == "event_camera_msgs"]:
        monkeypatch.delitem(sys.modules, loaded)
    own = [
        site / "event_camera_msgs" / "__init__.py",
        site / "event_camera_msgs-0.0.0-py3.11.egg-info" / "PKG-INFO",
        *(prefix / "share" / "event_camera_msgs" / name for name in ("STAND_IN", "package.xml")),
        prefix / "share" / "ament_index" / "resource_index" / "packages" / "event_camera_msgs",
        prefix / "share" / "colcon-core" / "packages" / "event_camera_msgs",
        prefix / "include" / "event_camera_msgs" / "event_packet.h",
        prefix / "lib" / "libevent_camera_msgs__rosidl_typesupport_c.so",
    ]
    others = [
        site / "event_camera_py" / "__init__.py",
        prefix / "lib" / "libevent_camera_codecs.so",
        prefix / "lib" / "libtf2_msgs__rosidl_typesupport_c.so",
        prefix / "share" / "ament_index" / "resource_index" / "packages" / "any2seg_ros",
    ]
    for path in (*own, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return build, own, others


def test_a_message_stand_in_leaves_when_the_real_package_comes(stand_in, tmp_path, monkeypatch):
    build, own, others = stand_in
    build.remove_message_stand_ins()
    assert "event_camera_msgs" in [path.name for path in build.message_packages()]
    assert all(path.exists() for path in (*own, *others))
    real = tmp_path / "ws" / "event_camera_msgs" / "__init__.py"
    real.parent.mkdir(parents=True)
    real.touch()
    monkeypatch.syspath_prepend(str(tmp_path / "ws"))
    build.remove_message_stand_ins()
    assert "event_camera_msgs" not in [path.name for path in build.message_packages()]
    assert not any(path.exists() for path in own)
    assert all(path.exists() for path in (*others, real))


def test_versions_with_known_holes_are_excluded_as_the_guide_says():
    """The table of docs/security.md is that of the requirements; what is pinned lies above."""
    root = TOOLS.parent
    guide = root / "docs" / "security.md"
    if not guide.is_file():
        pytest.skip("the documents come with the source tree only")
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \| .*CVE-", guide.read_text(), re.MULTILINE)
    assert {"torch", "opencv-python-headless", "transformers"} <= {name for name, _ in rows}
    lines = [line for file in root.glob("requirements*.txt") for line in file.read_text().split()]
    pinned = (root / "constraints.txt").read_text().split()
    for name, floor in rows:
        floors = [line for line in lines if re.match(rf"{name}\W", line)]
        assert floors and all(line.startswith(f"{name}>={floor},") for line in floors), floors
        for pin in (p for p in pinned if p.startswith(f"{name}==")):
            assert numbers(pin.partition("==")[2]) >= numbers(floor)


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]

"""The doctor finds what is installed, and names the fix for what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from any2seg_ros import doctor
from any2seg_ros.doctor import Grade

ROOT = Path(__file__).parents[1]


def by_topic(topic):
    return next(finding for finding in doctor.examine() if finding.topic == topic)


def test_every_missing_thing_has_a_fix(tmp_path):
    """-S: a Python with nothing installed, far from the repository."""
    (tmp_path / "any2seg_ros").symlink_to(ROOT / "any2seg_ros")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from any2seg_ros import doctor\n"
        "doctor.WEIGHTS = {'real': 'models/nothing.safetensors'}\n"
        "for f in doctor.examine():\n"
        "    if f.grade is not doctor.Grade.GOOD:\n"
        "        print(f.topic, bool(f.fix), f.grade.name, sep=',')"
    )
    command = [sys.executable, "-S", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    found = dict(line.split(",", 1) for line in done.stdout.splitlines())
    missing = {"ros", "messages", "ros packages", "torch", "weights"}
    assert {topic for topic, rest in found.items() if "FATAL" in rest} == missing, done.stderr
    assert all(rest.startswith("True") for topic, rest in found.items() if topic != "machine")


def test_it_fails_only_if_the_node_cannot_run(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Finding("launch", "no", Grade.NOTE)])
    assert doctor.run() == 0
    monkeypatch.setattr(
        doctor, "examine", lambda: [doctor.Finding("ros", "no [x]", Grade.FATAL, "make setup")]
    )
    assert doctor.run() == 1
    printed = capsys.readouterr().out
    assert "no [x]" in printed and "make setup" in printed


def test_it_tells_the_versions_of_the_engines():
    import torch

    assert by_topic("torch").text.split("+")[0] == torch.__version__.split("+")[0]


def test_truncated_weights_are_found(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.ones(1000, np.float32)}, path)
    assert doctor.weights_trouble(path) == ""
    path.write_bytes(path.read_bytes()[:-100])
    assert doctor.weights_trouble(path)


def test_stand_ins_are_told_from_real_packages(tmp_path, monkeypatch):
    real, made = tmp_path / "real" / "some_msgs", tmp_path / "stand_ins" / "python" / "some_tool"
    for folder in (real, made):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(folder.parent))
    assert not doctor.is_stand_in("some_msgs")
    assert doctor.is_stand_in("some_tool")
    assert not doctor.is_stand_in("not_there_at_all")


def test_a_sourced_ros_is_fixed_with_its_own_packages(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    fix = doctor._fix_for_packages(["vision_msgs", "cv_bridge"])
    assert "ros-jazzy-vision-msgs ros-jazzy-cv-bridge" in fix


@pytest.mark.parametrize("argument", [[], ["-S"]])
def test_it_needs_neither_ros_nor_anything_else_to_be_imported(argument):
    """-S: without site-packages; the module alone must load there."""
    code = "import any2seg_ros.doctor, sys; sys.exit('rclpy' in sys.modules)"
    done = subprocess.run([sys.executable, *argument, "-c", code], cwd=ROOT, timeout=60)
    assert done.returncode == 0


def test_graphs_that_are_on_disk_are_found_and_others_are_asked_for(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    from any2seg_ros.engine.graph_cache import GraphCache
    from any2seg_ros.engine.sources import NetworkSource

    monkeypatch.setenv("ANY2SEG_CACHE", str(tmp_path))
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(doctor.find(doctor.WEIGHTS[doctor.DEFAULT_WEIGHTS]).read_bytes())
    (finding,) = doctor._graphs(weights)
    assert finding.grade is Grade.NOTE and "--format graphs" in finding.fix
    folder = GraphCache(NetworkSource.of_checkpoint(weights))._folders[-1]
    folder.mkdir()
    (folder / "encoder.graph").write_text("")
    (finding,) = doctor._graphs(weights)
    assert finding.grade is Grade.GOOD and str(folder) in finding.text


def test_torch_is_not_needed_beside_openvino(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: "" if name == "torch" else "1.0")
    torch = next(finding for finding in doctor._engines() if finding.topic == "torch")
    assert torch.grade is Grade.NOTE
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    torch = next(finding for finding in doctor._engines() if finding.topic == "torch")
    assert torch.grade is Grade.FATAL


def test_weights_say_on_what_terms_they_may_be_used(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    tensor = {"a": np.zeros(1, np.float32)}
    save_file(tensor, path, {"training": json.dumps({"config": {"terms": "research only"}})})
    assert doctor.weights_terms(path) == "research only"
    monkeypatch.setattr(doctor, "find", lambda _: path)
    said = [finding.text for finding in doctor.examine() if finding.topic == "weights"]
    assert all("research only" in text for text in said) and len(said) == 2
    assert "runs by default" in said[0] and "model:=streets" in said[1]
    save_file(tensor, path, {})
    assert doctor.weights_terms(path) == ""

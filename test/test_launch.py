"""Launch files, where `launch` is; what they and the viewers refer to, everywhere."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from any2seg_ros.resources import find

FILES = ("any2seg.launch.py", "replay.launch.py")
OUTPUTS = {"mask", "confidence", "color", "overlay", "points", "camera_info", "status"}


def _load(name):
    pytest.importorskip("launch_ros.actions", reason="launch comes with a sourced ROS 2 only")
    path = find(f"launch/{name}")
    spec = importlib.util.spec_from_file_location(path.stem.replace(".", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", FILES)
def test_every_argument_of_a_launch_file_is_described(name):
    description = _load(name).generate_launch_description()
    arguments = description.get_launch_arguments()
    assert arguments
    assert all(argument.description for argument in arguments)


def test_the_node_gets_the_topics_and_the_parameters_that_are_given():
    module = _load("any2seg.launch.py")
    from launch import LaunchContext

    context = LaunchContext()
    for argument in module.generate_launch_description().get_launch_arguments():
        argument.visit(context)
    context.launch_configurations["rgb_topic"] = "/front/image_raw"
    context.launch_configurations["namespace"] = "car"
    segmenter, rviz = module.nodes(context)
    assert segmenter.node_executable == "segmenter"
    assert not rviz.condition.evaluate(context)


def test_viewers_follow_the_namespace_and_the_topic_of_the_camera():
    module = _load("any2seg.launch.py")
    assert module.shown({"namespace": "", "rgb_topic": "rgb/image"}) == []
    moved = dict(module.shown({"namespace": "car", "rgb_topic": "front/image"}))
    assert moved["/segmenter/overlay"] == "/car/segmenter/overlay"
    assert moved["/rgb/image"] == "/car/front/image"
    assert dict(module.shown({"namespace": "", "rgb_topic": "/front"})) == {"/rgb/image": "/front"}


@pytest.mark.parametrize("name", FILES)
def test_launch_files_are_python_that_compiles(name):
    compile(find(f"launch/{name}").read_text(), name, "exec")


def test_the_topics_that_the_launch_file_remaps_are_those_of_the_node():
    text = Path(find("launch/any2seg.launch.py")).read_text()
    for topic in ("rgb/image", "depth/image", "lidar/points", "event/packets", "rgb/camera_info"):
        assert f'"{topic}"' in text


def test_viewers_show_topics_that_the_node_has():
    rviz = yaml.safe_load(find("config/any2seg.rviz").read_text())
    shown = {d["Topic"]["Value"] for d in rviz["Visualization Manager"]["Displays"]}
    foxglove = json.loads(find("config/any2seg.foxglove.json").read_text())
    for panel in foxglove["configById"].values():
        shown.add(panel.get("imageMode", {}).get("imageTopic", ""))
        shown |= set(panel.get("topics", {}))
    ours = {topic for topic in shown if topic.startswith("/segmenter/")}
    assert ours == {"/segmenter/overlay", "/segmenter/confidence", "/segmenter/points"}
    assert {topic.rsplit("/", 1)[1] for topic in ours} <= OUTPUTS

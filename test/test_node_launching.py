"""Launch files, where `launch` is; what they and the viewers refer to, everywhere."""

from __future__ import annotations

import importlib.util
import json

import pytest
import yaml

from any2seg_ros.node.launching import (
    INFOS,
    TOPICS,
    remappings,
    shown,
)
from any2seg_ros.resources import find
from any2seg_ros.runtime.bag_player import frame_of_bag
from any2seg_ros.types import Modality

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
    context.launch_configurations["params_file"] = "/nowhere.yaml"
    with pytest.raises(FileNotFoundError, match="params_file"):
        module.nodes(context)
    assert not rviz.condition.evaluate(context)


def given(**values: str) -> dict[str, str]:
    """Values of the launch file's arguments, those not named by default."""
    return {
        **{name: topic for name, (topic, _) in TOPICS.items()},
        **dict.fromkeys((*INFOS, "rgb_transport", "params_file", "namespace"), ""),
    } | values


def test_topics_become_remappings_and_camera_infos_are_beside_their_images():
    assert remappings(given()) == []
    moved = dict(remappings(given(rgb_topic="/front/image_raw", event_topic="/dvs/events")))
    assert moved == {
        "rgb/image": "/front/image_raw",
        "rgb/camera_info": "/front/camera_info",
        "event/packets": "/dvs/events",
        "event/image": "/dvs/events",
        "event/camera_info": "/dvs/camera_info",
    }
    told = dict(remappings(given(rgb_topic="/front/image_raw", rgb_info_topic="/calibration")))
    assert told["rgb/camera_info"] == "/calibration"


def test_viewers_follow_the_namespace_and_the_topic_of_the_camera():
    assert shown(given(namespace="")) == []
    moved = dict(shown(given(namespace="car", rgb_topic="front/image")))
    assert moved["/segmenter/overlay"] == "/car/segmenter/overlay"
    assert moved["/rgb/image"] == "/car/front/image"
    assert dict(shown(given(namespace="", rgb_topic="/front"))) == {"/rgb/image": "/front"}


def test_the_viewer_shows_the_camera_by_its_transport(tmp_path):
    demo = {"params_file": str(find("config/demo.yaml"))}
    assert dict(shown(given(**demo))) == {"/rgb/image": "/rgb/image/compressed"}
    assert shown(given(**demo, rgb_transport="raw")) == []
    packed = shown(given(rgb_transport="compressed", rgb_topic="/front"))
    assert dict(packed) == {"/rgb/image": "/front/compressed"}
    assert shown(given(params_file=str(tmp_path / "none.yaml"))) == []


@pytest.mark.parametrize("space", ["", "car"])
def test_the_viewer_shows_the_camera_that_the_parameter_file_names(tmp_path, space):
    """As `any2seg inspect --write-params` writes it: the topic has its transport in it."""
    file = tmp_path / "vehicle.yaml"
    topic = "/front/image_raw/compressed"
    camera = {"topic": topic, "transport": "compressed", "camera_info": "/front/camera_info"}
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"rgb": camera}}}))
    moved = dict(shown(given(params_file=str(file), rgb_transport="compressed", namespace=space)))
    assert moved["/rgb/image"] == topic


def test_the_viewer_s_fixed_frame_is_that_of_the_bag_s_camera(tmp_path):
    assert frame_of_bag(find("demo_data/streets")) == "rgb_camera_optical"
    assert frame_of_bag(tmp_path) == ""


@pytest.mark.parametrize("name", FILES)
def test_launch_files_are_python_that_compiles(name):
    compile(find(f"launch/{name}").read_text(), name, "exec")


def test_the_topics_that_are_remapped_are_those_of_the_node():
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from any2seg_ros.node.subscriptions import topic_of
    from any2seg_ros.runtime.parameters import NodeParameters

    ours = {topic for topic, _ in TOPICS.values()}
    assert ours == {topic_of(modality, NodeParameters()) for modality in Modality}
    assert {topic for topic, _ in INFOS.values()} == {
        f"{modality.label}/camera_info" for modality in Modality if modality != Modality.LIDAR
    }


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

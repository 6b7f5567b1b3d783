"""Starts the segmenter on a vehicle: `ros2 launch any2seg_ros any2seg.launch.py --show-args`."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from any2seg_ros.resources import find
from launch import LaunchDescription

TOPICS = {
    "rgb_topic": ("rgb/image", "camera image (the base topic where it is compressed)"),
    "rgb_info_topic": ("rgb/camera_info", "camera_info of the camera"),
    "depth_topic": ("depth/image", "depth image (the base topic where it is compressed)"),
    "depth_info_topic": ("depth/camera_info", "camera_info of the depth camera"),
    "lidar_topic": ("lidar/points", "point cloud"),
    "event_topic": ("event/packets", "packets of events, or ready event images"),
    "event_info_topic": ("event/camera_info", "camera_info of the event camera"),
}
OTHERS = {
    "namespace": ("", "namespace of the node"),
    "params_file": (str(find("config/any2seg.yaml")), "file with parameters"),
    "model": ("", "weights (.safetensors); empty for what the parameters say"),
    "device": ("", "auto, cpu, cuda, ...; empty for what the parameters say"),
    "use_sim_time": ("", "true: take the time from /clock; empty for what params_file says"),
    "log_level": ("info", "debug, info, warn or error"),
    "respawn": ("false", "start the node again when it ends"),
    "rviz": ("false", "start RViz beside it"),
}


def generate_launch_description() -> LaunchDescription:
    """The arguments, and what becomes of them."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in {**TOPICS, **OTHERS}.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])


def nodes(context) -> list:
    """The segmenter, and RViz if it is wanted."""
    values = {name: LaunchConfiguration(name).perform(context) for name in (*TOPICS, *OTHERS)}
    simulated = values["use_sim_time"].lower() in ("true", "1")
    given = {"use_sim_time": simulated} if values["use_sim_time"] else {}
    given |= {name: values[name] for name in ("model", "device") if values[name]}
    segmenter = Node(
        package="any2seg_ros",
        executable="segmenter",
        name="segmenter",
        namespace=values["namespace"],
        parameters=[values["params_file"], given],
        remappings=remappings(values),
        ros_arguments=["--log-level", values["log_level"]],
        respawn=values["respawn"].lower() in ("true", "1"),
        respawn_delay=2.0,
        output="screen",
        additional_env={"PYTHONUNBUFFERED": "1"},
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(find("config/any2seg.rviz"))],
        remappings=shown(values),
        parameters=[{"use_sim_time": simulated}],
        condition=IfCondition(values["rviz"]),
    )
    return [segmenter, rviz]


def remappings(values: dict[str, str]) -> list[tuple[str, str]]:
    """From the node's topics to those of the arguments; ready event images are events too."""
    chosen = {topic: values[name] for name, (topic, _) in TOPICS.items() if values[name] != topic}
    if "event/packets" in chosen:
        chosen["event/image"] = chosen["event/packets"]
    return list(chosen.items())


def shown(values: dict[str, str]) -> list[tuple[str, str]]:
    """From the topics of config/any2seg.rviz to where a namespace and the arguments put them."""
    space = "/" + values["namespace"].strip("/") if values["namespace"] else ""
    ours = [f"/segmenter/{output}" for output in ("overlay", "confidence", "points")]
    camera = values["rgb_topic"]
    chosen = {topic: space + topic for topic in ours}
    chosen["/rgb/image"] = camera if camera.startswith("/") else f"{space}/{camera}"
    return [(topic, target) for topic, target in chosen.items() if target != topic]

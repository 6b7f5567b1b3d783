"""Starts the segmenter: `ros2 launch any2seg_ros any2seg.launch.py --show-args`."""

from __future__ import annotations

from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from any2seg_ros.node.launching import INFOS, RESPAWN_DELAY_S, TOPICS, remappings, shown
from any2seg_ros.resources import find
from launch import LaunchDescription

SWITCH = ("true", "false")
OTHERS = {
    "namespace": ("", "namespace of the node"),
    "params_file": (str(find("config/any2seg.yaml")), "parameter file (YAML)"),
    "model": ("", "weights file (.safetensors); empty: from params_file"),
    "device": ("", "auto, cpu, cuda, ...; empty: from params_file"),
    "use_sim_time": ("", "use /clock; empty: from params_file"),
    "log_level": ("info", "debug, info, warn or error"),
    "respawn": ("false", "restart the node when it exits"),
    "rviz": ("false", "also start RViz"),
    "rviz_frame": ("", "fixed frame of RViz; empty: rgb_camera_optical"),
    "rgb_transport": ("", "image transport of rgb, also for RViz; empty: from params_file"),
}


def generate_launch_description() -> LaunchDescription:
    """The launch arguments and the nodes."""
    infos = {
        name: ("", f"its camera_info; empty: camera_info beside {beside}")
        for name, (_, beside) in INFOS.items()
    }
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text, **choices(name))
        for name, (default, text) in {**TOPICS, **infos, **OTHERS}.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])


def choices(name: str) -> dict[str, list[str]]:
    """The allowed values of an argument, if limited."""
    known = {"use_sim_time": (*SWITCH, ""), "respawn": SWITCH, "rviz": SWITCH}
    return {"choices": list(known[name])} if name in known else {}


def nodes(context) -> list:
    """The segmenter, and RViz if requested."""
    names = (*TOPICS, *INFOS, *OTHERS)
    values = {name: LaunchConfiguration(name).perform(context) for name in names}
    # Without this check the node would start with its defaults.
    if not Path(values["params_file"]).is_file():
        raise FileNotFoundError(f"params_file: no such file: {values['params_file']}")
    simulated = values["use_sim_time"] == "true"
    given = {"use_sim_time": simulated} if values["use_sim_time"] else {}
    given |= {name: values[name] for name in ("model", "device") if values[name]}
    if values["rgb_transport"]:
        given["rgb.transport"] = values["rgb_transport"]
    segmenter = Node(
        package="any2seg_ros",
        executable="segmenter",
        name="segmenter",
        namespace=values["namespace"],
        parameters=[values["params_file"], given],
        remappings=remappings(values),
        ros_arguments=["--log-level", values["log_level"]],
        respawn=values["respawn"] == "true",
        respawn_delay=RESPAWN_DELAY_S,
        output="screen",
        additional_env={"PYTHONUNBUFFERED": "1"},
    )
    frame = ["-f", values["rviz_frame"]] if values["rviz_frame"] else []
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(find("config/any2seg.rviz")), *frame],
        remappings=shown(values),
        parameters=[{"use_sim_time": simulated}],
        condition=IfCondition(values["rviz"]),
    )
    return [segmenter, rviz]

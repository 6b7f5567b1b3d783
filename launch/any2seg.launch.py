"""Starts the segmenter on a vehicle: `ros2 launch any2seg_ros any2seg.launch.py --show-args`."""

from __future__ import annotations

from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from any2seg_ros.node.launching import INFOS, TOPICS, remappings, shown
from any2seg_ros.resources import find
from launch import LaunchDescription

SWITCH = ("true", "false")
OTHERS = {
    "namespace": ("", "namespace of the node"),
    "params_file": (str(find("config/any2seg.yaml")), "file with parameters"),
    "model": ("", "weights (.safetensors); empty for what the parameters say"),
    "device": ("", "auto, cpu, cuda, ...; empty for what the parameters say"),
    "use_sim_time": ("", "take the time from /clock; empty for what params_file says"),
    "log_level": ("info", "debug, info, warn or error"),
    "respawn": ("false", "start the node again when it ends"),
    "rviz": ("false", "start RViz beside it"),
}


def generate_launch_description() -> LaunchDescription:
    """The arguments, and what becomes of them."""
    infos = {
        name: ("", f"its camera_info; empty for camera_info beside {beside}")
        for name, (_, beside) in INFOS.items()
    }
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text, **choices(name))
        for name, (default, text) in {**TOPICS, **infos, **OTHERS}.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])


def choices(name: str) -> dict[str, list[str]]:
    """What an argument may be, where that is known: a mistyped one is refused."""
    known = {"use_sim_time": (*SWITCH, ""), "respawn": SWITCH, "rviz": SWITCH}
    return {"choices": list(known[name])} if name in known else {}


def nodes(context) -> list:
    """The segmenter, and RViz if it is wanted."""
    names = (*TOPICS, *INFOS, *OTHERS)
    values = {name: LaunchConfiguration(name).perform(context) for name in names}
    if not Path(values["params_file"]).is_file():  # the node would start with its defaults
        raise FileNotFoundError(f"params_file: there is no file {values['params_file']}")
    simulated = values["use_sim_time"] == "true"
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
        respawn=values["respawn"] == "true",
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

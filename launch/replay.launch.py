"""Plays a bag in simulated time to the segmenter, with RViz.

`ros2 launch any2seg_ros replay.launch.py bag:=demo_data/streets params_file:=config/demo.yaml`
"""

from __future__ import annotations

import os
from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from any2seg_ros.resources import find
from launch import LaunchDescription

CLOCK = "--clock-topics-all"
ARGUMENTS = {
    "bag": (None, "the bag's folder"),
    "rate": ("1.0", "playback rate"),
    "loop": ("false", "play in a loop"),
    "delay": ("20.0", "time (s) for the node to load its network before playback starts"),
    "params_file": (str(find("config/demo.yaml")), "parameter file (YAML)"),
    "rviz": ("true", "start RViz"),
}


def generate_launch_description() -> LaunchDescription:
    """The launch arguments and the actions."""
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=text,
            choices=["true", "false"] if default in ("true", "false") else None,
        )
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=actions)])


def actions(context) -> list:
    """Start the node, then the bag; shut down when the bag ends."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    command = ["ros2", "bag", "play", values["bag"], "--rate", values["rate"]]
    # Humble's `ros2 bag play` lacks --clock-topics-all.
    command += ["--clock", "200"] if os.environ.get("ROS_DISTRO") == "humble" else [CLOCK]
    command.append("--disable-keyboard-controls")
    if values["loop"] == "true":
        command.append("--loop")
    player = ExecuteProcess(cmd=command, output="screen")
    segmenter = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name("any2seg.launch.py"))),
        launch_arguments={
            "use_sim_time": "true",
            "params_file": values["params_file"],
            "rviz": values["rviz"],
        }.items(),
    )
    ended = OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown())])
    return [
        segmenter,
        TimerAction(period=float(values["delay"]), actions=[player]),
        RegisterEventHandler(ended),
    ]

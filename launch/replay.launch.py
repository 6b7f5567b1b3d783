"""Plays a bag in simulated time to the segmenter, with RViz.

`ros2 launch any2seg_ros replay.launch.py bag:=demo_data/streets params_file:=config/demo.yaml`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from any2seg_ros.resources import find
from any2seg_ros.runtime.bag_player import frame_of_bag
from launch import LaunchDescription

CLOCK = "--clock-topics-all"
ARGUMENTS = {
    "bag": (None, "the bag's folder"),
    "rate": ("1.0", "playback rate"),
    "loop": ("false", "play in a loop"),
    "patience": ("300.0", "max time (s) for the node to become active; then the bag is played"),
    "params_file": (str(find("config/demo.yaml")), "parameter file (YAML)"),
    "rviz": ("true", "start RViz"),
    "rviz_frame": ("", "fixed frame of RViz; empty: that of the bag's camera"),
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
    waiting = [sys.executable, "-m", "any2seg_ros.node.waiting", "--patience", values["patience"]]
    waiter = ExecuteProcess(cmd=waiting, output="screen")
    segmenter = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name("any2seg.launch.py"))),
        launch_arguments={
            "use_sim_time": "true",
            "params_file": values["params_file"],
            "rviz": values["rviz"],
            "rviz_frame": values["rviz_frame"] or frame_of_bag(Path(values["bag"])),
        }.items(),
    )
    ended = OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown())])

    def play(event: Any, context: Any) -> list:
        """Only an active node hears the beginning of the bag."""
        return [player] if event.returncode == 0 else [EmitEvent(event=Shutdown())]

    active = OnProcessExit(target_action=waiter, on_exit=play)
    return [RegisterEventHandler(active), RegisterEventHandler(ended), segmenter, waiter]

"""Plays a bag over DDS again and again, as a process: `python play_drive.py BAG SECONDS`."""

from __future__ import annotations

import sys
from pathlib import Path

import rclpy

from any2seg_ros.demo.player import Player, SensorLog
from any2seg_ros.demo.schedule import Phase
from any2seg_ros.types import Modality


def main(bag: str, seconds: str) -> None:
    rclpy.init(args=[])
    node = rclpy.create_node("driver", namespace="/car")
    log = SensorLog(Path(bag))
    player = Player(node, log)
    rounds = int(float(seconds) / log.seconds) + 1
    player.play(
        [Phase("all", tuple(Modality), log.seconds + 0.1)] * rounds, lambda index, seconds: None
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])

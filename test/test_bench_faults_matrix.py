"""The table of faults: complete, and each fault by a name of its own."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from any2seg_ros.bench.faults.matrix import faults
from any2seg_ros.types import Modality


def test_there_are_faults_of_all_kinds_for_every_sensor_and_of_the_graph() -> None:
    names = [fault.name for fault in faults()]
    assert len(set(names)) == len(names) > 150
    for modality in Modality:
        assert sum(name.startswith(f"{modality.label}:") for name in names) >= 20
    for word in ("tf:", "camera_info", "storm", "SIGKILL", "deactivated", "best effort", "all:"):
        assert any(word in name for name in names), word


def test_what_takes_a_sensor_away_has_to_be_said() -> None:
    found = faults()
    for fault in found:
        re.compile(fault.said)
    assert all(fault.said for fault in found if fault.name.endswith(": drop"))
    assert [fault.ends_with for fault in found if fault.name == "node: SIGTERM"] == [0]

"""Frames of the full-size sensors without a ROS graph, as the node makes them of messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from any2seg_ros.bags.stamps import restamp
from any2seg_ros.bench.vehicle_sensors import LATE_NS, PACKET_NS, PacketStream, Scene, load
from any2seg_ros.messages import stamp_ns, transform_matrix
from any2seg_ros.messages.kinds import CAMERA_INFO, CLOUD, IMAGE, message_class
from any2seg_ros.messages.serialized import view_packet
from any2seg_ros.runtime.calibration import CalibrationTracker
from any2seg_ros.runtime.intake import Intake, Waiting
from any2seg_ros.runtime.monitor import Monitor
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.types import Frame, Modality

_START = 1_800_000_000_000_000_000
_PERIOD = 100_000_000
_KINDS = {Modality.RGB: IMAGE, Modality.DEPTH: IMAGE, Modality.LIDAR: CLOUD}


def frames(preparation: Preparation, wanted: int, ahead: bool = False) -> Iterator[Frame]:
    """So many frames with all four sensors.

    ahead: what a frame has while it waits is made ready, as the node does with a free thread.
    """
    scene = load()

    def make_ready(frame: Frame | None) -> None:
        preparation.prepare_ahead(frame, lambda: False)

    intake = _intake(preparation, scene, make_ready if ahead else None)
    made = 0
    for modality, message in _messages(scene):
        for frame in intake.on_message(modality, message, stamp_ns(message.header.stamp)):
            if len(frame.measurements) == len(Modality):
                yield frame
                made += 1
                if made == wanted:
                    return


def _intake(preparation: Preparation, scene: Scene, on_waiting: Waiting | None) -> Intake:
    from rclpy.serialization import deserialize_message

    parameters = NodeParameters()
    poses = {one.child_frame_id: transform_matrix(one.transform) for one in scene.static.transforms}

    def look_up(target: str, source: str) -> Any:
        return np.linalg.inv(poses[target]) @ poses[source]

    window = preparation.preprocessing.event_window_ms * 1e-3
    tracker = CalibrationTracker(parameters, look_up)
    intake = Intake(
        preparation,
        Synchronizer(parameters.synchronizer_config(window, True)),
        tracker,
        {modality: Monitor() for modality in Modality},
        lambda arrival: None,
        _refused,
        on_waiting=on_waiting,
    )
    for modality, cdr in scene.infos.items():
        info: Any = deserialize_message(cdr, message_class(CAMERA_INFO))
        intake.on_camera_info(modality, info, 0)
    return intake


def _refused(modality: Modality, reason: str, arrival: int) -> None:
    raise ValueError(f"{modality.label}: {reason}")


def _messages(scene: Scene) -> Iterator[tuple[Modality, Any]]:
    """The sensors' messages as they are published, without end."""
    from rclpy.serialization import deserialize_message

    stream = PacketStream(scene.sensors[Modality.EVENT])
    packets = 0
    for number in range(1_000_000):
        stamp = _START + number * _PERIOD
        for modality, late in [*LATE_NS.items(), (None, _PERIOD - 1)]:
            while _START + packets * PACKET_NS <= stamp + late:
                cdr = stream.packet(packets, _START + packets * PACKET_NS)
                yield Modality.EVENT, view_packet(cdr)
                packets += 1
            if modality is not None:
                cdrs = scene.sensors[modality]
                cdr = restamp(cdrs[number % len(cdrs)], stamp)
                yield modality, deserialize_message(cdr, message_class(_KINDS[modality]))

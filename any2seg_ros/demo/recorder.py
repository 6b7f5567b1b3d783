"""Records the node's outputs: masks and statuses in memory, every message in a bag."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import LabelInfo

from any2seg_ros.bags import BagFile
from any2seg_ros.messages import stamp_ns
from any2seg_ros.msg import SegmentationStatus
from any2seg_ros.types import Availability, Modality

NODE_NAME = "segmenter"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
TOPICS = {
    f"/{NODE_NAME}/mask": (Image, RELIABLE),
    f"/{NODE_NAME}/confidence": (Image, RELIABLE),
    f"/{NODE_NAME}/label_info": (LabelInfo, LATCHED),
    f"/{NODE_NAME}/camera_info": (CameraInfo, RELIABLE),
    f"/{NODE_NAME}/status": (SegmentationStatus, RELIABLE),
    "/diagnostics": (DiagnosticArray, RELIABLE),
}


@dataclass(frozen=True, eq=False)
class RecordedImage:
    """An image of the node: arrival and stamp in ns, pixels uint8 (H, W)."""

    arrival: int
    stamp: int
    frame_id: str
    pixels: np.ndarray


@dataclass(frozen=True)
class RecordedStatus:
    """A status of the node: arrival and stamp in ns; `weights` has the modalities used."""

    arrival: int
    stamp: int
    weights: dict[Modality, float]
    reasons: dict[Modality, str]
    mean_confidence: float


@dataclass
class Recording:
    """The outputs of the node that the demo scores."""

    masks: list[RecordedImage] = field(default_factory=list)
    confidences: list[RecordedImage] = field(default_factory=list)
    statuses: list[RecordedStatus] = field(default_factory=list)
    messages: int = 0


class Recorder:
    """Subscribes to the node's outputs in its own thread, until `close`."""

    def __init__(self, node: Any, bag: Path) -> None:
        self.recording = Recording()
        self._bag = BagFile(bag)
        self._node = node
        for topic, (kind, qos) in TOPICS.items():
            node.create_subscription(
                kind, topic, lambda cdr, t=topic, k=kind: self._on_message(t, k, cdr), qos, raw=True
            )
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="recorder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop recording and close the bag."""
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
        self._bag.close()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _on_message(self, topic: str, kind: type, cdr: bytes) -> None:
        arrival = time.time_ns()
        self.recording.messages += 1
        package = kind.__module__.split(".")[0]
        latched = TOPICS[topic][1] is LATCHED
        self._bag.write(topic, f"{package}/msg/{kind.__name__}", arrival, cdr, latched=latched)
        last = topic.rsplit("/", 1)[1]
        if last == "mask":
            self.recording.masks.append(_image(arrival, deserialize_message(cdr, kind)))
        elif last == "confidence":
            self.recording.confidences.append(_image(arrival, deserialize_message(cdr, kind)))
        elif last == "status":
            self.recording.statuses.append(_status(arrival, deserialize_message(cdr, kind)))


def _image(arrival: int, message: Image) -> RecordedImage:
    pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)
    return RecordedImage(
        arrival, stamp_ns(message.header.stamp), message.header.frame_id, pixels.copy()
    )


def _status(arrival: int, message: SegmentationStatus) -> RecordedStatus:
    weights, reasons = {}, {}
    for row in message.modalities:
        modality = Modality.parse(row.modality)
        if Availability(row.availability).usable:
            weights[modality] = row.weight
        if row.reason:
            reasons[modality] = row.reason
    stamp = stamp_ns(message.header.stamp)
    return RecordedStatus(arrival, stamp, weights, reasons, message.mean_confidence)

"""The node's subscriptions: messages to the synchronizer, camera_info to the geometry."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo

from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.types import Modality

_EVENT_TYPES = {
    "packet": "event_camera_msgs",
    "dvs": "dvs_msgs",
    "prophesee": "prophesee_event_msgs",
}
_TOPICS = {
    Modality.RGB: "rgb/image",
    Modality.DEPTH: "depth/image",
    Modality.LIDAR: "lidar/points",
    Modality.EVENT: "event/packets",
}
_QUEUE = {Modality.EVENT: 1000}


def topic_of(modality: Modality, parameters: NodeParameters) -> str:
    """The relative topic of a sensor, as image_transport names those that are compressed."""
    sensor = parameters.sensors[modality]
    topic = _TOPICS[modality]
    if modality == Modality.EVENT and sensor.type == "image":
        topic = "event/image"
    return topic


def type_of(modality: Modality, parameters: NodeParameters) -> type:
    """The message type of a sensor; ModuleNotFoundError with the mend where it is missing."""
    sensor = parameters.sensors[modality]
    if modality == Modality.LIDAR:
        package, name = "sensor_msgs", "PointCloud2"
    elif modality == Modality.EVENT and sensor.type != "image":
        package = _EVENT_TYPES[sensor.type]
        name = "EventPacket" if sensor.type == "packet" else "EventArray"
    else:
        package, name = "sensor_msgs", "Image" if sensor.transport == "raw" else "CompressedImage"
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{package} is not installed: install it, or set {modality.label}.enabled to false"
        ) from error


class Subscriptions:
    """Subscribes to the enabled sensors once it is started.

    `hear` gets their messages, `hear_info` CameraInfos.
    rgb/camera_info is listened to in any case: it tells the reference camera.
    """

    def __init__(
        self,
        node: Any,
        parameters: NodeParameters,
        hear: Callable[[Modality, Any], None],
        hear_info: Callable[[Modality, Any], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._hear = hear
        self._hear_info = hear_info
        self._subscriptions: dict[Modality, list[Any]] = {}
        self._reference: Any = None

    def start(self) -> None:
        """Listen. Where that fails half-way, `stop` ends what was begun."""
        self._reference = self._subscribe_info(Modality.RGB)
        for modality, sensor in self._parameters.sensors.items():
            if sensor.enabled:
                self.add(modality)

    def add(self, modality: Modality) -> None:
        """Listen to a sensor."""
        if modality in self._subscriptions:
            return
        sensor = self._parameters.sensors[modality]
        topic = topic_of(modality, self._parameters)
        if sensor.transport != "raw":
            topic = f"{self._node.resolve_topic_name(topic)}/{sensor.transport}"
        kind = type_of(modality, self._parameters)
        depth = _QUEUE.get(modality, 10)
        made = self._subscriptions[modality] = []
        made.append(self._subscribe(kind, topic, self._hear, modality, depth, sensor))
        if modality in (Modality.DEPTH, Modality.EVENT):
            made.append(self._subscribe_info(modality))

    def where(self, modality: Modality) -> str:
        """On which topic a sensor is listened to, and how many publish there, for the log."""
        made = self._subscriptions.get(modality)
        if not made:
            return ""
        topic = made[0].topic_name
        count = self._node.count_publishers(topic)
        return f" on {topic}, where {count} publish"

    def remove(self, modality: Modality) -> None:
        """Listen to a sensor no more."""
        for subscription in self._subscriptions.pop(modality, []):
            self._node.destroy_subscription(subscription)

    def stop(self) -> None:
        """Listen to nothing any more."""
        for modality in list(self._subscriptions):
            self.remove(modality)
        if self._reference is not None:
            self._node.destroy_subscription(self._reference)
            self._reference = None

    def _subscribe_info(self, modality: Modality) -> Any:
        topic, sensor = f"{modality.label}/camera_info", self._parameters.sensors[modality]
        return self._subscribe(CameraInfo, topic, self._hear_info, modality, 5, sensor)

    def _subscribe(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Modality, Any], None],
        modality: Modality,
        depth: int,
        sensor: Any,
    ) -> Any:
        policy = ReliabilityPolicy.RELIABLE if sensor.reliable else ReliabilityPolicy.BEST_EFFORT
        return self._node.create_subscription(
            kind,
            topic,
            lambda msg: callback(modality, msg),
            QoSProfile(depth=depth, reliability=policy),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

"""The node's subscriptions: `message_filters.Subscriber`s of its sensors, and camera_info."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from message_filters import SimpleFilter, Subscriber
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
_IMAGES = {
    "raw": ("sensor_msgs", "Image"),
    "compressed": ("sensor_msgs", "CompressedImage"),
    "compressedDepth": ("sensor_msgs", "CompressedImage"),
    "ffmpeg": ("ffmpeg_image_transport_msgs", "FFMPEGPacket"),
    "foxglove": ("foxglove_msgs", "CompressedVideo"),
}
"""Package and type of an image transport's messages."""
_VIDEO_QUEUE = 100
"""A lost packet of a video costs all pictures up to the next key frame."""
_QUEUE = {Modality.EVENT: 300}
"""0.3 s of a fast sensor: more would only be dropped as a backlog."""
_CAMERA_INFO_QUEUE = 5


def topic_of(modality: Modality, parameters: NodeParameters) -> str:
    """The topic of a sensor: what its parameter says, or a relative one without the transport."""
    if parameters.sensors[modality].topic:
        return parameters.sensors[modality].topic
    if modality == Modality.EVENT and parameters.sensors[modality].type == "image":
        return "event/image"
    return _TOPICS[modality]


def type_of(modality: Modality, parameters: NodeParameters) -> type:
    """The message type of a sensor; ModuleNotFoundError that says what to install or set."""
    sensor = parameters.sensors[modality]
    if modality == Modality.LIDAR:
        package, name = "sensor_msgs", "PointCloud2"
    elif modality == Modality.EVENT and sensor.type != "image":
        package = _EVENT_TYPES[sensor.type]
        name = "EventPacket" if sensor.type == "packet" else "EventArray"
    else:
        package, name = _IMAGES[sensor.transport]
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{package} is not installed: install it, or set {modality.label}.enabled to false"
        ) from error


class Subscriptions:
    """Subscribes to the enabled sensors once it is started.

    Messages of a sensor leave `filters[modality]`, which is there from the beginning, whether the
    sensor is subscribed to or not. `on_camera_info` gets CameraInfos; rgb/camera_info is listened
    to in any case, for it tells the reference camera.
    """

    def __init__(
        self,
        node: Any,
        parameters: NodeParameters,
        on_camera_info: Callable[[Modality, Any], None],
    ) -> None:
        self.filters = {modality: SimpleFilter() for modality in Modality}
        self._node = node
        self._parameters = parameters
        self._on_camera_info = on_camera_info
        self._subscribers: dict[Modality, list[Subscriber]] = {}
        self._reference: Subscriber | None = None

    def start(self) -> None:
        """Subscribe. Where that fails half-way, `stop` ends what was begun."""
        self._reference = self._subscribe_camera_info(Modality.RGB)
        for modality, sensor in self._parameters.sensors.items():
            if sensor.enabled:
                self.add(modality)

    def add(self, modality: Modality) -> None:
        """Subscribe to a sensor."""
        if modality in self._subscribers:
            return
        sensor = self._parameters.sensors[modality]
        topic = topic_of(modality, self._parameters)
        if sensor.transport != "raw" and not sensor.topic:
            topic = f"{self._node.resolve_topic_name(topic)}/{sensor.transport}"
        message_type = type_of(modality, self._parameters)
        made = self._subscribers[modality] = []
        video = sensor.transport in ("ffmpeg", "foxglove")
        depth = _VIDEO_QUEUE if video else _QUEUE.get(modality, 10)
        made.append(self._subscriber(modality, message_type, topic, depth))
        made[0].registerCallback(self.filters[modality].signalMessage)
        if modality in (Modality.DEPTH, Modality.EVENT):
            made.append(self._subscribe_camera_info(modality))

    def where(self, modality: Modality) -> str:
        """The topic of a sensor and how many publish there, for the log."""
        made = self._subscribers.get(modality)
        if not made:
            return ""
        topic = made[0].sub.topic_name
        count = self._node.count_publishers(topic)
        return f" on {topic} ({count} publisher{'' if count == 1 else 's'})"

    def remove(self, modality: Modality) -> None:
        """Unsubscribe from a sensor."""
        for subscriber in self._subscribers.pop(modality, []):
            self._node.destroy_subscription(subscriber.sub)

    def stop(self) -> None:
        """Unsubscribe from everything."""
        for modality in list(self._subscribers):
            self.remove(modality)
        if self._reference is not None:
            self._node.destroy_subscription(self._reference.sub)
            self._reference = None

    def _subscribe_camera_info(self, modality: Modality) -> Subscriber:
        given = self._parameters.sensors[modality].camera_info
        topic = given or f"{modality.label}/camera_info"
        subscriber = self._subscriber(modality, CameraInfo, topic, _CAMERA_INFO_QUEUE)
        subscriber.registerCallback(lambda msg: self._on_camera_info(modality, msg))
        return subscriber

    def _subscriber(
        self, modality: Modality, message_type: type, topic: str, depth: int
    ) -> Subscriber:
        reliable = self._parameters.sensors[modality].reliable
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        return Subscriber(
            self._node,
            message_type,
            topic,
            qos_profile=QoSProfile(depth=depth, reliability=policy),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

"""The node's subscriptions: `message_filters.Subscriber`s of its sensors, and camera_info."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from message_filters import SimpleFilter, Subscriber
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from any2seg_ros.messages.serialized import view_packet
from any2seg_ros.node import delivery
from any2seg_ros.node.batches import Batches
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.types import InvalidMeasurement, Modality

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
_INFO = "camera_info"
_DATA = "data"


@dataclass
class _Link:
    """A topic that is listened to, and how."""

    modality: Modality
    message_type: type
    topic: str
    depth: int
    latched: bool
    callback: Callable[[Any], None]
    batches: Batches | None = None
    """Takes its messages many at a time, where so many come."""
    raw: bool = False
    """Whether its messages are left serialized."""
    subscriber: Subscriber | None = None
    profile: QoSProfile | None = None
    kept: Any = None
    """A second subscription, for what some of the publishers latched."""


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
    to in any case, for it tells the reference camera. `awaits` says whether a Frame waits for a
    sensor: packets of events are else taken many at a time, and before a message of another sensor.
    `on_undecodable` gets the topic of packets that are none.
    """

    def __init__(
        self,
        node: Any,
        parameters: NodeParameters,
        on_camera_info: Callable[[Modality, Any], None],
        awaits: Callable[[Modality], bool] = lambda modality: False,
        on_undecodable: Callable[[str], None] = lambda topic: None,
    ) -> None:
        self.filters = {modality: SimpleFilter() for modality in Modality}
        self.losses = {modality: delivery.LossCounter() for modality in Modality}
        self._node = node
        self._parameters = parameters
        self._on_camera_info = on_camera_info
        self._awaits = awaits
        self._on_undecodable = on_undecodable
        self._links: dict[tuple[Modality, str], _Link] = {}

    def start(self) -> None:
        """Subscribe. Where that fails half-way, `stop` ends what was begun."""
        self._listen_to_camera_info(Modality.RGB)
        for modality, sensor in self._parameters.sensors.items():
            if sensor.enabled:
                self.add(modality)

    def add(self, modality: Modality) -> None:
        """Subscribe to a sensor."""
        if (modality, _DATA) in self._links:
            return
        sensor = self._parameters.sensors[modality]
        topic = topic_of(modality, self._parameters)
        if sensor.transport != "raw" and not sensor.topic:
            topic = f"{self._node.resolve_topic_name(topic)}/{sensor.transport}"
        message_type = type_of(modality, self._parameters)
        video = sensor.transport in ("ffmpeg", "foxglove")
        depth = _VIDEO_QUEUE if video else _QUEUE.get(modality, 10)
        link = _Link(modality, message_type, topic, depth, False, self._take(modality))
        if modality == Modality.EVENT and sensor.type != "image":
            link.raw = sensor.type == "packet"
            take = self._take_serialized if link.raw else link.callback
            link.batches = Batches(self._node, lambda: self._awaits(modality), take)
            link.callback = link.batches.on_message
        self._listen(_DATA, link)
        if modality in (Modality.DEPTH, Modality.EVENT):
            self._listen_to_camera_info(modality)

    def adapt(self) -> None:
        """Take what publishers offer now, where the parameters leave it to them."""
        for link in list(self._links.values()):
            profile = self._profile(link)
            if link.profile is None or not delivery.same(profile, link.profile):
                self._subscribe(link)
            elif link.batches is not None:
                link.batches.open()
            self._hear_kept(link)

    def where(self, modality: Modality) -> str:
        """The topic of a sensor and how many publish there, for the log."""
        link = self._links.get((modality, _DATA))
        if link is None:
            return ""
        count = self._node.count_publishers(self._resolved(link))
        return f" on {self._resolved(link)} ({count} publisher{'' if count == 1 else 's'})"

    def misfit(self, modality: Modality) -> str:
        """Which publishers of a sensor cannot be heard, and what to do; empty without one."""
        for key in ((modality, _DATA), (modality, _INFO)):
            link = self._links.get(key)
            if link is None or link.subscriber is None:
                continue
            profile = link.subscriber.sub.qos_profile
            text = delivery.misfit(self._node, self._resolved(link), profile)
            if text:
                return f"incompatible QoS: {text}: set {modality.label}.reliable to auto or no"
        return ""

    def role_of(self, topic: str) -> tuple[Modality | None, str]:
        """The sensor whose data come on a topic, None of others, and the type if it is known."""
        for (modality, role), link in self._links.items():
            if self._resolved(link) == topic:
                package = link.message_type.__module__.split(".")[0]
                kind = f"{package}/{link.message_type.__name__}"
                return (modality if role == _DATA else None), kind
        return None, ""

    def remove(self, modality: Modality) -> None:
        """Unsubscribe from a sensor; the reference camera is still listened to."""
        self._end(modality, _DATA)
        if modality != Modality.RGB:
            self._end(modality, _INFO)

    def stop(self) -> None:
        """Unsubscribe from everything."""
        for key in list(self._links):
            self._end(*key)

    def _take(self, modality: Modality) -> Callable[[Any], None]:
        counter, passed_on = self.losses[modality], self.filters[modality]

        def take(msg: Any) -> None:
            counter.on_message(msg)
            if modality != Modality.EVENT:
                self._take_packets()
            passed_on.signalMessage(msg)

        return take

    def _take_serialized(self, cdr: bytes) -> None:
        """An EventPacket as it came from the middleware."""
        try:
            packet = view_packet(cdr)
        except InvalidMeasurement:
            link = self._links.get((Modality.EVENT, _DATA))
            if link is not None:
                self._on_undecodable(self._resolved(link))
            return
        self.losses[Modality.EVENT].on_message(packet)
        self.filters[Modality.EVENT].signalMessage(packet)

    def _take_packets(self) -> None:
        """Those that came before another sensor's message: the Frame may need no other ones."""
        link = self._links.get((Modality.EVENT, _DATA))
        if link is not None and link.batches is not None:
            link.batches.take()

    def _listen_to_camera_info(self, modality: Modality) -> None:
        given = self._parameters.sensors[modality].camera_info
        topic = given or f"{modality.label}/camera_info"

        def take(msg: Any) -> None:
            self._on_camera_info(modality, msg)

        self._listen(_INFO, _Link(modality, CameraInfo, topic, _CAMERA_INFO_QUEUE, True, take))

    def _listen(self, role: str, link: _Link) -> None:
        self._links[link.modality, role] = link
        self._subscribe(link)

    def _resolved(self, link: _Link) -> str:
        return str(self._node.resolve_topic_name(link.topic))

    def _profile(self, link: _Link) -> QoSProfile:
        reliable = self._parameters.sensors[link.modality].reliable
        topic = self._resolved(link)
        return delivery.chosen_profile(
            self._node, topic, link.depth, reliable, link.latched, link.profile
        )

    def _subscribe(self, link: _Link) -> None:
        self._release(link)
        link.profile = self._profile(link)
        chosen = link.profile
        options: dict[str, Any] = {"raw": True} if link.raw else {}
        if link.batches is not None:
            options["callback_group"] = link.batches.group

        def make(**events: Any) -> Subscriber:
            return Subscriber(
                self._node,
                link.message_type,
                link.topic,
                qos_profile=QoSProfile(
                    depth=chosen.depth,
                    reliability=chosen.reliability,
                    durability=chosen.durability,
                ),
                qos_overriding_options=delivery.overriding(self._node, self._resolved(link)),
                **options,
                **events,
            )

        lost = (lambda count: None) if link.latched else self.losses[link.modality].on_lost
        link.subscriber = delivery.subscribed(make, lambda: self._warn(link.modality), lost)
        link.subscriber.registerCallback(link.callback)
        if link.batches is not None:
            link.batches.begin(link.subscriber.sub)
        self._hear_kept(link)

    def _hear_kept(self, link: _Link) -> None:
        """Listen to what was latched, too, where some publishers latch and others do not."""
        if not link.latched or link.profile is None:
            return
        profile = delivery.kept_profile(self._node, self._resolved(link), link.profile)
        if profile is not None and link.kept is None:
            link.kept = self._node.create_subscription(
                link.message_type, link.topic, link.callback, profile
            )
        elif profile is None and link.kept is not None:
            self._node.destroy_subscription(link.kept)
            link.kept = None

    def _warn(self, modality: Modality) -> None:
        text = self.misfit(modality)
        if text:
            self._node.get_logger().warning(f"{modality.label}: {text}", throttle_duration_sec=5.0)

    def _end(self, modality: Modality, role: str) -> None:
        link = self._links.pop((modality, role), None)
        if link is not None:
            self._release(link)

    def _release(self, link: _Link) -> None:
        if link.batches is not None:
            link.batches.end()
        for subscription in (link.subscriber and link.subscriber.sub, link.kept):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        link.subscriber = link.kept = None

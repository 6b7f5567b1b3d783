"""The node's subscriptions: `message_filters.Subscriber`s of its sensors, and camera_info."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from message_filters import SimpleFilter, Subscriber
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from any2seg_ros.messages.serialized import view_packet
from any2seg_ros.node import delivery
from any2seg_ros.node.batches import Batches
from any2seg_ros.node.floods import PAUSE_S, FloodGuard, FloodLimits, size_of
from any2seg_ros.runtime.parameters import NodeParameters, SensorParameters
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
_LIMITS = FloodLimits(messages=500, burst=200)
"""Of images, clouds and camera_info; a bag may be played faster than it was recorded."""
_PACKETS = FloodLimits(messages=1500, burst=450)
"""Of event packets: the queue and half of it may have waited."""
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
    guard: FloodGuard
    batches: Batches | None = None
    """Takes its messages many at a time, where so many come."""
    raw: bool = False
    """Whether its messages are left serialized."""
    subscriber: Subscriber | None = None
    profile: QoSProfile | None = None
    pause: Any = None
    """The timer at whose end a flooded topic is listened to again."""
    flood: str = ""
    """Why it is left alone; empty once that is over."""
    kept: Any = None
    """A second subscription, for what some of the publishers latched."""


def _limits(modality: Modality, sensor: SensorParameters) -> FloodLimits:
    """What a sensor may send."""
    if modality != Modality.EVENT or sensor.type == "image":
        return _LIMITS
    return replace(
        _PACKETS,
        megabytes=sensor.maximum_bandwidth,
        largest=sensor.maximum_packet,
        parameter="event.maximum_bandwidth",
    )


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
    `on_undecodable` gets the topic of packets that are none. A topic that is flooded is left alone
    for 0.7 s, again and again; `on_flood` is told, and of the end with an empty reason.
    """

    def __init__(
        self,
        node: Any,
        parameters: NodeParameters,
        on_camera_info: Callable[[Modality, Any], None],
        awaits: Callable[[Modality], bool] = lambda modality: False,
        on_undecodable: Callable[[str], None] = lambda topic: None,
        on_flood: Callable[[Modality, str], None] = lambda modality, reason: None,
    ) -> None:
        self.filters = {modality: SimpleFilter() for modality in Modality}
        self.losses = {modality: delivery.LossCounter() for modality in Modality}
        self._node = node
        self._parameters = parameters
        self._on_camera_info = on_camera_info
        self._awaits = awaits
        self._on_undecodable = on_undecodable
        self._on_flood = on_flood
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
        take = self._take(modality)
        guard = FloodGuard(_limits(modality, self._parameters.sensors[modality]))
        link = _Link(modality, message_type, topic, depth, False, take, guard)
        if modality == Modality.EVENT and sensor.type != "image":
            link.raw = sensor.type == "packet"
            link.callback = self._take_serialized if link.raw else take
            link.batches = Batches(
                self._node,
                lambda: self._awaits(modality),
                lambda msg: self._on_message(link, msg),
            )
        self._listen(_DATA, link)
        if modality in (Modality.DEPTH, Modality.EVENT):
            self._listen_to_camera_info(modality)

    def adapt(self) -> None:
        """Take what publishers offer now, where the parameters leave it to them."""
        for link in list(self._links.values()):
            if link.pause is not None:
                continue
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

    def flood(self, modality: Modality) -> str:
        """Why a sensor's messages are left alone; empty if they are not."""
        link = self._links.get((modality, _DATA))
        return link.flood if link is not None else ""

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

        guard = FloodGuard(_LIMITS)
        self._listen(
            _INFO, _Link(modality, CameraInfo, topic, _CAMERA_INFO_QUEUE, True, take, guard)
        )

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
        if link.batches is not None:
            link.subscriber.registerCallback(link.batches.on_message)
            link.batches.begin(link.subscriber.sub)
        else:
            link.subscriber.registerCallback(lambda msg: self._on_message(link, msg))
        self._hear_kept(link)

    def _on_message(self, link: _Link, msg: Any) -> None:
        if link.subscriber is None:  # taken before its subscription was ended
            return
        reason = link.guard.refusal(size_of(msg), time.monotonic_ns())
        if reason:
            self._pause(link, reason)
        elif not link.guard.proving:
            if link.flood:
                self._tell(link, "")
            link.callback(msg)

    def _pause(self, link: _Link, reason: str) -> None:
        """Leave a topic alone for a while."""
        self._release(link)

        def resume() -> None:
            self._node.destroy_timer(link.pause)
            link.pause = None
            if not link.latched:
                self.losses[link.modality].forget()
            link.guard.resume(time.monotonic_ns())
            self._subscribe(link)

        steady = Clock(clock_type=ClockType.STEADY_TIME)
        link.pause = self._node.create_timer(PAUSE_S, resume, clock=steady)
        self._tell(link, reason)

    def _tell(self, link: _Link, reason: str) -> None:
        link.flood = f"camera_info is {reason}" if reason and link.latched else reason
        self._on_flood(link.modality, link.flood)

    def _hear_kept(self, link: _Link) -> None:
        """Listen to what was latched, too, where some publishers latch and others do not."""
        if not link.latched or link.profile is None or link.pause is not None:
            return
        profile = delivery.kept_profile(self._node, self._resolved(link), link.profile)
        if profile is not None and link.kept is None:
            link.kept = self._node.create_subscription(
                link.message_type, link.topic, lambda msg: self._on_message(link, msg), profile
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
        if link is None:
            return
        self._release(link)
        if link.pause is not None:
            self._node.destroy_timer(link.pause)
            link.pause = None

    def _release(self, link: _Link) -> None:
        if link.batches is not None:
            link.batches.end()
        for subscription in (link.subscriber and link.subscriber.sub, link.kept):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        link.subscriber = link.kept = None

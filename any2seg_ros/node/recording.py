"""Records the sensors of a running ROS graph as a bag, for `any2seg inspect --live`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.qos import QoSCompatibility as Compatibility
from rclpy.signals import SignalHandlerOptions

from any2seg_ros.bags import BagFile, Graph
from any2seg_ros.bags.choice import TYPES
from any2seg_ros.messages.kinds import CAMERA_INFO, TRANSFORMS, message_class
from any2seg_ros.messages.offers import Offer, unique
from any2seg_ros.node import delivery

LARGEST = 4 << 30
"""Bytes after which recording ends."""
_ADAPT_EVERY_S = 0.5
_KINDS = {kind for kinds in TYPES.values() for kind in kinds} | {CAMERA_INFO, TRANSFORMS}
_LATCHED = (CAMERA_INFO, TRANSFORMS)
_DEPTH = 200
_OF_ROS = ("/rosout", "/parameter_events", "/clock")


def record(folder: Path, seconds: float) -> Graph:
    """Record for so long what sensors send, as the bag `folder`; what the graph says of topics.

    ValueError where no sensor sends anything. An interrupt ends it, and ROS, in order.
    """
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node, recorder = None, None
    try:
        node = rclpy.create_node("any2seg_inspect", use_global_arguments=False)
        recorder = GraphRecorder(node, folder)
        recorder.run(seconds)
        return recorder.graph()
    except ExternalShutdownException:
        raise KeyboardInterrupt from None
    finally:
        if recorder is not None:
            recorder.close()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


@dataclass
class _Heard:
    """A topic that is recorded."""

    kind: str
    profile: QoSProfile
    subscriptions: list[Any]
    count: int = 0


class GraphRecorder:
    """Subscribes to every sensor's topic as its publishers offer it, and follows changes."""

    def __init__(self, node: Any, folder: Path) -> None:
        self._node = node
        self._file = BagFile(folder)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._heard: dict[str, _Heard] = {}
        self._types: dict[str, str] = {}
        self._offers: dict[str, tuple[Offer, ...]] = {}
        self._problems: dict[str, str] = {}
        self._notes: list[str] = []
        self._bytes = 0

    def run(self, seconds: float) -> None:
        """Record for so long."""
        end, due = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            if now >= due:
                self._adapt()
                due = now + _ADAPT_EVERY_S
            self._executor.spin_once(timeout_sec=min(0.1, end - now))
            if self._bytes > LARGEST:
                self._note(f"recording ended after {LARGEST >> 30} GiB")
                return

    def graph(self) -> Graph:
        """What the graph said; ValueError where nothing was heard."""
        if not any(one.count for one in self._heard.values()):
            names = ", ".join(sorted(self._types)) or "there are none"
            raise ValueError(
                f"no sensor was heard: topics of the graph: {names}; check ROS_DOMAIN_ID "
                "and ROS_AUTOMATIC_DISCOVERY_RANGE"
            )
        problems = list(self._problems.items())
        return Graph(dict(self._types), dict(self._offers), problems, list(self._notes))

    def close(self) -> None:
        """End the subscriptions and write the bag's index."""
        for one in self._heard.values():
            self._unsubscribe(one)
        self._executor.shutdown()
        self._file.close()

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _adapt(self) -> None:
        """Hear of new topics, and of publishers that offer something else than before."""
        self._follow_clock()
        for topic, kinds in self._node.get_topic_names_and_types():
            offered = [profile for _, profile in delivery.offers(self._node, topic)]
            if topic in _OF_ROS or not offered:
                continue
            if len(kinds) > 1:
                self._note(f"{topic} has several types: {', '.join(kinds)}; {kinds[0]} was taken")
            self._types.setdefault(topic, kinds[0])
            before = self._offers.get(topic, ())
            self._offers[topic] = unique((*before, *map(delivery.offer_of, offered)))
            self._look_for_misfits(topic)
            if kinds[0] in _KINDS:
                self._listen(topic, kinds[0])

    def _follow_clock(self) -> None:
        """Where time is simulated, messages are recorded by that."""
        name = "use_sim_time"
        if self._node.count_publishers("/clock") and not self._node.get_parameter(name).value:
            self._node.set_parameters([Parameter(name, value=True)])
            self._note("time is simulated (/clock)")

    def _listen(self, topic: str, kind: str) -> None:
        heard = self._heard.get(topic)
        before = heard.profile if heard else None
        latched = kind in _LATCHED
        profile = delivery.chosen_profile(self._node, topic, _DEPTH, "auto", latched, before)
        kept = delivery.kept_profile(self._node, topic, profile) if latched else None
        wanted = [profile] if kept is None else [profile, kept]
        same = heard is not None and delivery.same(profile, heard.profile)
        if heard and same and len(heard.subscriptions) == len(wanted):
            return
        try:
            message_type = message_class(kind)
        except ImportError:
            self._note(f"{topic} is not heard: the package of {kind} is not installed")
            return
        if heard:
            self._unsubscribe(heard)
        else:
            heard = self._heard[topic] = _Heard(kind, profile, [])
        heard.profile = profile
        heard.subscriptions = [
            self._node.create_subscription(
                message_type, topic, self._taker(topic, heard, one), one, raw=True
            )
            for one in wanted
        ]

    def _taker(self, topic: str, heard: _Heard, profile: QoSProfile) -> Callable[[bytes], None]:
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        reliable = profile.reliability == ReliabilityPolicy.RELIABLE

        def take(data: bytes) -> None:
            heard.count += 1
            self._bytes += len(data)
            now = self._node.get_clock().now().nanoseconds
            self._file.write(topic, heard.kind, now, data, reliable, latched)

        return take

    def _unsubscribe(self, heard: _Heard) -> None:
        for subscription in heard.subscriptions:
            self._node.destroy_subscription(subscription)
        heard.subscriptions = []

    def _look_for_misfits(self, topic: str) -> None:
        """Pairs of nodes of which one cannot hear the other, of any topic."""
        for info in self._node.get_subscriptions_info_by_topic(topic):
            if info.node_name == self._node.get_name():
                continue
            for name, offered in delivery.offers(self._node, topic):
                if qos_check_compatible(offered, info.qos_profile)[0] != Compatibility.ERROR:
                    continue
                listener = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                said = (
                    f"{listener} does not hear {name} on {topic}: incompatible QoS, "
                    f"asked for ({delivery.offer_of(info.qos_profile)}), "
                    f"offered ({delivery.offer_of(offered)})"
                )
                self._problems[said] = (
                    f"have {listener} ask for what is offered (the node segmenter: "
                    "<sensor>.reliable auto or no), or have the publisher offer more"
                )

"""The node's publishers: what a Result becomes, made only where somebody listens."""

from __future__ import annotations

from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from std_msgs.msg import Header

from any2seg_ros.messages.kinds import message_class, ros_message
from any2seg_ros.msg import SegmentationStatus
from any2seg_ros.runtime.outputs import LATCHED, TOPICS, label_info, outputs
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.runtime.rendering import OutputConfig
from any2seg_ros.taxonomy import Taxonomy

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_DEPTHS = {"status": 10}


class Publishers:
    """Publishes on ~/ and each of `outputs.TOPICS`; ~/label_info is latched."""

    def __init__(self, node: Any, taxonomy: Taxonomy, config: OutputConfig) -> None:
        self.config = config
        self._node = node
        self._taxonomy = taxonomy
        self._publishers: dict[str, Any] = {}
        try:
            for name, kind in TOPICS.items():
                self._publishers[name] = node.create_lifecycle_publisher(
                    message_class(kind),
                    f"~/{name}",
                    _LATCHED if name in LATCHED else QoSProfile(depth=_DEPTHS.get(name, 5)),
                    qos_overriding_options=_overriding(name),
                )
        except Exception:  # overridden by a QoS that is none
            self.stop()
            raise

    def stop(self) -> None:
        """Take the publishers away."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}

    def publish_classes(self, header: Header) -> None:
        """The class table, once for everybody who comes later."""
        threshold = self.config.minimum_confidence
        message = label_info(ros_message, self._taxonomy, header, threshold)
        self._publishers["label_info"].publish(message)

    def publish_status(self, status: SegmentationStatus) -> None:
        """~/status."""
        publisher = self._publishers.get("status")
        if publisher is not None:  # a frame may come to its end after `stop`
            publisher.publish(status)

    def publish(self, result: Result) -> None:
        """All outputs of a Result with a segmentation but its status."""
        made = outputs(ros_message, result, self.config, self._taxonomy)
        for name, make in made.items():
            publisher = self._publishers.get(name)
            if publisher is not None and publisher.get_subscription_count() > 0:
                publisher.publish(make())


def _overriding(name: str) -> QoSOverridingOptions | None:
    return None if name in LATCHED else QoSOverridingOptions.with_default_policies()

"""Publish transforms on /tf and /tf_static."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


def _as_list(transform: Any) -> list[TransformStamped]:
    return [transform] if isinstance(transform, TransformStamped) else list(transform)


class TransformBroadcaster:
    """Publishes transforms that are valid at their stamp."""

    def __init__(self, node: Any, qos: QoSProfile | int | None = None) -> None:
        profile = qos if qos is not None else QoSProfile(depth=100)
        self.pub_tf = node.create_publisher(TFMessage, "/tf", profile)

    def sendTransform(self, transform: TransformStamped | list[TransformStamped]) -> None:
        """Send one transform or several."""
        self.pub_tf.publish(TFMessage(transforms=_as_list(transform)))


class StaticTransformBroadcaster:
    """Publishes static transforms; late subscribers get all of them."""

    def __init__(self, node: Any, qos: QoSProfile | int | None = None) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.pub_tf = node.create_publisher(
            TFMessage, "/tf_static", qos if qos is not None else latched
        )
        self._sent: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | list[TransformStamped]) -> None:
        """Send one transform or several, together with those sent before."""
        self._sent.update({each.child_frame_id: each for each in _as_list(transform)})
        self.pub_tf.publish(TFMessage(transforms=list(self._sent.values())))

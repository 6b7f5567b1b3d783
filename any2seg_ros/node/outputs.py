"""The node's publishers: what a Result becomes, made only where somebody listens."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from any2seg_ros.messages import (
    cloud_fields,
    confidence_fields,
    image_fields,
    info_fields,
    mask_fields,
)
from any2seg_ros.modalities import Camera
from any2seg_ros.msg import SegmentationStatus
from any2seg_ros.pipeline import Result
from any2seg_ros.rendering import Look, overlay, semantic_points, sure_labels
from any2seg_ros.taxonomy import Taxonomy

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_TOPICS: dict[str, tuple[type, QoSProfile]] = {
    "mask": (Image, QoSProfile(depth=5)),
    "confidence": (Image, QoSProfile(depth=5)),
    "color": (Image, QoSProfile(depth=5)),
    "overlay": (Image, QoSProfile(depth=5)),
    "points": (PointCloud2, QoSProfile(depth=5)),
    "camera_info": (CameraInfo, QoSProfile(depth=5)),
    "status": (SegmentationStatus, QoSProfile(depth=10)),
    "label_info": (LabelInfo, _LATCHED),
}


class Outputs:
    """Publishes on ~/mask, ~/confidence, ~/color, ~/overlay, ~/points, ~/camera_info, ~/status.

    ~/label_info is latched. Headers are the anchor's, but ~/points and ~/camera_info are in
    `reference_frame`.
    """

    def __init__(self, node: Any, taxonomy: Taxonomy, look: Look) -> None:
        self.look = look
        self._node = node
        self._taxonomy = taxonomy
        self._publishers: dict[str, Any] = {}
        try:
            for name, (kind, qos) in _TOPICS.items():
                self._publishers[name] = node.create_lifecycle_publisher(
                    kind, f"~/{name}", qos, qos_overriding_options=_overriding(name)
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
        classes = [
            VisionClass(class_id=i, class_name=name)
            for i, name in enumerate(self._taxonomy.classes)
        ]
        message = LabelInfo(
            header=header, class_map=classes, threshold=float(self.look.minimum_confidence)
        )
        self._publishers["label_info"].publish(message)

    def publish_status(self, status: SegmentationStatus) -> None:
        """~/status."""
        self._publishers["status"].publish(status)

    def publish(self, result: Result, reference: Camera, reference_frame: str) -> None:
        """All outputs of a Result with a segmentation but its status."""
        segmentation, anchor = result.segmentation, result.anchor
        assert segmentation is not None and anchor is not None
        header, labels = anchor.header, sure_labels(segmentation, self.look.minimum_confidence)
        height, width = labels.shape
        placed = Header(stamp=header.stamp, frame_id=reference_frame)
        if self._wanted("confidence"):
            fields = confidence_fields(segmentation.confidence, self.look.confidence_encoding)
            self._send("confidence", Image(header=header, **fields))
        if self._wanted("camera_info"):
            camera = reference.resized(width, height)
            self._send("camera_info", CameraInfo(header=placed, **info_fields(camera)))
        if self._wanted("mask"):
            self._send("mask", Image(header=header, **mask_fields(labels)))
        if self._wanted("color") or self._wanted("overlay"):
            self._publish_pictures(result, header, labels, reference)
        if self._wanted("points"):
            points = semantic_points(result, labels, reference, self._taxonomy)
            self._send("points", PointCloud2(header=placed, **cloud_fields(points, PointField)))

    def _publish_pictures(
        self, result: Result, header: Header, labels: np.ndarray, reference: Camera
    ) -> None:
        color = self._taxonomy.colorize(labels)
        if self._wanted("color"):
            self._send("color", Image(header=header, **image_fields(color, "rgb8")))
        if self._wanted("overlay"):
            laid = overlay(result, color, self.look.overlay_opacity, reference)
            self._send("overlay", Image(header=header, **image_fields(laid, "rgb8")))

    def _wanted(self, name: str) -> bool:
        publisher = self._publishers.get(name)
        return publisher is not None and publisher.get_subscription_count() > 0

    def _send(self, name: str, message: Any) -> None:
        publisher = self._publishers.get(name)
        if publisher is not None:
            publisher.publish(message)


def _overriding(name: str) -> QoSOverridingOptions | None:
    return None if name == "label_info" else QoSOverridingOptions.with_default_policies()

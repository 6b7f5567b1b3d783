"""The messages that the node publishes for a Result, of rclpy's classes or of a bag's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from any2seg_ros.messages import (
    confidence_fields,
    image_fields,
    labelled_cloud,
    mask_fields,
)
from any2seg_ros.messages.kinds import (
    CAMERA_INFO,
    CLOUD,
    IMAGE,
    LABEL_INFO,
    STATUS,
    VISION_CLASS,
)
from any2seg_ros.messages.making import Make, camera_info_message, header_message
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.runtime.rendering import (
    OutputConfig,
    organized_points,
    overlay,
    semantic_points,
    sure_labels,
)
from any2seg_ros.taxonomy import Taxonomy

TOPICS = {
    "mask": IMAGE,
    "confidence": IMAGE,
    "label_info": LABEL_INFO,
    "color": IMAGE,
    "overlay": IMAGE,
    "points": CLOUD,
    "status": STATUS,
    "camera_info": CAMERA_INFO,
}
"""Message type by output: the node's topic is ~/ and its name."""

LATCHED = ("label_info",)
"""Outputs that late subscribers get as well."""


def label_info(make: Make, taxonomy: Taxonomy, header: Any, threshold: float) -> Any:
    """The class table; `threshold` is the confidence below which a pixel has no class."""
    classes = [
        make(VISION_CLASS, class_id=index, class_name=name)
        for index, name in enumerate(taxonomy.classes)
    ]
    return make(LABEL_INFO, header=header, class_map=classes, threshold=float(threshold))


def mask_header(make: Make, result: Result, config: OutputConfig) -> Any:
    """The header of a Result's mask: the anchor's, or with the frame of the reference camera."""
    anchor = result.anchor
    assert anchor is not None
    reference_frame = result.calibration.reference_frame
    of_anchor = config.header_frame == "anchor" or not reference_frame
    frame_id = anchor.header.frame_id if of_anchor else reference_frame
    return header_message(make, anchor.stamp, frame_id)


def outputs(
    make: Make, result: Result, config: OutputConfig, taxonomy: Taxonomy
) -> dict[str, Callable[[], Any]]:
    """What makes each output of a Result with a segmentation; nothing is made before it is called.

    All are made with the Result's own calibration. Headers are as `mask_header` has them, but
    points and camera_info are in the reference camera's frame.
    """
    segmentation, anchor = result.segmentation, result.anchor
    reference = result.calibration.reference
    assert segmentation is not None and anchor is not None and reference is not None
    labels = sure_labels(segmentation, config.minimum_confidence)
    height, width = labels.shape
    own = mask_header(make, result, config)
    in_reference = header_message(make, anchor.stamp, result.calibration.reference_frame)
    color = cache(partial(taxonomy.colorize, labels))

    def image(fields: dict[str, Any]) -> Any:
        return make(IMAGE, header=own, **fields)

    def points() -> Any:
        points_of = organized_points if config.organized_points else semantic_points
        found = points_of(result, labels, taxonomy)
        return labelled_cloud(make, in_reference, found)

    def blended() -> Any:
        return overlay(result, color(), config.overlay_opacity)

    return {
        "confidence": lambda: image(
            confidence_fields(segmentation.confidence, config.confidence_encoding)
        ),
        "camera_info": lambda: camera_info_message(
            make, in_reference, reference.resized(width, height)
        ),
        "mask": lambda: image(mask_fields(labels)),
        "color": lambda: image(image_fields(color(), "rgb8")),
        "overlay": lambda: image(image_fields(blended(), "rgb8")),
        "points": points,
    }

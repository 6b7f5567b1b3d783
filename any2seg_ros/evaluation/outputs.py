"""What the node publishes for a Result, as messages of an output bag."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from any2seg_ros.bags import OutputBag
from any2seg_ros.bags.node_outputs import TOPICS
from any2seg_ros.bags.typestore import CAMERA_INFO, CLOUD, IMAGE, MODALITY_STATUS, STATUS
from any2seg_ros.datasets.bag_walk import BagWalk
from any2seg_ros.messages import (
    cloud_fields,
    confidence_fields,
    image_fields,
    info_fields,
    mask_fields,
)
from any2seg_ros.modalities import Availability, Modality
from any2seg_ros.pipeline import Result
from any2seg_ros.rendering import Look, overlay, semantic_points, sure_labels
from any2seg_ros.taxonomy import Taxonomy

OUTPUTS = tuple(TOPICS)


class NodeOutputs:
    """Writes the node's topics; `counts` says how many messages each has.

    A status has the stages that do not depend on the machine: the wait, in the bag's time.
    """

    def __init__(
        self,
        bag: OutputBag,
        taxonomy: Taxonomy,
        walk: BagWalk,
        outputs: Sequence[str],
        look: Look,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._bag, self._taxonomy, self._walk = bag, taxonomy, walk
        self._look = look
        self._wanted = set(outputs)
        self._frame_id = walk.calibration.reference_frame
        self._published = self._incomplete = 0
        classes = bag.label_info(taxonomy, self._header(walk.start), look.minimum_confidence)
        self._send("label_info", classes, walk.start)

    def write(self, result: Result, log_time: int) -> None:
        """All outputs of a frame; of one with nothing usable, only its status."""
        if result.anchor is None:
            return
        stamp = result.anchor.header.stamp
        header = self._bag.header(stamp, result.anchor.header.frame_id)
        if result.segmentation is not None:
            self._published += 1
            self._incomplete += len(result.segmentation.weights) < len(Modality)
            self._write_images(result, header, log_time)
        wait = max(log_time - result.anchor.arrival, 0) * 1e-9
        self._write_status(header, self._rows(result), _confidence(result), wait, log_time)

    def write_idle(self, log_time: int) -> None:
        """The status while there is no frame."""
        missing = SimpleNamespace(
            frame=SimpleNamespace(
                stamp=log_time,
                availability=dict.fromkeys(Modality, Availability.MISSING),
                reasons=dict.fromkeys(Modality, "silent"),
                measurements={},
            ),
            received={},
            segmentation=None,
        )
        self._write_status(self._header(log_time), self._rows(missing), math.nan, 0.0, log_time)

    def _write_images(self, result: Result, header: Any, log_time: int) -> None:
        segmentation, bag = result.segmentation, self._bag
        assert segmentation is not None
        labels = sure_labels(segmentation, self._look.minimum_confidence)
        height, width = labels.shape
        reference = self._walk.calibration.reference
        assert reference is not None
        made: Mapping[str, Any] = {
            "mask": lambda: bag.message(IMAGE, header=header, **mask_fields(labels)),
            "confidence": lambda: bag.message(
                IMAGE,
                header=header,
                **confidence_fields(segmentation.confidence, self._look.confidence_encoding),
            ),
            "color": lambda: self._image(header, self._taxonomy.colorize(labels)),
            "overlay": lambda: self._image(
                header,
                overlay(
                    result, self._taxonomy.colorize(labels), self._look.overlay_opacity, reference
                ),
            ),
            "points": lambda: self._points(result, labels, header),
            "camera_info": lambda: self._camera_info(header, width, height),
        }
        for name, make in made.items():
            if name in self._wanted:
                self._send(name, make(), log_time)

    def _image(self, header: Any, pixels: Any) -> Any:
        return self._bag.message(IMAGE, header=header, **image_fields(pixels, "rgb8"))

    def _points(self, result: Result, labels: np.ndarray, header: Any) -> Any:
        reference = self._walk.calibration.reference
        assert reference is not None
        points = semantic_points(result, labels, reference, self._taxonomy)
        placed = self._bag.header(header.stamp, self._frame_id)
        field = self._bag.types["sensor_msgs/msg/PointField"]
        return self._bag.message(CLOUD, header=placed, **cloud_fields(points, field))

    def _camera_info(self, header: Any, width: int, height: int) -> Any:
        assert self._walk.calibration.reference
        camera = self._walk.calibration.reference.resized(width, height)
        roi = self._bag.message(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        )
        return self._bag.message(
            CAMERA_INFO, header=header, binning_x=0, binning_y=0, roi=roi, **info_fields(camera)
        )

    def _rows(self, result: Any) -> list[Any]:
        """One ModalityStatus a modality, as the node's `reports` makes them."""
        frame, rows = result.frame, []
        weights = result.segmentation.weights if result.segmentation is not None else {}
        for modality in Modality:
            received, measured = result.received.get(modality), frame.measurements.get(modality)
            stamp = received.stamp if received is not None else 0
            at = measured.stamp if measured is not None else stamp
            rows.append(
                self._bag.message(
                    MODALITY_STATUS,
                    modality=modality.label,
                    availability=int(frame.availability[modality]),
                    stamp=self._time(stamp),
                    age=(frame.stamp - at) * 1e-9 if stamp else math.nan,
                    rate=self._walk.rate(modality),
                    weight=float(weights.get(modality, 0.0)),
                    reason=frame.reasons.get(modality, ""),
                )
            )
        return rows

    def _write_status(
        self, header: Any, rows: list[Any], confidence: float, wait: float, log_time: int
    ) -> None:
        counters = self._walk.synchronizer.counters
        status = self._bag.message(
            STATUS,
            header=header,
            modalities=rows,
            mean_confidence=confidence,
            latency_wait=wait,
            latency_decode=0.0,
            latency_infer=0.0,
            latency_publish=0.0,
            latency_total=wait,
            frames_in=counters.opened,
            frames_published=self._published,
            frames_incomplete=self._incomplete,
            dropped_late=counters.late,
            dropped_busy=0,
        )
        self._send("status", status, log_time)

    def _send(self, output: str, message: Any, log_time: int) -> None:
        if output in self._wanted:
            self._bag.write(output, message, log_time)
            self.counts[output] += 1

    def _header(self, stamp: int) -> Any:
        return self._bag.header(self._time(stamp), self._frame_id)

    def _time(self, stamp: int) -> Any:
        seconds, nanoseconds = divmod(max(stamp, 0), 1_000_000_000)
        kind = "builtin_interfaces/msg/Time"
        return self._bag.message(kind, sec=seconds, nanosec=nanoseconds)


def _confidence(result: Result) -> float:
    if result.segmentation is None:
        return math.nan
    return float(result.segmentation.confidence.mean())

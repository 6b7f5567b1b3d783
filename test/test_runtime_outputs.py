"""The messages of a result: what is in them, in whose frame, and none made before it is wanted."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sensor_messages import STAMP, header

from any2seg_ros.messages import stamp_ns
from any2seg_ros.runtime.outputs import LATCHED, TOPICS, label_info, mask_header, outputs
from any2seg_ros.runtime.pipeline import Received, Result
from any2seg_ros.runtime.rendering import OutputConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Calibration, Camera, Frame, Measurement, Modality, Segmentation

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
SURE = np.full((24, 32), 0.75, np.float32)
SURE[:12] = 0.25
LABELS = np.full((24, 32), 6, np.uint8)
"""Half the size of the reference camera; the upper half is not sure."""


class Maker:
    """Makes messages of no program, and keeps the types that were asked for."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, kind: str, **fields: Any) -> SimpleNamespace:
        self.made.append(kind)
        return SimpleNamespace(**fields)


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def result() -> Result:
    cloud = np.array([[-1, -1, 10, 0], [1, 1, 10, 0], [0, 0, -5, 0]], np.float32)
    measurement = Measurement(Modality.LIDAR, STAMP, cloud)
    frame = Frame.of(measurement, calibration=Calibration(CAMERA, "reference"))
    anchor = Received(STAMP, 0, header(STAMP), None)
    found = Segmentation(LABELS, SURE, {Modality.LIDAR: 1.0})
    return Result(frame, {}, {Modality.LIDAR: anchor}, anchor, 0.0, found, 0.0)


def made(make: Maker, result: Result, name: str, **config: Any) -> SimpleNamespace:
    return outputs(make, result, OutputConfig(**config), DELIVER)[name]()


def pixels(message: SimpleNamespace) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)


def test_an_output_is_made_when_it_is_asked_for_and_no_other_is(make, result):
    functions = outputs(make, result, OutputConfig(), DELIVER)
    assert not {kind for name in functions for kind in make.made if kind == TOPICS[name]}
    functions["points"]()
    assert TOPICS["points"] in make.made
    assert TOPICS["mask"] not in make.made and TOPICS["camera_info"] not in make.made


def test_every_output_but_status_and_class_table_is_made_of_a_result(make, result):
    assert set(outputs(make, result, OutputConfig(), DELIVER)) == set(TOPICS) - {
        "status",
        "label_info",
    }
    assert set(LATCHED) <= set(TOPICS)


def test_a_mask_has_its_labels_and_255_where_they_are_less_sure_than_asked(make, result):
    mask = made(make, result, "mask", minimum_confidence=0.5)
    assert (mask.encoding, mask.width, mask.height, mask.step) == ("mono8", 32, 24, 32)
    assert (pixels(mask)[:12] == 255).all() and (pixels(mask)[12:] == 6).all()
    assert (pixels(made(make, result, "mask")) == 6).all()


def test_colors_are_those_of_the_classes_and_black_where_there_is_none(make, result):
    color = pixels(made(make, result, "color", minimum_confidence=0.5)).reshape(24, 32, 3)
    assert (color[12:] == DELIVER.palette[6]).all() and not color[:12].any()


def test_an_overlay_is_as_opaque_as_asked(make, result):
    shown = {m: np.full((3, 48, 64), 1.0, np.float32) for m in (Modality.LIDAR,)}
    seen = replace(result, images=shown)
    opaque = pixels(made(make, seen, "overlay", overlay_opacity=1.0)).reshape(24, 32, 3)
    clear = pixels(made(make, seen, "overlay", overlay_opacity=0.0))
    assert (opaque == DELIVER.palette[6]).all() and (clear == 255).all()


def test_confidence_is_bytes_or_floats(make, result):
    assert set(pixels(made(make, result, "confidence")).ravel().tolist()) == {64, 191}
    floats = made(make, result, "confidence", confidence_encoding="32FC1")
    assert (floats.encoding, floats.step) == ("32FC1", 4 * 32)
    assert np.array_equal(np.frombuffer(floats.data, np.float32).reshape(24, 32), SURE)


def test_camera_info_is_the_reference_camera_at_the_size_of_the_mask(make, result):
    info = made(make, result, "camera_info")
    assert (info.width, info.height, info.k[0]) == (32, 24, 25.0)
    assert info.header.frame_id == "reference"


def test_points_have_the_class_of_their_pixel_in_the_frame_of_the_reference_camera(make, result):
    points = made(make, result, "points", minimum_confidence=0.5)
    assert points.header.frame_id == "reference"
    assert points.width == 2  # what is behind the camera has no pixel
    names = [field.name for field in points.fields]
    at = points.fields[names.index("class_id")].offset
    rows = np.frombuffer(points.data, np.uint8).reshape(2, points.point_step)
    assert rows[:, at].tolist() == [255, 6]


@pytest.mark.parametrize(
    ("wanted", "reference", "expected"),
    [
        ("anchor", "reference", "somewhere"),
        ("reference", "reference", "reference"),
        ("reference", "", "somewhere"),  # nobody has told the reference camera's frame
    ],
)
def test_a_mask_is_in_the_frame_that_is_asked_for_at_the_time_of_its_anchor(
    make, result, wanted, reference, expected
):
    frame = replace(result.frame, calibration=Calibration(CAMERA, reference))
    own = mask_header(make, replace(result, frame=frame), OutputConfig(header_frame=wanted))
    assert (stamp_ns(own.stamp), own.frame_id) == (STAMP, expected)


def test_the_class_table_has_ids_in_order_and_the_threshold(make):
    table = label_info(make, DELIVER, header(STAMP), 0.25)
    assert [row.class_id for row in table.class_map] == list(range(len(DELIVER)))
    assert [row.class_name for row in table.class_map] == list(DELIVER.classes)
    assert table.threshold == 0.25 and type(table.threshold) is float

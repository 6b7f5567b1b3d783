"""The node over DDS in this process, on a vehicle whose sensors die and come back."""

from __future__ import annotations

import time
from array import array

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from message_filters import Subscriber, TimeSynchronizer  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import DescribeParameters, SetParameters  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from sensor_msgs_py.point_cloud2 import read_points  # noqa: E402

from any2seg_ros.messages import decode_cloud, stamp_ns  # noqa: E402
from any2seg_ros.taxonomy import DELIVER  # noqa: E402
from any2seg_ros.types import Availability, Modality  # noqa: E402

RGB, DEPTH, LIDAR, EVENT = Modality
ALL = set(Modality)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    model = ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))
    return ros_vehicle.arguments_of(model=model, silent_after=4 * ros_vehicle.PERIOD)


@pytest.fixture(scope="module")
def vehicle():
    with ros_vehicle.opened() as vehicle:
        yield vehicle


@pytest.fixture(scope="module")
def node(vehicle, arguments):
    with ros_vehicle.NodeInProcess(*arguments) as node:
        assert vehicle.wait(lambda: vehicle.heard["status"] or not node.lives, 90), node.log
        yield node


@pytest.fixture
def driving(vehicle, node):
    """All four sensors live and are used."""
    vehicle.spoil.clear()
    vehicle.alive = set(ALL)
    assert vehicle.wait(lambda: vehicle.uses(*ALL), 60), node.log
    vehicle.clear()
    assert vehicle.wait(lambda: len(vehicle.heard["mask"]) >= 2, 30)
    yield vehicle
    vehicle.spoil.clear()
    assert node.lives, node.log


def test_a_mask_is_mono8_without_padding_and_has_the_header_of_its_anchor(driving):
    mask = driving.heard["mask"][-1]
    assert (mask.encoding, mask.width, mask.height, mask.step) == ("mono8", 64, 48, 64)
    assert len(mask.data) == 64 * 48
    assert mask.header.frame_id == "rgb_camera_optical"
    assert stamp_ns(mask.header.stamp) in driving.sent[RGB]


def test_every_mask_has_a_status_that_names_what_was_used(driving):
    masks = list(driving.heard["mask"])
    assert driving.wait(lambda: len(driving.heard["status"]) >= len(masks))
    stamps = {stamp_ns(s.header.stamp): s for s in driving.heard["status"]}
    found = [stamps[stamp_ns(m.header.stamp)] for m in masks if stamp_ns(m.header.stamp) in stamps]
    assert found
    for status in found:
        rows = status.modalities
        assert [row.modality for row in rows] == ["rgb", "depth", "lidar", "event"]
        assert sum(row.weight for row in rows) == pytest.approx(1.0, abs=1e-5)
        for row in rows:
            usable = Availability(row.availability).usable
            assert usable == (row.weight > 0) and usable == (not row.reason)


def test_confidence_color_overlay_and_camera_info_come_beside_the_mask(driving):
    heard = driving.heard
    assert driving.wait(lambda: all(heard[n] for n in ("confidence", "color", "overlay")))
    assert heard["confidence"][-1].encoding == "mono8"
    for name in ("color", "overlay"):
        picture = heard[name][-1]
        assert (picture.encoding, picture.step, picture.height) == ("rgb8", 3 * 64, 48)
    info = heard["camera_info"][-1]
    assert (info.width, info.height, info.k[0]) == (64, 48, 50.0)


def test_points_have_the_class_of_the_pixel_that_they_fall_on(driving):
    assert driving.wait(lambda: driving.heard["points"])
    cloud = driving.heard["points"][-1]
    names = [field.name for field in cloud.fields]
    assert names == ["x", "y", "z", "rgb", "class_id", "confidence"]
    assert cloud.header.frame_id == "rgb_camera_optical"
    assert len(decode_cloud(cloud)) == cloud.width > 0


def test_nav2_s_layer_gets_mask_confidence_and_a_point_for_each_pixel_of_one_stamp(driving):
    """What semantic_segmentation_layer takes: exact stamps, and one index for all three."""
    kind = ParameterType.PARAMETER_BOOL
    together = []
    topics = {"mask": Image, "confidence": Image, "points": PointCloud2}
    filters = [
        Subscriber(driving.node, type_, f"/segmenter/{name}", qos_profile=qos_profile_sensor_data)
        for name, type_ in topics.items()
    ]
    TimeSynchronizer(filters, 10).registerCallback(lambda *three: together.append(three))
    assert _set(driving, "organized_points", type=kind, bool_value=True).successful
    try:
        assert driving.wait(lambda: any(len(p.data) > p.width * 24 for *_, p in together), 30)
    finally:
        assert _set(driving, "organized_points", type=kind, bool_value=False).successful
        for one in filters:
            driving.node.destroy_subscription(one.sub)
    mask, confidence, points = together[-1]
    assert mask.header.stamp == confidence.header.stamp == points.header.stamp
    assert (points.height, points.width) == (mask.height, mask.width)
    assert mask.encoding == confidence.encoding == "mono8"
    assert len(mask.data) == len(confidence.data) == points.width * points.height
    found = read_points(points, ("x", "y", "z", "class_id"))
    near = np.isfinite(found["z"].ravel())
    assert near.any() and found["z"].ravel()[near].min() > 0
    assert np.array_equal(found["class_id"].ravel(), np.array(mask.data))
    named = {row.class_id for row in driving.label_info().class_map}
    assert set(mask.data) - {255} <= named and points.header.frame_id == "rgb_camera_optical"


def test_classes_are_told_to_those_who_come_late(driving):
    info = driving.label_info()
    assert [row.class_name for row in info.class_map] == list(DELIVER.classes)
    assert [row.class_id for row in info.class_map] == list(range(25))


def test_frames_go_on_when_the_camera_dies_and_it_is_used_again_when_it_is_back(driving):
    driving.alive = ALL - {RGB}
    assert driving.wait(lambda: driving.uses(DEPTH, LIDAR, EVENT), 30)
    driving.clear()
    assert driving.wait(lambda: len(driving.heard["mask"]) >= 3, 30)
    mask = driving.heard["mask"][-1]
    assert mask.header.frame_id == "depth_camera_optical"
    assert stamp_ns(mask.header.stamp) in driving.sent[DEPTH]
    driving.alive = set(ALL)
    assert driving.wait(lambda: driving.uses(*ALL), 30)


@pytest.mark.parametrize("alone", [EVENT, LIDAR])
def test_one_sensor_alone_is_segmented(driving, alone):
    driving.alive = {alone}
    assert driving.wait(lambda: driving.uses(alone), 30)
    driving.clear()
    assert driving.wait(lambda: driving.heard["mask"], 30)
    assert driving.heard["mask"][-1].header.frame_id == ros_vehicle.FRAMES[alone]


def test_with_nothing_alive_there_is_no_mask_and_the_status_says_so(driving, node):
    driving.alive = set()

    def said():
        statuses = driving.heard["status"]
        # Ten in a row: the last frame has left the network.
        return len(statuses) > 10 and all(
            row.availability == Availability.MISSING and row.reason == "silent"
            for status in statuses[-10:]
            for row in status.modalities
        )

    assert driving.wait(said, 30)
    driving.clear()
    assert driving.wait(lambda: len(driving.heard["status"]) >= 4, 30)
    assert not driving.heard["mask"]
    assert node.lives

    def blind():
        return any(
            row.level == b"\x02" and row.name.endswith("segmentation")
            for message in list(driving.diagnostics)
            for row in message.status
        )

    assert driving.wait(blind, 30)


def _cut(message):
    message.data = message.data[: len(message.data) // 2]


def _wrong_format(message):
    message.data = array("B", b"no picture at all")


def _empty(message):
    message.width = message.row_step = 0
    message.data = array("B")


def _not_finite(message):
    bad = np.full((500, 4), np.nan, "<f4")
    message.data = ros_vehicle.bytes_of(bad.tobytes())


def _no_events(message):
    message.events = array("B")


def _unknown_encoding(message):
    message.encoding = "morse"


def _stamp_of_zero(message):
    message.header.stamp.sec = message.header.stamp.nanosec = 0


def _from_the_future(message):
    message.header.stamp.sec += 100


def _other_size(message):
    message.width, message.height = 32, 32


@pytest.mark.parametrize(
    ("modality", "spoil", "reason"),
    [
        (RGB, _wrong_format, ""),
        (DEPTH, _cut, ""),
        (LIDAR, _cut, "truncated"),
        (LIDAR, _empty, "cloud"),
        (LIDAR, _not_finite, "cloud"),
        (EVENT, _no_events, "no events"),
        (EVENT, _unknown_encoding, "encoding"),
        (EVENT, _other_size, ""),
        (RGB, _stamp_of_zero, "stamp is zero"),
        (LIDAR, _from_the_future, "future"),
    ],
)
def test_a_spoilt_measurement_is_invalid_with_a_reason_and_the_others_go_on(
    driving, modality, spoil, reason
):
    driving.spoil[modality] = spoil
    assert driving.wait(lambda: driving.uses(*(ALL - {modality})), 30)
    assert driving.wait(lambda: driving.says(modality, Availability.INVALID, reason), 30), [
        (row.availability, row.reason)
        for row in (status.modalities[modality] for status in driving.heard["status"][-5:])
    ]
    driving.spoil.clear()
    assert driving.wait(lambda: driving.uses(*ALL), 30)


def test_the_log_says_which_sensor_is_lost_and_that_it_is_back(driving, node):
    driving.alive = ALL - {RGB}
    assert driving.wait(lambda: "rgb is lost: silent" in node.log, 30)
    driving.alive = set(ALL)
    assert driving.wait(lambda: "rgb is used again" in node.log, 30)


def test_the_log_complains_of_a_sensor_once_a_second_at_most(driving, node):
    def complaints():
        return node.log.count("rgb: ")

    before = complaints()
    driving.spoil[RGB] = _wrong_format
    assert driving.wait(lambda: complaints() > before, 60)
    before, sent = complaints(), len(driving.sent[RGB])
    began = time.monotonic()
    assert driving.wait(lambda: len(driving.sent[RGB]) >= sent + 8, 30)
    assert complaints() - before <= time.monotonic() - began + 1


def _set(vehicle, name, **value):
    request = SetParameters.Request(
        parameters=[Parameter(name=name, value=ParameterValue(**value))]
    )
    answer = vehicle.ask("/segmenter/set_parameters", SetParameters, request)
    return answer.results[0]


def test_a_sensor_is_taken_out_and_let_in_by_hand(driving):
    kind = ParameterType.PARAMETER_BOOL
    assert _set(driving, "rgb.enabled", type=kind, bool_value=False).successful
    try:
        assert driving.wait(
            lambda: (
                driving.uses(DEPTH, LIDAR, EVENT)
                and driving.row(RGB).availability == Availability.DISABLED
            ),
            30,
        )
    finally:
        assert _set(driving, "rgb.enabled", type=kind, bool_value=True).successful
    assert driving.wait(lambda: driving.uses(*ALL), 30)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("model", {"type": ParameterType.PARAMETER_STRING, "string_value": "x"}, "runs"),
        ("confidence_encoding", {"type": ParameterType.PARAMETER_STRING, "string_value": "x"},
         "32FC1"),
        ("minimum_confidence", {"type": ParameterType.PARAMETER_DOUBLE, "double_value": 7.0}, ""),
        ("maximum_rate", {"type": ParameterType.PARAMETER_DOUBLE, "double_value": 1e-300}, "0.001"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_refused_with_a_reason(driving, name, value, reason):
    answer = _set(driving, name, **value)
    assert not answer.successful
    assert reason in answer.reason and answer.reason


def test_outputs_change_with_their_parameters(driving):
    kind = ParameterType.PARAMETER_STRING
    assert _set(driving, "confidence_encoding", type=kind, string_value="32FC1").successful
    assert driving.wait(lambda: driving.heard["confidence"][-1].encoding == "32FC1", 30)
    assert _set(driving, "confidence_encoding", type=kind, string_value="mono8").successful
    kind = ParameterType.PARAMETER_DOUBLE
    assert _set(driving, "minimum_confidence", type=kind, double_value=0.25).successful
    assert driving.label_info().threshold == 0.25
    assert _set(driving, "minimum_confidence", type=kind, double_value=0.0).successful


def test_what_became_of_every_frame_is_counted(driving):
    status = driving.heard["status"][-1]
    ended = (
        status.frames_published, status.frames_unusable, status.frames_failed,
        status.frames_reset, status.dropped_busy,
    )  # fmt: skip
    assert status.frames_published > 0
    assert 0 <= status.frames_in - sum(ended) <= 4  # those are under way


def test_between_frames_that_are_far_apart_sensors_are_what_they_were(driving):
    kind = ParameterType.PARAMETER_DOUBLE
    assert _set(driving, "maximum_rate", type=kind, double_value=1.0).successful
    try:
        driving.clear()
        assert driving.wait(lambda: len(driving.heard["mask"]) >= 2, 30)
        driving.clear()
        assert driving.wait(lambda: len(driving.heard["status"]) >= 8, 30)
        for status in list(driving.heard["status"]):
            rows = [(Availability(r.availability), r.weight > 0) for r in status.modalities]
            assert rows == [(Availability.OK, True)] * 4
    finally:
        assert _set(driving, "maximum_rate", type=kind, double_value=0.0).successful


def test_parameters_have_descriptions_and_ranges(driving):
    request = DescribeParameters.Request(names=["deadline", "rgb.window", "dead_after"])
    answer = driving.ask("/segmenter/describe_parameters", DescribeParameters, request)
    deadline, window, dead_after = answer.descriptors
    assert deadline.description and deadline.floating_point_range[0].to_value == 10.0
    assert window.floating_point_range[0].from_value == 0.0
    assert dead_after.integer_range[0].from_value == 1


def _change(vehicle, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return vehicle.ask("/segmenter/change_state", ChangeState, request, 60).success


def test_deactivating_stops_masks_and_the_way_back_starts_them_again(driving):
    assert _change(driving, Transition.TRANSITION_DEACTIVATE)
    state = driving.ask("/segmenter/get_state", GetState, GetState.Request())
    assert state.current_state.label == "inactive"
    driving.clear()
    assert not driving.wait(lambda: driving.heard["mask"], 4 * ros_vehicle.PERIOD)
    assert driving.node.count_subscribers("/lidar/points") == 0
    assert _change(driving, Transition.TRANSITION_CLEANUP)
    assert _change(driving, Transition.TRANSITION_CONFIGURE)
    driving.clear()
    assert _change(driving, Transition.TRANSITION_ACTIVATE)
    assert driving.wait(lambda: driving.uses(*ALL), 30)

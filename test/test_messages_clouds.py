"""Clouds packed by hand with struct, decoded."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.messages import (
    cloud_fields,
    clouds,
    decode_cloud,
    decode_sweep,
    kinds,
    labelled_cloud,
    labelled_points,
    view_cloud,
)
from any2seg_ros.preprocessing.intensity import IntensityScale
from any2seg_ros.types import InvalidMeasurement

# PointField.datatype and struct's letter
LETTERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d", 9: "q", 10: "Q"}


def field(name, offset, datatype, count=1):
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)


def cloud(points, fields, point_step, width=None, height=1, row_pad=b"", big=False):
    """`points` are dicts of values by field name."""
    width = len(points) // height if width is None else width
    order = ">" if big else "<"
    data = b""
    for row in range(height):
        for point in points[row * width : (row + 1) * width]:
            body = bytearray(b"\xa5" * point_step)
            for f in fields:
                struct.pack_into(order + LETTERS[f.datatype], body, f.offset, point[f.name])
            data += bytes(body)
        data += row_pad
    return SimpleNamespace(
        height=height,
        width=width,
        fields=fields,
        is_bigendian=big,
        point_step=point_step,
        row_step=point_step * width + len(row_pad),
        data=array("B", data),
    )


XYZ = [field("x", 0, 7), field("y", 4, 7), field("z", 8, 7)]
POINTS = [{"x": 1.0 * i, "y": -2.0 * i, "z": 0.5 * i} for i in range(1, 7)]
EXPECTED = np.array([[p["x"], p["y"], p["z"]] for p in POINTS], np.float32)


def test_a_cloud_without_intensity_has_an_intensity_of_zero():
    points = decode_cloud(cloud(POINTS, XYZ, 12))
    np.testing.assert_array_equal(points[:, :3], EXPECTED)
    assert not points[:, 3].any()
    assert points.dtype == np.float32


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("height", [1, 2, 3])
@pytest.mark.parametrize("datatype", [7, 8])
def test_field_order_padding_organisation_and_byte_order_make_no_difference(big, height, datatype):
    fields = [
        field("ring", 1, 4),
        field("z", 8, datatype),
        field("x", 17, datatype),
        field("time", 26, 6),
        field("y", 33, datatype),
    ]
    full = [dict(p, ring=i, time=i * 1000) for i, p in enumerate(POINTS)]
    msg = cloud(full, fields, 45, height=height, row_pad=b"end", big=big)
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)


@pytest.mark.parametrize(
    ("datatype", "given_values", "expected"),
    [
        (2, [0, 51, 255], [0.0, 0.2, 1.0]),
        (4, [0, 13107, 65535], [0.0, 0.2, 1.0]),
        (7, [0.0, 0.25, 1.0], [0.0, 0.25, 1.0]),
        (7, [0.0, 51.0, 255.0], [0.0, 0.2, 1.0]),
        (7, [-3.0, 51.0, 3000.0], [0.0, 0.2, 1.0]),
        (7, [float("nan"), 51.0, 255.0], [0.0, 0.2, 1.0]),
        (7, [float("nan"), 0.2, float("inf")], [0.0, 0.2, 0.0]),
        (8, [0.0, 51.0, 255.0], [0.0, 0.2, 1.0]),
        (5, [0, 51, 255], [0.0, 0.2, 1.0]),
    ],
)
def test_intensity_is_scaled_by_its_type_and_range(datatype, given_values, expected):
    fields = [*XYZ, field("intensity", 12, datatype)]
    full = [dict(p, intensity=v) for p, v in zip(POINTS, given_values, strict=False)]
    points = decode_cloud(cloud(full, fields, 24))
    np.testing.assert_allclose(points[:, 3], expected, atol=1e-6)


@pytest.mark.parametrize("datatype", [9, 10])
def test_whole_numbers_of_64_bits_are_read(datatype):
    fields = [*XYZ, field("timestamp", 12, datatype)]
    stamp = 1_700_000_000_000_000_000
    full = [dict(p, timestamp=stamp + i * 10_000_000) for i, p in enumerate(POINTS)]
    sweep = decode_sweep(cloud(full, fields, 20), None, "auto", stamp)
    np.testing.assert_array_equal(sweep.points[:, :3], EXPECTED)
    np.testing.assert_allclose(sweep.times, np.arange(6) * 0.01, atol=1e-6)


@pytest.mark.parametrize("name", ["intensity", "timestamp", "label"])
def test_a_field_of_an_unknown_type_costs_nothing_but_itself(name):
    msg = cloud(POINTS, XYZ, 20)
    msg.fields = [*XYZ, field(name, 12, 77)]
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)
    assert decode_sweep(msg, None, "auto", 1).times is None
    assert view_cloud(msg).dtype.names == ("x", "y", "z")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("axis", "xyz")
def test_points_without_finite_coordinates_are_dropped(axis, bad):
    full = [dict(p) for p in POINTS]
    full[2][axis] = bad
    points = decode_cloud(cloud(full, XYZ, 12))
    np.testing.assert_array_equal(points[:, :3], np.delete(EXPECTED, 2, axis=0))


def test_infinities_that_cancel_are_dropped_too():
    full = [dict(p) for p in POINTS]
    full[1].update(x=float("inf"), y=float("-inf"))
    assert len(decode_cloud(cloud(full, XYZ, 12))) == 5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 0}, "cloud is empty"),
        ({"height": 0}, "cloud is empty"),
        ({"height": 2}, "truncated"),
        ({"data": b""}, "truncated"),
        ({"width": 10**6, "height": 10**6}, "absurd size"),
        ({"point_step": 0}, "too short"),
        ({"width": 3, "height": 2, "row_step": 8, "data": bytes(80)}, "too short"),
        ({"fields": XYZ[:2]}, "lacks"),
        ({"fields": []}, "lacks"),
        ({"fields": [*XYZ[:2], field("z", 10, 7)]}, "outside its point"),
        ({"fields": [*XYZ[:2], field("z", 8, 77)]}, "unknown type"),
        ({"fields": [field("X", 0, 7), *XYZ[1:]]}, "fields x, y and z: it has X, y, z"),
        ({"fields": [field("x", 0, 1, 4), *XYZ[1:]]}, "several elements"),
    ],
)
def test_a_cloud_that_does_not_fit_its_own_fields_is_unusable(change, reason):
    msg = cloud(POINTS, XYZ, 12)
    vars(msg).update(change)
    with pytest.raises(InvalidMeasurement, match=reason):
        decode_cloud(msg)


def test_a_cloud_of_nan_alone_is_unusable():
    nowhere = [dict.fromkeys("xyz", float("nan"))] * 4
    with pytest.raises(InvalidMeasurement, match="no point with finite coordinates"):
        decode_cloud(cloud(nowhere, XYZ, 12))


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(["x", "y", "z", "intensity", "ring"]),
    gaps=st.lists(st.integers(0, 5), min_size=5, max_size=5),
    datatypes=st.lists(st.sampled_from([7, 8]), min_size=5, max_size=5),
    big=st.booleans(),
    height=st.sampled_from([1, 2]),
    pad=st.binary(max_size=3),
)
def test_views_agree_with_sensor_msgs_py(order, gaps, datatypes, big, height, pad):
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2")
    msgs = pytest.importorskip("sensor_msgs.msg")
    fields, offset = [], 0
    for name, gap, datatype in zip(order, gaps, datatypes, strict=True):
        fields.append(msgs.PointField(name=name, offset=offset + gap, datatype=datatype, count=1))
        offset += gap + (4 if datatype == 7 else 8)
    full = [dict(p, intensity=0.1 * i, ring=i) for i, p in enumerate(POINTS)]
    ours = cloud(full, fields, offset + 2, height=height, row_pad=pad, big=big)
    if pad:
        # read_points wants rows without padding.
        ours.data = array("B", view_cloud(ours).tobytes())
        ours.row_step = ours.point_step * ours.width
    msg = msgs.PointCloud2(**vars(ours))
    names = ["x", "y", "z", "intensity"]
    theirs = point_cloud2.read_points(msg, field_names=names)
    mine = view_cloud(msg, tuple(names)).reshape(-1)
    for name in names:
        np.testing.assert_array_equal(mine[name], np.asarray(theirs[name]).reshape(-1))


def test_labelled_points_come_back_and_their_colours_lie_as_rviz_wants_them():
    xyz = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    rgb = np.array([[255, 1, 2], [3, 4, 5]], np.uint8)
    points = labelled_points(xyz, rgb, np.array([7, 24]), np.array([0.5, 1.0]))
    msg = SimpleNamespace(**cloud_fields(points, lambda **k: SimpleNamespace(**k)))
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], xyz)
    data = bytes(msg.data)
    assert data[12:16] == bytes([2, 1, 255, 0])
    assert struct.unpack_from("<H", data, 16) == (7,)
    assert struct.unpack_from("<f", data, 20) == (0.5,)
    assert [f.name for f in msg.fields] == ["x", "y", "z", "rgb", "class_id", "confidence"]


def test_cloud_fields_fill_a_message_of_rclpy():
    msgs = pytest.importorskip("sensor_msgs.msg")
    points = labelled_points(
        np.ones((3, 3), np.float32), np.zeros((3, 3), np.uint8), np.zeros(3), np.ones(3)
    )
    msg = msgs.PointCloud2(**cloud_fields(points, msgs.PointField))
    assert len(decode_cloud(msg)) == 3


@pytest.mark.parametrize("row_step", [0, 6, 72, 7])
@pytest.mark.parametrize("height", [1, 2])
def test_rows_that_follow_each_other_need_no_row_step(row_step, height):
    msg = cloud(POINTS, XYZ, 12, height=height)
    msg.row_step = row_step
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)


def test_a_row_step_is_believed_where_there_is_padding():
    msg = cloud(POINTS, XYZ, 12, height=3, row_pad=b"padding!")
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)
    msg.row_step = 0
    with pytest.raises(InvalidMeasurement, match="too short"):
        decode_cloud(msg)


@pytest.mark.parametrize("height", [1, 2])
def test_points_at_the_sensor_itself_are_none(height):
    full = [dict(p) for p in POINTS]
    full[4] = dict.fromkeys("xyz", 0.0)
    full[2] = {"x": 0.0, "y": -0.0, "z": 0.0}
    full[1] = {"x": 2.0, "y": -2.0, "z": 0.0}
    points = decode_cloud(cloud(full, XYZ, 12, height=height))
    kept = np.delete([[p["x"], p["y"], p["z"]] for p in full], [2, 4], axis=0)
    np.testing.assert_array_equal(points[:, :3], kept)


def test_a_cloud_without_a_return_is_unusable():
    with pytest.raises(InvalidMeasurement, match=r"all are \(0, 0, 0\)"):
        decode_cloud(cloud([dict.fromkeys("xyz", 0.0)] * 4, XYZ, 12))


def test_reflectivity_is_preferred_and_its_scale_is_that_of_the_clouds_before():
    fields = [*XYZ, field("intensity", 12, 7), field("reflectivity", 16, 4)]
    scale = IntensityScale()
    for level in [200] * 9 + [1]:
        full = [dict(p, intensity=9e4, reflectivity=level + i) for i, p in enumerate(POINTS)]
        points = decode_cloud(cloud(full, fields, 18), scale)
    np.testing.assert_allclose(points[:, 3], (1 + np.arange(6)) / 255, rtol=1e-6)


def random_fields(order, gaps, datatypes, counts):
    fields, offset = [], 0
    for name, gap, datatype, count in zip(order, gaps, datatypes, counts, strict=True):
        fields.append(clouds._Field(name, offset + gap, datatype, count))
        offset += gap + count * struct.calcsize("=" + LETTERS[datatype])
    return fields, offset + 3


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(["x", "y", "z", "normals"]),
    gaps=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    datatypes=st.lists(st.sampled_from(range(1, 9)), min_size=4, max_size=4),
    counts=st.lists(st.integers(1, 3), min_size=4, max_size=4),
)
def test_without_a_ros_points_are_made_of_the_same(order, gaps, datatypes, counts):
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2")
    fields, step = random_fields(order, gaps, datatypes, counts)
    theirs = point_cloud2.dtype_from_fields(fields, step)
    assert clouds._own_dtype_from_fields(fields, step) == theirs


@pytest.fixture(params=["with sensor_msgs_py", "without a ROS"])
def library(request, monkeypatch):
    """sensor_msgs_py's point_cloud2; None where it is taken away."""
    if request.param == "without a ROS":
        monkeypatch.setattr(clouds, "_library", lambda: None)
        return None
    return pytest.importorskip("sensor_msgs_py.point_cloud2")


def test_fields_of_several_elements_are_numbered(library):
    fields = [*XYZ, field("normal", 12, 7, 3)]
    msg = cloud(POINTS, XYZ, 24)
    msg.fields = fields
    assert view_cloud(msg).dtype.names == ("x", "y", "z", "normal_0", "normal_1", "normal_2")
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)


def test_a_field_that_says_it_has_no_element_has_one(library):
    msg = cloud(POINTS, [field(f.name, f.offset, f.datatype, 0) for f in XYZ], 12)
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)


def test_two_fields_of_one_name_are_refused(library):
    with pytest.raises(InvalidMeasurement, match="two fields of one name"):
        decode_cloud(cloud(POINTS, [*XYZ, field("x", 0, 7)], 12))


def test_a_count_beyond_all_bounds_costs_nothing(library):
    msg = cloud(POINTS, [*XYZ[:2], field("z", 8, 7, 4_000_000_000)], 12)
    with pytest.raises(InvalidMeasurement, match="outside its point"):
        decode_cloud(msg)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([field("intensity", 12, 2, 100_000)], "100003 elements"),
        ([field("other", 0, 2)] * 100_000, "100003 fields"),
    ],
)
def test_fields_of_which_there_are_too_many_are_refused(library, fields, words):
    msg = cloud(POINTS, XYZ, 12)
    vars(msg).update(fields=[*XYZ, *fields], point_step=200_000, width=1, data=bytes(200_000))
    with pytest.raises(InvalidMeasurement, match=words):
        decode_cloud(msg)


def test_big_endian_data_are_read_again_and_again(library):
    msg = cloud(POINTS, XYZ, 12, big=True)
    for _ in range(2):
        np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)


@pytest.mark.parametrize("count", [0, 3])
def test_labelled_points_become_a_message_of_rclpy(library, count):
    msgs = pytest.importorskip("sensor_msgs.msg")
    std_msgs = pytest.importorskip("std_msgs.msg")
    xyz = np.arange(3.0 * count, dtype=np.float32).reshape(-1, 3) + 1
    colors = np.full((count, 3), 7, np.uint8)
    points = labelled_points(xyz, colors, np.arange(count), np.ones(count))
    header = std_msgs.Header(frame_id="camera")
    msg = labelled_cloud(kinds.ros_message, header, points)
    wanted = msgs.PointCloud2(header=header, **cloud_fields(points, msgs.PointField))
    assert isinstance(msg.data, array) and msg == wanted


def test_labelled_points_become_a_message_of_a_bag():
    rosbags = pytest.importorskip("rosbags.typesys")
    types = rosbags.get_typestore(rosbags.Stores.ROS2_JAZZY).types

    def make(kind, **fields):
        return types[kind](**fields)

    header = make(kinds.HEADER, stamp=make(kinds.TIME, sec=1, nanosec=2), frame_id="camera")
    points = labelled_points(EXPECTED, np.zeros((6, 3), np.uint8), np.zeros(6), np.ones(6))
    msg = labelled_cloud(make, header, points)
    assert type(msg) is types[kinds.CLOUD] and msg.header is header
    np.testing.assert_array_equal(decode_cloud(msg)[:, :3], EXPECTED)

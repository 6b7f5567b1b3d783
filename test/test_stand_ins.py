"""Contracts of the ROS packages that may be stand-ins; the real ones pass the same tests.

Each docstring names the upstream behaviour that is held to.
"""

from __future__ import annotations

import os
import struct
import time
from array import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

import diagnostic_updater  # noqa: E402
import message_filters  # noqa: E402
import tf2_ros  # noqa: E402
from builtin_interfaces.msg import Time as TimeMsg  # noqa: E402
from cv_bridge import CvBridge, CvBridgeError  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.clock import ClockType  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from rclpy.time import Time  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField  # noqa: E402
from sensor_msgs_py import point_cloud2  # noqa: E402
from std_msgs.msg import Header  # noqa: E402


@pytest.fixture(scope="module")
def node():
    """A node in a domain of its own."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ.get("ROS_DOMAIN_ID", os.getpid() % 90)))
    made = rclpy.create_node("contracts", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture(scope="module")
def executor(node):
    """Spins the node."""
    made = rclpy.executors.SingleThreadedExecutor(context=node.context)
    made.add_node(node)
    yield made
    made.shutdown()


def spin_until(executor, done, seconds=10.0):
    """Spin until `done()`, at most some seconds."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    return done()


def stamped(seconds: float) -> Image:
    return Image(header=Header(stamp=Time(nanoseconds=round(seconds * 1e9)).to_msg()))


# message_filters


def test_a_filter_hands_each_message_to_its_callbacks_with_their_own_arguments():
    """SimpleFilter: callbacks are called in order of registration, as cb(*msg, *args)."""
    source, heard = message_filters.SimpleFilter(), []
    source.registerCallback(lambda *words: heard.append(words))
    source.registerCallback(lambda *words: heard.append(words), "own", 2)
    source.signalMessage("a", "b")
    assert heard == [("a", "b"), ("a", "b", "own", 2)]


def test_a_subscriber_passes_on_what_its_topic_brings(node, executor):
    """Subscriber(node, Type, topic, qos_profile=...): a subscription that is a SimpleFilter."""
    subscriber = message_filters.Subscriber(
        node, Header, "contract/filter", qos_profile=qos_profile_sensor_data
    )
    heard = []
    subscriber.registerCallback(heard.append)
    publisher = node.create_publisher(Header, "contract/filter", qos_profile_sensor_data)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    publisher.publish(Header(frame_id="here"))
    assert spin_until(executor, lambda: heard)
    assert heard[0].frame_id == "here" and subscriber.getTopic() == "contract/filter"


class EverySecond(message_filters.SimpleFilter):
    """A filter of one's own: passes on every second message of another."""

    def __init__(self, source=None):
        super().__init__()
        self._count = 0
        if source is not None:
            source.registerCallback(self.add)

    def add(self, msg):
        self._count += 1
        if self._count % 2 == 0:
            self.signalMessage(msg)


def moment(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9), clock_type=ClockType.ROS_TIME)


def test_a_callback_may_end_the_chain_of_filters_or_be_a_filter_itself():
    """SimpleFilter: subclasses call SimpleFilter.__init__, take messages and signal some."""
    source, heard = message_filters.SimpleFilter(), []
    EverySecond(EverySecond(source)).registerCallback(heard.append)
    for number in range(1, 9):
        source.signalMessage(number)
    assert heard == [4, 8]


def test_an_exception_of_a_callback_reaches_whoever_signalled():
    """SimpleFilter.signalMessage: nothing is caught, and callbacks behind are not called."""
    source, heard = message_filters.SimpleFilter(), []
    source.registerCallback(lambda msg: 1 / 0)
    source.registerCallback(heard.append)
    with pytest.raises(ZeroDivisionError):
        source.signalMessage("a")
    assert heard == []


def test_a_cache_passes_messages_on_and_keeps_the_last_of_them():
    """Cache(filter, cache_size): a filter; the message that came first makes room."""
    source, heard = message_filters.SimpleFilter(), []
    cache = message_filters.Cache(source, cache_size=3)
    cache.registerCallback(heard.append)
    assert cache.getOldestTime() is None and cache.getElemAfterTime(moment(0)) is None
    messages = [stamped(seconds) for seconds in (1, 2, 3, 4)]
    for msg in messages:
        source.signalMessage(msg)
    assert heard == messages
    assert cache.getOldestTime() == moment(2)
    assert cache.getInterval(moment(0), moment(9)) == messages[1:]


def test_a_cache_finds_messages_by_their_stamps():
    """Cache: getInterval, getElemBeforeTime and getElemAfterTime include the stamp itself."""
    source = message_filters.SimpleFilter()
    cache = message_filters.Cache(source, cache_size=10)
    messages = [stamped(seconds) for seconds in (1, 2, 3)]
    for msg in messages:
        source.signalMessage(msg)
    assert cache.getInterval(moment(1), moment(2)) == messages[:2]
    assert cache.getElemAfterTime(moment(2)) is messages[1]
    assert cache.getElemAfterTime(moment(2.5)) is messages[2]
    assert cache.getElemBeforeTime(moment(2)) is messages[1]
    assert cache.getElemBeforeTime(moment(0.5)) is None


def test_a_cache_takes_what_has_no_header_only_if_that_is_allowed():
    """Cache(allow_headerless): otherwise such a message is neither kept nor passed on."""
    source, strict, lax = message_filters.SimpleFilter(), [], []
    message_filters.Cache(source).registerCallback(strict.append)
    message_filters.Cache(source, allow_headerless=True).registerCallback(lax.append)
    source.signalMessage("a frame")
    assert strict == [] and lax == ["a frame"]


def test_a_cache_and_a_filter_of_one_s_own_stand_between_a_topic_and_a_synchronizer(node, executor):
    """Subscriber -> Cache -> filter -> ApproximateTimeSynchronizer: each connects to the former."""
    subscriber = message_filters.Subscriber(node, Image, "contract/chain", qos_profile=10)
    cache = message_filters.Cache(subscriber, cache_size=5)
    other, pairs = message_filters.SimpleFilter(), []
    both = message_filters.ApproximateTimeSynchronizer(
        [EverySecond(cache), other], queue_size=5, slop=0.1
    )
    both.registerCallback(lambda left, right: pairs.append((left, right)))
    publisher = node.create_publisher(Image, "contract/chain", 10)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    for seconds in (1, 2):
        publisher.publish(stamped(seconds))
    assert spin_until(executor, lambda: len(cache.getInterval(moment(0), moment(9))) == 2)
    for seconds in (1, 2):
        other.signalMessage(stamped(seconds))
    assert [left.header.stamp.sec for left, _ in pairs] == [2]


@pytest.mark.skipif(not hasattr(message_filters, "Chain"), reason="this distribution has no Chain")
def test_a_chain_is_filters_one_behind_the_other():
    """Chain: add(message) goes to the first filter, the last one's output is the chain's."""
    chain, heard = message_filters.Chain(), []
    chain.registerCallback(heard.append)
    chain.add(1)
    chain.addFilter(EverySecond())
    chain.addFilter(EverySecond())
    for number in range(1, 9):
        chain.add(number)
    assert heard == [1, 4, 8]
    assert isinstance(chain.getFilter(1), EverySecond)
    with pytest.raises(KeyError):
        chain.getFilter(2)


def synchronized(slop):
    inputs = [message_filters.SimpleFilter() for _ in range(2)]
    both = message_filters.ApproximateTimeSynchronizer(inputs, queue_size=3, slop=slop)
    sets = []
    both.registerCallback(lambda *messages: sets.append(messages))
    return inputs, sets


def test_approximate_synchronizer_joins_what_is_near_in_time():
    """ApproximateTimeSynchronizer: one message of each input, stamps less than slop s apart."""
    (left, right), sets = synchronized(0.05)
    first, second = stamped(1.0), stamped(1.02)
    left.signalMessage(first)
    right.signalMessage(second)
    assert sets == [(first, second)]
    left.signalMessage(stamped(2.0))
    right.signalMessage(stamped(2.2))
    assert len(sets) == 1


def test_approximate_synchronizer_is_silent_when_one_input_is():
    """ApproximateTimeSynchronizer: no callback while an input has nothing."""
    (left, _), sets = synchronized(10.0)
    for tick in range(10):
        left.signalMessage(stamped(tick))
    assert sets == []


# sensor_msgs_py.point_cloud2

NUMBERS = {
    PointField.INT8: "b",
    PointField.UINT8: "B",
    PointField.INT16: "h",
    PointField.UINT16: "H",
    PointField.INT32: "i",
    PointField.UINT32: "I",
    PointField.FLOAT32: "f",
    PointField.FLOAT64: "d",
}


def packed_cloud(points, datatypes, big=False, padding=0, height=1):
    """A cloud packed by hand: each field in a slot of 8 bytes, then `padding` bytes a point."""
    order, step = ">" if big else "<", 8 * len(datatypes) + padding
    data = bytearray()
    for point in points:
        for value, datatype in zip(point, datatypes, strict=True):
            data += struct.pack(order + NUMBERS[datatype], value).ljust(8, b"\xee")
        data += b"\xee" * padding
    cloud = PointCloud2(height=height, width=len(points) // height, is_bigendian=big)
    cloud.fields = [
        PointField(name=f"f{place}", offset=8 * place, datatype=datatype, count=1)
        for place, datatype in enumerate(datatypes)
    ]
    cloud.point_step, cloud.row_step = step, step * cloud.width
    cloud.data = array("B", bytes(data))
    return cloud


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 3])
def test_points_of_every_field_type_are_read(big, padding):
    """read_points: a structured array of all fields, whatever byte order and padding."""
    rows = [(-1, 2, -3, 4, -5, 6, 7.5, -8.25), (9, 10, 11, 12, 13, 14, 15.5, 16.25)]
    points = point_cloud2.read_points(packed_cloud(rows, list(NUMBERS), big, padding))
    assert [tuple(point) for point in points.tolist()] == rows
    assert points.dtype.names == tuple(f"f{place}" for place in range(8))


def test_fields_can_be_chosen_and_points_with_nan_left_out():
    """read_points(field_names, skip_nans): points with a NaN in a chosen field are dropped."""
    rows = [(1.0, float("nan")), (float("nan"), 2.0), (3.0, 4.0)]
    cloud = packed_cloud(rows, [PointField.FLOAT32] * 2)
    points = point_cloud2.read_points(cloud, field_names=["f0"], skip_nans=True)
    assert points["f0"].tolist() == [1.0, 3.0]
    both = point_cloud2.read_points(cloud, field_names=["f0", "f1"], skip_nans=True)
    assert both.tolist() == [(3.0, 4.0)]


def test_an_organised_cloud_is_read_row_by_row():
    """read_points: height * width points in the order of the data, one-dimensional by default."""
    rows = [(float(place),) for place in range(6)]
    points = point_cloud2.read_points(packed_cloud(rows, [PointField.FLOAT32], height=2))
    assert points.shape == (6,) and points["f0"].tolist() == [0, 1, 2, 3, 4, 5]


def test_points_of_one_type_come_as_a_plain_array():
    """read_points_numpy: (n, fields), for clouds whose fields have one datatype."""
    cloud = packed_cloud([(1, 2, 3), (4, 5, 6)], [PointField.FLOAT32] * 3)
    points = point_cloud2.read_points_numpy(cloud, field_names=["f0", "f2"])
    assert points.tolist() == [[1, 3], [4, 6]]


def point_field(name, offset, datatype, count=1):
    return PointField(name=name, offset=offset, datatype=datatype, count=count)


def test_the_type_of_a_point_comes_from_its_fields():
    """dtype_from_fields(fields, point_step): native byte order, offsets kept, name_0 for counts."""
    fields = [
        point_field("z", 2, PointField.FLOAT32),
        point_field("covariance", 8, PointField.FLOAT64, 2),
        point_field("", 24, PointField.UINT16),
    ]
    dtype = point_cloud2.dtype_from_fields(fields, 32)
    assert dtype.names == ("z", "covariance_0", "covariance_1", "unnamed_field_2")
    assert [dtype.fields[name][1] for name in dtype.names] == [2, 8, 16, 24]
    assert dtype["z"] == np.float32 and dtype.itemsize == 32
    assert point_cloud2.dtype_from_fields(fields[:1]).itemsize == 6


def test_fields_of_one_name_make_no_point():
    """dtype_from_fields: an AssertionError for two fields of one name."""
    fields = [point_field("x", 0, PointField.FLOAT32), point_field("x", 4, PointField.FLOAT32)]
    with pytest.raises(AssertionError):
        point_cloud2.dtype_from_fields(fields)


def test_fields_are_known_by_their_attributes():
    """dtype_from_fields: reads name, offset, datatype and count; any class will do."""
    fields = [SimpleNamespace(name="x", offset=4, datatype=7, count=1)]
    assert point_cloud2.dtype_from_fields(fields, 8)["x"] == np.float32


def test_a_cloud_is_created_of_an_array_with_padding_in_its_points():
    """create_cloud: a structured array whose dtype is that of the fields, gaps included."""
    fields = [
        point_field("class_id", 0, PointField.UINT16),
        point_field("p", 4, PointField.FLOAT32),
    ]
    points = np.zeros(3, point_cloud2.dtype_from_fields(fields))
    points["p"] = (0.25, 0.5, 1.0)
    cloud = point_cloud2.create_cloud(Header(), fields, points)
    assert (cloud.point_step, cloud.row_step, cloud.width) == (8, 24, 3)
    assert isinstance(cloud.data, array)
    assert bytes(cloud.data) == points.tobytes()
    with pytest.raises(AssertionError):
        point_cloud2.create_cloud(Header(), fields[::-1], points)


def test_a_field_that_is_not_there_is_refused():
    """read_points: an unknown field name is an AssertionError."""
    with pytest.raises(AssertionError):
        point_cloud2.read_points(packed_cloud([(1.0,)], [PointField.FLOAT32]), ["z"])


def test_a_created_cloud_is_read_back():
    """create_cloud(header, fields, structured array): mixed types, packed, one row."""
    dtype = np.dtype([("x", np.float32), ("class_id", np.uint8)])
    points = np.array([(1.5, 7), (2.5, 9)], dtype)
    fields = [
        PointField(name="x", offset=0, datatype=PointField.FLOAT32, count=1),
        PointField(name="class_id", offset=4, datatype=PointField.UINT8, count=1),
    ]
    header = Header(frame_id="lidar")
    cloud = point_cloud2.create_cloud(header, fields, points)
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 2, 5, 10)
    assert cloud.header.frame_id == "lidar" and not cloud.is_bigendian
    assert bytes(cloud.data) == struct.pack("<fBfB", 1.5, 7, 2.5, 9)
    assert point_cloud2.read_points(cloud).tolist() == points.tolist()


def test_xyz_clouds_hold_three_floats():
    """create_cloud_xyz32: fields x, y, z of float32 at 0, 4 and 8."""
    cloud = point_cloud2.create_cloud_xyz32(Header(), [(1, 2, 3), (4, 5, 6)])
    assert [(f.name, f.offset) for f in cloud.fields] == [("x", 0), ("y", 4), ("z", 8)]
    assert bytes(cloud.data) == struct.pack("<6f", 1, 2, 3, 4, 5, 6)


# cv_bridge


def image_message(pixels: np.ndarray, encoding: str, big=False, padding=0) -> Image:
    """An Image packed by hand, rows followed by `padding` bytes."""
    data = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = [row.tobytes() + b"\xee" * padding for row in data]
    msg = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    msg.is_bigendian, msg.step = int(big), len(rows[0])
    msg.data = array("B", b"".join(rows))
    return msg


def random_pixels(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, True)


def test_passthrough_shares_the_memory_of_the_message():
    """imgmsg_to_cv2: passthrough gives the message's own bytes, without a copy."""
    msg = image_message(random_pixels(4, 6, 3), "bgr8")
    pixels = CvBridge().imgmsg_to_cv2(msg)
    assert pixels.shape == (4, 6, 3) and pixels.dtype == np.uint8
    msg.data[0] = 255 - msg.data[0]
    assert pixels[0, 0, 0] == msg.data[0]


@pytest.mark.parametrize(
    ("encoding", "shape", "dtype"),
    [
        ("mono8", (4, 6), np.uint8),
        ("mono16", (4, 6), np.uint16),
        ("16UC1", (4, 6), np.uint16),
        ("8UC3", (4, 6, 3), np.uint8),
        ("rgba8", (4, 6, 4), np.uint8),
    ],
)
@pytest.mark.parametrize("big", [False, True])
def test_pixels_keep_shape_and_type(encoding, shape, dtype, big):
    """imgmsg_to_cv2: shape and type by encoding, step and is_bigendian respected."""
    wanted = random_pixels(*shape, dtype=dtype)
    msg = image_message(wanted, encoding, big=big and dtype != np.uint8, padding=12)
    pixels = CvBridge().imgmsg_to_cv2(msg)
    assert pixels.dtype == dtype and np.array_equal(pixels, wanted)


def test_colours_are_reordered():
    """imgmsg_to_cv2: conversions between rgb8, bgr8, rgba8 and mono8 are OpenCV's cvtColor."""
    wanted = random_pixels(4, 6, 3)
    msg, bridge = image_message(wanted, "rgb8"), CvBridge()
    assert np.array_equal(bridge.imgmsg_to_cv2(msg, "bgr8"), wanted[..., ::-1])
    assert np.array_equal(bridge.imgmsg_to_cv2(msg, "rgba8")[..., :3], wanted)
    grey = cv2.cvtColor(wanted, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(bridge.imgmsg_to_cv2(msg, "mono8"), grey)


def test_sixteen_bits_become_eight_by_scaling():
    """imgmsg_to_cv2: mono16 to mono8 maps 0..65535 to 0..255, and back."""
    msg = image_message(np.array([[0, 257, 33000, 65535]], np.uint16), "mono16")
    assert CvBridge().imgmsg_to_cv2(msg, "mono8").tolist() == [[0, 1, 128, 255]]
    msg = image_message(np.array([[0, 1, 255]], np.uint8), "mono8")
    assert CvBridge().imgmsg_to_cv2(msg, "mono16").tolist() == [[0, 257, 65535]]


@pytest.mark.parametrize(
    ("encoding", "red"),
    [
        ("bayer_rggb8", (0, 0)),
        ("bayer_grbg8", (0, 1)),
        ("bayer_gbrg8", (1, 0)),
        ("bayer_bggr8", (1, 1)),
    ],
)
def test_bayer_patterns_put_red_where_their_name_says(encoding, red):
    """imgmsg_to_cv2: bayer_rggb8 has red in the even pixels of even rows, and so on."""
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[red[0] :: 2, red[1] :: 2] = 200
    pixels = CvBridge().imgmsg_to_cv2(image_message(mosaic, encoding), "rgb8")
    assert pixels.shape == (8, 8, 3)
    assert (pixels[2:6, 2:6] == (200, 0, 0)).all()


@pytest.mark.parametrize(
    ("encoding", "pair"), [("yuv422", (128, 130)), ("yuv422_yuy2", (130, 128))]
)
def test_yuv422_becomes_grey_where_there_is_no_colour(encoding, pair):
    """imgmsg_to_cv2: yuv422 is UYVY (chroma first), yuv422_yuy2 is YUYV (brightness first)."""
    msg = image_message(np.full((4, 6, 2), pair, np.uint8), encoding)
    pixels = CvBridge().imgmsg_to_cv2(msg, "rgb8").astype(int)
    assert pixels.shape == (4, 6, 3)
    assert np.ptp(pixels, axis=2).max() <= 1 and abs(pixels - 133).max() <= 2


def test_conversions_that_make_no_sense_are_refused():
    """imgmsg_to_cv2: CvBridgeError, a TypeError, for depth as colour or an unknown encoding."""
    depth = image_message(np.ones((2, 2), np.uint16), "16UC1")
    with pytest.raises(CvBridgeError):
        CvBridge().imgmsg_to_cv2(depth, "rgb8")
    with pytest.raises(CvBridgeError):
        CvBridge().imgmsg_to_cv2(image_message(np.ones((2, 2), np.uint8), "fancy9"))
    assert issubclass(CvBridgeError, TypeError)


def test_arrays_become_messages():
    """cv2_to_imgmsg: step, size, bytes and header; the type must be that of the encoding."""
    pixels, bridge = random_pixels(4, 6, 3), CvBridge()
    msg = bridge.cv2_to_imgmsg(pixels, "rgb8", header=Header(frame_id="camera"))
    assert (msg.height, msg.width, msg.step, msg.encoding) == (4, 6, 18, "rgb8")
    assert msg.header.frame_id == "camera" and bytes(msg.data) == pixels.tobytes()
    assert bridge.cv2_to_imgmsg(pixels).encoding == "8UC3"
    with pytest.raises(CvBridgeError):
        bridge.cv2_to_imgmsg(pixels, "mono16")


def test_compressed_images_are_decoded_as_bgr():
    """compressed_imgmsg_to_cv2: what OpenCV decodes is bgr8, and converted from there."""
    wanted = random_pixels(8, 8, 3)
    data = array("B", cv2.imencode(".png", wanted)[1].tobytes())
    msg, bridge = CompressedImage(format="png", data=data), CvBridge()
    assert np.array_equal(bridge.compressed_imgmsg_to_cv2(msg), wanted)
    assert np.array_equal(bridge.compressed_imgmsg_to_cv2(msg, "rgb8"), wanted[..., ::-1])


# tf2_ros

HALF = np.sqrt(0.5)


def transform(parent, child, xyz=(0.0, 0.0, 0.0), q=(0.0, 0.0, 0.0, 1.0), seconds=0.0):
    msg = TransformStamped(child_frame_id=child)
    msg.header.frame_id = parent
    msg.header.stamp = Time(nanoseconds=round(seconds * 1e9)).to_msg()
    t, r = msg.transform.translation, msg.transform.rotation
    t.x, t.y, t.z = map(float, xyz)
    r.x, r.y, r.z, r.w = map(float, q)
    return msg


def numbers(msg):
    t, r = msg.transform.translation, msg.transform.rotation
    return np.array([t.x, t.y, t.z]), np.array([r.x, r.y, r.z, r.w])


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


@pytest.fixture
def buffer():
    return tf2_ros.Buffer()


def test_static_transforms_hold_at_every_time(buffer):
    """Buffer.set_transform_static: answers for any stamp; the answer carries the stamp asked."""
    buffer.set_transform_static(transform("base", "camera", (1, 2, 3)), "test")
    for seconds in (0.0, 5.0, 1e6):
        answer = buffer.lookup_transform("base", "camera", at(seconds))
        assert numbers(answer)[0].tolist() == [1, 2, 3]
        assert (answer.header.frame_id, answer.child_frame_id) == ("base", "camera")
        assert Time.from_msg(answer.header.stamp).nanoseconds == at(seconds).nanoseconds


def test_chains_are_joined_through_their_common_ancestor(buffer):
    """lookup_transform(target, source): takes points of source into target, over any tree."""
    quarter = (0.0, 0.0, HALF, HALF)
    buffer.set_transform_static(transform("base", "camera", (1, 0, 0), quarter), "test")
    buffer.set_transform_static(transform("base", "mast", (0, 0, 2)), "test")
    buffer.set_transform_static(transform("mast", "lidar", (0, 1, 0)), "test")
    t, q = numbers(buffer.lookup_transform("camera", "lidar", at(0)))
    assert np.allclose(t, (1, 1, 2)) and np.allclose(abs(q), (0, 0, HALF, HALF))
    back, _ = numbers(buffer.lookup_transform("lidar", "camera", at(0)))
    assert np.allclose(back, (1, -1, -2))


def test_moving_transforms_are_interpolated(buffer):
    """tf2's TimeCache: linear in translation, spherical in rotation, between two stamps."""
    buffer.set_transform(transform("map", "base", (0, 0, 0), seconds=1.0), "test")
    quarter = (0.0, 0.0, HALF, HALF)
    buffer.set_transform(transform("map", "base", (4, 0, 0), quarter, seconds=2.0), "test")
    t, q = numbers(buffer.lookup_transform("map", "base", at(1.5)))
    assert np.allclose(t, (2, 0, 0))
    assert np.allclose(q, (0, 0, np.sin(np.pi / 8), np.cos(np.pi / 8)))


def test_time_zero_is_the_latest_common_time(buffer):
    """tf2: a lookup at time 0 uses the newest stamp that all moving links have."""
    for seconds in (1.0, 2.0, 3.0):
        buffer.set_transform(transform("map", "base", (seconds, 0, 0), seconds=seconds), "test")
    for seconds in (1.0, 2.0):
        buffer.set_transform(transform("base", "arm", (0, seconds, 0), seconds=seconds), "test")
    answer = buffer.lookup_transform("map", "arm", Time())
    assert numbers(answer)[0].tolist() == [2, 2, 0] and answer.header.stamp.sec == 2


def test_what_cannot_be_answered_raises_its_own_exception(buffer):
    """tf2_ros: Lookup-, Connectivity- and ExtrapolationException, all TransformExceptions."""
    buffer.set_transform(transform("map", "base", seconds=1.0), "test")
    buffer.set_transform(transform("map", "base", seconds=2.0), "test")
    buffer.set_transform_static(transform("island", "hut"), "test")
    with pytest.raises(tf2_ros.LookupException):
        buffer.lookup_transform("map", "nowhere", Time())
    with pytest.raises(tf2_ros.ConnectivityException):
        buffer.lookup_transform("map", "hut", Time())
    for seconds in (0.5, 2.5):
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform("map", "base", at(seconds))
    assert issubclass(tf2_ros.ExtrapolationException, tf2_ros.TransformException)


def test_old_transforms_are_forgotten():
    """Buffer(cache_time): stamps older than the newest minus the cache time are gone."""
    buffer = tf2_ros.Buffer(cache_time=Duration(seconds=5))
    for seconds in range(1, 12):
        buffer.set_transform(transform("map", "base", seconds=float(seconds)), "test")
    assert not buffer.can_transform("map", "base", at(2.0))
    assert buffer.can_transform("map", "base", at(8.5))


def test_can_transform_does_not_raise(buffer):
    """can_transform: False for what lookup_transform would refuse."""
    assert not buffer.can_transform("a", "b", Time())
    buffer.set_transform_static(transform("a", "b"), "test")
    assert buffer.can_transform("a", "b", Time())


def test_a_listener_hears_static_transforms_sent_before_it_came(node, executor):
    """StaticTransformBroadcaster latches all it sent; TransformListener fills the buffer."""
    broadcaster = tf2_ros.StaticTransformBroadcaster(node)
    broadcaster.sendTransform(transform("base", "one", (1, 0, 0)))
    broadcaster.sendTransform([transform("base", "two", (2, 0, 0))])
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, node)
    assert spin_until(executor, lambda: buffer.can_transform("one", "two", Time()))
    assert numbers(buffer.lookup_transform("one", "two", Time()))[0].tolist() == [1, 0, 0]
    listener.unregister()


# diagnostic_updater


def test_worse_summaries_win_and_their_messages_are_joined():
    """DiagnosticStatusWrapper.mergeSummary: the higher level; messages of two faults joined."""
    status = diagnostic_updater.DiagnosticStatusWrapper()
    status.summary(DiagnosticStatus.OK, "fine")
    status.mergeSummary(DiagnosticStatus.WARN, "slow")
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "slow")
    status.mergeSummary(DiagnosticStatus.ERROR, "blind")
    assert (status.level, status.message) == (DiagnosticStatus.ERROR, "slow; blind")


def test_values_are_texts():
    """DiagnosticStatusWrapper.add(key, value): the real one converts nothing, a number is wrong."""
    status = diagnostic_updater.DiagnosticStatusWrapper()
    status.add("rate", "9.5")
    assert [(pair.key, pair.value) for pair in status.values] == [("rate", "9.5")]


def test_the_updater_publishes_every_task_under_the_nodes_name(node, executor):
    """Updater.force_update: a DiagnosticArray on /diagnostics, `<node>: <task>`, level a byte."""
    heard = []
    node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    updater = diagnostic_updater.Updater(node)
    updater.setHardwareID("rig 7")
    assert spin_until(executor, lambda: updater.publisher.get_subscription_count() == 1)

    def task(status):
        status.summary(DiagnosticStatus.WARN, "degraded")
        status.add("weight", "0.25")
        return status

    updater.add("camera", task)
    updater.force_update()
    told = []

    def has_come():
        told[:] = [s for array_ in heard for s in array_.status if s.message == "degraded"]
        return told

    assert spin_until(executor, has_come)
    assert told[0].name == "contracts: camera" and told[0].hardware_id == "rig 7"
    assert told[0].level == DiagnosticStatus.WARN == b"\x01"
    assert told[0].values[0].value == "0.25"


# message packages


def test_label_info_names_classes():
    """vision_msgs/LabelInfo: header, class_map of VisionClass, threshold."""
    msgs = pytest.importorskip("vision_msgs.msg")
    info = msgs.LabelInfo(threshold=0.5)
    info.class_map = [msgs.VisionClass(class_id=3, class_name="road")]
    back = deserialize_message(serialize_message(info), msgs.LabelInfo)
    assert (back.class_map[0].class_id, back.class_map[0].class_name) == (3, "road")
    assert back.get_fields_and_field_types()["class_map"] == "sequence<vision_msgs/VisionClass>"


def test_event_packets_have_the_fields_of_the_drivers():
    """event_camera_msgs/EventPacket, as metavision_driver and libcaer_driver publish it."""
    msgs = pytest.importorskip("event_camera_msgs.msg")
    assert msgs.EventPacket.get_fields_and_field_types() == {
        "header": "std_msgs/Header",
        "height": "uint32",
        "width": "uint32",
        "seq": "uint64",
        "time_base": "uint64",
        "encoding": "string",
        "is_bigendian": "boolean",
        "events": "sequence<uint8>",
    }


@pytest.mark.parametrize("package", ["dvs_msgs", "prophesee_event_msgs"])
def test_event_arrays_hold_events_with_time_and_polarity(package):
    """EventArray of the ROS 1 drivers as it is in bags: height, width, events of x, y, ts."""
    msgs = pytest.importorskip(f"{package}.msg")
    event = msgs.Event(x=3, y=4, ts=TimeMsg(sec=1, nanosec=2), polarity=True)
    array_ = msgs.EventArray(height=10, width=20, events=[event])
    back = deserialize_message(serialize_message(array_), msgs.EventArray).events[0]
    assert (back.x, back.y, back.ts.nanosec, back.polarity) == (3, 4, 2, True)


def test_tf_messages_carry_transforms():
    """tf2_msgs/TFMessage: a sequence of geometry_msgs/TransformStamped."""
    msgs = pytest.importorskip("tf2_msgs.msg")
    fields = msgs.TFMessage.get_fields_and_field_types()
    assert fields == {"transforms": "sequence<geometry_msgs/TransformStamped>"}

"""What the node does on messages, replay does on the same messages: Frames, masks and statuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
import tiny_drive  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from rosbags.rosbag2 import Reader  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from test_messages_rvl import pack  # noqa: E402

from any2seg_ros.bags.reader import BagReader  # noqa: E402
from any2seg_ros.engine import Segmenter  # noqa: E402
from any2seg_ros.messages import decode_image, stamp_ns  # noqa: E402
from any2seg_ros.messages.kinds import message_class  # noqa: E402
from any2seg_ros.msg import SegmentationStatus  # noqa: E402
from any2seg_ros.replay.config import ReplayConfig  # noqa: E402
from any2seg_ros.replay.run import Replay  # noqa: E402
from any2seg_ros.runtime import proving  # noqa: E402
from any2seg_ros.runtime.bag_player import BagPlayer  # noqa: E402
from any2seg_ros.runtime.parameters import NodeParameters  # noqa: E402
from any2seg_ros.types import Frame, Modality, unmeasured  # noqa: E402

SENSORS = {
    "/rgb/image/compressed": Modality.RGB,
    "/depth/image/compressedDepth": Modality.DEPTH,
    "/lidar/points": Modality.LIDAR,
    "/event/packets": Modality.EVENT,
}
TRANSFORMS = ("/tf", "/tf_static")
INFOS = {f"/{m.label}/camera_info": m for m in Modality if m != Modality.LIDAR}
FRAMES = 12
NOT_MOVED = "lidar: not motion compensated"
RECTIFIED_FOCAL = 77.0
"""px, of the depth camera's P; its K says something else."""
Published = dict[int, tuple[Any, np.ndarray, Any]]
"""Status, mask and points by the mask's stamp, ns."""


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    """A drive with what vehicles do: broken messages, slashes, stamps of zero and of the future,
    and every other message in a form that not all drivers have."""
    rows = tiny_drive.rows(FRAMES)
    counts = dict.fromkeys(tiny_drive.TYPES, 0)
    for _, topic, message in rows:
        counts[topic] += 1
        if counts[topic] % 2 == 0 and topic in FOREIGN:
            FOREIGN[topic](message)
        spoil = SPOILT.get((topic, counts[topic]))
        if spoil is not None:
            spoil(message)
        if topic == "/depth/camera_info":
            message.p[0] = message.p[5] = RECTIFIED_FOCAL
        if topic == "/lidar/points":
            message.header.frame_id = "/lidar"
            tiny_drive.timed(message, 0.1)
    # The vehicle moves, until its odometry ends.
    end = tiny_drive.START + (FRAMES - 3) * tiny_drive.PERIOD
    rows += tiny_drive.odometry(tiny_drive.START - tiny_drive.PERIOD, end, 12.0)
    rows.sort(key=lambda row: row[0])
    return tiny_drive.write(tmp_path_factory.mktemp("bag") / "drive", rows)


def _cut(message: Any) -> None:
    message.data = message.data[: len(message.data) // 2]


def _cut_events(message: Any) -> None:
    message.events = message.events[:-3]


def _zero(message: Any) -> None:
    message.header.stamp.sec = message.header.stamp.nanosec = 0


def _future(message: Any) -> None:
    message.header.stamp.sec = 2_100_000_000


def _other_lens(message: Any) -> None:
    message.k[0] = message.k[4] = 90.0


def _bayer(message: Any) -> None:
    rgb = cv2.imdecode(message.data, cv2.IMREAD_COLOR)[..., ::-1]
    mosaic = rgb[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = rgb[0::2, 0::2, 0], rgb[1::2, 1::2, 2]
    message.format = "bayer_rggb8; png compressed "
    message.data = cv2.imencode(".png", mosaic)[1].ravel()


def _rvl(message: Any) -> None:
    head, packed = bytes(message.data[:12]), message.data[12:]
    depth = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
    message.format = "16UC1; compressedDepth rvl"
    message.data = np.frombuffer(head + pack(depth), np.uint8)


def _no_returns(message: Any) -> None:
    """A third of the points at (0, 0, 0); rows without a step, intensity by another name."""
    points = message.data.view("<f4").reshape(message.width, -1)
    points[::3, :3] = 0.0
    message.fields[3].name, message.row_step = "reflectivity", 0


FOREIGN = {
    "/rgb/image/compressed": _bayer,
    "/depth/image/compressedDepth": _rvl,
    "/lidar/points": _no_returns,
}
SPOILT = {
    ("/lidar/points", 4): _cut,
    ("/depth/image/compressedDepth", 5): _cut,
    ("/rgb/image/compressed", 6): _zero,
    ("/lidar/points", 7): _future,
    ("/lidar/points", 8): _future,
    ("/event/packets", 75): _cut_events,
    **{("/rgb/camera_info", k): _other_lens for k in (9, 11)},
}
"""By topic and number: what is wrong with a message. RGB tells of another lens, each time once: on
a busy machine, more would prove themselves by the time that they take."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def replayed(bag, lived, tmp_path_factory) -> tuple[list[Frame], Published]:
    """The Frames of a bag, and what replay writes of it with the node's parameters."""
    out = tmp_path_factory.mktemp("replayed") / "out"
    parameters = lived[2]
    segmenter = Segmenter.open(parameters.engine_config())
    config = ReplayConfig(outputs=("mask", "status", "points"), parameters=parameters)
    replay = Replay(bag, segmenter, config)
    player = BagPlayer(bag, replay.pipeline, parameters=parameters)
    frames = [step.frame for step in player.frames() if step.frame is not None]
    Replay(bag, segmenter, config).run(out, "tiny")
    kept: dict[str, dict[int, Any]] = {"mask": {}, "status": {}, "points": {}}
    with BagReader(out) as reader:
        for recorded in reader.messages([f"/segmenter/{name}" for name in kept]):
            stamp = stamp_ns(recorded.message.header.stamp)
            kept[recorded.topic.rpartition("/")[2]][stamp] = recorded.message
    masks = {s: decode_image(mask) for s, mask in kept["mask"].items()}
    return frames, {s: (kept["status"][s], mask, kept["points"][s]) for s, mask in masks.items()}


@pytest.fixture(scope="module")
def lived(bag, model) -> tuple[list[Frame], Published, NodeParameters, str]:
    """The Frames of the node when it hears the same messages, what it publishes over DDS, and its
    log."""
    given = ros_vehicle.arguments_of(
        model=model, replay="yes", deadline=0.05, period=0.1, status_period=0.2,
        organized_points="true", motion_compensation="odom",
        **{"depth.rectified": "yes", "depth.registered": "false"},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        # In the bag the other lens is told of for too short a time; a busy machine takes longer.
        patch.setattr(proving, "PATIENCE", 1 << 60)
        rclpy.init()
        listener = Listener()
        try:
            with ros_vehicle.NodeInProcess(*given) as node:
                frames = feed(bag, node, listener)
                parameters, log = node.node.parameters, node.log
        finally:
            listener.node.destroy_node()
            rclpy.try_shutdown()
    masks = {
        s: (listener.statuses[s], mask, listener.points[s]) for s, mask in listener.masks.items()
    }
    return frames, masks, parameters, log


class Listener:
    """Keeps masks and statuses by stamp."""

    def __init__(self) -> None:
        self.masks: dict[int, np.ndarray] = {}
        self.statuses: dict[int, Any] = {}
        self.points: dict[int, Any] = {}
        self.node = rclpy.create_node("listener")
        qos = QoSProfile(depth=50)
        self.node.create_subscription(Image, "/segmenter/mask", self._keep_mask, qos)
        self.node.create_subscription(
            PointCloud2,
            "/segmenter/points",
            lambda msg: self.points.setdefault(stamp_ns(msg.header.stamp), msg),
            qos,
        )
        status = self.statuses
        self.node.create_subscription(
            SegmentationStatus,
            "/segmenter/status",
            lambda msg: status.setdefault(stamp_ns(msg.header.stamp), msg),
            qos,
        )
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def _keep_mask(self, msg: Image) -> None:
        self.masks[stamp_ns(msg.header.stamp)] = decode_image(msg).copy()

    def wait(self, condition: Any) -> None:
        for _ in range(1200):
            if condition():
                return
            self._executor.spin_once(timeout_sec=0.05)
        raise TimeoutError("the node does not answer")


def feed(bag: Path, node: ros_vehicle.NodeInProcess, listener: Listener) -> list[Frame]:
    """Have the node hear a bag's messages, and wait for the mask of each frame."""
    listener.wait(lambda: node.node._loop is not None and "ready after" in node.log)
    loop = node.node._loop
    frames: list[Frame] = []
    loop.synchronizer.registerCallback(frames.append)
    listener.wait(lambda: listener.node.count_publishers("/segmenter/mask"))
    with Reader(bag) as reader:
        messages = [(c.topic, c.msgtype, bytes(data)) for c, _, data in reader.messages()]
    heard = [
        (topic, deserialize_message(data, message_class(kind)))
        for topic, kind, data in messages
        if topic in SENSORS or topic in INFOS or topic in TRANSFORMS
    ]
    # Replay knows the geometry that the bag tells of from the beginning.
    known = dict(reversed([pair for pair in heard if pair[0] not in (*SENSORS, "/tf")]))
    for topic, message in [*known.items(), *heard]:
        if topic in INFOS:
            loop._on_camera_info(INFOS[topic], message)
        elif topic in TRANSFORMS:
            loop._transforms._on_message(topic, serialize_message(message))
        else:
            signal(loop, SENSORS[topic], message, frames, listener)
    loop.synchronizer.run(loop._intake.flush)
    listener.wait(lambda: done(loop, frames, listener))
    listener.wait(lambda: NOT_MOVED in node.log)
    return frames


def signal(loop: Any, modality: Modality, message: Any, frames: list, listener: Listener) -> None:
    loop._subscriptions.filters[modality].signalMessage(message)
    listener.wait(lambda: done(loop, frames, listener))


def done(loop: Any, frames: list[Frame], listener: Listener) -> bool:
    """Whether every frame has been segmented and its mask has arrived."""
    if loop._state.counters.published + loop._state.counters.unusable < len(frames):
        return False
    masks = listener.masks
    beside = listener.statuses.keys() & listener.points.keys()
    return len(masks) >= loop._state.counters.published and masks.keys() <= beside


def test_the_frames_are_the_same(lived, replayed) -> None:
    assert len(lived[0]) == len(replayed[0]) >= FRAMES - 1
    for one, other in zip(lived[0], replayed[0], strict=True):
        assert one.stamp == other.stamp and one.anchor == other.anchor
        assert dict(one.availability) == dict(other.availability)
        assert reasons(one.reasons) == reasons(other.reasons)
        assert stamps(one) == stamps(other)
        assert geometry(one) == geometry(other)


def reasons(said: Mapping[Modality, str]) -> dict[Modality, str]:
    return {modality: worded(reason) for modality, reason in said.items()}


def worded(reason: str) -> str:
    """Without figures: the clocks of a vehicle and of a bag are years apart, and a machine that is
    busy takes longer over the messages than the bag says."""
    return re.sub(r"kept for \d+ s", "kept", unmeasured(reason))


def stamps(frame: Frame) -> dict[Modality, list[int]]:
    entries = frame.measurements.items()
    return {m: [x.stamp for x in (e if isinstance(e, list) else [e])] for m, e in entries}


def test_every_form_of_a_message_is_used(lived) -> None:
    used = [frame.subset for frame in lived[0]]
    for modality in (Modality.RGB, Modality.DEPTH, Modality.LIDAR):
        assert sum(modality in subset for subset in used) >= FRAMES - 4


def geometry(frame: Frame) -> tuple:
    """All that is made of the frame depends on."""
    calibration = frame.calibration
    cameras = {m: calibration.camera_of(m) for m in frame.subset}
    poses = {m: np.round(calibration.pose_of(m), 9).tolist() for m in frame.subset}
    return calibration.reference, calibration.reference_frame, cameras, poses


def test_the_masks_are_the_same_to_the_pixel(lived, replayed) -> None:
    assert lived[1].keys() == replayed[1].keys() and len(lived[1]) >= FRAMES - 1
    for stamp, (_, mask, _) in lived[1].items():
        assert np.array_equal(mask, replayed[1][stamp][1]), f"the mask at {stamp} differs"


def test_both_take_the_geometry_of_rectified_images_from_p(lived, replayed) -> None:
    for frames in (lived[0], replayed[0]):
        cameras = [frame.calibration.camera_of(Modality.DEPTH) for frame in frames]
        assert {camera.fx for camera in cameras if camera is not None} == {RECTIFIED_FOCAL}


def motion(frame: Frame) -> list[float] | str:
    """From 50 ms before a frame to the frame, or why it is not known."""
    assert frame.trajectory is not None
    try:
        poses = frame.trajectory.poses(np.array([frame.stamp - 50_000_000, frame.stamp]))
    except LookupError as error:
        return unmeasured(str(error))
    return (np.linalg.inv(poses[1]) @ poses[0]).ravel().tolist()


def test_both_take_the_same_motion_along_and_miss_it_when_it_ends(lived, replayed) -> None:
    moved = [motion(frame) for frame in lived[0]]
    assert moved == [motion(frame) for frame in replayed[0]]
    known = [m for m in moved if not isinstance(m, str)]
    assert len(known) >= FRAMES - 5 and all(0.5 < abs(m[11]) < 0.7 for m in known[1:])
    assert moved[-1] == "TF of 'base_link' is behind"
    assert lived[3].count(NOT_MOVED) == 1


def test_the_organized_points_are_the_same_to_the_bit(lived, replayed) -> None:
    finite = 0
    for stamp, (_, mask, points) in lived[1].items():
        other = replayed[1][stamp][2]
        assert (points.height, points.width) == (other.height, other.width) == mask.shape
        assert points.header.frame_id == other.header.frame_id
        assert bytes(points.data) == bytes(other.data)
        z = np.frombuffer(bytes(points.data), np.float32).reshape(-1, 6)[:, 2]
        finite += int(np.isfinite(z).sum())
    assert finite > 0


def test_the_statuses_say_the_same(lived, replayed) -> None:
    said = set()
    for stamp, (status, *_) in lived[1].items():
        other = replayed[1][stamp][0]
        for mine, its in zip(status.modalities, other.modalities, strict=True):
            assert (mine.modality, mine.availability) == (its.modality, its.availability)
            assert worded(mine.reason) == worded(its.reason)
            assert stamp_ns(mine.stamp) == stamp_ns(its.stamp)
            assert mine.weight == pytest.approx(its.weight, abs=1e-5)
            np.testing.assert_allclose(mine.age, its.age, atol=1e-6)
            said.add(mine.reason)
        assert status.mean_confidence == pytest.approx(other.mean_confidence, abs=1e-5)
    assert any("truncated" in reason for reason in said)
    assert any("future" in reason for reason in said)
    assert any(reason.startswith("not motion compensated: TF of") for reason in said)

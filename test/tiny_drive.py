"""A second of four tiny sensors in a bag, for tests: what they see is nonsense, how is not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

WIDTH, HEIGHT = 96, 64
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000
PACKET_PERIOD = 10_000_000

STORE = get_typestore(Stores.ROS2_KILTED)
PACKET = "event_camera_msgs/msg/EventPacket"
TF = "tf2_msgs/msg/TFMessage"
for _kind, _text in {
    PACKET: "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\n"
    "string encoding\nbool is_bigendian\nuint8[] events",
    TF: "geometry_msgs/TransformStamped[] transforms",
}.items():
    if _kind not in STORE.types:
        STORE.register(get_types_from_msg(_text, _kind))

TYPES = {
    "/rgb/image/compressed": "sensor_msgs/msg/CompressedImage",
    "/rgb/camera_info": "sensor_msgs/msg/CameraInfo",
    "/depth/image/compressedDepth": "sensor_msgs/msg/CompressedImage",
    "/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/lidar/points": "sensor_msgs/msg/PointCloud2",
    "/event/packets": PACKET,
    "/event/camera_info": "sensor_msgs/msg/CameraInfo",
    "/ground_truth/label/compressed": "sensor_msgs/msg/CompressedImage",
    "/tf_static": TF,
    "/tf": TF,
}
Row = tuple[int, str, Any]
"""Log time in ns, topic, message."""


def make(kind: str, **fields: Any) -> Any:
    return STORE.types[kind](**fields)


def header(stamp: int, frame: str) -> Any:
    time = make("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    return make("std_msgs/msg/Header", stamp=time, frame_id=frame)


def compressed(stamp: int, frame: str, form: str, data: bytes) -> Any:
    return make(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp, frame),
        format=form,
        data=np.frombuffer(data, np.uint8),
    )


def info(stamp: int, frame: str) -> Any:
    roi = make(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False,
    )  # fmt: skip
    k = np.array([60.0, 0, (WIDTH - 1) / 2, 0, 60.0, (HEIGHT - 1) / 2, 0, 0, 1])
    p = np.insert(k.reshape(3, 3), 3, 0.0, axis=1).ravel()
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp, frame), height=HEIGHT, width=WIDTH, distortion_model="plumb_bob",
        d=np.zeros(5), k=k, r=np.eye(3).ravel(), p=p, binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def cloud(stamp: int, rng: np.random.Generator) -> Any:
    points = rng.normal(0, 6, (600, 4)).astype(np.float32)
    points[:, 0] = np.abs(points[:, 0]) + 3
    points[:, 3] = rng.random(600)
    fields = [
        make("sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return make(
        "sensor_msgs/msg/PointCloud2",
        header=header(stamp, "lidar"), height=1, width=600, fields=fields, is_bigendian=False,
        point_step=16, row_step=9600, data=points.view(np.uint8).ravel(), is_dense=True,
    )  # fmt: skip


def packet(stamp: int, rng: np.random.Generator) -> Any:
    """Sixty events of the ten milliseconds before the stamp, in the encoding mono."""
    base = stamp - PACKET_PERIOD
    offset = np.sort(rng.integers(1, PACKET_PERIOD, 60)).astype(np.uint64)
    offset[-1] = PACKET_PERIOD
    x, y = rng.integers(0, WIDTH, 60).astype(np.uint64), rng.integers(0, HEIGHT, 60)
    words = offset | x << np.uint64(32) | y.astype(np.uint64) << np.uint64(48)
    words |= rng.integers(0, 2, 60).astype(np.uint64) << np.uint64(63)
    return make(
        PACKET,
        header=header(stamp, "event_camera_optical"), height=HEIGHT, width=WIDTH, seq=0,
        time_base=base, encoding="mono", is_bigendian=False, events=words.view(np.uint8),
    )  # fmt: skip


def stamped(child: str, xyz: tuple, q: tuple, parent: str = "base_link", stamp: int = 0) -> Any:
    vector = make("geometry_msgs/msg/Vector3", **dict(zip("xyz", xyz, strict=True)))
    rotation = make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", q, strict=True)))
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=header(stamp, parent),
        child_frame_id=child,
        transform=make("geometry_msgs/msg/Transform", translation=vector, rotation=rotation),
    )


def transforms() -> Any:
    """The LiDAR 1 m above the camera and turned as x forward; the others where the camera is."""
    optical = (-0.5, 0.5, -0.5, 0.5)
    cameras = ("rgb_camera_optical", "depth_camera_optical", "event_camera_optical")
    rows = [stamped(child, (0.0, 0.0, 1.5), optical) for child in cameras]
    rows.append(stamped("lidar", (0.0, 0.0, 2.5), (0.0, 0.0, 0.0, 1.0)))
    return make(TF, transforms=rows)


def odometry(begin: int, end: int, speed: float, period: int = 20_000_000) -> list[Row]:
    """/tf from one time (ns) to another: base_link goes ahead in odom at `speed` m/s, in a bend."""
    found = []
    for stamp in range(begin, end, period):
        x = (stamp - START) * 1e-9 * speed
        half = (stamp - START) * 1e-9 * speed / 50 / 2
        q = (0.0, 0.0, float(np.sin(half)), float(np.cos(half)))
        pose = stamped("base_link", (x, 0.0, 0.0), q, "odom", stamp)
        found.append((stamp + 2_000_000, "/tf", make(TF, transforms=[pose])))
    return found


def timed(message: Any, seconds: float) -> None:
    """Give a cloud the times of its points: a sweep of so many s that ends at its stamp."""
    points = message.data.view(np.float32).reshape(message.width, -1)
    times = np.linspace(-seconds, 0.0, message.width, dtype=np.float32)
    message.data = np.concatenate([points, times[:, None]], 1).view(np.uint8).ravel()
    place = message.point_step
    message.fields.append(
        make("sensor_msgs/msg/PointField", name="time", offset=place, datatype=7, count=1)
    )
    message.point_step, message.row_step = place + 4, message.width * (place + 4)


def label(index: int) -> np.ndarray:
    """Class ids uint8 (HEIGHT, WIDTH) of frame `index`, a margin of ignored pixels among them."""
    rng = np.random.default_rng([7, index])
    coarse = rng.integers(0, 25, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
    image = np.repeat(np.repeat(coarse, 8, 0), 8, 1)
    image[:4] = 255
    return image


def rows(frames: int = 10, offset: int = 0) -> list[Row]:
    """The messages of a drive; all but events every 100 ms, logged a little after their stamps."""
    found: list[Row] = [(START + offset, "/tf_static", transforms())]
    for index in range(frames):
        rng = np.random.default_rng([3, index])
        stamp = START + PERIOD * (index + 1)
        at = stamp + offset
        jpeg = cv2.imencode(".jpg", np.kron(
            rng.integers(20, 230, (HEIGHT // 8, WIDTH // 8, 3)), np.ones((8, 8, 1))
        ).astype(np.uint8))[1].tobytes()  # fmt: skip
        depth = rng.integers(2000, 40000, (HEIGHT, WIDTH)).astype(np.uint16)
        fine, depth = depth & 0xFF, depth[::8, ::8].repeat(8, 0).repeat(8, 1)[:HEIGHT, :WIDTH]
        depth = depth + fine
        packed = struct.pack("<iff", 0, 0, 0) + cv2.imencode(".png", depth)[1].tobytes()
        truth = cv2.imencode(".png", label(index))[1].tobytes()
        rgb, other = "rgb_camera_optical", "depth_camera_optical"
        found += [
            (at + 1_000_000, "/event/camera_info", info(stamp, "event_camera_optical")),
            (at + 2_000_000, "/rgb/camera_info", info(stamp, rgb)),
            (at + 3_000_000, "/rgb/image/compressed", compressed(stamp, rgb, "jpeg", jpeg)),
            (at + 4_000_000, "/depth/camera_info", info(stamp, other)),
            (
                at + 5_000_000,
                "/depth/image/compressedDepth",
                compressed(stamp, other, "16UC1; compressedDepth png", packed),
            ),
            (at + 6_000_000, "/lidar/points", cloud(stamp, rng)),
            (
                at + 7_000_000,
                "/ground_truth/label/compressed",
                compressed(stamp, rgb, "mono8; png compressed", truth),
            ),
        ]
        for step in range(PERIOD // PACKET_PERIOD):
            end = stamp - PERIOD + (step + 1) * PACKET_PERIOD
            found.append((end + offset + 500_000, "/event/packets", packet(end, rng)))
    return sorted(found, key=lambda row: row[0])


def write(
    path: Path, messages: list[Row] | None = None, keep: Callable[[str], bool] = lambda topic: True
) -> Path:
    """Write a bag folder with the topics that `keep` says."""
    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    messages = rows() if messages is None else messages
    given = {topic for _, topic, _ in messages} | TYPES.keys() - {"/tf"}
    with writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=STORE)
            for topic, kind in TYPES.items()
            if topic in given and keep(topic)
        }
        for log_time, topic, message in messages:
            if topic in connections:
                data = STORE.serialize_cdr(message, TYPES[topic])
                writer.write(connections[topic], log_time, data)
    return path

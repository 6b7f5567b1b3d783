"""A small vehicle for tests of the node: publishes four sensors over DDS and hears the node."""

from __future__ import annotations

import os
import struct
import subprocess
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
import torch
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from event_camera_msgs.msg import EventPacket
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl import rcutils_logger
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo

from any2seg_ros.demo import process
from any2seg_ros.messages import info_fields, stamp_ns
from any2seg_ros.msg import SegmentationStatus
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save
from any2seg_ros.node.process import start
from any2seg_ros.node.segmenter_node import SegmenterNode, WatchdogExpired
from any2seg_ros.node.telling_executor import TellingExecutor
from any2seg_ros.resources import find
from any2seg_ros.types import Availability, Camera, Modality

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
PERIOD = 0.25
"""s between the measurements of a sensor: slow, so that tests can share their machine."""
FRAMES = {
    Modality.RGB: "rgb_camera_optical",
    Modality.DEPTH: "depth_camera_optical",
    Modality.LIDAR: "lidar",
    Modality.EVENT: "event_camera_optical",
}
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HEARD = {
    "mask": (Image, 10),
    "confidence": (Image, 10),
    "overlay": (Image, 10),
    "color": (Image, 10),
    "points": (PointCloud2, 10),
    "camera_info": (CameraInfo, 10),
    "status": (SegmentationStatus, 50),
}


def isolate(patch: Any) -> None:
    """A domain of this process's own, on this machine; `patch` is pytest's MonkeyPatch."""
    patch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    patch.setenv("ROS_PYTHON_CHECK_FIELDS", "1")


def bytes_of(data: bytes) -> array:
    filled = array("B")
    filled.frombytes(data)
    return filled


def tiny_model(folder: Path) -> Path:
    """Weights of a network that any machine keeps up with."""
    torch.manual_seed(0)
    save(folder / "tiny.safetensors", Any2Seg(NetworkConfig(width=32)), Metadata(size=(96, 64)))
    return folder / "tiny.safetensors"


def arguments_of(**values: Any) -> list[str]:
    """Arguments of the executable: the demo's parameters, and these for a shared machine."""
    usual = {"engine": "torch", "device": "cpu", "threads": 1, "deadline": 1.0, "period": PERIOD}
    # A busy machine must not look like sensors whose clocks drift.
    usual |= {f"{modality.label}.drift": 0.0 for modality in Modality}
    given = [word for n, v in {**usual, **values}.items() for word in ("-p", f"{n}:={v}")]
    return ["--params-file", str(find("config/demo.yaml")), *given]


class Vehicle:
    """Publishes the sensors in `alive` on a thread, and keeps what the node says.

    events: the type of the event camera's messages; make_events makes one of a header.
    """

    def __init__(self, events: type = EventPacket, make_events: Any = None) -> None:
        self._make_events = make_events or packet
        self.alive: set[Modality] = set()
        self.heard: dict[str, list[Any]] = {name: [] for name in HEARD}
        self.sent: dict[Modality, list[int]] = {modality: [] for modality in Modality}
        self.diagnostics: list[Any] = []
        self.spoil: dict[Modality, Any] = {}
        self.now = time.time_ns
        """The clock of the stamps, ns; told on /clock."""
        self.node = rclpy.create_node("vehicle")
        self._talker = rclpy.create_node("sensors")
        pub = self._talker.create_publisher
        self._publishers = {
            Modality.RGB: pub(CompressedImage, "/rgb/image/compressed", 10),
            Modality.DEPTH: pub(CompressedImage, "/depth/image/compressedDepth", 10),
            Modality.LIDAR: pub(PointCloud2, "/lidar/points", 10),
            Modality.EVENT: pub(events, "/event/packets", 100),
        }
        self._infos = {
            m: pub(CameraInfo, f"/{m.label}/camera_info", 10)
            for m in (Modality.RGB, Modality.DEPTH, Modality.EVENT)
        }
        self._clock = pub(Clock, "/clock", 10)
        self._static = pub(TFMessage, "/tf_static", LATCHED)
        self._static.publish(TFMessage(transforms=[_link(m) for m in FRAMES]))
        for name, (kind, depth) in HEARD.items():
            self.node.create_subscription(
                kind, f"/segmenter/{name}", lambda msg, n=name: self._keep(n, msg), depth
            )
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        self._random = np.random.default_rng(0)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._spin, daemon=True),
            threading.Thread(target=self._drive, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self._executor.shutdown()
        self.node.destroy_node()
        self._talker.destroy_node()

    def clear(self) -> None:
        """Forget what was heard and sent."""
        for kept in (*self.heard.values(), *self.sent.values()):
            kept.clear()
        self.diagnostics.clear()

    def wait(self, condition: Any, seconds: float = 15.0) -> bool:
        """Whether `condition()` came true in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.02)
        return bool(condition())

    def used(self, status: SegmentationStatus) -> set[Modality]:
        """The modalities that a status names as used."""
        return {Modality.parse(row.modality) for row in status.modalities if row.weight > 0}

    def uses(self, *modalities: Modality) -> bool:
        """Whether the last status of a mask names exactly these as used."""
        used = [self.used(status) for status in self.heard["status"][-25:]]
        return next((u == set(modalities) for u in reversed(used) if u), False)

    def row(self, modality: Modality) -> Any:
        """What the last status says of a modality."""
        return self.heard["status"][-1].modalities[modality]

    def says(self, modality: Modality, availability: Availability, reason: str) -> bool:
        """Whether any status since `clear` says this of a modality."""
        rows = [status.modalities[modality] for status in list(self.heard["status"])]
        return any(r.availability == availability and reason in r.reason for r in rows)

    def ask(self, service: str, kind: type, request: Any, seconds: float = 20.0) -> Any:
        """The answer of a service of the node."""
        client = self.node.create_client(kind, service)
        if not client.wait_for_service(seconds):
            raise TimeoutError(f"no service {service}")
        future = client.call_async(request)
        self.wait(future.done, seconds)
        self.node.destroy_client(client)
        return future.result()

    def label_info(self) -> LabelInfo | None:
        """The class table, as somebody gets it who comes late."""
        got: list[LabelInfo] = []
        subscription = self.node.create_subscription(
            LabelInfo, "/segmenter/label_info", got.append, LATCHED
        )
        self.wait(lambda: got, 5.0)
        self.node.destroy_subscription(subscription)
        return got[-1] if got else None

    def _keep(self, name: str, msg: Any) -> None:
        self.heard[name].append(msg)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def _drive(self) -> None:
        due = time.time()
        while not self._stop.is_set():
            due = max(due + PERIOD, time.time() - PERIOD)
            time.sleep(max(0.0, due - time.time()))
            stamp = self.now()
            self._clock.publish(Clock(clock=time_of(stamp)))
            self._send(stamp)

    def _send(self, stamp: int) -> None:
        for modality in sorted(self.alive, reverse=True):
            header = _header(modality, stamp)
            if modality in self._infos:
                self._infos[modality].publish(CameraInfo(header=header, **info_fields(CAMERA)))
            message = self._message(modality, header)
            spoil = self.spoil.get(modality)
            if spoil is not None:
                spoil(message)
            self.sent[modality].append(stamp_ns(message.header.stamp))
            self._publishers[modality].publish(message)

    def _message(self, modality: Modality, header: Header) -> Any:
        if modality == Modality.RGB:
            coarse = self._random.integers(0, 255, (6, 8, 3), np.uint8)
            pixels = coarse.repeat(8, 0).repeat(8, 1)
            data = cv2.imencode(".jpg", pixels)[1].tobytes()
            return CompressedImage(header=header, format="jpeg", data=bytes_of(data))
        if modality == Modality.DEPTH:
            coarse = self._random.integers(2000, 40000, (6, 8), np.uint16)
            pixels = coarse.repeat(8, 0).repeat(8, 1)
            data = bytes(12) + cv2.imencode(".png", pixels)[1].tobytes()
            name = "16UC1; compressedDepth png"
            return CompressedImage(header=header, format=name, data=bytes_of(data))
        if modality == Modality.LIDAR:
            points = self._random.uniform(-4, 4, (500, 4)).astype("<f4")
            points[:, 2] += 12
            return cloud(header, points)
        return self._make_events(header, self._random)


def cloud(header: Header, points: np.ndarray) -> PointCloud2:
    """float32 (n, 4) as a PointCloud2."""
    names = ("x", "y", "z", "intensity")
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=[
            PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
            for i, n in enumerate(names)
        ],
        point_step=16,
        row_step=16 * len(points),
        data=bytes_of(points.tobytes()),
        is_dense=True,
    )


def packet(header: Header, generator: np.random.Generator, count: int = 300) -> EventPacket:
    """Events of the last 30 ms in 64-bit words (mono)."""
    words = b"".join(
        struct.pack("<Q", (p << 63) | (y << 48) | (x << 32) | t)
        for p, y, x, t in zip(
            generator.integers(0, 2, count).tolist(),
            generator.integers(0, 48, count).tolist(),
            generator.integers(0, 64, count).tolist(),
            range(0, 30_000_000, 30_000_000 // count),
            strict=False,
        )
    )
    return EventPacket(
        header=header,
        height=48,
        width=64,
        encoding="mono",
        time_base=stamp_ns(header.stamp) - 30_000_000,
        events=bytes_of(words),
    )


def _header(modality: Modality, stamp: int) -> Header:
    return Header(frame_id=FRAMES[modality], stamp=time_of(stamp))


def time_of(stamp: int) -> Time:
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def _link(modality: Modality) -> TransformStamped:
    link = TransformStamped(child_frame_id=FRAMES[modality])
    link.header.frame_id = "base_link"
    link.transform.rotation.w = 1.0
    return link


@contextmanager
def opened() -> Iterator[Vehicle]:
    """A vehicle with rclpy, in a domain of its own; both end with the context."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch)
        rclpy.init()
        vehicle = Vehicle()
        try:
            yield vehicle
        finally:
            vehicle.close()
            rclpy.try_shutdown()


class NodeInProcess:
    """The node with an executor of its own on a thread of this process.

    arguments: those of the executable, without `--ros-args`.
    """

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._lines: list[str] = []
        self.failure: WatchdogExpired | None = None
        self._context = rclpy.Context()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)

    def __enter__(self) -> NodeInProcess:
        rclpy.init(args=[], context=self._context)
        given = ["--ros-args", *self._arguments]
        self.node = SegmenterNode(context=self._context, cli_args=given)
        self._listen_to(self.node.get_logger())
        self._executor = TellingExecutor(self.node.on_undecodable, context=self._context)
        self._executor.add_node(self.node)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)
        self.node.close()
        self.node.destroy_node()
        self._executor.shutdown()
        self._context.try_shutdown()

    @property
    def log(self) -> str:
        """What has been logged so far."""
        return "\n".join(self._lines)

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def _listen_to(self, logger: Any) -> None:
        """Keep the lines that are really logged, beside their usual way."""
        log = logger.log
        # Filters such as the throttle are known by the caller, which is not this method.
        rcutils_logger._internal_callers.append(os.path.realpath(__file__))

        def keeping(message: str, *arguments: Any, **options: Any) -> bool:
            logged = log(message, *arguments, **options)
            if logged:
                self._lines.append(message)
            return logged

        logger.log = keeping

    def _spin(self) -> None:
        start(self.node)
        try:
            while not self._ended.is_set():
                self._executor.spin_once(timeout_sec=0.05)
        except WatchdogExpired as reason:
            self.failure = reason


class NodeProcess(process.NodeProcess):
    """The demo's process of the node, on one thread, and any signal may end it."""

    def __init__(self, log: Path, *arguments: str) -> None:
        super().__init__(log, ["--ros-args", *arguments], {"OMP_NUM_THREADS": "1"})

    @property
    def process(self) -> subprocess.Popen:
        """What the system knows of it."""
        return self._process

    def end(self, number: int) -> int:
        """Send a signal; the exit code, -9 if it did not care."""
        return self.stop(20.0, number)

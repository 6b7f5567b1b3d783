"""A vehicle's sensors at full size as a process: publishes serialized messages in real time.

Pictures, depth, points and the places of events are the demo bag's, enlarged. What does not change
from message to message is serialized once, so that playing costs little.
"""

from __future__ import annotations

import argparse
import heapq
import json
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from any2seg_ros import messages, resources
from any2seg_ros.bags.layout import TF_STATIC
from any2seg_ros.bags.reader import BagReader
from any2seg_ros.bags.stamps import restamp
from any2seg_ros.bench.figures import percentiles
from any2seg_ros.messages.buffers import from_array
from any2seg_ros.messages.kinds import (
    CAMERA_INFO,
    CLOUD,
    EVENTS,
    IMAGE,
    TRANSFORMS,
    message_class,
    ros_message,
)
from any2seg_ros.messages.making import camera_info_message, header_message, point_fields
from any2seg_ros.simulation import evt3
from any2seg_ros.types import Camera, Events, Modality

RGB_SIZE = (1280, 720)
DEPTH_SIZE = (848, 480)
EVENT_SIZE = (1280, 720)
POINTS = 114_000
EVENTS_A_PACKET = 512
PACKET_NS = 1_024_000
"""A power of two of microseconds, so that the 24 bits of EVT3's time hold whole packets."""
LIDAR_HZ = 10.0
LATE_NS = {Modality.RGB: 0, Modality.DEPTH: 4_000_000, Modality.LIDAR: 8_000_000}
"""ns after its stamp that a message is published: sensors do not deliver at once."""
_PACKETS = 64
_SCENES = 8
"""Different measurements of each sensor, played in turn."""
_BAG = "demo_data/streets"
_TOPICS = {
    Modality.RGB: "/rgb/image/compressed",
    Modality.DEPTH: "/depth/image/compressedDepth",
    Modality.LIDAR: "/lidar/points",
    Modality.EVENT: "/event/packets",
}
_MARK = 0x1122334455667788
"""Stands for the number of an event packet until it is known."""


@dataclass(frozen=True)
class Scene:
    """What the sensors publish: serialized messages in turn, by sensor; see `load`."""

    sensors: dict[Modality, list[bytes]]
    infos: dict[Modality, bytes]
    static: Any
    """TFMessage of the poses."""


def load(path: Path | None = None) -> Scene:
    """The demo bag's first scenes at full size."""
    taken = _first_messages(path or resources.find(_BAG))
    sensors = {
        m: [_serialized(make(message)) for message in taken[_TOPICS[m]]]
        for m, make in ((Modality.RGB, _rgb), (Modality.DEPTH, _depth), (Modality.LIDAR, _cloud))
    }
    sensors[Modality.EVENT] = [_serialized(packet) for packet in _packets(taken["/event/packets"])]
    infos = {
        m: _serialized(_info(taken[f"/{m.label}/camera_info"][0], size))
        for m, size in (
            (Modality.RGB, RGB_SIZE),
            (Modality.DEPTH, DEPTH_SIZE),
            (Modality.EVENT, EVENT_SIZE),
        )
    }
    return Scene(sensors, infos, _static(taken[TF_STATIC][0]))


def _first_messages(path: Path) -> dict[str, list[Any]]:
    """The first messages of each topic that is needed."""
    infos = [f"/{m.label}/camera_info" for m in (Modality.RGB, Modality.DEPTH, Modality.EVENT)]
    taken: dict[str, list[Any]] = {name: [] for name in (*_TOPICS.values(), *infos)}
    static: list[Any] = []
    with BagReader(path) as bag:
        for recorded in bag.messages([*taken, TF_STATIC]):
            kept = taken.get(recorded.topic, static)
            if len(kept) < _SCENES:
                kept.append(recorded.message)
            if min(map(len, taken.values())) == _SCENES:
                break
    return {**taken, TF_STATIC: static}


def _serialized(message: Any) -> bytes:
    from rclpy.serialization import serialize_message

    return bytes(serialize_message(message))


def _header(frame_id: str) -> Any:
    return header_message(ros_message, 0, frame_id)


def _image(pixels: np.ndarray, encoding: str, frame_id: str) -> Any:
    height, width = pixels.shape[:2]
    return ros_message(
        IMAGE,
        header=_header(frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * pixels[0, 0].nbytes,
        data=from_array(pixels),
    )


def _rgb(message: Any) -> Any:
    pixels = np.ascontiguousarray(messages.decode_image(message))
    large = cv2.resize(pixels, RGB_SIZE, interpolation=cv2.INTER_CUBIC)
    return _image(large, "rgb8", message.header.frame_id)


def _depth(message: Any) -> Any:
    depth = messages.decode_depth(message)
    if depth.dtype != np.uint16:
        depth = np.nan_to_num(1000 * depth, posinf=0, neginf=0).clip(0, 65535).astype(np.uint16)
    large = cv2.resize(depth, DEPTH_SIZE, interpolation=cv2.INTER_NEAREST)
    return _image(large, "16UC1", message.header.frame_id)


def _cloud(message: Any) -> Any:
    points = messages.decode_cloud(message)
    random = np.random.default_rng(0)
    chosen = points[np.sort(random.integers(0, len(points), POINTS))]
    chosen[:, :3] += random.normal(0, 0.02, (POINTS, 3)).astype(np.float32)
    return ros_message(
        CLOUD,
        header=_header(message.header.frame_id),
        height=1,
        width=POINTS,
        fields=point_fields(ros_message, ("x", "y", "z", "intensity")),
        is_bigendian=False,
        point_step=16,
        row_step=16 * POINTS,
        data=from_array(chosen),
        is_dense=True,
    )


def _packets(recorded: list[Any]) -> Iterator[Any]:
    """Packets of 65.5 ms; events are where the bag's are, at random within them."""
    decoder, random = messages.EventDecoder(), np.random.default_rng(0)
    pool = [decoder.decode(message) for message in recorded]
    x, y, p = (np.concatenate([getattr(one, name) for one in pool]) for name in "xyp")
    scale = EVENT_SIZE[0] // pool[0].width
    for number in range(_PACKETS):
        begin = number * PACKET_NS
        t = begin + np.sort(random.integers(0, PACKET_NS, EVENTS_A_PACKET))
        rows = random.integers(0, len(x), EVENTS_A_PACKET)
        finer = random.integers(0, scale, (2, EVENTS_A_PACKET))
        u, v = ((scale * a[rows] + b).astype(np.uint16) for a, b in zip((x, y), finer, strict=True))
        words = evt3.encode(Events(t, u, v, p[rows], *EVENT_SIZE), begin, 0)
        yield ros_message(
            EVENTS,
            header=_header(recorded[0].header.frame_id),
            height=EVENT_SIZE[1],
            width=EVENT_SIZE[0],
            seq=_MARK,
            time_base=0,
            encoding="evt3",
            is_bigendian=False,
            events=from_array(np.frombuffer(words, np.uint8)),
        )


def _info(message: Any, size: tuple[int, int]) -> Any:
    camera: Camera = messages.camera_from_info(message).resized(*size)
    return camera_info_message(ros_message, _header(message.header.frame_id), camera)


def _static(message: Any) -> Any:
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3

    def vector(kind: type, values: Any, names: str) -> Any:
        return kind(**{name: float(getattr(values, name)) for name in names})

    moved = [
        TransformStamped(
            header=_header(one.header.frame_id),
            child_frame_id=one.child_frame_id,
            transform=Transform(
                translation=vector(Vector3, one.transform.translation, "xyz"),
                rotation=vector(Quaternion, one.transform.rotation, "xyzw"),
            ),
        )
        for one in message.transforms
    ]
    return ros_message(TRANSFORMS, transforms=moved)


class PacketStream:
    """The scene's event packets in an endless stream: stamps, numbers and EVT3's time go on."""

    def __init__(self, packets: list[bytes]) -> None:
        self._packets = [bytearray(packet) for packet in packets]
        self._numbers = [packet.index(struct.pack("<Q", _MARK)) for packet in packets]
        self._highs = [_high_words(packet) for packet in packets]
        self._passed = len(packets) * PACKET_NS // 1000 >> 12
        """Steps of EVT3's upper time in one round through the packets."""

    def packet(self, number: int, stamp: int) -> bytes:
        """The packet of this number; stamp in ns."""
        rounds, index = divmod(number, len(self._packets))
        packet = self._packets[index]
        struct.pack_into("<iI", packet, 4, *divmod(stamp, 1_000_000_000))
        struct.pack_into("<Q", packet, self._numbers[index], number)
        for at, value in self._highs[index]:
            high = 0x8000 | (value + rounds * self._passed & 0xFFF)
            struct.pack_into("<H", packet, at, high)
        return bytes(packet)


def _high_words(packet: bytes) -> list[tuple[int, int]]:
    """Where in a serialized packet EVT3 says the upper half of the time, and what it is."""
    begin = packet.index(b"evt3\0") + 6  # the encoding, and whether it is big endian
    begin += -(begin - 4) % 4 + 4  # alignment, and the length
    words = np.frombuffer(packet[begin : begin + (len(packet) - begin) // 2 * 2], "<u2")
    at = np.flatnonzero(words >> 12 == 0x8)
    return [(begin + 2 * int(i), int(words[i] & 0xFFF)) for i in at]


@dataclass
class _Source:
    """A topic that is published at its times."""

    publisher: Any
    message: Callable[[int, int], bytes]
    period: float
    late: int = 0
    sent: int = 0


class Player:
    """Publishes a scene: cameras at `rate` Hz, LiDAR at 10 Hz, event packets each 1.024 ms.

    cameras: namespaces in each of which an RGB camera is; the other sensors have none.
    """

    def __init__(self, node: Any, scene: Scene, rate: float, cameras: tuple[str, ...]) -> None:
        self._sources: dict[str, _Source] = {}
        self._infos: list[tuple[Any, bytes]] = []
        self._behind: list[float] = []
        make = node.create_publisher
        rates = {Modality.RGB: rate, Modality.DEPTH: rate, Modality.LIDAR: LIDAR_HZ}
        for modality, late in LATE_NS.items():
            kind = CLOUD if modality == Modality.LIDAR else IMAGE
            name = "lidar/points" if modality == Modality.LIDAR else f"{modality.label}/image"
            spaces = cameras if modality == Modality.RGB else ("",)
            for space in spaces:
                publisher = make(message_class(kind), f"{space}/{name}", _reliable(10))
                cdrs = scene.sensors[modality]
                self._sources[f"{space}/{name}"] = _Source(
                    publisher, _in_turn(cdrs), 1e9 / rates[modality], late
                )
        stream = PacketStream(scene.sensors[Modality.EVENT])
        publisher = make(message_class(EVENTS), "/event/packets", _best_effort(1000))
        self._sources["/event/packets"] = _Source(publisher, stream.packet, PACKET_NS)
        for modality, cdr in scene.infos.items():
            for space in cameras if modality == Modality.RGB else ("",):
                topic = f"{space}/{modality.label}/camera_info"
                self._infos.append((make(message_class(CAMERA_INFO), topic, _reliable(10)), cdr))
        self._static = make(message_class(TRANSFORMS), "/tf_static", _latched())
        self._static.publish(scene.static)

    def wait(self, seconds: float = 60.0) -> None:
        """Until the node listens to every topic, with the QoS that it takes in the end."""
        end = time.monotonic() + seconds
        while any(s.publisher.get_subscription_count() < 1 for s in self._sources.values()):
            if time.monotonic() > end:
                raise TimeoutError(f"nobody listens to the sensors within {seconds:.0f} s")
            time.sleep(0.1)
        for _ in range(4):
            self._tell()
            time.sleep(0.5)

    def play(self, stopped: Callable[[], bool]) -> None:
        """Publish until `stopped()`."""
        start = time.time_ns() + 50_000_000
        order = count()
        due = [(start + s.late, next(order), start, s) for s in self._sources.values()]
        heapq.heapify(due)
        told = start
        while not stopped():
            at, _, stamp, source = heapq.heappop(due)
            left = at - time.time_ns()
            if left > 0:
                time.sleep(left * 1e-9)
            elif source.late == 0:
                self._behind.append(-left * 1e-6)
            source.publisher.publish(source.message(source.sent, stamp))
            source.sent += 1
            stamp = start + round(source.sent * source.period)
            heapq.heappush(due, (stamp + source.late, next(order), stamp, source))
            if at - told > 1_000_000_000:
                told = at
                self._tell()

    def _tell(self) -> None:
        for publisher, cdr in self._infos:
            publisher.publish(restamp(cdr, time.time_ns()))

    def report(self) -> dict[str, Any]:
        """Messages by topic, processor seconds, and how far behind the clock it published, ms."""
        behind = self._behind or [0.0]
        return {
            "sent": {topic: source.sent for topic, source in self._sources.items()},
            "processor_s": round(time.process_time(), 2),
            "behind_ms": percentiles(behind, (50, 90, 99), 2),
        }


def _in_turn(cdrs: list[bytes]) -> Callable[[int, int], bytes]:
    return lambda number, stamp: restamp(cdrs[number % len(cdrs)], stamp)


def _reliable(depth: int) -> Any:
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def _best_effort(depth: int) -> Any:
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


def _latched() -> Any:
    from rclpy.qos import DurabilityPolicy, QoSProfile

    return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def main() -> None:
    """Play until SIGTERM, then print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=10.0, help="Hz of the cameras")
    parser.add_argument("--cameras", nargs="*", default=[""], help="namespaces with a camera each")
    options = parser.parse_args()
    import rclpy

    stopped: list[int] = []
    rclpy.init(args=[])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stopped.append(number))
    node = rclpy.create_node("vehicle")
    player = Player(node, load(), options.rate, tuple(options.cameras))
    player.wait()
    began = time.process_time()
    player.play(lambda: bool(stopped))
    report = player.report()
    report["processor_s"] = round(time.process_time() - began, 2)
    print(json.dumps(report), flush=True)
    time.sleep(1.0)  # for what is still on its way
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()

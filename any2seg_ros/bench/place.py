"""Times decoding and preprocessing one frame of four sensors, against copying its bytes once.

RGB and depth of 1280 x 720, 128 000 points, 500 000 events/s at 10 frames/s; one core; modality
images of 320 x 192.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from any2seg_ros import messages
from any2seg_ros.bench.figures import best_ms
from any2seg_ros.messages import kinds
from any2seg_ros.messages.clouds import LABELLED_POINT
from any2seg_ros.messages.making import point_fields
from any2seg_ros.preprocessing import Preprocessor, concatenate
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.types import Camera, Events, Measurement, Modality

SECTION = "place"

_WIDTH, _HEIGHT = 1280, 720
_SIZE = (320, 192)
_POINTS = 128_000
_EVENTS_A_SECOND = 500_000
_PACKETS_A_SECOND = 1000
_FRAMES_A_SECOND = 10
_BATCH = 10
_REPEATS = 40
_STAMP = 1_000_000_000_000
_RGB = Camera(_WIDTH, _HEIGHT, 800.0, 800.0, 639.5, 359.5, (-0.2, 0.05, 0.001, -0.001, 0.0))
_DEPTH = Camera(_WIDTH, _HEIGHT, 760.0, 760.0, 639.5, 359.5)
_TO_DEPTH = transform((0.08, 0.0, 0.0), (0.0, 0.002, 0.0, 1.0))
_TO_LIDAR = transform((0.0, -0.4, -0.3), (0.5, -0.5, 0.5, -0.5))
_TO_EVENT = transform((-0.06, 0.0, 0.0), (0.001, 0.0, 0.0, 1.0))


def run() -> dict[str, Any]:
    """Best CPU times of one frame on one core, in ms: `ms` and `copy_ms` of each step.

    `total_ms` sums the steps of a frame with an unregistered depth camera and events decoded ten
    packets at a time. `beside` has alternatives.
    """
    with _one_core():
        steps = {name: _measured(*work) for name, work in _steps().items()}
    beside = {name: steps.pop(name) for name in list(steps) if name.startswith("beside: ")}
    return {
        "total_ms": round(sum(step["ms"] for step in steps.values()), 3),
        "copy_ms": round(sum(step["copy_ms"] for step in steps.values()), 3),
        "steps": steps,
        "beside": {name[len("beside: ") :]: step for name, step in beside.items()},
    }


@contextmanager
def _one_core() -> Iterator[None]:
    """Pin the process, and with it the threads of all libraries, to one core."""
    threads, cores = cv2.getNumThreads(), os.sched_getaffinity(0)
    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(threads)


def _measured(work: Callable[[], object], data: np.ndarray) -> dict[str, float]:
    return {"ms": best_ms(work, _REPEATS), "copy_ms": best_ms(data.copy, _REPEATS)}


def _steps() -> dict[str, tuple[Callable[[], object], np.ndarray]]:
    random = np.random.default_rng(0)
    rgb, depth, cloud, packets = _rgb(random), _depth(random), _cloud(random), _packets(random)
    decoded = messages.decode_cloud(cloud)
    chunks = _chunks(packets)
    placer = Preprocessor(_RGB, _SIZE)
    placed = {
        "rgb": Measurement(Modality.RGB, _STAMP, messages.decode_image(rgb), _RGB),
        "depth": Measurement(
            Modality.DEPTH, _STAMP, messages.decode_depth(depth), _DEPTH, _TO_DEPTH
        ),
        "registered": Measurement(Modality.DEPTH, _STAMP, messages.decode_depth(depth), _RGB),
        "lidar": Measurement(Modality.LIDAR, _STAMP, decoded, None, _TO_LIDAR),
        "event": Measurement(Modality.EVENT, _STAMP, _slice(chunks), _RGB, _TO_EVENT),
    }
    jpeg = _jpeg(rgb)
    raw = {name: messages.as_bytes(msg.data) for name, msg in (("rgb", rgb), ("depth", depth))}
    points, words = messages.as_bytes(cloud.data), np.concatenate([p.events for p in packets])
    return {
        "decode rgb": (lambda: messages.decode_image(rgb), raw["rgb"]),
        "place rgb": (lambda: placer.preprocess_one(placed["rgb"]), raw["rgb"]),
        "decode depth": (lambda: messages.decode_depth(depth), raw["depth"]),
        "place depth": (lambda: placer.preprocess_one(placed["depth"]), raw["depth"]),
        "decode lidar": (lambda: messages.decode_cloud(cloud), points),
        "place lidar": (lambda: placer.preprocess_one(placed["lidar"]), decoded),
        "decode events": (lambda: _chunks(packets), words),
        "slice events": (lambda: _slice(chunks), words),
        "place events": (lambda: placer.preprocess_one(placed["event"]), words),
        "beside: decode events, packet by packet": (lambda: _chunks(packets, 1), words),
        "beside: decode rgb, JPEG": (
            lambda: messages.decode_compressed(jpeg),
            messages.as_bytes(jpeg.data),
        ),
        "beside: decode rgb, JPEG at half its size": (
            lambda: messages.decode_compressed(jpeg, _SIZE),
            messages.as_bytes(jpeg.data),
        ),
        "beside: place depth, registered": (
            lambda: placer.preprocess_one(placed["registered"]),
            raw["depth"],
        ),
        **_clouds_for_rclpy(),
    }


def _clouds_for_rclpy() -> dict[str, tuple[Callable[[], object], np.ndarray]]:
    """What ~/points costs to make of 114 000 points, by sensor_msgs_py and without it."""
    try:
        header = kinds.ros_message(kinds.HEADER)
        from sensor_msgs_py import point_cloud2  # noqa: F401
    except ImportError:
        return {}
    make, field = kinds.ros_message, kinds.message_class(kinds.POINT_FIELD)
    points = np.zeros(114_000, LABELLED_POINT)

    def by_hand() -> object:
        return make(kinds.CLOUD, header=header, **messages.cloud_fields(points, field))

    return {
        "beside: make points": (lambda: messages.labelled_cloud(make, header, points), points),
        "beside: make points, without sensor_msgs_py": (by_hand, points),
    }


def _chunks(packets: list[Any], batch: int = _BATCH) -> list[Events]:
    decoder = messages.EventDecoder()
    return [
        decoder.decode_all(packets[begin : begin + batch])
        for begin in range(0, len(packets), batch)
    ]


def _slice(chunks: list[Events]) -> Events:
    return concatenate(chunks, _STAMP - 1_000_000_000, _STAMP)


def _header(stamp: int = _STAMP) -> SimpleNamespace:
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds))


def _image(pixels: np.ndarray, encoding: str) -> SimpleNamespace:
    return SimpleNamespace(
        header=_header(),
        height=_HEIGHT,
        width=_WIDTH,
        encoding=encoding,
        is_bigendian=0,
        step=_WIDTH * pixels[0, 0].nbytes,
        data=array("B", pixels.tobytes()),
    )


def _rgb(random: np.random.Generator) -> SimpleNamespace:
    small = random.integers(0, 256, (45, 80, 3), np.uint8)
    return _image(cv2.resize(small, (_WIDTH, _HEIGHT)), "rgb8")


def _jpeg(rgb: SimpleNamespace) -> SimpleNamespace:
    pixels = messages.decode_image(rgb)
    data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]))[1]
    return SimpleNamespace(
        header=_header(), format="rgb8; jpeg compressed bgr8", data=data.tobytes()
    )


def _depth(random: np.random.Generator) -> SimpleNamespace:
    small = random.uniform(2000, 40000, (9, 16)).astype(np.float32)
    depth = cv2.resize(small, (_WIDTH, _HEIGHT)).astype(np.uint16)
    depth[random.random(depth.shape) < 0.1] = 0
    return _image(depth, "16UC1")


def _cloud(random: np.random.Generator) -> SimpleNamespace:
    """A sweep of 128 rings: x, y, z, intensity (float32), ring (uint16); 20 bytes per point."""
    azimuth = np.tile(np.linspace(-np.pi, np.pi, _POINTS // 128, endpoint=False), 128)
    elevation = np.repeat(np.linspace(-0.4, 0.3, 128), _POINTS // 128)
    distance = random.uniform(2.0, 80.0, _POINTS)
    points = np.zeros((_POINTS, 5), np.float32)
    points[:, 0] = distance * np.cos(azimuth) * np.cos(elevation)
    points[:, 1] = distance * np.sin(azimuth) * np.cos(elevation)
    points[:, 2] = distance * np.sin(elevation)
    points[:, 3] = random.uniform(0.0, 255.0, _POINTS)
    names = ("x", "y", "z", "intensity")
    fields = point_fields(lambda kind, **values: SimpleNamespace(**values), names)
    fields.append(SimpleNamespace(name="ring", offset=16, datatype=4, count=1))
    return SimpleNamespace(
        header=_header(),
        height=128,
        width=_POINTS // 128,
        fields=fields,
        is_bigendian=False,
        point_step=20,
        row_step=20 * _POINTS // 128,
        data=array("B", points.tobytes()),
    )


def _packets(random: np.random.Generator) -> list[SimpleNamespace]:
    """EVT3 packets of 1 ms: of three events, one is single and two are in a vector."""
    count = _EVENTS_A_SECOND // _PACKETS_A_SECOND
    length = 1_000_000 // _PACKETS_A_SECOND
    packets = []
    for number in range(_PACKETS_A_SECOND // _FRAMES_A_SECOND):
        words: list[int] = []
        upper = -1
        for group in range(count // 3):
            now = number * length + group * 3 * length // count
            if now >> 12 != upper or now % 16 == 0:
                upper = now >> 12
                words.append(0x8000 | upper)
            words.append(0x6000 | now & 0xFFF)
            y, x, base = random.integers(0, (_HEIGHT, _WIDTH, _WIDTH - 12)).tolist()
            words += [y, 0x2000 | x, 0x3800 | base, 0x5000 | 0x11]
        stamp = _STAMP - 100_000_000 + (number + 1) * length * 1000
        packets.append(
            SimpleNamespace(
                header=_header(stamp),
                height=_HEIGHT,
                width=_WIDTH,
                encoding="evt3",
                is_bigendian=False,
                time_base=0,
                events=np.array(words, "<u2").view(np.uint8),
            )
        )
    return packets

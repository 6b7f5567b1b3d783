"""Valid messages of all kinds that the node takes, small, as any reader of messages makes them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from any2seg_ros.messages import as_bytes, from_array, info_fields
from any2seg_ros.simulation import evt3
from any2seg_ros.types import Camera, Events, Modality

SIZE = WIDTH, HEIGHT = 64, 48
CAMERA = Camera(WIDTH, HEIGHT, 50.0, 50.0, 31.5, 23.5)
MS = 1_000_000
Sample = Callable[[int], Any]
"""Makes a message of a stamp in ns."""

_RAW = {
    "rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "mono16": 2, "8UC3": 3, "16UC1": 2,
    "bayer_rggb8": 1, "bayer_gbrg16": 2, "yuv422": 2, "yuv422_yuy2": 2, "nv21": 1.5, "nv24": 3,
}  # fmt: skip
"""Encodings of raw images, and bytes a pixel."""
_PACKED = ((".jpg", "jpeg"), (".png", "png"), (".png", "mono16; png compressed "),
           (".jpg", "bayer_rggb8; jpeg compressed bgr8"), (".bmp", "bmp"), (".tiff", "tiff"),
           (".webp", "webp"))  # fmt: skip
_LAYOUTS = (
    (("x", 7), ("y", 7), ("z", 7), ("intensity", 7)),
    (("x", 8), ("y", 8), ("z", 8), ("i", 2)),
    (("x", 7), ("y", 7), ("z", 7), ("", 7), ("intensity", 4), ("ring", 4), ("t", 6)),
    (("x", 7), ("y", 7), ("z", 7)),
    (("x", 5), ("y", 5), ("z", 5), ("reflectivity", 4)),
)
"""Fields of clouds: name and PointField's number of the type; without a name, four bytes."""
_DTYPES = {2: "u1", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


@cache
def samples() -> list[tuple[str, Modality, Sample]]:
    """Name, sensor and maker of every kind of message, except camera_info and transforms."""
    found: list[tuple[str, Modality, Sample]] = []
    for modality, made in (
        (Modality.RGB, [*_raw(), *_packed(), *_video()]),
        (Modality.DEPTH, list(_depths())),
        (Modality.LIDAR, list(_clouds())),
        (Modality.EVENT, [*_packets(), *_arrays()]),
    ):
        found += [(f"{modality.label} {name}", modality, make) for name, make in made]
    return found


def camera_info(stamp: int) -> Any:
    """A CameraInfo of the images here."""
    roi = SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    fields = {
        name: np.asarray(value, float) if name in "dkrp" else value
        for name, value in info_fields(CAMERA).items()
    }
    fields["d"] = np.array([0.01, -0.02, 0.001, 0.001, 0.0])
    return SimpleNamespace(header=header(stamp), binning_x=0, binning_y=0, roi=roi, **fields)


def transform(stamp: int) -> Any:
    """A geometry_msgs/TransformStamped."""
    made = SimpleNamespace(
        translation=SimpleNamespace(x=1.0, y=0.0, z=0.5),
        rotation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0),
    )
    return SimpleNamespace(header=header(stamp), child_frame_id="lidar", transform=made)


def header(stamp: int) -> Any:
    """A std_msgs/Header."""
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    time = SimpleNamespace(sec=seconds, nanosec=nanoseconds)
    return SimpleNamespace(stamp=time, frame_id="camera")


def picture(stamp: int, channels: int = 3) -> np.ndarray:
    """Coarse blocks of random colours: uint8 (48, 64, channels)."""
    coarse = np.random.default_rng(stamp).integers(20, 230, (HEIGHT // 8, WIDTH // 8, channels))
    return coarse.astype(np.uint8).repeat(8, 0).repeat(8, 1)


def _image(stamp: int, encoding: str, step: int, data: bytes) -> Any:
    return SimpleNamespace(
        header=header(stamp),
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=0,
        step=step,
        data=from_array(as_bytes(data)),
    )


def _raw() -> Iterator[tuple[str, Sample]]:
    for encoding, size in _RAW.items():

        def make(stamp: int, encoding: str = encoding, size: float = size) -> Any:
            data = np.resize(picture(stamp), round(HEIGHT * WIDTH * size)).tobytes()
            return _image(stamp, encoding, round(WIDTH * max(1, int(size))), data)

        yield encoding, make


def _compressed(stamp: int, form: str, data: bytes) -> Any:
    return SimpleNamespace(header=header(stamp), format=form, data=from_array(as_bytes(data)))


def _packed() -> Iterator[tuple[str, Sample]]:
    for ending, form in _PACKED:

        def make(stamp: int, ending: str = ending, form: str = form) -> Any:
            pixels = picture(stamp, 1 if "16" in form or "bayer" in form else 3)
            if "16" in form:
                pixels = pixels.astype(np.uint16) * 257
            return _compressed(stamp, form, cv2.imencode(ending, pixels)[1].tobytes())

        yield form, make


def _depths() -> Iterator[tuple[str, Sample]]:
    def millimetres(stamp: int) -> np.ndarray:
        return picture(stamp, 1)[..., 0].astype(np.uint16) * 100

    def packed(stamp: int, form: str, data: bytes, a: float = 0.0, b: float = 0.0) -> Any:
        return _compressed(stamp, form, struct.pack("<iff", 0, a, b) + data)

    def rvl(stamp: int) -> Any:
        words = bytes(range(1, 200))
        data = struct.pack("<ii", WIDTH, HEIGHT) + words
        return packed(stamp, "16UC1; compressedDepth rvl", data)

    def png(stamp: int) -> bytes:
        return cv2.imencode(".png", millimetres(stamp))[1].tobytes()

    metres = ".tiff", "32FC1; tiff compressed "
    yield "16UC1", lambda s: _image(s, "16UC1", 2 * WIDTH, millimetres(s).tobytes())
    yield (
        "32FC1",
        lambda s: _image(s, "32FC1", 4 * WIDTH, (millimetres(s) * 1e-3).astype("f4").tobytes()),
    )
    yield "png", lambda s: packed(s, "16UC1; compressedDepth png", png(s))
    yield "quantized", lambda s: packed(s, "32FC1; compressedDepth png", png(s), 1e4, 1.0)
    yield "rvl", rvl
    yield (
        "tiff",
        lambda s: _compressed(
            s, metres[1], cv2.imencode(metres[0], (millimetres(s) * 1e-3).astype("f4"))[1].tobytes()
        ),
    )


def _clouds() -> Iterator[tuple[str, Sample]]:
    for number, layout in enumerate(_LAYOUTS):

        def make(stamp: int, layout: Any = layout, rows: int = 1 + number % 2) -> Any:
            return _cloud(stamp, layout, rows)

        yield f"layout {number}", make


def _cloud(stamp: int, layout: Any, rows: int, count: int = 96) -> Any:
    names = [(name or f"_{i}", _DTYPES[kind]) for i, (name, kind) in enumerate(layout)]
    points = np.zeros(count, np.dtype(names))
    offsets: Any = points.dtype.fields
    random = np.random.default_rng(stamp)
    for name, low, high in (("x", -2, 2), ("y", -2, 2), ("z", 4, 20)):
        points[name] = random.uniform(low, high, count)
    fields = [
        SimpleNamespace(name=name, offset=offsets[key][1], datatype=kind, count=1)
        for (key, _), (name, kind) in zip(names, layout, strict=True)
        if name
    ]
    return SimpleNamespace(
        header=header(stamp),
        height=rows,
        width=count // rows,
        fields=fields,
        is_bigendian=False,
        point_step=points.itemsize,
        row_step=points.itemsize * count // rows,
        data=from_array(points),
        is_dense=True,
    )


def _events(stamp: int, count: int = 60) -> Events:
    random = np.random.default_rng(stamp)
    t = np.sort(random.integers(stamp - 10 * MS, stamp, count))
    x, y = random.integers(0, WIDTH, count), random.integers(0, HEIGHT, count)
    polarity = random.random(count) > 0.5
    return Events(t, x.astype(np.uint16), y.astype(np.uint16), polarity, WIDTH, HEIGHT)


def _packet(stamp: int, encoding: str, data: bytes, base: int = 0) -> Any:
    return SimpleNamespace(
        header=header(stamp),
        height=HEIGHT,
        width=WIDTH,
        seq=0,
        time_base=base,
        encoding=encoding,
        is_bigendian=False,
        events=from_array(as_bytes(data)),
    )


def _packets() -> Iterator[tuple[str, Sample]]:
    def mono(stamp: int) -> Any:
        events, base = _events(stamp), stamp - 10 * MS
        words = (events.t - base).astype(np.uint64) | events.x.astype(np.uint64) << np.uint64(32)
        words |= events.y.astype(np.uint64) << np.uint64(48)
        return _packet(stamp, "mono", words.tobytes(), base)

    def third(stamp: int) -> Any:
        begin = stamp - 10 * MS
        return _packet(stamp, "evt3", evt3.encode(_events(stamp), begin, begin))

    n = np.arange(40, dtype=np.uint64)

    def second(stamp: int) -> Any:
        high = 8 << 28 | stamp // 64_000 & 0xFFFFFFF
        words = np.concatenate([[np.uint64(high)], n << np.uint64(22) | n << np.uint64(11) | n])
        return _packet(stamp, "evt2", words.astype("<u4").tobytes())

    def vectors(stamp: int) -> Any:
        high = 8 << 60 | (stamp // 64_000 & 0xFFFFFFF) << 32
        words = np.concatenate([[np.uint64(high)], n << np.uint64(54) | n << np.uint64(32) | n])
        return _packet(stamp, "evt21", words.astype("<u8").tobytes())

    def libcaer(stamp: int) -> Any:
        time = np.uint64(stamp // 1000 & 0x7FFFFFFF) << np.uint64(32)
        words = time | n << np.uint64(17) | n << np.uint64(2) | np.uint64(1)
        return _packet(stamp, "libcaer", words.astype("<u8").tobytes())

    def packed(stamp: int) -> Any:
        return _packet(stamp, "libcaer_cmp", (n * np.uint64(977)).astype("<u2").tobytes())

    yield "evt3", third
    yield "mono", mono
    yield "evt2", second
    yield "evt21", vectors
    yield "libcaer", libcaer
    yield "libcaer_cmp", packed


def _arrays() -> Iterator[tuple[str, Sample]]:
    def make(stamp: int, clock: str) -> Any:
        events = _events(stamp, 12)
        made = [
            SimpleNamespace(x=int(x), y=int(y), polarity=bool(p), **{clock: header(int(t)).stamp})
            for t, x, y, p in zip(events.t, events.x, events.y, events.p, strict=True)
        ]
        return SimpleNamespace(header=header(stamp), height=HEIGHT, width=WIDTH, events=made)

    yield "array", lambda stamp: make(stamp, "ts")


def _video() -> Iterator[tuple[str, Sample]]:
    """H.264 of foxglove_msgs, where PyAV is there to make some."""
    try:
        import av
    except ImportError:
        return
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.options = {"tune": "zerolatency", "g": "8"}
    packets = [
        bytes(packet)
        for index in range(16)
        for packet in context.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24"))
    ]

    def make(stamp: int) -> Any:
        data = from_array(as_bytes(packets[stamp // (100 * MS) % len(packets)]))
        when = header(stamp).stamp
        return SimpleNamespace(timestamp=when, frame_id="camera", data=data, format="h264")

    yield "h264", make

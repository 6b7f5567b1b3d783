"""Events to modality images: how many of either sign a window had, and how recent the last is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import Camera, Events, InvalidMeasurement, Measurement

_MANY = 1 << 16
"""Events on one pixel of the view that are told apart at most, whatever a focal length says."""


def concatenate(chunks: Sequence[Events], t0: int, t1: int) -> Events:
    """The events of `chunks` with t0 < t <= t1 (ns), in order of time, whatever chunks they are in.

    Chunks are of one sensor and follow each other, as packets do. ValueError for no chunk, because
    then the sensor's size is unknown, and for chunks of sensors of different sizes.
    """
    if not chunks:
        raise ValueError("no chunk of events to concatenate: give at least one, it may be empty")
    width, height = chunks[-1].width, chunks[-1].height
    parts = []
    for chunk in chunks:
        if (chunk.width, chunk.height) != (width, height):
            raise ValueError("chunks come from sensors of different sizes: keep them apart")
        if len(chunk) == 0 or chunk.t[-1] <= t0 or chunk.t[0] > t1:
            continue
        if chunk.t[0] > t0 and chunk.t[-1] <= t1:
            parts.append((chunk.t, chunk.x, chunk.y, chunk.p))
            continue
        first, last = np.searchsorted(chunk.t, (t0, t1), side="right")
        cut = slice(first, last)
        parts.append((chunk.t[cut], chunk.x[cut], chunk.y[cut], chunk.p[cut]))
    if not parts:
        last_one = chunks[-1]
        parts.append((last_one.t[:0], last_one.x[:0], last_one.y[:0], last_one.p[:0]))
    if len(parts) == 1:
        t, x, y, p = parts[0]
    else:
        t, x, y, p = (np.concatenate(column) for column in zip(*parts, strict=True))
        if not (
            t[1:] >= t[:-1]
        ).all():  # a packet may begin before the last event of the one before
            order = np.argsort(t, kind="stable")
            t, x, y, p = t[order], x[order], y[order], p[order]
    return Events(t, x, y, p, width, height)


def preprocess_events(
    measurement: Measurement,
    view: Camera,
    window_ns: int = 50_000_000,
    full_count: float = 4.0,
    minimum: int = 1,
) -> np.ndarray:
    """The last `window_ns` before the stamp as float32 (3, h, w), each channel in 0..1.

    Channels: positive events, negative events (logarithmic, 1 at `full_count` events for every
    pixel of the sensor), recency of the last event (1 at the stamp, 0 at the window's beginning).
    Events have no depth and are projected as if their cause were far away: only the rotation
    between the cameras and both lenses count. InvalidMeasurement with fewer than `minimum` events
    in the window.
    """
    events = measurement.data
    if not isinstance(events, Events):
        raise InvalidMeasurement("event data are neither events nor an event image")
    camera = measurement.camera
    if camera is None:
        camera = view.resized(events.width, events.height)
    elif (camera.width, camera.height) != (events.width, events.height):
        raise InvalidMeasurement(
            "event sensor has another size than its camera_info: "
            f"{events.width}x{events.height}, not {camera.width}x{camera.height}"
        )
    start = measurement.stamp - window_ns
    first, last = np.searchsorted(events.t, (start, measurement.stamp), side="right")
    if last - first < minimum:
        raise InvalidMeasurement("no events in the window" if last == first else "too few events")
    if last == first:
        return np.zeros((3, view.height, view.width), np.float32)
    wanted = slice(first, last)
    age = events.t[wanted] - start
    recency = age.astype(np.float32) * np.float32(1.0 / window_ns)
    cut = _Slice(events.x[wanted], events.y[wanted], events.p[wanted], recency)
    if int(cut.x.max()) >= events.width or int(cut.y.max()) >= events.height:
        raise InvalidMeasurement("events lie outside their sensor")
    fine = camera.fx >= view.fx and camera.fy >= view.fy
    spread = _scattered if fine else _stretched
    return spread(cut, camera, view, measurement.reference_from_sensor, full_count)


class _Slice(NamedTuple):
    """The events of a window: pixels, polarity, and their age as a share of the window's length."""

    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    recency: np.ndarray


def _scattered(
    cut: _Slice, camera: Camera, view: Camera, pose: np.ndarray, full_count: float
) -> np.ndarray:
    """A fine sensor: several of its pixels fall on one of the view, by table."""
    table = camera_models.lookup(view, camera, pose)
    flat = cut.y.astype(np.int32)
    flat *= camera.width
    flat += cut.x
    pixel = table[flat]
    size = view.height * view.width
    share = (camera.fx / view.fx) * (camera.fy / view.fy)
    image = _image(pixel, cut.p, cut.recency, size, share * full_count)
    return np.ascontiguousarray(image[:, :size]).reshape(3, view.height, view.width)


def _stretched(
    cut: _Slice, camera: Camera, view: Camera, pose: np.ndarray, full_count: float
) -> np.ndarray:
    """A coarse sensor: an image on its own raster is spread over the view."""
    size = camera.height * camera.width
    pixel = cut.y.astype(np.int32) * camera.width + cut.x
    small = _image(pixel, cut.p, cut.recency, size, full_count)[:, :size]
    u, v = camera_models.warp(view, camera, pose)
    planes = np.empty((3, view.height, view.width), np.float32)
    for plane, source in zip(planes, small.reshape(3, camera.height, camera.width), strict=True):
        cv2.remap(source, u, v, cv2.INTER_NEAREST, dst=plane, borderMode=cv2.BORDER_CONSTANT)
    return planes


def _image(
    pixel: np.ndarray, p: np.ndarray, recency: np.ndarray, size: int, full: float
) -> np.ndarray:
    """Channels over `size` pixels and one more for events that are not in view."""
    line = size + 1
    counts = np.bincount(pixel + p * np.int32(line), minlength=2 * line)
    planes = np.zeros((3, line), np.float32)
    table = _counts(round(full, 6))
    np.take(table, counts[line:], out=planes[0], mode="clip")
    np.take(table, counts[:line], out=planes[1], mode="clip")
    # Events are in order of time, so that the last one written is the most recent one.
    planes[2][pixel] = recency
    return planes


@lru_cache(maxsize=32)
def _counts(full: float) -> np.ndarray:
    """What 0, 1, 2, ... events are shown as; the last entry is for all that are more."""
    counts = np.arange(min(int(np.ceil(full)), _MANY) + 1, dtype=np.float32)
    return np.minimum(np.log1p(counts) / np.log1p(np.float32(full)), 1.0).astype(np.float32)

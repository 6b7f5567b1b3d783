"""The folder layout of DELIVER, plus the raw measurements, which DELIVER lacks."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from math import acos, pi, sqrt
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.files import write_atomically
from any2seg_ros.loops import compiled
from any2seg_ros.preprocessing.depth import depth_in_view
from any2seg_ros.preprocessing.preprocessor import Preprocessor
from any2seg_ros.simulation.drive import Rig
from any2seg_ros.simulation.scene import Capture, Scene, SceneSpec
from any2seg_ros.types import Camera, Frame, InvalidMeasurement, Measurement, Modality

PICTURES = {
    "img": "rgb_front.png",
    "semantic": "semantic_front.png",
    "hha": "depth_front.png",
    "depth": "depth_front.png",
    "lidar": "lidar_front.png",
    "event": "event_front.png",
}
"""Folders of images aligned with the RGB camera, and the suffix after `<frame>_`."""
RAW = ("depth_front.png", "lidar_front.npy", "event_front.npz")


def frame_name(number: int) -> str:
    """The frame number in six digits."""
    return f"{number:06d}"


def folder(root: Path, kind: str, spec: SceneSpec) -> Path:
    """A scene's folder for one kind of file: img, hha, ..., raw."""
    return root / kind / spec.condition / spec.split / spec.name


def frame_files(root: Path, spec: SceneSpec, number: int) -> list[Path]:
    """All files of one frame."""
    name = frame_name(number)
    files = [folder(root, kind, spec) / f"{name}_{end}" for kind, end in PICTURES.items()]
    return files + [folder(root, "raw", spec) / f"{name}_{end}" for end in RAW]


def clear_parts(root: Path, spec: SceneSpec) -> None:
    """Delete partial files of a killed run."""
    for kind in (*PICTURES, "raw"):
        for part in folder(root, kind, spec).glob(".*.part"):
            part.unlink()


def write_calibration(root: Path, scene: Scene) -> None:
    """Write a scene's `raw/.../calibration.json`."""
    spec = scene.spec
    stamps = {frame_name(n): scene.stamp(spec.seconds(n)) for n in range(spec.frames)}
    text = json.dumps({"stamps": stamps, "sensors": _sensors(scene.rig)}, indent=1)
    write_atomically(folder(root, "raw", spec) / "calibration.json", text.encode())


def _sensors(rig: Rig) -> dict[str, object]:
    def entry(frame_id: str, camera: Camera | None, pose: np.ndarray) -> dict[str, object]:
        return {
            "frame_id": frame_id,
            "camera": asdict(camera) if camera else None,
            "reference_from_sensor": np.round(rig.reference_from(pose), 9).tolist(),
        }

    return {
        "rgb": entry("rgb_camera_optical", rig.rgb, rig.base_from_rgb),
        "depth": entry("depth_camera_optical", rig.depth, rig.base_from_depth),
        "lidar": entry("lidar", None, rig.base_from_lidar),
        "event": entry("event_camera_optical", rig.event, rig.base_from_event),
    }


def write_capture(
    root: Path, scene: Scene, number: int, capture: Capture, preprocessor: Preprocessor
) -> None:
    """Write all files of one frame; `preprocessor` has the RGB camera's geometry and size."""
    spec, name = scene.spec, frame_name(number)
    frame = scene.frame(capture)
    images = {
        kind: png(image, flat=kind in _FLAT)
        for kind, image in _pictures(scene, frame, capture, preprocessor).items()
    }
    raw = folder(root, "raw", spec)
    write_atomically(raw / f"{name}_{RAW[0]}", png(capture.depth))
    write_atomically(raw / f"{name}_{RAW[1]}", _npy(capture.cloud.points))
    events = capture.events
    write_atomically(raw / f"{name}_{RAW[2]}", _npz(t=events.t, x=events.x, y=events.y, p=events.p))
    for kind, data in images.items():
        write_atomically(folder(root, kind, spec) / f"{name}_{PICTURES[kind]}", data)


_FLAT = ("semantic", "lidar", "event")
"""Images with large areas of one value."""


def png(image: np.ndarray, flat: bool = False) -> bytes:
    """A PNG of uint8 (h, w, 3) RGB, uint8 (h, w) or uint16 (h, w).

    Favours speed over size: one filter for all rows, chosen for images with large areas of one
    value (`flat`) or without, instead of trying every filter.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", image, _QUICK_FLAT if flat else _QUICK)
    if not done:
        raise OSError("image encoding failed")
    return data.tobytes()


def _options(strategy: int, filtering: str) -> list[int]:
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, strategy]
    # OpenCV before 4.13 has no such option.
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):
        options += [cv2.IMWRITE_PNG_FILTER, getattr(cv2, filtering)]
    return options


_QUICK = _options(cv2.IMWRITE_PNG_STRATEGY_RLE, "IMWRITE_PNG_FILTER_SUB")
_QUICK_FLAT = _options(cv2.IMWRITE_PNG_STRATEGY_DEFAULT, "IMWRITE_PNG_FILTER_NONE")


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _pictures(
    scene: Scene, frame: Frame, capture: Capture, preprocessor: Preprocessor
) -> dict[str, np.ndarray]:
    raw = capture.labels + np.uint8(1)
    depth = depth_in_view(frame.measurements[Modality.DEPTH], preprocessor.view)
    event = _modality_image(preprocessor, frame.measurements[Modality.EVENT])
    if scene.spec.failure == "eventlowres":
        event = np.ascontiguousarray(event[::2, ::2])
    modality_image = _modality_image(
        preprocessor, Measurement(Modality.DEPTH, capture.stamp, depth, None)
    )
    depth = np.where(np.isfinite(depth), depth, np.float32(0.0))
    return {
        "img": capture.rgb,
        "semantic": np.repeat(raw[..., None], 3, 2),
        "hha": hha(depth, preprocessor.view, modality_image),
        "depth": coded_depth(depth),
        "lidar": _modality_image(preprocessor, frame.measurements[Modality.LIDAR]),
        "event": event,
    }


def _modality_image(preprocessor: Preprocessor, measurement: Measurement) -> np.ndarray:
    """The modality image of a measurement, uint8 (h, w, 3); black if it is unusable."""
    try:
        planes = preprocessor.preprocess_one(measurement)
    except InvalidMeasurement:
        planes = np.zeros((3, preprocessor.view.height, preprocessor.view.width), np.float32)
    return np.rint(planes.transpose(1, 2, 0) * 255).astype(np.uint8)


def coded_depth(depth: np.ndarray) -> np.ndarray:
    """Depth float32 (h, w) in metres as CARLA's 24-bit depth, uint8 (h, w, 3)."""
    code = np.rint(np.clip(depth / 1000.0, 0, 1).astype(np.float64) * (2**24 - 1)).astype(np.uint32)
    return np.stack([code & 255, code >> 8 & 255, code >> 16], -1).astype(np.uint8)


def hha(depth: np.ndarray, view: Camera, modality_image: np.ndarray) -> np.ndarray:
    """HHA: horizontal disparity, height, angle to gravity; uint8 (h, w, 3), 0 in holes.

    After Gupta et al. (ECCV 2014). Disparity and height are channels 1 and 2 of the depth modality
    image; the angle is between the surface normal and up, 255 for 180 degrees.
    """
    valid = (depth > 0).astype(np.float32)
    v, u = np.mgrid[: view.height, : view.width].astype(np.float32)
    rays = ((u - view.cx) / view.fx, (v - view.cy) / view.fy, np.float32(1.0))
    weight = cv2.blur(valid, (7, 7)) + np.float32(1e-6)
    x, y, z = (cv2.blur(depth * ray, (7, 7)) / weight for ray in rays)
    image = np.zeros_like(modality_image)
    _add_angles(image, depth, x, y, z, modality_image)
    return image


@compiled
def _add_angles(image, depth, x, y, z, modality_image):
    """Fill the HHA image where depth is valid; x, y and z are the smoothed points."""
    height, width = depth.shape
    for row in range(height):
        middle = min(max(row, 1), height - 2)
        up, down = middle - 1, middle + 1
        for column in range(width):
            if depth[row, column] <= 0:
                continue
            middle = min(max(column, 1), width - 2)
            left, right = middle - 1, middle + 1
            ax, ay = x[row, right] - x[row, left], y[row, right] - y[row, left]
            az = z[row, right] - z[row, left]
            bx, by = x[down, column] - x[up, column], y[down, column] - y[up, column]
            bz = z[down, column] - z[up, column]
            nx, ny, nz = by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax
            cosine = -ny / (sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
            angle = acos(min(max(cosine, -1.0), 1.0)) * (255.0 / pi)
            image[row, column, 0], image[row, column, 1] = (
                modality_image[row, column, 1], modality_image[row, column, 2],
            )  # fmt: skip
            image[row, column, 2] = round(angle)

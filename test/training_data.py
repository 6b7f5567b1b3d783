"""A small data set in DELIVER's folders, with raw measurements or without: boxes on a road."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

SIZE = (96, 64)
CLASSES = {"Sky": 12, "Road": 6, "Cars": 9, "Building": 0}


def write(root: Path, split: str, count: int, raw: bool = False, condition: str = "sun") -> None:
    """`count` frames of one scene."""
    scene = "MAP_1_point1"
    folders = {
        kind: root / kind / condition / split / scene
        for kind in ("img", "hha", "lidar", "event", "semantic", *(("raw",) if raw else ()))
    }
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        generator = np.random.default_rng([i, len(split)])
        label = picture(generator)
        name = f"{i:06d}"
        lit = np.stack([label * 20 + 10] * 3, -1) + generator.integers(0, 5, (*label.shape, 3))
        save(folders["semantic"] / f"{name}_semantic_front.png", np.stack([label + 1] * 3, -1))
        save(folders["img"] / f"{name}_rgb_front.png", lit)
        save(folders["hha"] / f"{name}_depth_front.png", 255 - lit)
        sparse = lit * (generator.random(label.shape) > 0.7)[..., None]
        save(folders["lidar"] / f"{name}_lidar_front.png", sparse)
        save(folders["event"] / f"{name}_event_front.png", cv2.Laplacian(lit.astype("u1"), -1))
        if raw:
            write_raw(folders["raw"], name, label, generator)
    if raw:
        write_calibration(folders["raw"], count)


def picture(generator: np.random.Generator) -> np.ndarray:
    """Class ids uint8: sky above, road below, a building and a car somewhere."""
    width, height = SIZE
    label = np.full((height, width), CLASSES["Sky"], np.uint8)
    label[height // 2 :] = CLASSES["Road"]
    x = int(generator.integers(0, width // 2))
    label[height // 4 : height // 2, x : x + width // 3] = CLASSES["Building"]
    x = int(generator.integers(0, width - 20))
    label[height // 2 - 6 : height // 2 + 10, x : x + 20] = CLASSES["Cars"]
    return label


def save(path: Path, image: np.ndarray) -> None:
    cv2.imwrite(str(path), image[..., ::-1].astype(np.uint8))


def write_raw(folder: Path, name: str, label: np.ndarray, generator: np.random.Generator) -> None:
    depth = (2000 + 500 * label.astype(np.uint16)).astype(np.uint16)
    cv2.imwrite(str(folder / f"{name}_depth_front.png"), depth)
    points = generator.uniform((2, -5, -2, 0), (30, 5, 3, 1), (500, 4)).astype(np.float32)
    np.save(folder / f"{name}_lidar_front.npy", points)
    n = 300
    np.savez(
        folder / f"{name}_event_front.npz",
        t=np.sort(generator.integers(int(1e9) - 50_000_000, int(1e9), n)),
        x=generator.integers(0, SIZE[0], n).astype(np.uint16),
        y=generator.integers(0, SIZE[1], n).astype(np.uint16),
        p=generator.random(n) > 0.5,
    )


def write_calibration(folder: Path, count: int) -> None:
    camera = {"width": SIZE[0], "height": SIZE[1], "fx": 60.0, "fy": 60.0, "cx": 47.5, "cy": 31.5}
    eye = np.eye(4).tolist()
    lidar = [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    sensors = {
        name: {"frame_id": name, "camera": camera, "reference_from_sensor": eye}
        for name in ("rgb", "depth", "event")
    }
    sensors["lidar"] = {"frame_id": "lidar", "camera": None, "reference_from_sensor": lidar}
    stamps = {f"{i:06d}": int(1e9) for i in range(count)}
    content = {"stamps": stamps, "sensors": sensors}
    (folder / "calibration.json").write_text(json.dumps(content))

"""Statistics for a data card: `python -m any2seg_ros.simulation.card DATASET [SHEET.jpg]`.

Prints the class frequencies by split and condition as Markdown; draws a contact sheet of every
condition, failure case and sensor.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.simulation.scene import SPLITS
from any2seg_ros.simulation.weather import CONDITIONS, FAILURES
from any2seg_ros.taxonomy import DELIVER

_TILE = (256, 144)
_COLUMNS = (
    ("RGB", "img", "rgb_front.png"),
    ("labels", "semantic", "semantic_front.png"),
    ("depth (HHA)", "hha", "depth_front.png"),
    ("LiDAR", "lidar", "lidar_front.png"),
    ("events", "event", "event_front.png"),
)


def shares(root: Path) -> dict[str, np.ndarray]:
    """Percent of pixels of each class, float64 (25,), by split and by condition.

    Key "<split> frames" has the percent of frames with more than 20 pixels of the class.
    """
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(DELIVER)))
    seen: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(DELIVER)))
    frames: dict[str, int] = defaultdict(int)
    for file in sorted(root.glob("semantic/*/*/*/*.png")):
        condition, split = file.parts[-4:-2]
        count = np.bincount(_labels(file).ravel(), minlength=256)[: len(DELIVER)]
        for key in (condition, split):
            counts[key] += count
        seen[split] += count > 20
        frames[split] += 1
    found = {key: 100 * count / count.sum() for key, count in counts.items()}
    return found | {f"{key} frames": 100 * seen[key] / frames[key] for key in seen}


def _labels(file: Path) -> np.ndarray:
    """Class ids uint8 (h, w), 255 if unlabelled."""
    return _read(file)[..., 2] - np.uint8(1)


def _read(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file))
    if picture is None:
        raise FileNotFoundError(f"{file} is missing or unreadable: run `any2seg simulate` again")
    return picture


def table(found: dict[str, np.ndarray]) -> str:
    """The shares as a Markdown table, most frequent class first."""
    keys = [k for s in SPLITS if s in found for k in (s, f"{s} frames")]
    keys += [c for c in CONDITIONS if c in found]
    lines = ["| class | " + " | ".join(keys) + " |", "|---" + "|---:" * len(keys) + "|"]
    order = np.argsort(-found[keys[0]])
    for number in order:
        cells = [
            f"{found[k][number]:.0f}" if k.endswith("frames") else f"{found[k][number]:.2f}"
            for k in keys
        ]
        lines.append(f"| {DELIVER.classes[number]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def contact_sheet(root: Path) -> np.ndarray:
    """One row per condition and failure case, BGR uint8; FileNotFoundError if one is missing."""
    scenes = [(name, f"img/{name}/val/MAP_*point*/*_rgb_front.png") for name in CONDITIONS]
    scenes += [(name, f"img/*/train/*_{name}/*_rgb_front.png") for name in FAILURES]
    rows = [_head()]
    for number, (name, pattern) in enumerate(scenes):
        files = [f for f in sorted(root.glob(pattern)) if name in FAILURES or _plain(f)]
        if not files:
            raise FileNotFoundError(f"{root} has no frame of '{name}'")
        # Vary the scene and the condition from row to row.
        rows.append(_row(files[(7 * number + len(files) // 2) % len(files)], name))
    return np.vstack(rows)


def _plain(file: Path) -> bool:
    return not any(file.parent.name.endswith(name) for name in FAILURES)


def _head() -> np.ndarray:
    head = np.full((20, _TILE[0] * len(_COLUMNS), 3), 255, np.uint8)
    for k, (title, *_) in enumerate(_COLUMNS):
        _write(head, title, (_TILE[0] * k + 6, 14), (0, 0, 0))
    return head


def _row(rgb: Path, name: str) -> np.ndarray:
    tiles = []
    for _, kind, end in _COLUMNS:
        path = Path(str(rgb).replace("/img/", f"/{kind}/")).with_name(f"{rgb.name[:6]}_{end}")
        tile = _read(path)
        smooth = cv2.INTER_AREA
        if kind == "semantic":
            tile, smooth = DELIVER.colorize(_labels(path))[..., ::-1], cv2.INTER_NEAREST
        elif kind == "lidar":
            tile = cv2.dilate(tile, np.ones((2, 2), np.uint8))
        elif kind == "event":
            smooth = cv2.INTER_NEAREST
        tiles.append(cv2.resize(np.ascontiguousarray(tile), _TILE, interpolation=smooth))
    row = np.hstack(tiles)
    cv2.rectangle(row, (0, 0), (9 * len(name) + 8, 18), (255, 255, 255), -1)
    _write(row, name, (4, 13), (0, 0, 0))
    row[-1] = 255
    return row


def _write(image: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int]) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)


def main(arguments: list[str]) -> None:
    """Print the tables; draw the sheet if a second argument names its file."""
    root = Path(arguments[0])
    print(table(shares(root)))
    if len(arguments) > 1:
        sheet = Path(arguments[1])
        sheet.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(sheet), contact_sheet(root), [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main(sys.argv[1:])

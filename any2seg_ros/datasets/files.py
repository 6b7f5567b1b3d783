"""Reads the files of data sets; errors name the file and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np


class NoLabel(FileNotFoundError):
    """A frame has no ground truth."""


def existing(path: Path) -> Path:
    """The path of a file that is there; FileNotFoundError names one that is not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the data set is not complete")
    return path


def other_splits(root: Path, folders: str) -> str:
    """The splits in the folders at a pattern, as a hint; empty where there are none."""
    splits = sorted({folder.name for folder in root.glob(folders) if folder.is_dir()})
    return f"its splits are {', '.join(splits)}" if splits else ""


def read_image(path: Path, flags: int) -> np.ndarray:
    """An image as OpenCV reads it; FileNotFoundError or ValueError name the file and the fix."""
    image = cv2.imread(str(existing(path)), flags)
    if image is None:
        raise ValueError(f"{path} is no readable image: fetch or make it again")
    return image


def read_label(path: Path, flags: int) -> np.ndarray:
    """`read_image` of the ground truth; NoLabel where it is missing."""
    try:
        return read_image(path, flags)
    except FileNotFoundError as error:
        raise NoLabel(*error.args) from None


def read_rgb(path: Path) -> np.ndarray:
    """A colour image, uint8 (h, w, 3)."""
    return cv2.cvtColor(read_image(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_array(path: Path) -> Any:
    """The array of an .npy file, or those of an .npz file by name."""
    existing(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        return dict(loaded) if path.suffix == ".npz" else loaded
    except Exception as error:
        raise ValueError(f"{path} cannot be read ({error}): make it again") from None

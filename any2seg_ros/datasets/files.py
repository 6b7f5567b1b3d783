"""Reads the files of data sets; errors name the file and the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np


def read_image(path: Path, flags: int) -> np.ndarray:
    """An image as OpenCV reads it; FileNotFoundError or ValueError name the file and the mend."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the data set is not complete")
    image = cv2.imread(str(path), flags)
    if image is None:
        raise ValueError(f"{path} is no readable image: fetch or make it again")
    return image


def read_rgb(path: Path) -> np.ndarray:
    """A colour image, uint8 (h, w, 3)."""
    return cv2.cvtColor(read_image(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_array(path: Path) -> Any:
    """The array of an .npy file, or those of an .npz file by name."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the data set is not complete")
    try:
        loaded = np.load(path, allow_pickle=False)
        return dict(loaded) if path.suffix == ".npz" else loaded
    except Exception as error:
        raise ValueError(f"{path} cannot be read ({error}): make it again") from None

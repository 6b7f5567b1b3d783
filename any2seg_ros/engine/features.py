"""What encoders give and decoders take, and which of it is fused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Features = Sequence[Any]
"""An encoder's four feature maps (C, H/s, W/s) of one image, as the engine that made them keeps
them."""

Choices = tuple[tuple[int, ...], ...]
"""Subsets of the features of many images: the indices of the images in each, at least one."""


def everything(count: int) -> Choices:
    """The one choice of all of `count` images."""
    return (tuple(range(count)),)


def stacked(features: Sequence[Features]) -> list[np.ndarray]:
    """Four arrays float32 (M, C, h, w) of the features of M images.

    Not copied where they are all the rows of four such arrays, in order.
    """
    return [_stack(scale) for scale in zip(*features, strict=True)]


def _stack(scale: Sequence[np.ndarray]) -> np.ndarray:
    whole = scale[0].base
    if isinstance(whole, np.ndarray) and _are_rows(scale, whole):
        return whole
    return np.stack(scale, dtype=np.float32)


def _are_rows(scale: Sequence[np.ndarray], whole: np.ndarray) -> bool:
    if whole.shape != (len(scale), *scale[0].shape) or not whole.flags.c_contiguous:
        return False
    first, step = whole.ctypes.data, whole.strides[0]
    return all(row.ctypes.data == first + i * step for i, row in enumerate(scale))

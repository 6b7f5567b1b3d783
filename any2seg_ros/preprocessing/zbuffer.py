"""Of several points on one pixel the nearest is seen: a z-buffer over pixel numbers."""

from __future__ import annotations

import numpy as np

_FARTHEST = 0x7F800000
"""The bits of infinity in float32."""


def nearest(
    pixel: np.ndarray,
    distance: np.ndarray,
    width: int,
    height: int,
    dilation: int = 1,
    only_gaps: bool = False,
) -> np.ndarray:
    """The index of the nearest point on every pixel, intp (height * width,); n where there is none.

    pixel intp (n,) are flat pixels, distance float32 (n,) > 0 in metres. With a `dilation` of k, a
    point covers k x k pixels, its own the upper left one for k = 2; with `only_gaps` it
    does so only on pixels without a point of their own.
    """
    # A positive float32 sorts like its bits, so that one minimum finds the distance and the point.
    keys = distance.astype(np.float32, copy=False).view(np.int32).astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(keys))
    empty = _FARTHEST << 32 | len(keys)
    image = np.full(height * width, empty, np.int64)
    np.minimum.at(image, pixel, keys)
    if dilation > 1:
        wide = _dilated(image.reshape(height, width), dilation).ravel()
        image = np.where(image == empty, wide, image) if only_gaps else wide
    image &= 0xFFFFFFFF
    return image.astype(np.intp, copy=False)


def _dilated(image: np.ndarray, size: int) -> np.ndarray:
    before = (size - 1) // 2
    for axis in (0, 1):
        lines = np.moveaxis(image, axis, 0)
        grown = lines.copy()
        for shift in range(-before, size - before):
            if 0 < shift < len(lines):
                np.minimum(grown[shift:], lines[:-shift], out=grown[shift:])
            elif -len(lines) < shift < 0:
                np.minimum(grown[:shift], lines[-shift:], out=grown[:shift])
        image = np.moveaxis(grown, 0, axis)
    return image

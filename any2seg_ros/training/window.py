"""A window of a frame: which part of its images a view shows, and on how many pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from any2seg_ros.types import Camera


@dataclass(frozen=True)
class Window:
    """Rows and columns in shares of the image, and the (width, height) of the view in pixels.

    Shares of whole pixels of the modality images, so that every raster is cut at the same place.
    """

    top: float
    left: float
    rows: float
    columns: float
    size: tuple[int, int]

    @classmethod
    def drawn(
        cls,
        shape: tuple[int, ...],
        size: tuple[int, int],
        zoom: float,
        stretch: float,
        generator: np.random.Generator,
    ) -> Window:
        """A window of images of `shape` (rows, columns), magnified at most `zoom` times.

        One direction may be magnified `stretch` times as much as the other.
        """
        height, width = shape
        smallest = max(size[0] / width, size[1] / height)
        scale = generator.uniform(smallest, max(zoom, smallest))
        ratio = _ratio(stretch, generator)
        rows = min(height, round(size[1] / (scale * np.sqrt(ratio))))
        columns = min(width, round(size[0] / (scale / np.sqrt(ratio))))
        top, left = (
            round(place * (length - extent))
            for place, length, extent in zip(
                generator.random(2), (height, width), (rows, columns), strict=True
            )
        )
        return cls(top / height, left / width, rows / height, columns / width, size)

    def area(self, image: np.ndarray) -> np.ndarray:
        """The part of a picture (h, w) or (h, w, c), averaged where it gets smaller."""
        part = self._part(image)
        smaller = part.shape[1] > self.size[0] or part.shape[0] > self.size[1]
        kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return cv2.resize(part, self.size, interpolation=kind)

    def nearest(self, image: np.ndarray) -> np.ndarray:
        """The part of a label (h, w), at twice the view's size."""
        size = (2 * self.size[0], 2 * self.size[1])
        return cv2.resize(self._part(image), size, interpolation=cv2.INTER_NEAREST)

    def planes(self, planes: np.ndarray, kind: int) -> np.ndarray:
        """The part of planes (c, h, w), float32, by an interpolation of OpenCV's."""
        return np.stack(
            [
                cv2.resize(self._part(plane).astype(np.float32), self.size, interpolation=kind)
                for plane in planes
            ]
        )

    def camera(self, view: Camera) -> Camera:
        """The camera whose image the view is."""
        wide = view.resized(
            max(1, round(self.size[0] / self.columns)), max(1, round(self.size[1] / self.rows))
        )
        return Camera(
            self.size[0],
            self.size[1],
            wide.fx,
            wide.fy,
            wide.cx - self.left * wide.width,
            wide.cy - self.top * wide.height,
            view.distortion,
            view.model,
        )

    def _part(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        top, left = round(self.top * height), round(self.left * width)
        rows, columns = max(1, round(self.rows * height)), max(1, round(self.columns * width))
        return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def _ratio(stretch: float, generator: np.random.Generator) -> float:
    """How much more rows are magnified than columns: four of ten windows keep their shape, nearly;
    the wide images of many cameras fill the network's by being stretched upwards."""
    if stretch <= 1:
        return 1.0
    low, high = (0.9, 1.1) if generator.random() < 0.4 else (stretch**-0.25, stretch)
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))

"""The Preprocessor: from the measurements of a Frame to the images that the network eats."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from any2seg_ros.preprocessing.depth import preprocess_depth
from any2seg_ros.preprocessing.events import preprocess_events
from any2seg_ros.preprocessing.lidar import preprocess_lidar
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.preprocessing.rgb import (
    check_picture,
    check_shape,
    preprocess_ready_image,
    preprocess_rgb,
)
from any2seg_ros.types import (
    Availability,
    Camera,
    Events,
    Frame,
    InvalidMeasurement,
    Measurement,
    Modality,
)


@dataclass(frozen=True)
class PreprocessingConfig:
    """How measurements become modality images. A network is trained with one set of these."""

    range_near: float = 1.0
    """Distance in metres that depth and LiDAR show as 1."""
    range_far: float = 100.0
    """Distance in metres that depth and LiDAR show as 0."""
    height_low: float = -3.0
    """Height in metres above the reference camera that is shown as 0."""
    height_high: float = 7.0
    """Height in metres above the reference camera that is shown as 1."""
    lidar_minimum_range: float = 1.0
    """Points nearer to the LiDAR than this, in metres, belong to the vehicle and are dropped."""
    lidar_dilation: int = 2
    """Width in pixels of the modality image that a LiDAR point covers."""
    event_window_ms: float = 50.0
    """Length of the window of events before the stamp, in milliseconds."""
    event_full_count: float = 4.0
    """Events of one sign for every sensor pixel, in the window, that are shown as 1."""
    event_minimum: int = 1
    """Events in the window below which there is nothing to see; 0 shows a silent sensor as 0."""

    def __post_init__(self) -> None:
        if not 0 < self.range_near < self.range_far:
            raise ValueError("range_near must be above 0 and below range_far")
        if not self.height_low < self.height_high:
            raise ValueError("height_low must be below height_high")
        if self.lidar_dilation < 1 or not self.event_window_ms > 0 or not self.event_full_count > 0:
            raise ValueError(
                "lidar_dilation must be at least 1, event_window_ms and event_full_count above 0"
            )


@dataclass
class Preprocessed:
    """What the network eats, and what became of every modality.

    images float32 (3, H, W), normalised, for every modality whose availability is usable.
    """

    images: dict[Modality, np.ndarray] = field(default_factory=dict)
    availability: dict[Modality, Availability] = field(default_factory=dict)
    reasons: dict[Modality, str] = field(default_factory=dict)


class Preprocessor:
    """Places measurements on the raster of the modality images, in the reference camera's view.

    `size` is (width, height) of the modality images; the whole of the reference camera's image is
    shown on it, lens distortion included. Maps between cameras are made once and cached.
    """

    def __init__(
        self,
        reference: Camera,
        size: tuple[int, int],
        config: PreprocessingConfig = PreprocessingConfig(),
    ) -> None:
        self.reference = reference
        self.view = reference.resized(*size)
        self.config = config
        self._scale = RangeScale(
            config.range_near, config.range_far, config.height_low, config.height_high
        )

    def preprocess(self, frame: Frame) -> Preprocessed:
        """The modality images of a frame. A measurement that cannot be used becomes INVALID."""
        placed = Preprocessed({}, dict(frame.availability), dict(frame.reasons))
        for modality in frame.subset:
            try:
                placed.images[modality] = self.preprocess_one(frame.measurements[modality])
            except InvalidMeasurement as reason:
                placed.availability[modality] = Availability.INVALID
                placed.reasons[modality] = str(reason)
            except Exception as error:  # one sensor's must not cost the others theirs
                placed.availability[modality] = Availability.INVALID
                placed.reasons[modality] = f"cannot be placed: {type(error).__name__}: {error}"
        return placed

    def preprocess_one(self, measurement: Measurement) -> np.ndarray:
        """One measurement's modality image, float32 (3, H, W); InvalidMeasurement if none."""
        modality, data, view = measurement.modality, measurement.data, self.view
        if measurement.camera is None and modality != Modality.LIDAR:
            self._check_shape(data)
        if modality == Modality.RGB:
            return preprocess_rgb(measurement, view)
        if isinstance(data, np.ndarray) and data.dtype == np.uint8:
            check_picture(data, measurement.camera)
            return preprocess_ready_image(measurement, view)
        config = self.config
        if modality == Modality.DEPTH:
            return preprocess_depth(measurement, view, self._scale)
        if modality == Modality.LIDAR:
            minimum, dilation = config.lidar_minimum_range, config.lidar_dilation
            return preprocess_lidar(measurement, view, self._scale, minimum, dilation)
        window = round(config.event_window_ms * 1e6)
        return preprocess_events(
            measurement, view, window, config.event_full_count, config.event_minimum
        )

    def _check_shape(self, data: np.ndarray | Events) -> None:
        """Unusable for data that are said to be the reference camera's and cannot be."""
        if isinstance(data, Events):
            check_shape(data.width, data.height, self.reference)
        elif isinstance(data, np.ndarray) and data.ndim >= 2 and data.size > 0:
            check_shape(data.shape[1], data.shape[0], self.reference)

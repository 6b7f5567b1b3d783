"""The Preprocessor: from the measurements of a Frame to the input images of the network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from any2seg_ros.configuration import check, setting
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
    """How measurements become modality images; a network runs with those it was trained with."""

    range_near: float = setting(1.0, "depth and LiDAR distance that maps to 1", "m", above=0)
    range_far: float = setting(100.0, "depth and LiDAR distance that maps to 0", "m", above=0)
    height_low: float = setting(-3.0, "height above the reference camera that maps to 0", "m")
    height_high: float = setting(7.0, "height above the reference camera that maps to 1", "m")
    lidar_minimum_range: float = setting(
        1.0, "LiDAR points nearer than this are dropped: the vehicle itself", "m"
    )
    lidar_dilation: int = setting(
        2, "width of a LiDAR point in the modality image", "px", low=1, high=100
    )
    event_window_ms: float = setting(
        50.0, "length of the event window before the stamp", "ms", above=0, high=10_000
    )
    event_full_count: float = setting(
        4.0, "events of one polarity per sensor pixel and window that map to 1", above=0
    )
    event_minimum: int = setting(
        1, "fewest events in a window for a valid image; 0 accepts an empty window"
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.range_near < self.range_far:
            raise ValueError("range_near must be below range_far")
        if not self.height_low < self.height_high:
            raise ValueError("height_low must be below height_high")


@dataclass
class Preprocessed:
    """The input images of the network, and the availability of every modality.

    images float32 (3, H, W), normalised, for every modality whose availability is usable.
    """

    images: dict[Modality, np.ndarray] = field(default_factory=dict)
    availability: dict[Modality, Availability] = field(default_factory=dict)
    reasons: dict[Modality, str] = field(default_factory=dict)


class Preprocessor:
    """Projects measurements into the reference camera's view, on the raster of modality images.

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
        result = Preprocessed({}, dict(frame.availability), dict(frame.reasons))
        for modality in frame.subset:
            image, reason = self.try_one(frame.measurements[modality])
            if image is None:
                result.availability[modality] = Availability.INVALID
                result.reasons[modality] = reason
            else:
                result.images[modality] = image
        return result

    def try_one(self, measurement: Measurement) -> tuple[np.ndarray | None, str]:
        """One measurement's modality image, or None and the reason why there is none."""
        try:
            return self.preprocess_one(measurement), ""
        except InvalidMeasurement as reason:
            return None, str(reason)
        except Exception as error:  # one sensor's error must not cost the others
            return None, f"preprocessing failed: {type(error).__name__}: {error}"

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
        """InvalidMeasurement for an image of other proportions than the reference camera's."""
        if isinstance(data, Events):
            check_shape(data.width, data.height, self.reference)
        elif isinstance(data, np.ndarray) and data.ndim >= 2 and data.size > 0:
            check_shape(data.shape[1], data.shape[0], self.reference)

"""Pictures to modality images: the camera's, and images made for networks elsewhere."""

from __future__ import annotations

import cv2
import numpy as np

from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import Camera, InvalidMeasurement, Measurement

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
_ZERO = np.zeros(3, np.float32)
_ONE = np.ones(3, np.float32)


def preprocess_rgb(measurement: Measurement, view: Camera) -> np.ndarray:
    """A camera image (uint8, colour or grey) as float32 (3, h, w), ImageNet-normalised.

    The picture keeps the lens distortion of the reference camera. Pixels that another camera does
    not see are 0, the mean colour.
    """
    return _normalised(seen(measurement, view), IMAGENET_MEAN, IMAGENET_STD)


def preprocess_ready_image(measurement: Measurement, view: Camera) -> np.ndarray:
    """A ready image (uint8, three channels or one) as float32 (3, h, w) in 0..1."""
    image, blind = seen(measurement, view)
    return _normalised((image, blind), _ZERO, _ONE)


def check_picture(data: object, camera: Camera | None) -> np.ndarray:
    """`data` if it is a picture of the camera's size; else InvalidMeasurement says why."""
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.size == 0:
        raise InvalidMeasurement("image pixels are not uint8")
    if data.ndim != 2 and not (data.ndim == 3 and data.shape[2] in (1, 3)):
        raise InvalidMeasurement("image has neither one nor three channels")
    check_size(data.shape[1], data.shape[0], camera)
    return data


def check_size(width: int, height: int, camera: Camera | None) -> None:
    """InvalidMeasurement unless an image has the size that its camera_info says."""
    if camera is not None and (width, height) != (camera.width, camera.height):
        raise InvalidMeasurement(
            "image has another size than its camera_info: "
            f"{width}x{height}, not {camera.width}x{camera.height}"
        )


def check_shape(width: int, height: int, reference: Camera) -> None:
    """InvalidMeasurement unless an image without a camera has the reference's proportions."""
    if not 0.97 < width * reference.height / (height * reference.width) < 1.03:
        raise InvalidMeasurement(
            "image has other proportions than the reference camera's: "
            f"{width}x{height}, not {reference.width}x{reference.height}"
        )


def shrink(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """`image` (h, w) or (h, w, c) on another raster.

    Averaging over a whole number of pixels is ten times as fast as INTER_AREA on any ratio, so
    shrinking is done by the largest whole ratio first, and linearly for the rest.
    """
    h, w = image.shape[:2]
    for factor in range(min(w // width, h // height), 1, -1):
        if w % factor == 0 and h % factor == 0:
            size = (w // factor, h // factor)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            break
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def seen(measurement: Measurement, view: Camera) -> tuple[np.ndarray, np.ndarray | None]:
    """The picture on the view's raster, and which of its pixels the camera did not see."""
    camera = measurement.camera
    image = check_picture(measurement.data, camera)
    # A picture that came as BGR is a view with its channels turned round: OpenCV wants them as
    # they lie in memory, and the small result is turned round again.
    reversed_channels = image.ndim == 3 and image.shape[2] == 3 and image.strides[2] < 0
    if reversed_channels:
        image = image[..., ::-1]
    image = np.ascontiguousarray(image)
    blind = None
    if camera is None or _aligned(camera, measurement.reference_from_sensor, view):
        image = shrink(image, view.width, view.height)
    else:
        image, blind = _warped(image, camera, measurement, view)
    if image.ndim == 2:
        image = image[..., None]
    return (image[..., ::-1] if reversed_channels else image), blind


def _aligned(camera: Camera, reference_from_sensor: np.ndarray, view: Camera) -> bool:
    """Whether both look the same way: a picture has no depth, so that a shift is not respected."""
    rotation = reference_from_sensor[:3, :3]
    turned = np.abs(rotation - np.eye(3)).max() > 1e-6
    return not turned and camera_models.same_view(camera, view)


def _warped(
    image: np.ndarray, camera: Camera, measurement: Measurement, view: Camera
) -> tuple[np.ndarray, np.ndarray]:
    factor = max(1, int(min(camera.fx / view.fx, camera.fy / view.fy)))
    if factor > 1:
        camera = camera.resized(max(1, camera.width // factor), max(1, camera.height // factor))
        image = shrink(image, camera.width, camera.height)
    u, v = camera_models.warp(
        view, camera, measurement.reference_from_sensor, not measurement.moved
    )
    seen = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen, u < -1.0


def _normalised(
    seen: tuple[np.ndarray, np.ndarray | None], mean: np.ndarray, std: np.ndarray
) -> np.ndarray:
    image, blind = seen
    planes = np.empty((3, *image.shape[:2]), np.float32)
    for channel in range(3):
        source = image[..., min(channel, image.shape[2] - 1)]
        np.multiply(source, np.float32(1 / (255 * std[channel])), out=planes[channel])
        if mean[channel]:
            planes[channel] -= mean[channel] / std[channel]
    if blind is not None:
        planes[:, blind] = 0.0
    return planes

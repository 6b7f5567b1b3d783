"""Pictures for reports: arrays as data URIs, confidence in colours, masks over camera images."""

from __future__ import annotations

import base64

import cv2
import numpy as np

JPEG_QUALITY = 86
PICTURE_WIDTH = 512
"""px; wider pictures are shrunk before they are kept for a report."""


def data_uri(image: np.ndarray, lossless: bool = False) -> str:
    """uint8 (h, w, 3) RGB or (h, w) as a data URI: JPEG, or PNG where every pixel counts."""
    swapped = image[..., ::-1] if image.ndim == 3 else image
    kind, options = ("png", []) if lossless else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    done, encoded = cv2.imencode(f".{kind}", np.ascontiguousarray(swapped), options)
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"


def confidence_image(confidence: np.ndarray) -> np.ndarray:
    """float32 (h, w) in 0..1 -> colours uint8 (h, w, 3), RGB: dark is unsure."""
    scaled = (np.clip(confidence, 0.0, 1.0) * 255).astype(np.uint8)
    return cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def overlay_image(image: np.ndarray, colors: np.ndarray, opacity: float = 0.55) -> np.ndarray:
    """Blend the colours of a mask over a camera image, both uint8 (h, w, 3)."""
    return cv2.addWeighted(colors, opacity, image, 1.0 - opacity, 0.0)


def shrunk(picture: np.ndarray, width: int = PICTURE_WIDTH) -> np.ndarray:
    """The picture, at most `width` px wide."""
    if picture.shape[1] <= width:
        return picture
    height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

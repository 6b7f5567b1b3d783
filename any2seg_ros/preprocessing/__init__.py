"""From measurements to the input images of the network, with NumPy and OpenCV."""

from any2seg_ros.preprocessing.events import concatenate
from any2seg_ros.preprocessing.health import Health, HealthConfig
from any2seg_ros.preprocessing.preprocessor import Preprocessed, PreprocessingConfig, Preprocessor

__all__ = [
    "Health",
    "HealthConfig",
    "Preprocessed",
    "Preprocessor",
    "PreprocessingConfig",
    "concatenate",
]

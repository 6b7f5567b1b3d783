"""From measurements to the images that the network eats, with NumPy and OpenCV."""

from any2seg_ros.sensors.events import concatenate
from any2seg_ros.sensors.health import Health, HealthConfig
from any2seg_ros.sensors.placing import Placed, Placer, PlacingConfig

__all__ = ["Health", "HealthConfig", "Placed", "Placer", "PlacingConfig", "concatenate"]

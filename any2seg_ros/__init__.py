"""Semantic segmentation from whatever sensors are left: RGB, depth, LiDAR, events."""

from pkgutil import extend_path

# The generated any2seg_ros.msg may be installed elsewhere than the sources.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

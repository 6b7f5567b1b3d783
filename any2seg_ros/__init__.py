"""Semantic segmentation from whatever sensors are left: RGB, depth, LiDAR, events."""

import os
from pkgutil import extend_path

# OpenCV reads this once, when it is loaded: no picture is larger, whatever its header says.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "50000000")

# The generated any2seg_ros.msg may be installed elsewhere than the sources.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

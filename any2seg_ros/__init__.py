"""Semantic segmentation from whatever sensors are left: RGB, depth, LiDAR, events."""

__version__ = "0.1.0"

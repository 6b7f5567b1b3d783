"""ROS 2 bags without a ROS: writing them, reading them whole or cut off, and what is in them."""

from any2seg_ros.bags.file import BagFile
from any2seg_ros.bags.layout import (
    BagCalibration,
    BagLayout,
    StaticTransforms,
    find_layout,
    read_calibration,
)
from any2seg_ros.bags.offers import Graph
from any2seg_ros.bags.output_bag import OutputBag, check_folder
from any2seg_ros.bags.reader import BagReader, Recorded
from any2seg_ros.bags.typestore import typestore
from any2seg_ros.bags.writer import BagWriter

__all__ = [
    "BagCalibration",
    "BagFile",
    "BagLayout",
    "BagReader",
    "BagWriter",
    "Graph",
    "OutputBag",
    "Recorded",
    "StaticTransforms",
    "check_folder",
    "find_layout",
    "read_calibration",
    "typestore",
]

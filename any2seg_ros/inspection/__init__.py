"""What is in a bag, and what the node would make of it."""

from any2seg_ros.inspection.bag import BagInspection, inspect_bag
from any2seg_ros.inspection.page import inspection_page
from any2seg_ros.inspection.parameter_file import parameter_file

__all__ = ["BagInspection", "inspect_bag", "inspection_page", "parameter_file"]

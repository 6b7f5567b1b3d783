"""The data that networks are trained and judged on: DELIVER, Streets, MUSES, images, and bags."""

from any2seg_ros.datasets.ground_truth import Labelling
from any2seg_ros.datasets.samples import DataSet, LeftOut, Sample, Source, Target
from any2seg_ros.datasets.sources import find_bags, open_data, open_source, parse_topics

__all__ = [
    "DataSet",
    "Labelling",
    "LeftOut",
    "Sample",
    "Source",
    "Target",
    "find_bags",
    "open_data",
    "open_source",
    "parse_topics",
]

"""The data that networks are trained and judged on: DELIVER, Streets, MUSES, and bags."""

from any2seg_ros.datasets.samples import DataSet, LeftOut, Sample, Source, Target
from any2seg_ros.datasets.sources import find_bags, open_data, open_source, parse_topics

__all__ = [
    "DataSet",
    "LeftOut",
    "Sample",
    "Source",
    "Target",
    "find_bags",
    "open_data",
    "open_source",
    "parse_topics",
]

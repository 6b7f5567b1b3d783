"""Which source of frames a path is: a data set's folder, a bag, or a folder of bags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from any2seg_ros.bags.file import METADATA
from any2seg_ros.bags.layout import LABEL
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.datasets.deliver import DeliverData
from any2seg_ros.datasets.folder_source import FolderSource
from any2seg_ros.datasets.muses import MusesData
from any2seg_ros.datasets.samples import DataSet, Source, Target
from any2seg_ros.modalities import Modality

BAG_FILES = (".mcap", ".db3")


def open_source(
    path: Path,
    target: Target,
    split: str = "val",
    limit: int = 0,
    labels: Path | None = None,
    topics: Sequence[str] = (),
) -> Source:
    """Open what is at `path`; FileNotFoundError or ValueError say what is wrong.

    `labels` and `topics` (`rgb=/camera/image_raw`) are for bags, `split` for data sets.
    """
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: make some with `any2seg simulate`")
    bags = find_bags(path)
    if bags:
        return BagSource(str(path), bags, target, limit, labels, parse_topics(topics))
    if labels or topics:
        raise ValueError(f"{path} is no bag: --labels and --topic are for bags")
    return FolderSource(open_data(path, split), target, str(path), split, limit)


def open_data(root: Path, split: str) -> DataSet:
    """The split of the data set at `root`: DELIVER's folders (Streets too) or MUSES."""
    if (root / "img").is_dir():
        return DeliverData(root, split)
    if (root / "frame_camera").is_dir():
        return MusesData(root, split)
    raise ValueError(
        f"{root} is no data set that is known: it has neither img/ (DELIVER, Streets) nor "
        "frame_camera/ (MUSES), and no bag"
    )


def find_bags(path: Path) -> list[Path]:
    """The bag at a path, or the bags that are in the folder; none for anything else."""
    if path.is_file() and path.suffix in BAG_FILES:
        return [path]
    if not path.is_dir():
        return []
    if (path / METADATA).exists():
        return [path]
    folders = sorted(p for p in path.iterdir() if p.is_dir() and _is_bag(p))
    return folders or ([path] if _is_bag(path) else [])


def _is_bag(folder: Path) -> bool:
    """Whether a folder is a bag; a recorder that died leaves one without metadata.yaml."""
    return any(f.name == METADATA or f.suffix in BAG_FILES for f in folder.iterdir())


def parse_topics(texts: Iterable[str]) -> dict[str, str]:
    """`rgb=/camera/image_raw` and `label=/truth` as topics by role; ValueError for others."""
    topics = {}
    for text in texts:
        role, equals, topic = text.partition("=")
        if not equals or not topic.startswith("/"):
            raise ValueError(f"'{text}' names no topic: write rgb=/camera/image_raw")
        if role != LABEL:
            role = Modality.parse(role).label
        topics[role] = topic
    return topics

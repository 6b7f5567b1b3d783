"""Which source of frames a path is: a data set's folder, a bag, or a folder of bags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from any2seg_ros.bags.file import ENDINGS, METADATA
from any2seg_ros.bags.layout import LABEL
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.datasets.deliver import DeliverData
from any2seg_ros.datasets.folder_source import FolderSource
from any2seg_ros.datasets.ground_truth import UNMAPPED, Labelling
from any2seg_ros.datasets.labelled_folder import IMAGES, LABELS, LabelledFolder
from any2seg_ros.datasets.muses import MusesData
from any2seg_ros.datasets.samples import DataSet, Source, Target
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality, Subset


def open_source(
    path: Path,
    target: Target,
    split: str = "val",
    limit: int = 0,
    labelling: Labelling = UNMAPPED,
    topics: Sequence[str] = (),
    wanted: Subset = (),
    leave_out: bool = False,
    motion_compensation: str = "",
) -> Source:
    """Open what is at `path`; FileNotFoundError or ValueError say what is wrong.

    `labelling` is for bags, and its label map for folders of images; `topics`
    (`rgb=/camera/image_raw`) and `motion_compensation`, see `NodeParameters`, are for bags. For
    data sets are `split`, the sensors that are `wanted`
    (all that there are by default), and `leave_out`, see `FolderSource`.
    """
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: make some with `any2seg simulate`")
    bags = find_bags(path)
    if bags:
        given = parse_topics(topics)
        return BagSource(str(path), bags, target, limit, labelling, given, motion_compensation)
    if labelling.folders or topics or motion_compensation:
        raise ValueError(
            f"{path} is no bag: --labels, --topic and --motion-compensation are for bags"
        )
    data: DataSet
    if (path / IMAGES).is_dir() and (path / LABELS).is_dir():
        taxonomy = target.taxonomy or DELIVER
        data = LabelledFolder(path, split, taxonomy, wanted, *labelling.label_maps)
    elif labelling.label_maps:
        raise ValueError(
            f"{path} has its own classes: --label-map is for bags and folders of images"
        )
    else:
        data = open_data(path, split, wanted)
    return FolderSource(data, target, str(path), split, limit, leave_out)


def open_data(root: Path, split: str, wanted: Subset = ()) -> DataSet:
    """The split of the data set at `root`: DELIVER's folders (Streets too) or MUSES.

    wanted: the sensors whose files are read; all that there are by default.
    """
    known: dict[str, type[DeliverData] | type[MusesData]] = {
        "img": DeliverData,
        "frame_camera": MusesData,
    }
    for folder, kind in known.items():
        if (root / folder).is_dir():
            return kind(root, split, wanted)
    above = next((p.parent for p in (root, *root.parents) if p.name in known), None)
    raise ValueError(
        f"{root} is no data set that is known: it has neither img/ (DELIVER, Streets), nor "
        f"frame_camera/ (MUSES), nor {IMAGES}/ and {LABELS}/ (labelled images), and no bag"
        f"{f'; give {above}' if above else ''}"
    )


def find_bags(path: Path) -> list[Path]:
    """The bag at a path, or the bags that are in the folder; none for anything else."""
    if path.is_file() and path.name.endswith(ENDINGS):
        return [path]
    if not path.is_dir():
        return []
    if (path / METADATA).exists():
        return [path]
    folders = sorted(p for p in path.iterdir() if p.is_dir() and _is_bag(p))
    return folders or ([path] if _is_bag(path) else [])


def _is_bag(folder: Path) -> bool:
    """Whether a folder is a bag; a recorder that died leaves one without metadata.yaml."""
    return any(f.name == METADATA or f.name.endswith(ENDINGS) for f in folder.iterdir())


def parse_topics(texts: Iterable[str]) -> dict[str, str]:
    """`rgb=/camera/image_raw` and `label=/truth` as topics by role; ValueError for others."""
    topics = {}
    for text in texts:
        role, equals, topic = text.partition("=")
        if not equals or not topic.startswith("/"):
            raise ValueError(f"'{text}' names no topic: write rgb=/camera/image_raw")
        if role != LABEL:
            role = _sensor(role)
        topics[role] = topic
    return topics


def _sensor(role: str) -> str:
    try:
        return Modality.parse(role).label
    except ValueError as error:
        raise ValueError(f"{error}, or {LABEL}") from None

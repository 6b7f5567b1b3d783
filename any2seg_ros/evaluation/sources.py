"""Which source of frames a path is: a data set's folder, a bag, or a folder of bags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from any2seg_ros.engine import Segmenter
from any2seg_ros.evaluation.data import FolderSource, Source, open_folder

BAG_FILES = (".mcap", ".db3")


def open_source(
    path: Path,
    segmenter: Segmenter,
    split: str = "val",
    limit: int = 0,
    labels: Path | None = None,
    topics: Sequence[str] = (),
) -> Source:
    """Open what is at `path`; FileNotFoundError or ValueError say what is wrong.

    `labels` and `topics` (`rgb=/camera/image_raw`) are for bags, `split` for data sets.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is nothing at {path}")
    return FolderSource(open_folder(path, split), segmenter, str(path), split, limit)

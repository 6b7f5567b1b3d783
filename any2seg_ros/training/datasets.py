"""The data sets that a network is trained and judged on: one interface, found by their folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from any2seg_ros.modalities import Camera, Frame
from any2seg_ros.taxonomy import Taxonomy

if TYPE_CHECKING:
    from any2seg_ros.training.bag_data import BagData


class DataSet(Protocol):
    """Frames with labels, by index; all of a split."""

    taxonomy: Taxonomy

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame:
        """The frame with its measurements and its label; errors name the file and the mend."""

    def name(self, index: int) -> str:
        """What identifies the frame in the data set."""

    def conditions(self, index: int) -> tuple[str, ...]:
        """Weather, time of day and failure case, as far as the data set tells."""

    def reference(self, index: int) -> Camera:
        """The camera that the label and the masks belong to."""


def open_data(root: Path, split: str) -> DataSet | BagData:
    """The split of the data set at `root`: DELIVER's folders (Streets too), MUSES, or a bag."""
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"no data set at {root}: make one with `any2seg simulate`")
    if (root / "img").is_dir():
        from any2seg_ros.training.deliver import DeliverData

        return DeliverData(root, split)
    if (root / "frame_camera").is_dir():
        from any2seg_ros.training.muses import MusesData

        return MusesData(root, split)
    if root.suffix in (".mcap", ".db3") or (root / "metadata.yaml").is_file():
        from any2seg_ros.training.bag_data import BagData

        return BagData(root)
    raise ValueError(
        f"{root} is no data set that is known: it has neither img/ (DELIVER, Streets) nor "
        "frame_camera/ (MUSES) nor metadata.yaml (a bag)"
    )

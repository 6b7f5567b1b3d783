"""A bag of what the node would publish, without a ROS."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from any2seg_ros.bags.file import ENDINGS, METADATA, BagFile
from any2seg_ros.files import clear_parts, part_of

NAME = "replay"
"""The bag's files are `replay.mcap` and `metadata.yaml`, whatever its folder is called."""
NAMESPACE = "/segmenter"
"""The node's, before its topics ~/."""


class OutputBag:
    """A bag in a folder; use it in a `with` statement. Nothing is at its place until it is whole.

    The same writes give the same bytes. FileExistsError where the folder has another bag.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unfinished = part_of(folder / NAME)
        self._file: BagFile

    def __enter__(self) -> OutputBag:
        check_folder(self.folder)
        clear_parts(self.folder / NAME)
        self._unfinished.mkdir(parents=True)
        self._file = BagFile(self._unfinished / NAME)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
            if kind is None or issubclass(kind, KeyboardInterrupt):
                for file in (f"{NAME}.mcap", METADATA):
                    os.replace(self._file.folder / file, self.folder / file)
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def message(self, kind: str, **fields: Any) -> Any:
        """A message of a type; see `BagFile.message`."""
        return self._file.message(kind, **fields)

    def write(self, output: str, message: Any, log_time: int, latched: bool = False) -> None:
        """Write a message of one of the node's topics ~/, recorded at `log_time` (ns)."""
        kind = message.__msgtype__
        data = self._file.serialized(message, kind)
        self._file.write(f"{NAMESPACE}/{output}", kind, log_time, data, latched=latched)


def check_folder(folder: Path) -> None:
    """FileExistsError where writing an output bag would be beside or over another one."""
    foreign = [f.name for f in folder.glob("*") if f.name.endswith(ENDINGS)]
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: name a folder for the output")
    if any(name != f"{NAME}.mcap" for name in foreign):
        raise FileExistsError(f"{folder} has another bag in it ({foreign[0]}): name another folder")

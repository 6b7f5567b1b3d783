"""OpenVINO graphs on disk: to convert a network takes seconds and torch, to read it neither."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from any2seg_ros import memory
from any2seg_ros.engine import checked_file
from any2seg_ros.engine.checked_file import CheckedFile
from any2seg_ros.engine.openvino_import import ov
from any2seg_ros.engine.sources import NetworkSource

_PACKAGE = Path(__file__).resolve().parents[1]
_CONVERTED_BY = (
    *(f"network/{name}.py" for name in ("any2seg", "decoder", "efficientnet", "fusion", "mit")),
    *(f"engine/{name}.py" for name in ("conversion", "graphs")),
)
"""The modules that shape a graph; their text is part of its key."""

UNUSED = 28 * 24 * 3600.0
"""Seconds after which what was not used is removed."""
ABANDONED = 3600.0
"""Seconds after which what somebody was writing is removed."""


class GraphCache:
    """Converted graphs of one network, by name.

    They are looked for in the folder that came with the weights, then in ANY2SEG_CACHE or the
    user's cache folder, where new ones are kept. They are known by the weights and by the code that
    converted them. A file whose checksum is wrong is made again; where nothing can be written, all
    are made each time.
    """

    def __init__(self, source: NetworkSource, root: Path | None = None) -> None:
        """`root` is where graphs are looked for and kept, and nowhere else."""
        name = hashlib.sha256(f"{_code()}\0{source.digest}".encode()).hexdigest()[:16]
        roots = (root,) if root else (source.folder, user_root())
        self._folders = [root / name for root in roots if root]
        self._names: set[str] = set()
        self._models: dict[str, ov.Model] = {}
        self._files: list[CheckedFile] = []

    def model(self, name: str, make: Callable[[], ov.Model]) -> ov.Model:
        """The graph called so, to be compiled; `make` converts it where it is not on disk.

        It lives as long as the cache, and so does what is compiled of it.
        """
        self._names.add(name)
        if name not in self._models:
            graph = self._read(f"{name}.graph")
            if graph is None:
                graph = make()
                self._keep(f"{name}.graph", graph)
            self._models[name] = graph
        return self._models[name]

    def holds_all(self) -> bool:
        """Whether every graph that was asked for is on disk."""
        return all(
            any((folder / f"{name}.graph").is_file() for folder in self._folders)
            for name in self._names
        )

    def on_disk(self) -> list[Path]:
        """The files of all graphs of this network."""
        return [path for folder in self._folders for path in sorted(folder.glob("*.graph"))]

    def remove_others(self) -> None:
        """Remove the graphs of other weights and of other code beside these."""
        for folder in self._folders:
            for other in _folders_of_graphs(folder.parent):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)

    def release(self) -> None:
        """Give memory back: compiled graphs have weights of their own.

        They point into the files all the same, from which comes what is read again.
        """
        self._models.clear()
        for file in self._files:
            file.release()
        memory.trim()  # of what compiling has freed

    def _read(self, name: str) -> ov.Model | None:
        for folder in self._folders:
            with suppress(OSError, ValueError, RuntimeError):  # none, damaged, another OpenVINO's
                file = CheckedFile(folder / name)
                text, weights = file.parts
                tensor = ov.Tensor(np.frombuffer(weights, np.uint8), shared_memory=True)
                graph = ov.Core().read_model(str(text, "utf-8"), tensor)
                with suppress(OSError):  # another user's
                    os.utime(folder / name)
                self._files.append(file)
                return graph
        return None

    def _keep(self, file: str, graph: ov.Model) -> None:
        if not self._folders:
            return
        folder = self._folders[-1]
        with suppress(OSError, RuntimeError):  # nowhere to write, or no space
            checked_file.write(folder / file, _serialized(graph))
            prune(folder.parent)


def prune(root: Path) -> None:
    """Remove what nobody has used for a long time."""
    for folder in _folders_of_graphs(root):
        with suppress(OSError):  # another process was first, or it is another user's
            for path in folder.iterdir():
                limit = ABANDONED if path.suffix == ".part" else UNUSED
                if time.time() - path.lstat().st_mtime > limit:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            folder.rmdir()


def _folders_of_graphs(root: Path) -> list[Path]:
    return [path for path in root.glob("*") if re.fullmatch("[0-9a-f]{16}", path.name)]


def _serialized(graph: ov.Model) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        ov.save_model(graph, path, compress_to_fp16=False)
        return [path.read_bytes(), path.with_suffix(".bin").read_bytes()]


def user_root() -> Path | None:
    """The user's cache folder; none for a user without a home."""
    if os.environ.get("ANY2SEG_CACHE"):
        return Path(os.environ["ANY2SEG_CACHE"])
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "any2seg_ros"
    except RuntimeError:
        return None


def _code() -> str:
    return "\n".join((_PACKAGE / name).read_text(encoding="utf-8") for name in _CONVERTED_BY)

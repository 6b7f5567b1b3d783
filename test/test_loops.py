"""Loops are compiled, and do without a place where that could be kept."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest

from any2seg_ros import loops

ROOT = Path(__file__).resolve().parents[1]
LOOP = """
    from any2seg_ros.loops import compiled, inlined

    @inlined
    def twice(x):
        return 2 * x

    @compiled
    def total(values):
        result = 0.0
        for value in values:
            result += twice(value)
        return result

    if __name__ == "__main__":
        import numpy as np

        print(total(np.arange(4.0)), sum(total.stats.cache_hits.values()))
"""


def test_loops_compile_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(loops, "njit", read_only)
    inverse = loops.compiled(lambda x: 1.0 / x)
    assert inverse(np.float64(4.0)) == 0.25
    assert inverse(np.float64(0.0)) == np.inf


def written(folder: Path) -> Path:
    path = folder / "loop.py"
    path.write_text(textwrap.dedent(LOOP))
    return path


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loop that has been compiled and found again."""
    loop = written(tmp_path_factory.mktemp("loop"))
    assert run(loop) == (12.0, 0)
    assert run(loop) == (12.0, 1)
    shutil.copytree(loop.parent / "kept", loop.parent / "whole")
    return loop


@pytest.fixture
def compiled(compiled_once: Path) -> Path:
    """The same, as it was kept: numba looks for it by the path of the module."""
    shutil.rmtree(compiled_once.parent / "kept")
    shutil.copytree(compiled_once.parent / "whole", compiled_once.parent / "kept")
    return compiled_once


def run(loop: Path, before: str = "") -> tuple[float, int]:
    """The sum that a process of its own gives, and how many kept loops it found."""
    command = [sys.executable, "-c", f"{before}\nimport runpy, sys\nrunpy.run_path(sys.argv[1], "]
    command[-1] += "run_name='__main__')"
    done = subprocess.run(
        [*command, str(loop)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(loop.parent / "kept")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    total, hits = done.stdout.split()
    return float(total), int(hits)


def kept(loop: Path, ending: str) -> list[Path]:
    return sorted((loop.parent / "kept").rglob(f"*.{ending}"))


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("harm", ["empty", "cut", "flipped"])
def test_a_damaged_loop_is_compiled_again(compiled: Path, ending: str, harm: str) -> None:
    assert kept(compiled, ending)
    for path in kept(compiled, ending):
        content = bytearray(path.read_bytes())
        if harm == "flipped":
            for place in random.Random(0).sample(range(len(content)), 20):
                content[place] ^= 1 << 3
        path.write_bytes(content[: {"empty": 0, "cut": len(content) // 2}.get(harm, len(content))])
    assert run(compiled) == (12.0, 0)
    assert run(compiled) == (12.0, 1)


FULL = """
import numba.core.caching as caching
def no_space(*_):
    raise OSError(28, "No space left on device")
caching.os.replace = no_space"""


def test_a_full_disk_is_no_error(loop: Path) -> None:
    assert run(loop, FULL) == (12.0, 0)
    assert kept(loop, "nbc") == []


def test_a_damaged_index_that_cannot_be_replaced_is_no_error(compiled: Path) -> None:
    for path in kept(compiled, "nbi"):
        path.write_bytes(b"")
    assert run(compiled, FULL) == (12.0, 0)

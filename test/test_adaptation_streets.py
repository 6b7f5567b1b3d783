"""Where the simulated streets come from."""

from __future__ import annotations

import subprocess
import sys

import pytest
from adaptation_data import Place

from any2seg_ros.adaptation import streets
from any2seg_ros.simulation.dataset import _exclusive


def test_a_data_set_that_is_given_is_taken(drive: Place, tmp_path):
    assert streets.open_streets(drive.streets, tmp_path, print) == drive.streets


def test_one_without_both_splits_is_refused(tmp_path):
    (tmp_path / "img" / "sun" / "train").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no split 'val'"):
        streets.open_streets(tmp_path, tmp_path, print)


def test_a_data_set_that_is_given_is_taken_without_embreex(tmp_path):
    """In a process of its own, where embreex was not imported before."""
    for split in ("train", "val"):
        (tmp_path / "img" / "sun" / split).mkdir(parents=True)
    code = (
        "import sys; sys.modules['embreex'] = None\n"
        "from pathlib import Path; from any2seg_ros.adaptation.streets import open_streets\n"
        "import any2seg_ros.adaptation.run\n"
        "open_streets(Path(sys.argv[1]), Path(), print)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_others_are_rendered_once_into_the_cache(tmp_path, monkeypatch):
    small = {"scenes": 1, "frames": 1, "conditions": ("sun",), "size": (64, 48)}
    plans = [{"split": split, **small} for split in ("train", "val")]
    monkeypatch.setattr(streets, "PLANS", plans)
    monkeypatch.setenv("ANY2SEG_CACHE", str(tmp_path / "cache"))
    told: list[tuple[int, int]] = []
    root = streets.open_streets(None, tmp_path / "out", lambda *n: told.append(n))
    assert root.parent == tmp_path / "cache" and told[-1] == (2, 2)
    pictures = list(root.glob("img/sun/*/*/*.png"))
    assert len(pictures) == 2
    times = [p.stat().st_mtime_ns for p in pictures]
    assert streets.open_streets(None, tmp_path / "out", print) == root
    assert [p.stat().st_mtime_ns for p in pictures] == times
    with _exclusive(root):  # what is whole is also opened by several processes at once
        assert streets.open_streets(None, tmp_path / "out", print) == root

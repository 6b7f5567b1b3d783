"""Where the simulated streets come from."""

from __future__ import annotations

import pytest
from adaptation_data import Place

from any2seg_ros.adaptation import streets
from any2seg_ros.simulation.dataset import Plan, _exclusive


def test_a_data_set_that_is_given_is_taken(drive: Place, tmp_path):
    assert streets.open_streets(drive.streets, tmp_path, print) == drive.streets


def test_one_without_both_splits_is_refused(tmp_path):
    (tmp_path / "img" / "sun" / "train").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no split 'val'"):
        streets.open_streets(tmp_path, tmp_path, print)


def test_others_are_rendered_once_into_the_cache(tmp_path, monkeypatch):
    plans = (
        Plan("train", 1, 1, ("sun",), size=(64, 48)),
        Plan("val", 1, 1, ("sun",), size=(64, 48)),
    )
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

"""Which frames of bags are kept, and which of them are learned from."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_drive
from adaptation_data import Place

from any2seg_ros.adaptation.config import AdaptationConfig
from any2seg_ros.adaptation.drive import open_drive, split
from any2seg_ros.datasets import Target
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.types import IGNORE

TARGET = Target((96, 64), PreprocessingConfig())


def opened(drive: Place, out: str, **changes):
    return open_drive(drive.config(out, **changes), TARGET, lambda done, total: None)


def test_the_last_third_of_every_bag_is_held_back_after_a_gap():
    names = [f"a/{i}" for i in range(60)] + [f"b/{i}" for i in range(30)]
    learned, held = split(names)
    assert held.tolist() == [*range(40, 60), *range(80, 90)]
    assert learned.tolist() == [*range(37), *range(60, 78)]


def test_frames_are_kept_without_labels(drive):
    kept = opened(drive, "kept")
    assert len(kept.cached) in (21, 22) and kept.cached.present.all(1).sum() >= 18
    assert (kept.cached.labels == IGNORE).all()


def test_no_more_frames_are_kept_than_asked_for_evenly_in_time(drive):
    few = opened(drive, "few", frames=8)
    stamps = np.array([int(name.rpartition("/")[2]) for name in few.cached.names])
    assert 5 <= len(stamps) <= 8
    apart = np.diff(stamps)
    assert apart.min() >= 0.25e9 and apart.max() <= 0.45e9


def test_bags_are_read_once(drive):
    first = opened(drive, "once")
    written = (first.cached.folder / "index.json").stat().st_mtime_ns
    again = opened(drive, "once")
    assert (again.cached.folder / "index.json").stat().st_mtime_ns == written


def test_what_was_said_about_a_bag_is_said_again_where_it_is_cached(tmp_path):
    folder = tiny_drive.write(tmp_path / "tiny")
    (file,) = folder.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-2000])
    config = AdaptationConfig((folder,), tmp_path / "out")
    first, again = (open_drive(config, TARGET, lambda done, total: None) for _ in range(2))
    assert first.notes == again.notes and again.notes[0].startswith(file.name)


def test_several_bags_of_the_same_name_are_told_apart(tmp_path):
    """Also where one goes on when the other ends."""
    rows = tiny_drive.rows(18)
    half = tiny_drive.START + 9 * tiny_drive.PERIOD
    parts = [r for r in rows if r[0] < half], [rows[0], *(r for r in rows if r[0] > half)]
    first, second = (
        tiny_drive.write(tmp_path / n / "drive", part) for n, part in zip("ab", parts, strict=True)
    )
    again = tmp_path / "b" / ".." / "b" / "drive"
    config = AdaptationConfig((first, second, again), tmp_path / "out")
    both = open_drive(config, TARGET, lambda done, total: None)
    assert len(both.bags) == 2 and len(set(both.cached.names)) == len(both.cached)
    of_first = [i for i, name in enumerate(both.cached.names) if name.startswith("drive/")]
    assert 0 < len(set(both.held) & set(of_first)) < len(both.held)


@pytest.mark.parametrize(("path", "said"), [("nowhere", "no bag at"), ("streets", "is no bag")])
def test_what_is_no_bag_is_said(drive, path, said):
    with pytest.raises((FileNotFoundError, ValueError), match=said):
        opened(drive, "no", bags=(drive.root / path,))


def test_topics_can_be_chosen(drive, tmp_path):
    folder = tiny_drive.write(tmp_path / "tiny", tiny_drive.rows(4))
    with pytest.raises(ValueError, match="/nothing"):
        opened(drive, "topics", bags=(folder,), topics=("lidar=/nothing",))

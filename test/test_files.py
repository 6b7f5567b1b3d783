"""Files are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from any2seg_ros.files import clear_parts, part_of, replacing, write_atomically


def test_a_file_is_written_with_its_folder_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_atomically(path, "whole")
    write_atomically(path, b"whole again")
    assert [f.name for f in path.parent.iterdir()] == ["report.html"]
    assert path.read_text() == "whole again"


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomically(path, "before")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert [f.name for f in tmp_path.iterdir()] == ["state"]
    assert path.read_text() == "before"


def test_a_device_is_not_replaced_by_a_file() -> None:
    """A pipe among a process's own files, where nothing can be replaced, stands for /dev/stdout."""
    for end in os.pipe():
        with pytest.raises(OSError, match="is no file: write to one"):
            write_atomically(Path(f"/proc/self/fd/{end}"), "words")
        os.close(end)


def test_what_killed_writers_left_is_removed_and_what_others_are_writing_is_kept(
    tmp_path: Path,
) -> None:
    mine = part_of(tmp_path / "state").name
    place = mine.split(".")[2].partition("-")[0]
    (tmp_path / mine).write_text("half")
    (tmp_path / f".state.{place}-999999999.aa.part").write_text("half")
    (tmp_path / f".state.{place}-1.aa.part").mkdir()
    (tmp_path / ".state.0123abcd-999999999.aa.part").write_text("another container's")
    old = tmp_path / ".state.0123abcd-999999998.aa.part"
    old.write_text("of last month")
    os.utime(old, (0, 0))
    clear_parts(tmp_path / "state")
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        ".state.0123abcd-999999999.aa.part",
        f".state.{place}-1.aa.part",
    ]


def test_the_name_of_a_part_is_another_each_time_and_no_link_is_followed(
    tmp_path: Path, monkeypatch
) -> None:
    path, precious = tmp_path / "state", tmp_path / "precious"
    assert part_of(path) != part_of(path)
    precious.write_text("precious")
    part = part_of(path)
    part.symlink_to(precious)
    monkeypatch.setattr("any2seg_ros.files.part_of", lambda path: part)
    with pytest.raises(FileExistsError):
        write_atomically(path, "owned")
    monkeypatch.undo()
    path.symlink_to(precious)
    write_atomically(path, "new")
    assert precious.read_text() == "precious" and not path.is_symlink()

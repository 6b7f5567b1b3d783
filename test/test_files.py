"""Files are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from any2seg_ros.files import clear_parts, replacing, write_atomically


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


def test_what_killed_writers_left_is_removed_and_what_others_are_writing_is_kept(
    tmp_path: Path,
) -> None:
    (tmp_path / ".state.999999999.part").write_text("half")
    (tmp_path / ".state.1.part").mkdir()
    clear_parts(tmp_path / "state")
    assert [f.name for f in tmp_path.iterdir()] == [".state.1.part"]

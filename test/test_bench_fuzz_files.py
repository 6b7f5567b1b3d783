"""Mutated files: valid ones are read, and what is changed is refused in one line."""

from __future__ import annotations

import pytest

from any2seg_ros.bench.fuzz.__main__ import Campaign
from any2seg_ros.bench.fuzz.files import FileTarget, file_targets

TARGETS = {target.name: target for target in file_targets()}


def test_all_kinds_of_files_are_tried() -> None:
    assert len(TARGETS) == 12
    for word in ("parameters", "label images", "DELIVER", "MUSES", ".mcap", ".db3", "weights"):
        assert any(word in name for name in TARGETS), word


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TARGETS)
def test_what_is_valid_is_read_and_what_is_not_ends_in_one_line(name, tmp_path) -> None:
    target = TARGETS[name]
    valid = tmp_path / "valid"
    valid.mkdir()
    target.write(valid)
    target.read(valid)
    campaign = Campaign(tmp_path / "out")
    campaign.run(target, 8)
    assert campaign.inputs[name] == 8
    assert not [group for group in campaign.groups if " slow " not in group], campaign.groups


def test_another_exception_is_found_with_where_it_was_raised(tmp_path) -> None:
    def read(folder) -> None:
        raise KeyError((folder / "a").read_bytes()[:1])

    target = FileTarget("broken", lambda folder: (folder / "a").write_bytes(b"abc"), read)
    campaign = Campaign(tmp_path)
    campaign.run(target, 8)
    assert any("exception KeyError" in group for group in campaign.groups)

"""Coverage guidance: what it feeds, and what it says without atheris."""

from __future__ import annotations

import importlib.util

import pytest

from any2seg_ros.bench.fuzz import coverage


def test_seeds_are_one_of_each_kind_and_are_taken(tmp_path) -> None:
    coverage.seeds(tmp_path)
    contents = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert len({content[0] for content in contents}) == len(contents) > 30
    assert [reason for content in contents for reason in coverage.feed(content)] == []
    assert coverage.feed(b"") == []


def test_without_atheris_it_says_what_to_install(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert coverage.explore(1.0, tmp_path) == 2
    assert "pip install atheris" in capsys.readouterr().err


@pytest.mark.timeout(600)
def test_atheris_looks_for_new_paths(tmp_path) -> None:
    pytest.importorskip("atheris")
    assert coverage.explore(5.0, tmp_path) == 0
    assert any((tmp_path / "corpus").iterdir())

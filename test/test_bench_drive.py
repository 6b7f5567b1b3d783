"""The bench of a long drive: it finds memory that grows, and its bag is as long as asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from any2seg_ros import cli
from any2seg_ros.bench import drive


def test_memory_that_grows_is_told_from_a_warm_up() -> None:
    warm_up = [100.0 + 3 * k for k in range(100)]
    flat, grows = warm_up + [400.0] * 900, warm_up + [400.0 + 0.1 * k for k in range(900)]
    assert drive.summary(flat)["growth_mib"] == pytest.approx(0.0, abs=0.1)
    assert drive.summary(grows)["growth_mib"] == pytest.approx(70.0, abs=0.5)
    assert drive.summary(flat)["resident_mib"]["100%"] == drive.summary(flat)["most_mib"] == 400


def test_the_bag_is_as_long_as_asked_for_and_thin(tmp_path: Path) -> None:
    figures = drive.write(tmp_path / "bag", 1.0, 20)
    assert figures["bag_minutes"] == pytest.approx(0.9, abs=0.15)
    assert figures["frames"] == 28


@pytest.mark.timeout(300)
def test_a_command_is_watched_until_its_end(tmp_path: Path) -> None:
    figures = drive.watched(["doctor"], tmp_path / "log")
    assert figures["most_mib"] > 20 and figures["processor_s"] >= 0
    with pytest.raises(ChildProcessError, match="no-such-option"):
        drive.watched(["doctor", "--no-such-option"], tmp_path / "log")


def test_adapt_is_watched_on_each_bag_and_left_out_without_the_simulator(tmp_path, monkeypatch):
    from any2seg_ros.simulation import dataset

    rendered: list[str] = []
    seen: list[tuple[str, ...]] = []

    def watched(words: Sequence[str], log: Path) -> dict[str, object]:
        seen.append(tuple(words))
        return {"wall_s": 1, "processor_s": 2, "most_mib": len(seen), "growth_mib": 0.0}

    def lacking(*arguments: object) -> None:
        raise ModuleNotFoundError("embreex is not installed")

    monkeypatch.setattr(drive, "watched", watched)
    monkeypatch.setattr(
        dataset, "write_plans", lambda root, plans: rendered.extend(p.split for p in plans)
    )
    bags = {"bag": tmp_path / "hour", "tenth": tmp_path / "minutes"}
    figures = drive.adapted(tmp_path, bags)
    assert rendered == ["train", "val"]
    assert [figures[name]["most_mib"] for name in bags] == [1, 2]
    assert all(str(bag) in words for bag, words in zip(bags.values(), seen, strict=True))
    monkeypatch.setattr(dataset, "write_plans", lacking)
    assert drive.adapted(tmp_path, bags) == {"missing": "embreex is not installed"}


def test_what_is_asked_of_each_command_can_be_asked():
    for words in (*drive._COMMANDS.values(), drive._ADAPT):
        command = typer.main.get_command(cli.app).commands[words[0]]
        given = [word.format(bag="bag", out="out", streets="streets") for word in words[1:]]
        command.make_context(words[0], given)

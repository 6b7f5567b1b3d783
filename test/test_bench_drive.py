"""The bench of a long drive: it finds memory that grows, and its bag is as long as asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

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

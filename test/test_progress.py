"""The progress bar of all commands."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from any2seg_ros import progress
from any2seg_ros.progress import ProgressBar


@pytest.fixture
def screen(monkeypatch) -> io.StringIO:
    """What is written to a terminal of 120 columns."""
    text = io.StringIO()

    def console(**_: object) -> Console:
        return Console(file=text, force_terminal=True, width=120, color_system=None)

    monkeypatch.setattr(progress, "Console", console)
    return text


def test_it_shows_what_is_done_of_how_much_and_what_is_said(screen):
    with ProgressBar("evaluating", unit="frames") as bar:
        bar.update(12, 40, "mIoU 51.2 [bold]")
    lines = screen.getvalue()
    for expected in ("evaluating", "12/40 frames", "mIoU 51.2 [bold]", "left"):
        assert expected in lines


def test_an_unknown_total_is_left_out_and_a_total_is_never_exceeded(screen):
    with ProgressBar("replaying", unit="s", digits=1) as bar:
        bar.update(1.25, 0)
        assert bar._bars.tasks[0].total is None
        bar.update(9.0, 8.0)
        assert bar._bars.tasks[0].total == 9.0
    assert "1.2 s" in screen.getvalue() or "9.0/8.0 s" in screen.getvalue()


def test_several_bars_wait_for_their_first_update(screen):
    with ProgressBar("all four", "no camera", unit="s") as bars:
        bars.update(2, 8, row=1)
        assert [task.started for task in bars._bars.tasks] == [False, True]
        bars.update(8, 8, row=1)
        assert bars._bars.tasks[1].finished
    assert "no camera" in screen.getvalue()


def test_nothing_is_drawn_where_it_is_not_shown(screen):
    with ProgressBar("evaluating", shown=False) as bar:
        bar.update(1, 2)
    assert screen.getvalue() == ""


def test_lines_can_be_printed_above_the_bar(screen):
    console = progress.Console()
    with ProgressBar("training", unit="steps", console=console) as bar:
        bar.update(1, 2)
        console.print("validated")
    lines = screen.getvalue()
    assert lines.index("validated") < lines.rindex("1/2 steps")

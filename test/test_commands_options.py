"""Options of commands as dataclasses."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from any2seg_ros.commands.options import flattened, labelling, words
from any2seg_ros.datasets import Labelling


@dataclass(frozen=True)
class DriveOptions:
    """Of a command that drives."""

    out: Annotated[str, typer.Option(help="Output folder.")]
    seconds: Annotated[float, typer.Option(min=1.0, help="Length (s).")] = 8.0


def test_the_fields_of_a_dataclass_become_the_command_s_options():
    got = []

    def drive(options: DriveOptions) -> None:
        """Drive somewhere."""
        got.append(options)

    app = typer.Typer()
    app.command()(flattened(drive))
    run = CliRunner()
    assert run.invoke(app, ["--out", "x", "--seconds", "2"]).exit_code == 0
    assert run.invoke(app, ["--out", "y"]).exit_code == 0
    assert got == [DriveOptions("x", 2.0), DriveOptions("y", 8.0)]
    shown = run.invoke(app, ["--help"]).output
    assert all(text in shown for text in ("Drive somewhere.", "Output folder.", "Length (s)."))
    assert run.invoke(app, []).exit_code == 2
    assert run.invoke(app, ["--out", "x", "--seconds", "0"]).exit_code == 2


def test_a_command_without_a_dataclass_stays_as_it_is():
    def plain(out: str = "x") -> None:
        """Plain."""

    assert flattened(plain) is plain


def test_the_options_keep_their_order():
    def drive(options: DriveOptions) -> None:
        """Drive."""

    assert list(inspect.signature(flattened(drive)).parameters) == ["out", "seconds"]


def test_labels_are_as_sure_as_asked_for_where_their_confidence_is_known():
    folder, sure = Path("labels"), Path("sure")
    assert labelling([folder], ["kitti"], sure, 0.7) == Labelling((folder,), ("kitti",), sure, 0.7)
    assert labelling([folder], None, None, 0.7) == Labelling((folder,))
    assert labelling(None, None, None, 0.7) == Labelling()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("rmm, nm", ("rmm", "nm")), ("none", ()), ("", ()), ("mask,,status", ("mask", "status"))],
)
def test_words_are_separated_by_commas(text, expected):
    assert words(text) == expected

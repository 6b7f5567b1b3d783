"""The progress bar of all commands."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressBar:
    """A bar on stderr with what is done of what there is, and the time left.

        with ProgressBar("evaluating", unit="frames") as bar:
            bar.update(12, 40, "mIoU 51.2")

    Several labels are several short bars, one below the other, known by their numbers. Nothing is
    drawn where `shown` is false, as in all processes but the first. Lines that others print to the
    same `console` appear above the bar.
    """

    def __init__(
        self,
        *labels: str,
        unit: str = "",
        digits: int = 0,
        shown: bool = True,
        console: Console | None = None,
    ) -> None:
        several = len(labels) > 1
        self._unit, self._digits = unit, digits
        label, detail = TextColumn("{task.description}"), TextColumn("{task.fields[detail]}")
        label.markup = detail.markup = False
        columns: list[ProgressColumn] = [label, BarColumn(10), detail]
        if not several:
            amount = TextColumn("{task.fields[amount]}")
            left = TextColumn("left")
            columns = [label, BarColumn(), amount, detail, TimeElapsedColumn()]
            columns += [left, TimeRemainingColumn()]
        self._bars = Progress(*columns, console=console or Console(stderr=True), disable=not shown)
        self._rows = [
            self._bars.add_task(name, total=None, start=not several, amount="", detail="")
            for name in labels
        ]

    def update(
        self, done: float, total: float | None = None, detail: str = "", row: int = 0
    ) -> None:
        """Show what is done and, where it is known, of how much; `detail` is what to say beside."""
        task = self._rows[row]
        if not self._bars.tasks[row].started:
            self._bars.start_task(task)
        of = f"/{total:.{self._digits}f}" if total else ""
        amount = f"{done:.{self._digits}f}{of} {self._unit}".rstrip()
        # A total may be an estimate, as of a bag's frames: a bar never goes beyond its end.
        length = max(total, done) if total else None
        self._bars.update(task, completed=done, total=length, amount=amount, detail=detail)
        if length is not None and done >= length:
            self._bars.stop_task(task)

    def __enter__(self) -> ProgressBar:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

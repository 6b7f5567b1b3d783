"""The `any2seg` command: a verb for every file in `any2seg_ros.commands`."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import typer

from any2seg_ros.commands.options import flattened, lacking

# Newer typers carry their own click: its exceptions are reached through typer alone.
UsageError: Any = typer.BadParameter.__mro__[1]

VERBS = (
    "demo",
    "doctor",
    "inspect",
    "replay",
    "evaluate",
    "simulate",
    "train",
    "adapt",
    "export",
    "bench",
)

app = typer.Typer(
    name="any2seg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Segmentation from whatever sensors are left: RGB, depth, LiDAR, events.\n\n"
    "Start with [bold]any2seg demo[/bold]; when something is missing, [bold]any2seg doctor[/bold] "
    "says how to fix it.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from any2seg_ros import __version__

        print(f"any2seg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


for _verb in VERBS:
    _module = import_module(f"any2seg_ros.commands.{_verb}")
    app.command(_verb)(flattened(getattr(_module, _verb)))


def main(arguments: list[str] | None = None) -> int:
    """Run `any2seg`; an error that a user can fix is one line on stderr and exit status 2."""
    try:
        return app(args=arguments, standalone_mode=False) or 0
    except typer.Exit as end:
        return int(end.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        print("any2seg: interrupted", file=sys.stderr)
        return 130
    except UsageError as error:
        error.show()
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("ANY2SEG_TRACEBACK"):
            raise
        text = lacking(error) if isinstance(error, ModuleNotFoundError) else error
        print(f"any2seg: {text}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

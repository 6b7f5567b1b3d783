"""Options of the commands as frozen dataclasses, and what several commands have in common.

@dataclass(frozen=True)
class DriveOptions:
    out: Annotated[Path, typer.Option(help="Output folder.")]
    seconds: Annotated[float, typer.Option(help="Length of the drive (s).")] = 8.0

def drive(options: DriveOptions) -> None:
    \"\"\"The help text of the command.\"\"\"

app.command()(flattened(drive))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

ENGINE = "Network and engine"
BAGS = "Bags"

Labels = Annotated[
    Path | None,
    typer.Option(help="Folder of label images named <stamp in ns>.png.", rich_help_panel=BAGS),
]
Topic = Annotated[
    list[str] | None,
    typer.Option(
        help="Which topic is what, such as rgb=/camera/image_raw or label=/truth. Repeatable.",
        rich_help_panel=BAGS,
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        help="Weights (.safetensors). (default: those of the package)",
        show_default=False,
        rich_help_panel=ENGINE,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(help="auto, torch, openvino or onnxruntime.", rich_help_panel=ENGINE),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, ...", rich_help_panel=ENGINE)]
Threads = Annotated[
    int | None,
    typer.Option(min=0, help="CPU threads; 0: the engine decides.", rich_help_panel=ENGINE),
]


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """What typer makes a command of: with the fields of the command's dataclass as parameters.

    A function that takes no dataclass is returned as it is.
    """
    options = next(iter(get_type_hints(command).values()))
    if not is_dataclass(options):
        return command
    make: Any = options
    hints = get_type_hints(options, include_extras=True)

    def flat(**values: Any) -> None:
        command(make(**values))

    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(options)
    ]
    flat.__name__, flat.__doc__ = command.__name__, command.__doc__
    flat.__annotations__ = {field.name: hints[field.name] for field in fields(options)}
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return flat


def words(text: str) -> tuple[str, ...]:
    """The words of a list with commas; none for `none` and for nothing."""
    return tuple(word.strip() for word in text.split(",") if word.strip() not in ("", "none"))

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
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from any2seg_ros.datasets import Labelling

ENGINE = "Network and engine"
BAGS = "Bags"
_EXTRAS = {
    "engines": ("onnx", "onnxruntime", "openvino"),
    "simulation": ("embreex",),
    "training": ("tensorboard", "transformers"),
    "video": ("av",),
}
"""What the lists of packages have, by the names that Python imports; see docs/setup.md."""

Labels = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder of label images named <stamp in ns>.png; a further one narrows the first.",
        rich_help_panel=BAGS,
    ),
]
LabelMap = Annotated[
    list[str] | None,
    typer.Option(
        help="What label ids mean, for each --labels or a folder of images: a YAML file, or a "
        "name: camvid, cityscapes, ...",
        rich_help_panel=BAGS,
    ),
]
Confidence = Annotated[
    Path | None,
    typer.Option(help="Folder of how sure the labels are, 255 for 1.", rich_help_panel=BAGS),
]
Sure = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Labels of less confidence are not used.", rich_help_panel=BAGS
    ),
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


def labelling(
    labels: list[Path] | None, label_map: list[str] | None, confidence: Path | None, sure: float
) -> Labelling:
    """What the options of these names say; ValueError where they do not match."""
    from any2seg_ros.datasets import Labelling

    return Labelling(
        folders=tuple(labels or ()),
        label_maps=tuple(label_map or ()),
        confidence=confidence,
        sure=sure if confidence else 0.0,
    )


def words(text: str) -> tuple[str, ...]:
    """The words of a list with commas; none for `none` and for nothing."""
    return tuple(word.strip() for word in text.split(",") if word.strip() not in ("", "none"))


def lacking(error: ModuleNotFoundError) -> str:
    """What is not installed, and what to do; raises the error where a module of ours is missing."""
    package = str(error.name).split(".")[0]
    if package == "any2seg_ros" or not error.name:
        raise error
    if package == "rclpy" or package.endswith("_msgs"):
        return f"{package} is not there: source a ROS 2, or run `make setup`"
    extra = next((extra for extra, packages in _EXTRAS.items() if package in packages), "")
    if not extra:
        return f"{package} is not installed: pip install {package}"
    return f"{package} (extra {extra}) is not installed: pip install -r requirements-{extra}.txt"

"""Renders the templates of the reports, in `templates/`: one HTML file each, nothing to load.

    write_atomically(path, render("comparison.html.j2", tables=tables))

Values are escaped by Jinja2; HTML that this package made itself is `Markup`.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from any2seg_ros.html.pictures import data_uri
from any2seg_ros.types import Modality

TEMPLATES = Path(__file__).parent / "templates"

SERIES = tuple(f"var(--c{index})" for index in range(6))
"""Colours of curves, in order; the first four are also those of the modalities."""


def render(template: str, **values: Any) -> Markup:
    """The template of that name in `templates/`, filled; jinja2.UndefinedError for a value that
    it uses and that is not given."""
    # A page's sections add their titles to the table of contents.
    return Markup(_environment().get_template(template).render(**values, contents=[]))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters |= {
        "anchor": anchor,
        "data_uri": data_uri,
        "known": known,
        "number": number,
        "signed": lambda value, digits=1: f"{value:+.{digits}f}",
    }
    environment.globals |= {
        "heat_opacity": heat_opacity,
        "modalities": tuple(Modality),
        "modality_colors": SERIES,
    }
    return environment


def known(value: float | None) -> bool:
    """Whether there is a number to show."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int = 1) -> str:
    """A number with fixed digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def anchor(title: str) -> str:
    """A section's title as the name that links go to."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def heat_opacity(value: float, low: float, high: float) -> str:
    """Opacity of a table cell's background, which grows with the value between low and high."""
    share = min(max((value - low) / max(high - low, 1e-9), 0.0), 1.0)
    return f"{0.04 + 0.66 * share:.3f}"

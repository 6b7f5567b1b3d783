"""Parts of the HTML reports: one file each, no network, nothing to install to read them.

    section = Section("Rate", line_chart({"rate": (seconds, hertz)}, "time in s", "Hz"))
    write_atomically(path, page("Demo", [section], subtitle="two cores, no accelerator"))

Every helper returns HTML text; text that comes from outside goes through `text`.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from any2seg_ros.html.style import CSS
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality

SERIES = tuple(f"var(--c{index})" for index in range(6))
"""Colours of curves, in order; the first four are also those of the modalities."""


@dataclass(frozen=True)
class Section:
    """A titled part of a page; `body` is HTML, `lead` a sentence of plain text below the title."""

    title: str
    body: str
    lead: str = ""


def text(value: object) -> str:
    """`value` as HTML text."""
    return html.escape(str(value))


def number(value: float | None, digits: int = 1) -> str:
    """A number with fixed digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def page(title: str, sections: Sequence[Section], subtitle: str = "", footer: str = "") -> str:
    """A whole page with a table of contents."""
    anchors = [re.sub(r"\W+", "-", section.title.lower()).strip("-") for section in sections]
    contents = "".join(
        f'<a href="#{anchor}">{text(section.title)}</a>'
        for anchor, section in zip(anchors, sections, strict=True)
    )
    body = "".join(
        _section(section, anchor) for section, anchor in zip(sections, anchors, strict=True)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{CSS}</style></head><body><main>\n"
        f'<header><h1>{text(title)}</h1><p class="soft">{text(subtitle)}</p>'
        f"<nav>{contents}</nav></header>\n{body}"
        f"<footer>{text(footer)}</footer></main></body></html>\n"
    )


def _section(section: Section, anchor: str) -> str:
    lead = f'<p class="soft">{text(section.lead)}</p>' if section.lead else ""
    return f'<section id="{anchor}"><h2>{text(section.title)}</h2>{lead}{section.body}</section>\n'


def facts(values: Mapping[str, str]) -> str:
    """Large figures side by side: what it is -> the figure."""
    cells = "".join(
        f'<div class="fact"><b>{text(value)}</b><span>{text(name)}</span></div>'
        for name, value in values.items()
    )
    return f'<div class="facts">{cells}</div>'


def note(message: str) -> str:
    """A remark that must not be overlooked."""
    return f'<p class="note">{text(message)}</p>'


def data_uri(image: np.ndarray, lossless: bool = False) -> str:
    """uint8 (h, w, 3) RGB or (h, w) as a data URI: JPEG, or PNG where every pixel counts."""
    swapped = image[..., ::-1] if image.ndim == 3 else image
    kind, options = ("png", []) if lossless else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 86])
    done, encoded = cv2.imencode(f".{kind}", np.ascontiguousarray(swapped), options)
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"


def picture(image: np.ndarray, caption: str = "", lossless: bool = False) -> str:
    """A figure: uint8 (h, w, 3) RGB or (h, w), with a caption."""
    return (
        f'<figure><img loading="lazy" alt="{text(caption)}" src="{data_uri(image, lossless)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def pictures(figures: Iterable[str]) -> str:
    """Figures side by side, as many in a row as fit."""
    return f'<div class="pictures">{"".join(figures)}</div>'


def grid(parts: Mapping[str, str], tight: bool = False) -> str:
    """Titled parts side by side; `tight` for small diagrams."""
    cells = "".join(f"<div><h3>{text(name)}</h3>{part}</div>" for name, part in parts.items())
    return f'<div class="grid{" tight" if tight else ""}">{cells}</div>'


def confidence_image(confidence: np.ndarray) -> np.ndarray:
    """float32 (h, w) in 0..1 -> colours uint8 (h, w, 3), RGB: dark is unsure."""
    scaled = (np.clip(confidence, 0.0, 1.0) * 255).astype(np.uint8)
    return cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def overlay_image(image: np.ndarray, colors: np.ndarray, opacity: float = 0.55) -> np.ndarray:
    """Blend colours over a camera image, both uint8 (h, w, 3)."""
    return cv2.addWeighted(colors, opacity, image, 1.0 - opacity, 0.0)


def legend(taxonomy: Taxonomy, classes: Iterable[int] | None = None) -> str:
    """Names and colours of the classes (all, or the ids given)."""
    chosen = range(len(taxonomy)) if classes is None else sorted(set(classes))
    items = "".join(
        f'<span><i style="background:rgb{taxonomy.colors[index]}"></i>'
        f"{text(taxonomy.classes[index])}</span>"
        for index in chosen
    )
    return f'<div class="legend">{items}</div>'


def subset_dots(subset: Iterable[Modality]) -> str:
    """Which sensors a row is about: one dot a modality, filled where it is used."""
    used = set(subset)
    dots = "".join(
        f'<i class="dot{"" if modality in used else " off"}" title="{modality.label}" '
        f'style="background:{SERIES[modality]}"></i>'
        for modality in Modality
    )
    return f'<span class="dots">{dots}</span>'


def subset_key() -> str:
    """The legend of `subset_dots`."""
    items = "".join(
        f'<span><i class="dot" style="background:{SERIES[modality]}"></i>{modality.label}</span>'
        for modality in Modality
    )
    return f'<div class="legend">{items}</div>'


class Raw(str):
    """A table cell that is HTML already."""


def table(header: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table; numbers stand right with one decimal, `Raw` cells are taken as HTML."""
    rows = [list(row) for row in rows]
    numeric = [
        bool(rows) and any(_is_number(row[column]) for row in rows) for column in range(len(header))
    ]
    head = "".join(
        f"<th{' class=n' if right else ''}>{text(name)}</th>"
        for name, right in zip(header, numeric, strict=True)
    )
    lines = ("".join(_cell(c, n) for c, n in zip(row, numeric, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _cell(value: object, right: bool) -> str:
    if isinstance(value, Raw):
        return value if value.startswith("<td") else f"<td{_right(right)}>{value}</td>"
    if isinstance(value, (int, np.integer)):
        shown = str(value)
    elif _is_number(value):
        shown = number(float(value))  # type: ignore[arg-type]
    else:
        shown = "–" if value is None else text(value)
    return f"<td{_right(right)}>{shown}</td>"


def _right(right: bool) -> str:
    return " class=n" if right else ""


def heat(value: float | None, low: float, high: float, digits: int = 1) -> Raw:
    """A table cell whose background grows with the value between low and high."""
    if value is None or not math.isfinite(value):
        return Raw('<td class="heat soft">–</td>')
    share = min(max((value - low) / max(high - low, 1e-9), 0.0), 1.0)
    colour = f"rgba(var(--heat),{0.04 + 0.66 * share:.3f})"
    return Raw(f'<td class="heat" style="background:{colour}">{value:.{digits}f}</td>')


def difference(value: float, digits: int = 1, lower_is_better: bool = False) -> Raw:
    """A signed difference, green where it is a gain."""
    gain = -value if lower_is_better else value
    kind = "up" if gain > 0 else "down" if gain < 0 else "soft"
    return Raw(f'<span class="{kind}">{value:+.{digits}f}</span>')


@dataclass(frozen=True)
class Mark:
    """A stretch of the x axis that is shaded and named, such as a sensor's failure."""

    begin: float
    end: float
    label: str


def line_chart(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    y_range: tuple[float | None, float | None] = (0.0, None),
    marks: Sequence[Mark] = (),
    height: int = 240,
    width: int = 860,
    colors: Mapping[str, str] | None = None,
) -> str:
    """Curves over x: name -> (x, y); NaN breaks a curve; `marks` shade stretches of x."""
    plot = _Plot(series, y_range, width, height, marks)
    parts = [plot.shades(marks), plot.axes(x_label, y_label)]
    names = list(series)
    shades = {n: (colors or {}).get(n, SERIES[i % len(SERIES)]) for i, n in enumerate(names)}
    for name, (x, y) in series.items():
        parts.append(f'<path class="curve" stroke="{shades[name]}" d="{plot.path(x, y)}"/>')
    key = "".join(f'<span><i style="background:{shades[n]}"></i>{text(n)}</span>' for n in names)
    legend_html = f'<div class="legend">{key}</div>' if len(names) > 1 else ""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(y_label)} over '
        f'{text(x_label)}">{"".join(parts)}</svg>{legend_html}'
    )


class _Plot:
    """Where the points of a chart go, in the units of its view box."""

    LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 34

    def __init__(
        self,
        series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
        y_range: tuple[float | None, float | None],
        width: int,
        height: int,
        marks: Sequence[Mark],
    ) -> None:
        self.width, self.height = width, height
        xs = [v for x, _ in series.values() for v in x]
        ys = [v for _, y in series.values() for v in y if v is not None and math.isfinite(v)]
        ends = [mark.begin for mark in marks] + [mark.end for mark in marks]
        self.x0, self.x1 = _span([*xs, *(e for e in ends if math.isfinite(e))], None, None)
        self.y0, self.y1 = _span(ys, *y_range)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x0) / (self.x1 - self.x0)
        up = (y - self.y0) / (self.y1 - self.y0)
        inner_width = self.width - self.LEFT - self.RIGHT
        inner_height = self.height - self.TOP - self.BOTTOM
        return self.LEFT + across * inner_width, self.height - self.BOTTOM - up * inner_height

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        commands, pen_down = [], False
        for x, y in zip(xs, ys, strict=True):
            if y is None or not math.isfinite(y):
                pen_down = False
                continue
            px, py = self.at(x, y)
            commands.append(f"{'L' if pen_down else 'M'}{px:.1f} {py:.1f}")
            pen_down = True
        return "".join(commands)

    def shades(self, marks: Sequence[Mark]) -> str:
        parts = []
        for mark in marks:
            left, top = self.at(max(mark.begin, self.x0), self.y1)
            right, bottom = self.at(min(mark.end, self.x1), self.y0)
            parts.append(
                f'<rect class="mark" x="{left:.1f}" y="{top:.1f}" '
                f'width="{max(right - left, 1):.1f}" height="{bottom - top:.1f}"/>'
                f'<text x="{left + 4:.1f}" y="{top - 6:.1f}">{text(mark.label)}</text>'
            )
        return "".join(parts)

    def axes(self, x_label: str, y_label: str) -> str:
        parts = []
        for value in ticks(self.y0, self.y1, 5):
            x, y = self.at(self.x0, value)
            parts.append(
                f'<line class="axis" x1="{x}" x2="{self.width - self.RIGHT}" y1="{y:.1f}" '
                f'y2="{y:.1f}"/>'
                f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        for value in ticks(self.x0, self.x1, 10):
            x, y = self.at(value, self.y0)
            parts.append(
                f'<text x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle">{value:g}</text>'
            )
        parts.append(
            f'<text x="{self.width - self.RIGHT}" y="{self.height - 4}" text-anchor="end">'
            f'{text(x_label)}</text><text x="0" y="10">{text(y_label)}</text>'
        )
        return "".join(parts)


def _span(values: Sequence[float], low: float | None, high: float | None) -> tuple[float, float]:
    bottom = (min(values) if values else 0.0) if low is None else low
    top = (max(values) if values else bottom + 1.0) if high is None else high
    if high is None and low is not None:
        top += 0.05 * (top - bottom)
    return (bottom, top) if top > bottom else (bottom, bottom + 1.0)


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from low to high."""
    rough = (high - low) / max(count, 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def bar_chart(
    values: Mapping[str, float], colors: Mapping[str, str], maximum: float = 100.0, unit: str = "%"
) -> str:
    """One horizontal bar a name; NaN is written as a dash."""
    row, label_width, width = 21, 110, 640
    parts = []
    for index, (name, value) in enumerate(values.items()):
        y = index * row
        finite = value is not None and math.isfinite(value)
        length = (width - label_width - 60) * min(max(value / maximum, 0.0), 1.0) if finite else 0.0
        shown = f"{value:.1f} {unit}" if finite else "–"
        parts.append(
            f'<text x="{label_width - 8}" y="{y + 14}" text-anchor="end">{text(name)}</text>'
            f'<rect x="{label_width}" y="{y + 3}" width="{length:.1f}" height="{row - 7}" rx="3" '
            f'fill="{colors.get(name, SERIES[1])}" stroke="var(--line)"/>'
            f'<text x="{label_width + length + 6:.1f}" y="{y + 14}">{shown}</text>'
        )
    box = f"0 0 {width} {len(values) * row + 4}"
    return f'<svg class="bars" viewBox="{box}" role="img">{"".join(parts)}</svg>'


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> str:
    """Accuracy over confidence, one bar a bin, its ink by its share of the pixels."""
    size, left, bottom = 210, 30, 24
    inner = size - left - 6
    most = max((b["pixels"] for b in bins), default=1) or 1
    parts = [
        f'<line class="ideal" x1="{left}" y1="{size - bottom}" x2="{left + inner}" '
        f'y2="{size - bottom - inner + 18}"/>'
    ]
    tall = inner - 18
    for index, one in enumerate(bins):
        if not one["pixels"]:
            continue
        wide = inner / len(bins)
        high = tall * one["accuracy"]
        ink = 0.25 + 0.75 * (one["pixels"] / most) ** 0.5
        parts.append(
            f'<rect x="{left + index * wide + 0.6:.1f}" y="{size - bottom - high:.1f}" '
            f'width="{wide - 1.2:.1f}" height="{high:.1f}" fill="var(--c1)" opacity="{ink:.2f}">'
            f"<title>{one['pixels']} pixels, confidence {one['confidence']:.3f}, "
            f"accuracy {one['accuracy']:.3f}</title></rect>"
        )
    for value in (0.0, 0.5, 1.0):
        x, y = left + inner * value, size - bottom - tall * value
        parts.append(
            f'<text x="{x}" y="{size - bottom + 14}" text-anchor="middle">{value:g}</text>'
            f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    return f'<svg viewBox="0 0 {size} {size}" role="img">{"".join(parts)}</svg>'

"""Charts of the reports as inline SVG: curves over time, bars by class, reliability diagrams.

Positions are worked out here, in the units of the SVG's view box; the templates draw them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from any2seg_ros.html.templating import SERIES, known, number, render

Curve = tuple[Sequence[float], Sequence[float]]
"""x and y of the points; NaN in y breaks the curve."""

Range = tuple[float | None, float | None]
"""From and to; None is taken from the data."""


@dataclass(frozen=True)
class Span:
    """A span of the x axis that is shaded and named, such as a sensor's failure."""

    begin: float
    end: float
    label: str


@dataclass(frozen=True)
class Axes:
    """Titles of both axes, and the range of y."""

    x: str
    y: str
    y_range: Range = (0.0, None)


def line_chart(
    curves: Mapping[str, Curve],
    axes: Axes,
    spans: Sequence[Span] = (),
    colors: Mapping[str, str] | None = None,
    height: int = 240,
) -> Markup:
    """Curves by name, `spans` of x shaded; colours in order, or those given by name."""
    plot = _Plot(curves, axes.y_range, height, spans)
    given = colors or {}
    return render(
        "line_chart.svg.j2",
        plot=plot,
        axes=axes,
        spans=[(span.label, plot.box(span)) for span in spans],
        curves=[
            (name, given.get(name, SERIES[index % len(SERIES)]), plot.path(*curve))
            for index, (name, curve) in enumerate(curves.items())
        ],
    )


class _Plot:
    """Where the points of a line chart go."""

    LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 34
    WIDTH = 860

    def __init__(
        self, curves: Mapping[str, Curve], y_range: Range, height: int, spans: Sequence[Span]
    ) -> None:
        self.width, self.height = self.WIDTH, height
        xs = [v for x, _ in curves.values() for v in x]
        ys = [v for _, y in curves.values() for v in y if known(v)]
        ends = [span.begin for span in spans] + [span.end for span in spans]
        self.x0, self.x1 = _limits([*xs, *(e for e in ends if math.isfinite(e))], (None, None))
        self.y0, self.y1 = _limits(ys, y_range)
        self.right, self.bottom = self.width - self.RIGHT, height - self.BOTTOM

    @property
    def x_ticks(self) -> list[tuple[float, float]]:
        """Values and where they are."""
        return [(value, self.at(value, self.y0)[0]) for value in ticks(self.x0, self.x1, 10)]

    @property
    def y_ticks(self) -> list[tuple[float, float]]:
        """Values and where they are."""
        return [(value, self.at(self.x0, value)[1]) for value in ticks(self.y0, self.y1, 5)]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x0) / (self.x1 - self.x0)
        up = (y - self.y0) / (self.y1 - self.y0)
        inner_width = self.width - self.LEFT - self.RIGHT
        inner_height = self.height - self.TOP - self.BOTTOM
        return self.LEFT + across * inner_width, self.bottom - up * inner_height

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        commands, pen_down = [], False
        for x, y in zip(xs, ys, strict=True):
            if not known(y):
                pen_down = False
                continue
            px, py = self.at(x, y)
            commands.append(f"{'L' if pen_down else 'M'}{px:.1f} {py:.1f}")
            pen_down = True
        return "".join(commands)

    def box(self, span: Span) -> tuple[float, float, float, float]:
        """x, y, width and height of a shaded span."""
        left, top = self.at(max(span.begin, self.x0), self.y1)
        right, bottom = self.at(min(span.end, self.x1), self.y0)
        return left, top, max(right - left, 1), bottom - top


def _limits(values: Sequence[float], given: Range) -> tuple[float, float]:
    low, high = given
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
    values: Mapping[str, float | None],
    colors: Mapping[str, str],
    maximum: float = 100.0,
    unit: str = "%",
) -> Markup:
    """One horizontal bar a name; None and NaN are written as a dash."""
    row, left, width = 21, 110, 640
    bars = []
    for name, value in values.items():
        share = min(max(value / maximum, 0.0), 1.0) if value is not None and known(value) else 0.0
        shown = f"{number(value)} {unit}" if known(value) else number(None)
        bars.append((name, (width - left - 60) * share, colors.get(name, SERIES[1]), shown))
    return render("bar_chart.svg.j2", bars=bars, row=row, left=left, width=width)


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> Markup:
    """Accuracy over confidence, one bar a bin, the darker the more pixels it has."""
    size, left, bottom = 210, 30, 24
    inner = size - left - 6
    tall, wide = inner - 18, inner / max(len(bins), 1)
    most = max((one["pixels"] for one in bins), default=1) or 1
    bars = [
        {
            "x": left + index * wide + 0.6,
            "width": wide - 1.2,
            "height": tall * one["accuracy"],
            "opacity": 0.25 + 0.75 * (one["pixels"] / most) ** 0.5,
            **one,
        }
        for index, one in enumerate(bins)
        if one["pixels"]
    ]
    return render(
        "reliability.svg.j2",
        bars=bars,
        size=size,
        left=left,
        ground=size - bottom,
        inner=inner,
        tall=tall,
    )

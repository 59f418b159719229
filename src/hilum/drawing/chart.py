"""Charts as SVG: one plot with two axes, to which curves, areas, dots and marks are added in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hilum.drawing.numbers import MINUS
from hilum.drawing.svg import element, polyline, text

__all__ = ["Chart", "ticks"]

Values = Sequence[float] | npt.NDArray[np.floating]
_INK, _RIM, _GRID = "#22313f", "#7a8a99", "#e4e8eb"
#: Room round the plot in units of the drawing: left, top, right, bottom.
_LEFT, _TOP, _RIGHT, _BOTTOM = 44.0, 24.0, 12.0, 38.0
_FONT = 11.0
#: Room that a number on an axis takes with the gap to the next, so that numbers do not touch.
_TICK_WIDTH, _TICK_HEIGHT = 75.0, 40.0
#: A curve of more points than this is thinned; at most one point a unit of width is seen.
_MOST_POINTS = 400


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers that cover a range.

    Examples:
        >>> ticks(0.913, 0.99)
        [0.9, 0.92, 0.94, 0.96, 0.98, 1.0]
    """
    span = (high - low) or max(abs(high), 1.0) * 0.1
    raw = span / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [round(n * step, digits) for n in range(first, max(last, first + 1) + 1)]


@dataclass
class Chart:
    """One plot.

    Attributes:
        x_range: Values at the left and right end.
        y_range: Values at the bottom and top end.
        size: Width and height of the drawing in its own units, of which a letter has 11.
        title: Shown above the plot.
        x_label: Shown below the plot.
        y_label: Shown above the vertical axis; it takes the place of the title where there is none.
        x_names: Places and words in place of numbers on the horizontal axis.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    size: tuple[float, float] = (420.0, 260.0)
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_names: Sequence[tuple[float, str]] | None = None
    _inside: list[Markup] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    @property
    def _plot(self) -> tuple[float, float]:
        """Width and height of the plot."""
        return self.size[0] - _LEFT - _RIGHT, self.size[1] - _TOP - _BOTTOM

    def x(self, value: float) -> float:
        """Return the place of a value from the left end of the plot."""
        low, high = self.x_range
        return (value - low) / (high - low) * self._plot[0]

    def y(self, value: float) -> float:
        """Return the place of a value from the top of the plot."""
        low, high = self.y_range
        return (high - value) / (high - low) * self._plot[1]

    def curve(
        self, x: Values, y: Values, colour: str, width: float = 1.4, opacity: float = 1.0, name: str = ""
    ) -> None:
        """Add a line through points; those that are not finite are left out."""
        points = self._points(x, y)
        self._add(
            "polyline",
            points=polyline(points),
            fill="none",
            stroke=colour,
            stroke_width=float(width),
            stroke_opacity=float(opacity),
            stroke_linejoin="round",
        )
        if name:
            self._legend.append((name, colour))

    def area(self, x: Values, y: Values, colour: str, opacity: float) -> None:
        """Fill what lies between points and the bottom of the plot."""
        points = self._points(x, y)
        if points:
            foot = self.y(self.y_range[0])
            ends = [(points[-1][0], foot), (points[0][0], foot)]
            self._add("polygon", points=polyline([*points, *ends]), fill=colour, fill_opacity=float(opacity))

    def dots(
        self, x: Values, y: Values, colour: str, radius: float = 2.4, opacity: float = 0.7, name: str = ""
    ) -> None:
        """Add one dot per point."""
        for left, top in zip(x, y, strict=True):
            place = {"cx": self.x(float(left)), "cy": self.y(float(top)), "r": float(radius)}
            self._add("circle", **place, fill=colour, fill_opacity=float(opacity))
        if name:
            self._legend.append((name, colour))

    def upright(self, x: float, colour: str, dashed: bool = False) -> None:
        """Add a vertical line at a value."""
        path = f"M{self.x(x):.1f} 0V{self._plot[1]:.1f}"
        self._add("path", d=path, stroke=colour, stroke_width=1.2, stroke_dasharray="5 4" if dashed else None)

    def band(self, low: float, high: float, colour: str, opacity: float = 0.2) -> None:
        """Fill the plot between two values of the vertical axis."""
        top, bottom = self.y(high), self.y(low)
        self._add(
            "rect",
            x=0.0,
            y=top,
            width=self._plot[0],
            height=bottom - top,
            fill=colour,
            fill_opacity=float(opacity),
        )

    def image(self, uri: str) -> None:
        """Fill the plot with an image."""
        width, height = self._plot
        self._add("image", href=uri, x=0.0, y=0.0, width=width, height=height, preserveAspectRatio="none")

    def words(
        self, x: float, y: float, words: str, colour: str = _INK, anchor: str = "middle", size: float = _FONT
    ) -> None:
        """Write a word at a point of the plot."""
        place = text(self.x(x), self.y(y), words, fill=colour, text_anchor=anchor, font_size=float(size))
        self._inside.append(place)

    def draw(self, label: str, legend: str = "right") -> Markup:
        """Return the ``<svg>``.

        Args:
            label: What the chart shows, for those who do not see it.
            legend: Side of the plot where the names of curves stand, ``right`` or ``left``.
        """
        width, height = self._plot
        plot = element(
            "svg",
            *self._inside,
            *self._names(legend),
            x=_LEFT,
            y=_TOP,
            width=width,
            height=height,
            viewBox=f"0 0 {width:g} {height:g}",
        )
        return element(
            "svg",
            *self._axes(),
            plot,
            viewBox=f"0 0 {self.size[0]:g} {self.size[1]:g}",
            role="img",
            aria_label=label,
            class_="chart",
        )

    def _add(self, name: str, **attributes: object) -> None:
        self._inside.append(element(name, **attributes))

    def _points(self, x: Values, y: Values) -> list[tuple[float, float]]:
        across, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
        known = np.flatnonzero(np.isfinite(across) & np.isfinite(up))
        step = max(1, known.size // _MOST_POINTS)
        kept = np.union1d(known[::step], known[-1:])
        return [(round(self.x(across[n]), 1), round(self.y(up[n]), 1)) for n in kept]

    def _axes(self) -> list[Markup]:
        width, height = self._plot
        foot, label = _TOP + height, {"font_size": _FONT, "fill": _INK}
        parts = [
            element("path", d=f"M{_LEFT} {_TOP}V{foot:g}h{width:g}", stroke=_RIM, fill="none", stroke_width=1)
        ]
        for place, words in self._x_marks():
            across = _LEFT + self.x(place)
            parts.append(element("path", d=f"M{across:.1f} {foot:g}v3", stroke=_RIM, stroke_width=1))
            parts.append(text(across, foot + 15, words, text_anchor="middle", **label))
        for value in _within(self.y_range, max(3, int(height / _TICK_HEIGHT))):
            down = _TOP + self.y(value)
            parts.append(element("path", d=f"M{_LEFT} {down:.1f}h{width:g}", stroke=_GRID, stroke_width=1))
            parts.append(text(_LEFT - 5, down + 4, _shown(value), text_anchor="end", **label))
        head = " · ".join(words for words in (self.title, self.y_label) if words)
        parts.append(text(4, 13, head, font_weight="600", **label))
        parts.append(text(_LEFT + width / 2, foot + 31, self.x_label, text_anchor="middle", **label))
        return parts

    def _x_marks(self) -> list[tuple[float, str]]:
        if self.x_names is not None:
            return list(self.x_names)
        wanted = max(3, int(self._plot[0] / _TICK_WIDTH))
        return [(value, _shown(value)) for value in _within(self.x_range, wanted)]

    def _names(self, side: str) -> list[Markup]:
        out = []
        right = side == "right"
        edge = self._plot[0] - 4 if right else 4.0
        for row, (name, colour) in enumerate(self._legend):
            out.append(
                text(
                    edge,
                    13.0 + 14 * row,
                    f"● {name}",
                    fill=colour,
                    font_size=_FONT,
                    text_anchor="end" if right else "start",
                )
            )
        return out


def _within(limits: tuple[float, float], wanted: int) -> list[float]:
    low, high = sorted(limits)
    slack = 1e-9 * (high - low)
    return [value for value in ticks(low, high, wanted) if low - slack <= value <= high + slack]


def _shown(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)

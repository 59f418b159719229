"""A tree of branches in 3-D as a static image, coloured by generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hilum.drawing.colours import cividis
from hilum.drawing.svg import element, hex_colour, number, text

__all__ = [
    "LAST_COLOUR",
    "TreeLine",
    "View",
    "generation_colour",
    "generation_key",
    "tree_view",
    "view_shape",
]

_Points = npt.NDArray[np.float64]
#: From this generation on branches have one colour.
LAST_COLOUR = 10
#: The palest colours of the map are hard to see on white.
_DARKEST, _PALEST = 0, 235
#: Margin round the tree, least width of a line and width of the white rim that parts lines that cross, in mm.
_MARGIN_MM, _THINNEST_MM, _RIM_MM = 4.0, 0.7, 0.7
#: Letters are this many times smaller than the image.
_LETTERS = 22
_KEY_SIZE = (13.0, 5.0)


class View(str, Enum):
    """From where a tree is seen."""

    FRONT = "front"
    RIGHT = "right"

    def project(self, points: _Points) -> _Points:
        """Turn RAS positions into right, down and towards the viewer."""
        x, y, z = points.T
        # As in radiology, the patient's right is on the left of a view from the front.
        columns = (-x, -z, y) if self is View.FRONT else (-y, -z, x)
        return np.stack(columns, axis=1)

    @property
    def letters(self) -> tuple[str, str]:
        """Directions at the left and the right."""
        return ("R", "L") if self is View.FRONT else ("A", "P")


@dataclass(frozen=True, eq=False)
class TreeLine:
    """A branch to draw.

    Attributes:
        points: Positions in RAS mm, shape (n, 3).
        width_mm: Its width.
        generation: Its generation.
    """

    points: _Points
    width_mm: float
    generation: int


def generation_colour(generation: int) -> tuple[int, int, int]:
    """Return the colour of a generation as sRGB, 0 to 255: dark blue for the first, yellow for the last."""
    share = min(max(generation, 0), LAST_COLOUR) / LAST_COLOUR
    r, g, b = cividis()[round(_DARKEST + share * (_PALEST - _DARKEST))].tolist()
    return r, g, b


def tree_view(lines: Sequence[TreeLine], view: View, title: str, letters: bool = True) -> Markup:
    """Draw a tree as lines as wide as its branches, the nearer ones over the farther ones.

    Args:
        lines: The branches; at least one.
        view: From where it is seen.
        title: Alternative text.
        letters: Draw direction letters; off where the orientation is unknown.

    Returns:
        An ``<svg>`` whose user unit is one millimetre.
    """
    projected = [view.project(line.points) for line in lines]
    low, high = _extent(lines, view)
    width, height = (high - low).tolist()
    order = sorted(range(len(lines)), key=lambda n: float(projected[n][:, 2].mean()))
    children = [_line(projected[n][:, :2] - low, lines[n]) for n in order]
    if letters:
        size = max(width, height) / _LETTERS
        look = {"font_size": size, "font_weight": "600", "fill": "#333"}
        left, right = view.letters
        children.append(text(size / 3, size, left, **look))
        children.append(text(width - size / 3, size, right, text_anchor="end", **look))
    return element(
        "svg", *children, viewBox=f"0 0 {width:.2f} {height:.2f}", role="img", aria_label=title, class_="tree"
    )


def view_shape(lines: Sequence[TreeLine], view: View) -> float:
    """Return the width of what :func:`tree_view` draws, as a share of its height."""
    low, high = _extent(lines, view)
    width, height = (high - low).tolist()
    return float(width / height)


def _extent(lines: Sequence[TreeLine], view: View) -> tuple[_Points, _Points]:
    """Return the upper left and the lower right corner of a view, with room for the widest branches."""
    flat = [(view.project(line.points)[:, :2], line.width_mm / 2 + _MARGIN_MM) for line in lines]
    low = np.min([points.min(axis=0) - room for points, room in flat], axis=0)
    high = np.max([points.max(axis=0) + room for points, room in flat], axis=0)
    low[1] -= float(max(high - low)) / _LETTERS  # a strip for the letters
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


def _line(points: _Points, line: TreeLine) -> Markup:
    """One branch over a white rim."""
    d = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points.tolist())
    width = max(line.width_mm, _THINNEST_MM)
    common = {"fill": "none", "stroke_linejoin": "round"}
    return element(
        "g",
        element("path", d=d, stroke="#fff", stroke_width=width + _RIM_MM, **common),
        element(
            "path",
            d=d,
            stroke=hex_colour(generation_colour(line.generation)),
            stroke_width=width,
            stroke_linecap="round",
            **common,
        ),
    )


def generation_key(last: int) -> Markup:
    """Draw the colours of the generations 0 to ``last`` with their numbers."""
    wide, high = _KEY_SIZE
    shown = range(min(last, LAST_COLOUR) + 1)
    children = []
    for n in shown:
        name = f"{n}+" if n == LAST_COLOUR and last > LAST_COLOUR else str(n)
        children.append(
            element(
                "rect",
                x=float(n * wide),
                y=0.0,
                width=wide,
                height=high,
                fill=hex_colour(generation_colour(n)),
            )
        )
        children.append(
            text((n + 0.5) * wide, high + 5.5, name, font_size=5.0, text_anchor="middle", fill="#333")
        )
    size = f"0 0 {(LAST_COLOUR + 1) * wide:g} {high + 7:g}"  # the same size however many there are
    return element(
        "svg", *children, viewBox=size, role="img", aria_label="Colours of the generations", class_="key-row"
    )

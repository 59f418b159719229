"""A few helpers to write SVG by hand: small, sharp on paper, selectable, and the same bytes every time."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape
from PIL import Image

__all__ = ["element", "hex_colour", "number", "path", "png_uri", "polyline", "text"]


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """Return ``<name attribute="…">children</name>``; all text is escaped.

    Underscores in attribute names stand for hyphens (``stroke_width``), a trailing one is dropped
    (``class_``); attributes that are None are left out, floats are shortened.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None:
            continue
        shown = number(value) if isinstance(value, float) else value
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inner = Markup("").join(children)
    parts.append(f">{inner}</{name}>" if children else "/>")
    return Markup("".join(parts))


def text(x: float, y: float, words: str, **attributes: Any) -> Markup:
    """Return a ``<text>`` at (x, y)."""
    return element("text", words, x=float(x), y=float(y), **attributes)


def number(value: float) -> str:
    """Shorten a coordinate to a hundredth."""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


def path(loops: Iterable[npt.NDArray[np.float64]]) -> str:
    """Return the ``d`` of a path through closed loops, each of shape (points, 2), to a tenth of a unit.

    Relative steps in tenths keep it short; points on a straight line are dropped.
    """
    out = []
    for loop in loops:
        points = np.rint(np.asarray(loop) * 10).astype(np.int64)
        steps = np.diff(points, axis=0)
        keep = np.ones(len(points), bool)
        keep[1:-1] = (steps[1:, 0] * steps[:-1, 1] != steps[1:, 1] * steps[:-1, 0]) | (
            (steps[1:] * steps[:-1]).sum(axis=1) < 0
        )
        points = points[keep]
        moves = np.diff(points, axis=0)
        first = f"M{_tenth(points[0, 0])} {_tenth(points[0, 1])}"
        out.append(first + "l" + " ".join(f"{_tenth(dx)} {_tenth(dy)}" for dx, dy in moves[:-1]) + "z")
    return "".join(out)


def _tenth(value: int) -> str:
    return f"{value / 10:g}"


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Return the ``points`` of a polyline."""
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)


def hex_colour(rgb: tuple[int, int, int]) -> str:
    """Return ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def png_uri(
    pixels: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8] | None = None, clear: int | None = None
) -> str:
    """Encode an image as a ``data:`` URL.

    Args:
        pixels: Grey values or palette indices, shape (rows, columns).
        palette: Colours of shape (256, 3); None for a grey-scale image.
        clear: Palette index that is transparent.

    Returns:
        ``data:image/png;base64,…``
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    options: dict[str, Any] = {}
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).tobytes())
        if clear is not None:
            options["transparency"] = clear
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")

"""Slices as SVG in millimetres: a grey-scale image with outlines, direction letters and a scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from hilum.core.labels import LUNGS
from hilum.drawing.numbers import format_number
from hilum.drawing.slices import Plane, SliceImage, scale_bar_cm
from hilum.drawing.svg import element, hex_colour, path, png_uri, text

__all__ = ["Fill", "plate"]

_MAX_PIXELS = 448
_HALO = {"paint_order": "stroke", "stroke": "#000", "stroke_linejoin": "round"}


@dataclass(frozen=True, eq=False)
class Fill:
    """A structure that is filled in a slice.

    Attributes:
        loops: Its outlines in mm from the upper left corner, each of shape (points, 2).
        colour: sRGB, 0-255.
        dashed: Whether its rim is dashed.
    """

    loops: Sequence[npt.NDArray[np.float64]]
    colour: tuple[int, int, int]
    dashed: bool = False


def plate(
    shown: SliceImage,
    title: str,
    scale: bool = True,
    letters: bool = True,
    marks: Sequence[tuple[int, str]] = (),
    fills: Sequence[Fill] = (),
) -> Markup:
    """Draw one slice.

    Args:
        shown: The slice.
        title: Alternative text.
        scale: Draw a scale bar; off where the voxel size is unknown.
        letters: Draw direction letters; off where the orientation is unknown.
        marks: (canonical z index, name) of axial slices to mark on coronal and sagittal ones.
        fills: Structures beside the lungs, filled.

    Returns:
        An ``<svg>`` whose user unit is one millimetre.
    """
    width, height = shown.size_mm
    unit = max(width, height) / 100.0
    children = [
        element(
            "image",
            href=png_uri(_reduced(shown.grey)),
            width=float(width),
            height=float(height),
            preserveAspectRatio="none",
        )
    ]
    for lung, loops in shown.outlines.items():
        if loops:
            children.append(
                element(
                    "path",
                    d=path(loops),
                    fill="none",
                    stroke=hex_colour(LUNGS[lung].colour),
                    stroke_width=1.6,
                    vector_effect="non-scaling-stroke",
                    stroke_linejoin="round",
                )
            )
    children.extend(_filled(one) for one in fills if one.loops)
    if shown.plane is not Plane.AXIAL:
        children.extend(_mark(shown, index, name, unit) for index, name in marks)
    if letters:
        children.extend(_letters(shown, unit))
    if scale:
        children.append(_scale_bar(shown, unit))
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {width:.2f} {height:.2f}",
        role="img",
        aria_label=title,
        class_="plate",
    )


def _filled(one: Fill) -> Markup:
    """A structure filled so that the grey below shows through; a dashed rim tells it without its colour."""
    colour = hex_colour(one.colour)
    return element(
        "path",
        d=path(one.loops),
        fill=colour,
        fill_opacity=0.45,
        fill_rule="evenodd",
        stroke=colour,
        stroke_width=1.6,
        stroke_dasharray="5 3" if one.dashed else None,
        vector_effect="non-scaling-stroke",
        stroke_linejoin="round",
    )


def _reduced(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Downsample an image that has more pixels than paper or screen can show."""
    rows, columns = grey.shape
    factor = max(rows, columns) / _MAX_PIXELS
    if factor <= 1:
        return grey
    size = (max(1, round(columns / factor)), max(1, round(rows / factor)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.LANCZOS))


def _words(x: float, y: float, words: str, unit: float, size: float = 5.0, anchor: str = "middle") -> Markup:
    return text(
        x,
        y,
        words,
        fill="#fff",
        font_size=float(size * unit),
        text_anchor=anchor,
        font_weight="600",
        stroke_width=float(unit),
        **_HALO,
    )


def _letters(shown: SliceImage, unit: float) -> list[Markup]:
    width, height = shown.size_mm
    left, right, top, bottom = shown.plane.letters
    # In the upper corners of the tall images, clear of the marks.
    side = height / 2 + 1.8 * unit if shown.plane is Plane.AXIAL else 5.8 * unit
    return [
        _words(2.2 * unit, side, left, unit, anchor="start"),
        _words(width - 2.2 * unit, side, right, unit, anchor="end"),
        _words(width / 2, 5.8 * unit, top, unit),
        _words(width / 2, height - 2.4 * unit, bottom, unit),
    ]


def _scale_bar(shown: SliceImage, unit: float) -> Markup:
    width, height = shown.size_mm
    length_cm = scale_bar_cm(width)
    x, y = 3.0 * unit, height - 3.4 * unit
    tick = f"v{2 * unit:.2f}m0 {-unit:.2f}"
    line = f"M{x:.2f} {y - unit:.2f}{tick}h{length_cm * 10:g}m0 {-unit:.2f}{tick}"
    digits = 0 if length_cm >= 1 else 1
    return element(
        "g",
        element("path", d=line, stroke="#000", stroke_width=float(1.4 * unit), fill="none"),
        element("path", d=line, stroke="#fff", stroke_width=float(0.6 * unit), fill="none"),
        _words(x, y - 2.2 * unit, f"{format_number(length_cm, digits)} cm", unit, size=3.8, anchor="start"),
        class_="scale",
        data_cm=f"{length_cm:g}",
    )


def _mark(shown: SliceImage, index: int, name: str, unit: float) -> Markup:
    """Tick at the right edge at the height of an axial slice."""
    width, _ = shown.size_mm
    y = (shown.origin[1] - index + 0.5) * shown.pixel_mm[1]
    return element(
        "g",
        element(
            "path",
            d=f"M{width - 4 * unit:.2f} {y:.2f}h{4 * unit:.2f}",
            stroke="#fff",
            stroke_width=float(0.5 * unit),
        ),
        _words(width - 4.8 * unit, y + 1.2 * unit, name, unit, size=3.4, anchor="end"),
    )

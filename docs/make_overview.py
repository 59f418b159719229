"""Draw the README's image from a digital chest: ``python docs/make_overview.py``. Needs matplotlib (``[train]``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from hilum.report.projection import Projection, tissue_thickness
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

import hilum
from hilum.core.labels import LUNGS
from hilum.drawing.numbers import format_number
from hilum.drawing.slices import LEVEL, WINDOW, Plane, SliceImage, choose, scale_bar_cm, slice_image
from hilum.drawing.survey import survey
from hilum.result import Result

_HEIGHT_IN = 3.3
_DPI = 150
_GAP_IN, _FOOT_IN, _HEAD_IN = 0.12, 0.5, 0.3


def save_overview_png(result: Result, path: str | os.PathLike[str]) -> None:
    """Save a coronal and an axial slice with outlines, and the tissue projection, side by side.

    A panel that the scan has no room for (a single slice) is left out. Works without a display and leaves
    the state of matplotlib alone.

    Args:
        result: The result of ``hilum.segment`` or ``hilum.measure``.
        path: PNG file to write; an existing one is replaced.

    """
    found = survey(result)
    chosen = choose(found)
    panels: list[SliceImage | Projection] = []
    for plane, which in ((Plane.CORONAL, 0), (Plane.AXIAL, 1)):
        indices = chosen.get(plane, ())
        if indices:
            panels.append(slice_image(found, plane, indices[min(which, len(indices) - 1)]))
    projection = tissue_thickness(found)
    if projection is not None:
        panels.append(projection)
    meta = result.volume.meta
    figure = _draw(panels, letters=meta.orientation_known, scale=meta.spacing_known)
    figure.savefig(Path(path), dpi=_DPI, format="png", metadata={"Software": None})


def _draw(panels: list[SliceImage | Projection], letters: bool, scale: bool) -> Figure:
    """Lay the panels side by side at the same height."""
    widths = [_HEIGHT_IN * panel.size_mm[0] / panel.size_mm[1] for panel in panels]
    total = sum(widths) + _GAP_IN * (len(panels) + 1)
    height = _HEIGHT_IN + _FOOT_IN + _HEAD_IN
    figure = Figure(figsize=(total, height), facecolor="white")
    FigureCanvasAgg(figure)
    left = _GAP_IN
    for panel, width in zip(panels, widths, strict=True):
        place = (left / total, _FOOT_IN / height, width / total, _HEIGHT_IN / height)
        axes = figure.add_axes(place)
        axes.set_axis_off()
        if isinstance(panel, SliceImage):
            _draw_slice(axes, panel, letters, scale)
        else:
            below = (left + 0.15 * width, 0.68 * _FOOT_IN, 0.7 * width, 0.13 * _FOOT_IN)
            _draw_projection(axes, panel, letters, figure.add_axes(_fraction(below, total, height)))
        left += width + _GAP_IN
    return figure


def _fraction(
    inches: tuple[float, float, float, float], width: float, height: float
) -> tuple[float, float, float, float]:
    return inches[0] / width, inches[1] / height, inches[2] / width, inches[3] / height


def _extent(panel: SliceImage | Projection) -> tuple[float, float, float, float]:
    width, height = panel.size_mm
    return 0.0, width, height, 0.0


def _draw_slice(axes: Any, shown: SliceImage, letters: bool, scale: bool) -> None:
    axes.imshow(shown.grey, cmap="gray", vmin=0, vmax=255, extent=_extent(shown), aspect="auto")
    for lung, loops in shown.outlines.items():
        for loop in loops:
            axes.plot(loop[:, 0], loop[:, 1], color=np.array(LUNGS[lung].colour) / 255, lw=1.4)
    width, height = shown.size_mm
    axes.set(xlim=(0, width), ylim=(height, 0))
    halo = [withStroke(linewidth=2.5, foreground="black")]
    if letters:
        left, right, _, _ = shown.plane.letters
        style = {"color": "white", "fontsize": 11, "weight": "bold", "path_effects": halo, "va": "center"}
        axes.text(0.03 * width, height / 2, left, ha="left", **style)
        axes.text(0.97 * width, height / 2, right, ha="right", **style)
    if scale:
        length = scale_bar_cm(width)
        x, y = 0.04 * width, 0.95 * height
        axes.plot([x, x + 10 * length], [y, y], color="white", lw=2, path_effects=halo)
        words = f"{format_number(length, 0 if length >= 1 else 1)} cm"
        axes.text(x, y - 0.025 * height, words, color="white", fontsize=9, path_effects=halo, va="bottom")
    axes.set_title(f"{shown.plane.value.capitalize()}, W {WINDOW} / L {format_number(LEVEL)} HU", fontsize=10)


def _draw_projection(axes: Any, shown: Projection, letters: bool, bar: Any) -> None:
    palette = shown.palette()
    axes.imshow(palette[shown.indices()], extent=_extent(shown), aspect="auto", interpolation="nearest")
    width, height = shown.size_mm
    if letters:
        style = {"color": "#333333", "fontsize": 11, "weight": "bold", "va": "center"}
        axes.text(0.02 * width, height / 2, "R", ha="left", **style)
        axes.text(0.98 * width, height / 2, "L", ha="right", **style)
    axes.set_title(shown.title, fontsize=10)
    bar.imshow(palette[None, 1:], extent=(*shown.limits, 0.0, 1.0), aspect="auto")
    bar.set_yticks([])
    bar.tick_params(labelsize=8, length=2, pad=1)
    bar.set_xlabel(shown.unit, fontsize=8, labelpad=0)


def main() -> None:
    chest = hilum.phantom(seed=1, spacing=(1.0, 1.0, 1.0), noise_hu=12.0)
    save_overview_png(hilum.segment(chest.volume), Path(__file__).parent / "img" / "overview.png")


if __name__ == "__main__":
    main()

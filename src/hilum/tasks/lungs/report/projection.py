"""The lungs seen from the front: tissue along the line of sight, mean HU, and weight by height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hilum.core.labels import LUNGS
from hilum.drawing.colours import cividis
from hilum.drawing.numbers import format_number
from hilum.drawing.slices import Plane, can_show, shown_box
from hilum.drawing.survey import Survey
from hilum.drawing.svg import element, hex_colour, png_uri, polyline, text

__all__ = ["Projection", "height_profile", "mean_hu", "projection_plate", "tissue_thickness"]

_MEAN_HU_RANGE = (-950.0, -150.0)


@dataclass(frozen=True, eq=False)
class Projection:
    """A coronal projection, turned for the eye.

    Attributes:
        title: What it shows.
        unit: Its unit.
        values: Array of shape (rows, columns), NaN where the line of sight meets no lung.
        limits: Values at the ends of the colour scale.
        pixel_mm: Width and height of a pixel.
        ends_open: Whether values beyond the limits are shown in the end colours.
    """

    title: str
    unit: str
    values: npt.NDArray[np.float64]
    limits: tuple[float, float]
    pixel_mm: tuple[float, float]
    ends_open: bool

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height in mm."""
        rows, columns = self.values.shape
        return columns * self.pixel_mm[0], rows * self.pixel_mm[1]

    def indices(self) -> npt.NDArray[np.uint8]:
        """Colour indices 1 to 255; 0 where there is no lung."""
        low, high = self.limits
        indices = np.zeros(self.values.shape, np.uint8)
        lung = ~np.isnan(self.values)
        scaled = np.clip((self.values[lung] - low) / (high - low), 0, 1)
        indices[lung] = 1 + np.rint(254 * scaled).astype(np.uint8)
        return indices

    def palette(self) -> npt.NDArray[np.uint8]:
        """Colours of shape (256, 3); index 0 is the (transparent) background."""
        palette = np.full((256, 3), 255, np.uint8)
        palette[1:] = cividis()
        return palette


def _can_project(found: Survey) -> bool:
    return bool(found.present) and can_show(found.volume, Plane.CORONAL) and found.volume.shape[1] > 1


def _turned(found: Survey, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    box = shown_box(found)
    return values[box[0], box[2]].T[::-1, ::-1]


def tissue_thickness(found: Survey) -> Projection | None:
    """Tissue of the lungs along the line of sight in g/cm2, as on a radiograph of the lungs alone.

    The sum along a line of tissue fraction x step in cm x 1 g/mL; it adds up to the CT lung weight. None for
    single slices.
    """
    if not _can_project(found) or not found.volume.meta.spacing_known:
        return None
    total = sum(found.tissue.values()) * (_depth_step_mm(found) / 10.0)
    values = _turned(found, np.where(found.depth > 0, total, np.nan))
    top = float(np.nanpercentile(values, 99.5))
    step = next((s for s in (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0) if s >= top), 30.0)
    return Projection("Tissue along the line of sight", "g/cm²", values, (0.0, step), _pixel(found), True)


def mean_hu(found: Survey) -> Projection | None:
    """Mean HU of the lung voxels along the line of sight; None for single slices."""
    if not _can_project(found):
        return None
    mean = np.where(found.depth > 0, found.hu_sum / np.maximum(found.depth, 1), np.nan)
    return Projection(
        "Mean HU along the line of sight",
        "HU",
        _turned(found, mean),
        _MEAN_HU_RANGE,
        _pixel(found),
        True,
    )


def _pixel(found: Survey) -> tuple[float, float]:
    return found.volume.spacing[0], found.volume.spacing[2]


def _depth_step_mm(found: Survey) -> float:
    """Thickness of a voxel along y such that area x thickness is its volume, on a sheared grid too."""
    width, height = _pixel(found)
    return found.volume.voxel_volume_ml * 1000.0 / (width * height)


def projection_plate(shown: Projection, letters: bool = True) -> Markup:
    """Draw a projection with its colour bar."""
    width, height = shown.size_mm
    unit = max(width, height) / 100.0
    bar_y, bar_height = height + 3 * unit, 4 * unit
    ramp = np.arange(1, 256, dtype=np.uint8)[None, :]
    label = {"font_size": float(4.6 * unit), "fill": "#333"}
    low, high = shown.limits
    signs = ("≤ " if low else "", "≥ ") if shown.ends_open else ("", "")
    children = [
        element(
            "image",
            href=png_uri(shown.indices(), shown.palette(), clear=0),
            width=float(width),
            height=float(height),
            preserveAspectRatio="none",
        ),
        element(
            "image",
            href=png_uri(ramp, shown.palette()),
            x=0.0,
            y=float(bar_y),
            width=float(width),
            height=float(bar_height),
            preserveAspectRatio="none",
        ),
        text(0, bar_y + bar_height + 5.5 * unit, signs[0] + format_number(low), **label),
        text(width / 2, bar_y + bar_height + 5.5 * unit, shown.unit, text_anchor="middle", **label),
        text(
            width,
            bar_y + bar_height + 5.5 * unit,
            signs[1] + format_number(high, significant=1),
            text_anchor="end",
            **label,
        ),
    ]
    if letters:
        middle = height / 2 + 1.8 * unit
        children.append(text(unit, middle, "R", **label))
        children.append(text(width - unit, middle, "L", text_anchor="end", **label))
    full = bar_y + bar_height + 7 * unit
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {width:.2f} {full:.2f}",
        role="img",
        aria_label=f"Coronal projection: {shown.title} in {shown.unit}",
        class_="projection",
    )


def height_profile(found: Survey) -> tuple[Markup, float] | None:
    """Draw the weight of each lung by height, head up, in g per cm.

    Returns:
        The drawing and the width of its frame over its height, which is that of the projections; None for
        single slices.
    """
    if not _can_project(found) or not found.volume.meta.spacing_known:
        return None
    box = shown_box(found)
    step_mm = found.volume.spacing[2]
    per_cm = 10.0 / step_mm * found.volume.voxel_volume_ml
    height = (box[2].stop - box[2].start) * step_mm
    across = (box[0].stop - box[0].start) * found.volume.spacing[0]
    width = max(0.62 * across, 0.5 * height)
    unit = max(across, height) / 100.0
    rows = {lung: (found.tissue[lung].sum(axis=0) * per_cm)[box[2]][::-1] for lung in found.present}
    top = max(float(values.max()) for values in rows.values())
    limit = next(
        (s for s in (5, 10, 20, 30, 40, 60, 80, 100, 150, 200, 300) if s >= top), 10 * np.ceil(top / 10)
    )
    label = {"font_size": float(4.6 * unit), "fill": "#333"}
    children = [
        element(
            "path", d=f"M0 0V{height:.1f}H{width:.1f}", stroke="#777", fill="none", stroke_width=0.4 * unit
        ),
        element(
            "path",
            d=f"M{width / 2:.1f} 0V{height:.1f}M{width:.1f} 0V{height:.1f}",
            stroke="#ddd",
            fill="none",
            stroke_width=0.3 * unit,
        ),
    ]
    for lung, values in rows.items():
        points = [(v / limit * width, (n + 0.5) * step_mm) for n, v in enumerate(values)]
        colour = hex_colour(LUNGS[lung].colour)
        children.append(
            element("polyline", points=polyline(points), fill="none", stroke=colour, stroke_width=1.1 * unit)
        )
    below = height + 5.5 * unit
    children += [
        text(0, below, "0", **label),
        text(width / 2, below, "g per cm of height", text_anchor="middle", **label),
        text(width, below, format_number(float(limit)), text_anchor="end", **label),
    ]
    drawing = element(
        "svg",
        *children,
        viewBox=f"0 0 {width:.2f} {height + 14 * unit:.2f}",
        role="img",
        aria_label="Weight of each lung by height, apex at the top, in grams per centimetre",
        class_="projection",
    )
    return drawing, width / height

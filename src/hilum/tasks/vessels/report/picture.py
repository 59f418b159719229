"""The vessels in 3-D as a static picture, lit from the viewer and coloured by calibre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hilum.core.volume import Volume
from hilum.drawing.generations import View
from hilum.drawing.svg import element, png_uri, text
from hilum.imaging.morphology import bounding_box, depth
from hilum.tasks.vessels.definitions import CLASSES
from hilum.tasks.vessels.pieces import VesselPieces

__all__ = ["CLASS_COLOURS", "VesselPicture", "vessel_picture"]

#: Colours of the classes of calibre, from thin to wide (Okabe and Ito), for the colour-blind too.
CLASS_COLOURS = {"bv5": (86, 180, 233), "bv5_10": (230, 159, 0), "bv10_plus": (213, 94, 0)}
#: Steps of brightness of each colour, and the darkest, as a share of the colour.
_SHADES, _DARKEST = 64, 0.25
#: Part of the brightness that is lost from the front of the lungs to the back.
_HAZE = 0.35
_MARGIN_MM = 8.0
#: Height of the letters of direction, mm: about as tall as those of the figure of the airways.
_LETTER_MM = 14.0
#: Radius of a vessel of 5 mm2.
_WIDE_MM = 1.26


@dataclass(frozen=True, eq=False)
class VesselPicture:
    """A picture and its size in mm."""

    svg: Markup
    width_mm: float
    height_mm: float


def vessel_picture(
    volume: Volume, vessels: npt.NDArray[np.bool_], pieces: VesselPieces, view: View, title: str
) -> VesselPicture:
    """Draw the surface of the vessels as seen from one direction.

    Args:
        volume: The scan on its canonical grid.
        vessels: The vessels on that grid, at least one voxel.
        pieces: What is measured of them, for the colours.
        view: From where.
        title: What the picture shows, for a screen reader.
    """
    box = bounding_box(vessels)
    assert box is not None  # at least one voxel
    shown = vessels[box]
    # Wide vessels shine through thin ones, which would hide them.
    wide = depth(np.pad(shown, 1), volume.spacing)[1:-1, 1:-1, 1:-1] > _WIDE_MM
    axis = 1 if view is View.FRONT else 0
    other = 1 - axis
    seen = shown.any(axis=axis)
    hit = np.where(wide.any(axis=axis), _front(wide, axis), _front(shown, axis))
    rows, columns = np.nonzero(seen)
    voxels = np.empty((len(rows), 3), np.intp)
    voxels[:, other], voxels[:, axis], voxels[:, 2] = rows, hit[rows, columns], columns
    start = [part.start for part in box]
    places = (voxels + start) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    across, along, up = (float(volume.spacing[n]) for n in (other, axis, 2))
    light = _light(np.where(seen, hit * along, np.nan), across, up)
    indices = np.zeros(seen.shape, np.uint8)
    shade = np.rint(light[seen] * (_SHADES - 1)).astype(np.int64)
    indices[seen] = 1 + _classes(places, pieces) * _SHADES + shade
    # Canonical axes grow to the right and to the front, which lie on the left of either view.
    image = indices[::-1, ::-1].T
    width, height = image.shape[1] * across, image.shape[0] * up
    drawn = _svg(image, width, height, view, title, volume.meta.orientation_known)
    return VesselPicture(drawn, width, height)


def _front(mask: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.intp]:
    """Index of the last voxel along an axis, the one next to the viewer."""
    return np.asarray(mask.shape[axis] - 1 - np.flip(mask, axis).argmax(axis=axis))


def _classes(places: npt.NDArray[np.float64], pieces: VesselPieces) -> npt.NDArray[np.int64]:
    """Class of calibre of the piece nearest to each place."""
    from scipy.spatial import KDTree

    _, nearest = KDTree(pieces.centre).query(places)
    borders = [high for _, high in CLASSES.values()][:-1]
    return np.asarray(np.searchsorted(borders, pieces.area_mm2[nearest], side="right"))


def _light(depth: npt.NDArray[np.float64], dx: float, dz: float) -> npt.NDArray[np.float64]:
    """Brightness, 0 to 1: of a surface lit from the viewer, dimmed towards the back."""
    near = np.nan_to_num(depth, nan=float(np.nanmin(depth)))
    across, up = np.gradient(near, dx, dz)
    facing = 1 / np.sqrt(1 + np.clip(across**2 + up**2, 0, 25))
    low, high = float(np.nanmin(depth)), float(np.nanmax(depth))
    back = (high - near) / max(high - low, 1e-6)
    return np.asarray((0.45 + 0.55 * facing) * (1 - _HAZE * back))


def _palette() -> npt.NDArray[np.uint8]:
    palette = np.full((256, 3), 255, np.uint8)
    ramp = _DARKEST + (1 - _DARKEST) * np.linspace(0, 1, _SHADES)
    for number, colour in enumerate(CLASS_COLOURS.values()):
        palette[1 + number * _SHADES : 1 + (number + 1) * _SHADES] = np.rint(ramp[:, None] * colour)
    return palette


def _svg(
    image: npt.NDArray[np.uint8], width: float, height: float, view: View, title: str, letters: bool
) -> Markup:
    picture = element(
        "image",
        href=png_uri(image, _palette(), clear=0),
        x=_MARGIN_MM,
        y=0.0,
        width=width,
        height=height,
        preserveAspectRatio="none",
    )
    children = [element("title", title), picture]
    if letters:
        left, right = view.letters
        look = {"font_size": _LETTER_MM, "font_weight": "600", "fill": "#333"}
        children.append(text(0.0, _LETTER_MM, left, **look))
        children.append(text(width + 2 * _MARGIN_MM, _LETTER_MM, right, text_anchor="end", **look))
    box = f"0 0 {width + 2 * _MARGIN_MM:.2f} {height:.2f}"
    return element("svg", *children, viewBox=box, role="img", aria_label=title, class_="tree")

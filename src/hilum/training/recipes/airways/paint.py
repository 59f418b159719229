"""Draws airways and the arteries beside them into a scan, blurred and noisy as the scan is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Look", "Tube", "paint"]

_Floats = npt.NDArray[np.float32]
_Points = npt.NDArray[np.float64]
#: HU of the air in a lumen.
_AIR_HU = -1000.0
#: A lumen thinner than this is labelled this wide, mm: a line of voxels that hang together.
_LEAST_RADIUS_MM = 0.6


@dataclass(frozen=True, eq=False)
class Tube:
    """An airway as a line.

    Attributes:
        points: Positions in mm from the centre of the first voxel, shape (n, 3), about 1 mm apart.
        radius: Radius of the lumen in mm.
        wall: Thickness of the wall in mm; 0 for a vessel of this radius.
    """

    points: _Points
    radius: float
    wall: float


@dataclass(frozen=True)
class Look:
    """How the scan renders what is drawn.

    Attributes:
        sigma_mm: Standard deviation of the point spread along x, y, z in mm.
        noise_hu: Standard deviation of the noise.
        wall_hu: HU of walls.
        vessel_hu: HU of vessels.
    """

    sigma_mm: tuple[float, float, float]
    noise_hu: float
    wall_hu: float = 20.0
    vessel_hu: float = 40.0


def paint(
    hu: _Floats, tubes: list[Tube], look: Look, random: np.random.Generator
) -> tuple[_Floats, npt.NDArray[np.uint8]]:
    """Draw airways and vessels into a scan with voxels of 1 mm.

    Args:
        hu: Array (x, y, z); it is not changed.
        tubes: What to draw.
        look: How it looks.
        random: Draws the noise.

    Returns:
        The HU, and labels: 1 lumen, 2 wall, 3 vessel, 0 for what was not drawn on.
    """
    from scipy import ndimage

    airways = [tube for tube in tubes if tube.wall > 0]
    outer, near = _covered(hu.shape, airways, outside=True)
    lumen, inside = _covered(hu.shape, airways, outside=False)
    vessel, _ = _covered(hu.shape, [tube for tube in tubes if tube.wall == 0], outside=True)
    vessel = np.minimum(vessel, 1 - outer)  # an airway is drawn over the artery beside it
    labels = np.zeros(hu.shape, np.uint8)
    labels[vessel > 0.5] = 3
    labels[(outer > 0.5) | near] = 2
    labels[(lumen > 0.5) | inside] = 1
    outer, lumen, vessel = (ndimage.gaussian_filter(part, look.sigma_mm) for part in (outer, lumen, vessel))
    lumen = np.minimum(lumen, outer)
    drawn = np.minimum(outer + vessel, 1)
    grain = ndimage.gaussian_filter(random.standard_normal(hu.shape, np.float32), 0.6)
    grain *= look.noise_hu / float(grain.std())
    out = hu * (1 - drawn) + lumen * _AIR_HU + (outer - lumen) * look.wall_hu + vessel * look.vessel_hu
    return (out + drawn * grain).astype(np.float32), labels


def _covered(
    shape: tuple[int, ...], tubes: list[Tube], outside: bool
) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    """Return the share of each voxel in tubes, and which lie within the least radius of their lines."""
    out = np.zeros(shape, np.float32)
    line = np.zeros(shape, bool)
    for tube in tubes:
        radius = tube.radius + (tube.wall if outside else 0.0)
        for start, end in zip(tube.points[:-1], tube.points[1:], strict=True):
            low = np.floor(np.minimum(start, end) - radius - 1).astype(int)
            high = np.ceil(np.maximum(start, end) + radius + 2).astype(int)
            low, high = np.maximum(low, 0), np.minimum(high, shape)
            if (high <= low).any():
                continue
            window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            away = _distance(low, high, start, end)
            np.maximum(out[window], np.clip(radius - away + 0.5, 0, 1), out=out[window])
            line[window] |= away <= max(radius, _LEAST_RADIUS_MM)
    return out, line


def _distance(low: npt.NDArray[np.int_], high: npt.NDArray[np.int_], start: _Points, end: _Points) -> _Floats:
    """Distance of the voxels of a window from a straight piece, mm."""
    axes = [np.arange(a, b, dtype=np.float32) for a, b in zip(low, high, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    along = end - start
    share = (x - start[0]) * along[0] + (y - start[1]) * along[1] + (z - start[2]) * along[2]
    share = np.clip(share / max(float(along @ along), 1e-9), 0, 1)
    squares = sum((c - s - share * a) ** 2 for c, s, a in zip((x, y, z), start, along, strict=True))
    return np.asarray(np.sqrt(squares), np.float32)

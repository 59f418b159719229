"""How much of a fissure a scan shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hilum.tasks.lobes.columns import Columns, Surface, columns
from hilum.tasks.lobes.evidence import LungGrid
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.registration import ToTemplate
from hilum.tasks.lobes.surfaces import SIDES, in_front

__all__ = ["CHANCE_MM", "SEEN_HU", "WITHIN_MM", "seen_percent"]

#: A fissure is seen at a place where a plate lies within this distance of the fitted surface, mm.
WITHIN_MM = 3.0
#: Least mean response of the plate, smoothed along the surface, HU.
SEEN_HU = 3.0
#: Places above and below the surface that tell how often a plate is there by chance, mm.
CHANCE_MM = (-18, -10, 10, 18)


def seen_percent(
    fissure: Fissure,
    surfaces: Mapping[Fissure, Surface],
    found: Columns,
    grid: LungGrid,
    to_template: ToTemplate,
) -> float:
    """Share of the area of a fissure where the scan shows a plate, beyond chance, %.

    Args:
        fissure: Which one.
        surfaces: The fitted surfaces.
        found: The evidence along this one.
        grid: The lungs.
        to_template: From the patient to the template.
    """
    surface = surfaces[fissure]
    inside = _inside(surface, grid, to_template) == SIDES[fissure].value
    if fissure is Fissure.RIGHT_HORIZONTAL:
        inside &= in_front(surface, surfaces[Fissure.RIGHT_OBLIQUE]) > 0
    middle, reach = found.plates.shape[2] // 2, int(WITHIN_MM)

    def shown(offset: int) -> npt.NDArray[np.bool_]:
        window = slice(middle + offset - reach, middle + offset + reach + 1)
        return np.asarray(found.plates[:, :, window].max(axis=2) > SEEN_HU)

    slopes = np.gradient(surface.heights)
    spacing = np.diff(columns(surface.frame)[:2, 0, 0])[0]
    area = np.sqrt(1 + sum(slope**2 for slope in slopes) / spacing**2) * inside
    total = max(float(area.sum()), 1e-9)
    here = float((area * shown(0)).sum()) / total
    chance = float(np.mean([(area * shown(offset)).sum() / total for offset in CHANCE_MM]))
    return 100 * max(0.0, (here - chance) / max(1 - chance, 1e-9))


def _inside(surface: Surface, grid: LungGrid, to_template: ToTemplate) -> npt.NDArray[np.uint8]:
    """Labels of the lungs at the columns of a surface, (u, v)."""
    uv = columns(surface.frame)
    local = np.concatenate([uv, surface.heights[:, :, None]], axis=2).reshape(-1, 3)
    points = to_template.back(surface.frame.points(local))
    index = np.rint(np.linalg.solve(grid.affine[:3, :3], (points - grid.affine[:3, 3]).T)).astype(int)
    size = np.array(grid.labels.shape)[:, None]
    within = ((index >= 0) & (index < size)).all(axis=0)
    out = np.zeros(index.shape[1], np.uint8)
    out[within] = grid.labels[tuple(index[:, within])]
    return out.reshape(uv.shape[:2])

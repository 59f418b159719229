"""The label map of the lobes from the surfaces of the fissures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lobe, Lung
from hilum.imaging.interpolation import along_axis
from hilum.tasks.lobes.columns import Surface
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.registration import ToTemplate

__all__ = ["label_lobes"]

Floats = npt.NDArray[np.float64]

#: Grid on which heights above the surfaces are computed, mm; they are smooth, and interpolated in between.
_GRID_MM = 4.0


def label_lobes(
    labels: npt.NDArray[np.uint8],
    affine: Floats,
    surfaces: Mapping[Fissure, Surface],
    to_template: ToTemplate,
) -> npt.NDArray[np.uint8]:
    """Divide lungs into lobes.

    Args:
        labels: The lungs, (i, j, k).
        affine: From the index to RAS mm.
        surfaces: The fissures of the lungs that are there.
        to_template: From the patient to the template.

    Returns:
        The lobes on the same grid; every voxel of the lungs belongs to one.
    """
    out = np.zeros(labels.shape, np.uint8)
    above = {fissure: _Heights(labels.shape, affine, one, to_template) for fissure, one in surfaces.items()}
    for k in range(labels.shape[2]):
        plane = labels[:, :, k]
        if not plane.any():
            continue
        lobes = out[:, :, k]
        if Fissure.LEFT_OBLIQUE in above:
            upper = above[Fissure.LEFT_OBLIQUE](k) > 0
            left = plane == Lung.LEFT.value
            lobes[left] = np.where(upper, Lobe.LEFT_UPPER, Lobe.LEFT_LOWER)[left]
        if Fissure.RIGHT_OBLIQUE in above:
            front = np.where(above[Fissure.RIGHT_HORIZONTAL](k) > 0, Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE)
            right = plane == Lung.RIGHT.value
            lobes[right] = np.where(above[Fissure.RIGHT_OBLIQUE](k) > 0, front, Lobe.RIGHT_LOWER)[right]
    return out


class _Heights:
    """Heights of the voxels of a grid above a surface, plane by plane."""

    def __init__(
        self, shape: tuple[int, ...], affine: Floats, surface: Surface, to_template: ToTemplate
    ) -> None:
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        counts = [max(2, int(np.ceil(n * s / _GRID_MM)) + 1) for n, s in zip(shape, spacing, strict=True)]
        lines = [np.linspace(0, n - 1, count) for n, count in zip(shape, counts, strict=True)]
        index = np.stack(np.meshgrid(*lines, indexing="ij"), axis=3).reshape(-1, 3)
        points = to_template.points(index @ affine[:3, :3].T + affine[:3, 3])
        self._coarse = surface.above(points).reshape(counts).astype(np.float32)
        self._at = [
            np.arange(n) * (count - 1) / max(n - 1, 1) for n, count in zip(shape, counts, strict=True)
        ]

    def __call__(self, k: int) -> npt.NDArray[np.floating]:
        """Return the heights of plane ``k``, (i, j)."""
        plane = along_axis(self._coarse, 2, self._at[2][k : k + 1])
        wide = along_axis(plane, 0, self._at[0])
        return along_axis(wide, 1, self._at[1])[:, :, 0]

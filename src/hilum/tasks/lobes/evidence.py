"""What a scan shows of the fissures: bright plates, and vessels, which no fissure crosses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lung
from hilum.imaging.hessian import Eigenvalues, eigenvalues_3x3, hessian_blocks, smallest_eigenvector
from hilum.imaging.interpolation import along_axis
from hilum.imaging.morphology import bounding_box, erode
from hilum.imaging.shape_filters import plate_response

__all__ = ["Evidence", "LungGrid", "find_evidence"]

Floats = npt.NDArray[np.float64]

#: Finest voxels on which plates are sought, mm. A coarser axis stays as it is: interpolation would make
#: creases at its planes, which look like plates.
_FINEST_MM = 1.0
#: Standard deviation of the Gaussian of the plate filter, mm.
_SIGMA_MM = 1.0
#: Depth below the surface of the lung from which plates count, mm: the pleura is a plate, too.
_DEPTH_MM = 3.0
#: Least response of a plate, HU. White noise of 40 HU on voxels of 1 mm has a standard deviation of 5 HU in
#: each second derivative.
_LEAST_HU = 6.0
#: A response counts up to this, HU: a fissure of 0.25 mm answers with 20 to 30 HU, walls of large vessels and
#: airways with more.
_MOST_HU = 30.0
#: Voxels this far above the median of their lung are vessel, airway wall or dense lung, HU.
_VESSEL_HU = 300.0
#: Responses of more than this share of the largest second derivative along the other axes are no plate.


@dataclass(frozen=True, eq=False)
class LungGrid:
    """HU and lungs in the box of the lungs.

    Attributes:
        hu: (i, j, k) float32.
        labels: (i, j, k), values of :class:`hilum.core.labels.Lung`.
        affine: From the index to RAS mm.
    """

    hu: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    affine: Floats

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size, mm."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @classmethod
    def crop(cls, hu: npt.NDArray[Any], labels: npt.NDArray[np.uint8], affine: Floats) -> LungGrid:
        """Cut out the lungs, and take voxels of at least 1 mm.

        Args:
            hu: The scan, (i, j, k).
            labels: Its lungs; at least one voxel is lung.
            affine: From the index to RAS mm.
        """
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        box = bounding_box(labels > 0, pad_mm=4 * _SIGMA_MM, spacing=tuple(spacing))
        assert box is not None
        cut, marked = np.asarray(hu[box], np.float32), labels[box]
        placed = affine.copy()
        placed[:3, 3] += affine[:3, :3] @ [part.start for part in box]
        for axis in range(3):
            if spacing[axis] >= _FINEST_MM:
                continue
            size = cut.shape[axis]
            count = max(2, int(size * spacing[axis] / _FINEST_MM))
            step = _FINEST_MM / spacing[axis]
            at = (np.arange(count) - (count - 1) / 2) * step + (size - 1) / 2
            cut = along_axis(cut, axis, at).astype(np.float32, copy=False)
            marked = np.take(marked, np.clip(np.rint(at).astype(int), 0, size - 1), axis)
            placed[:3, 3] += placed[:3, axis] * at[0]
            placed[:3, axis] *= step
        return cls(np.ascontiguousarray(cut), np.ascontiguousarray(marked), placed)

    def points(self, index: npt.NDArray[Any]) -> Floats:
        """RAS mm of indices (n, 3)."""
        out: Floats = index @ self.affine[:3, :3].T + self.affine[:3, 3]
        return out


@dataclass(frozen=True, eq=False)
class Evidence:
    """Voxels of one lung that speak for or against a fissure at their place.

    Attributes:
        plates: Places of voxels in bright plates, (n, 3) RAS mm.
        normals: Unit normals of the plates, (n, 3).
        strengths: Response of the plate filter, (n,) HU.
        vessels: Places of voxels of vessels, (m, 3) RAS mm.
        voxel_mm3: Volume of a voxel.
    """

    plates: Floats
    normals: Floats
    strengths: Floats
    vessels: Floats
    voxel_mm3: float


def find_evidence(grid: LungGrid) -> dict[Lung, Evidence]:
    """Find plates and vessels in each lung that is there."""
    inner = erode(grid.labels > 0, _DEPTH_MM, grid.spacing)
    medians = {
        side: float(np.median(grid.hu[grid.labels == side.value][::7]))
        for side in (Lung.RIGHT, Lung.LEFT)
        if (grid.labels == side.value).any()
    }
    limit = np.full(3, np.inf, np.float32)
    for side, median in medians.items():
        limit[side.value] = median + _VESSEL_HU
    bright = inner & (grid.hu > limit[grid.labels])
    found = hessian_blocks(grid.hu, grid.spacing, _SIGMA_MM, inner & ~bright, _plates)
    index, normals, strengths = (np.concatenate(part) for part in zip(*found, strict=True))
    sides = grid.labels[tuple(index.T)]
    places, directions = grid.points(index), normals @ np.linalg.inv(grid.affine[:3, :3] / grid.spacing)
    vessel_index = np.argwhere(bright)
    vessel_sides, vessels = grid.labels[tuple(vessel_index.T)], grid.points(vessel_index)
    volume = float(np.abs(np.linalg.det(grid.affine[:3, :3])))
    return {
        side: Evidence(
            places[sides == side.value],
            directions[sides == side.value],
            strengths[sides == side.value].astype(float),
            vessels[vessel_sides == side.value],
            volume,
        )
        for side in medians
    }


def _plates(
    index: npt.NDArray[np.intp], derivatives: list[npt.NDArray[np.float32]]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Indices, normals and responses of the voxels of a block that lie in plates."""
    eigenvalues: Eigenvalues = eigenvalues_3x3(derivatives)
    response = plate_response(eigenvalues)
    strong = response > _LEAST_HU
    normals = smallest_eigenvector([part[strong] for part in derivatives], eigenvalues[2][strong])
    return index[strong], normals, np.minimum(response[strong], np.float32(_MOST_HU))

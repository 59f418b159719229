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
from hilum.tasks.lobes.vessel_trees import TREE_HU, VesselTrees, find_vessel_trees

__all__ = ["Evidence", "LungGrid", "find_evidence"]

Floats = npt.NDArray[np.float64]

#: Finest voxels on which plates are sought, mm. A coarser axis stays as it is: interpolation would make
#: creases at its planes, which look like plates.
_FINEST_MM = 1.0
#: Standard deviation of the Gaussian of the plate filter, mm.
_SIGMA_MM = 1.5
#: Depth below the surface of the lung from which plates count, mm: the pleura is a plate, too.
_DEPTH_MM = 3.0
#: Least response of a plate, HU. White noise of 40 HU on voxels of 1 mm has a standard deviation of 3 HU in
#: each second derivative.
_LEAST_HU = 4.0
#: A response counts up to this, HU: a fissure of 0.25 mm answers with about 20 HU, walls of large vessels
#: and airways with more.
_MOST_HU = 30.0
#: Voxels this far above the median of their lung are vessel, airway wall or dense lung, HU: no plate is
#: sought in them.
_DENSE_HU = 300.0
#: From the first to the second of these HU above the median of its lung a voxel counts as vessel from 0 to 1.
_VESSEL_HU = (100.0, 400.0)
#: Every so manieth voxel of a lung gives its median.
_EVERY = 7
#: Vessels are counted in blocks of this size, mm.
_BLOCK_MM = 3.0


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
    """What speaks for or against a fissure in one lung.

    Attributes:
        plates: Places of voxels in bright plates, (n, 3) RAS mm.
        normals: Unit normals of the plates, (n, 3).
        strengths: Response of the plate filter times the volume of the voxel, (n,) HU mm3.
        vessels: Centres of blocks with vessels, (m, 3) RAS mm.
        amounts: Volume of vessels in each, (m,) mm3.
        vascularity: Share of the lung that is vessel.
        trees: Small trees of vessels.
    """

    plates: Floats
    normals: Floats
    strengths: Floats
    vessels: Floats
    amounts: Floats
    vascularity: float
    trees: VesselTrees


def find_evidence(grid: LungGrid) -> dict[Lung, Evidence]:
    """Find plates and vessels in each lung that is there."""
    inner = erode(grid.labels > 0, _DEPTH_MM, grid.spacing)
    sides = [side for side in (Lung.RIGHT, Lung.LEFT) if (grid.labels == side.value).any()]
    medians = np.zeros(3, np.float32)
    for side in sides:
        medians[side.value] = np.median(grid.hu[grid.labels == side.value][::_EVERY])
    above = grid.hu - medians[grid.labels]
    found = hessian_blocks(grid.hu, grid.spacing, _SIGMA_MM, inner & (above < _DENSE_HU), _plates)
    index, normals, strengths = (np.concatenate(part) for part in zip(*found, strict=True))
    of_plate = grid.labels[tuple(index.T)]
    places, directions = grid.points(index), normals @ np.linalg.inv(grid.affine[:3, :3] / grid.spacing)
    volume = float(np.abs(np.linalg.det(grid.affine[:3, :3])))
    low, high = _VESSEL_HU
    share = np.clip((above - low) / (high - low), 0, 1) * inner
    share[tuple(index.T)] = 0  # a thick fissure is as bright as a small vessel
    trees = find_vessel_trees((above > TREE_HU) & inner, grid.labels, grid.affine, sides)
    out = {}
    for side in sides:
        mine = of_plate == side.value
        blocks, centres = _blocks(share * (grid.labels == side.value), grid)
        filled = blocks > 0
        lung = np.count_nonzero(inner & (grid.labels == side.value))
        out[side] = Evidence(
            places[mine],
            directions[mine],
            strengths[mine].astype(float) * volume,
            centres[filled],
            blocks[filled].astype(float) * volume,
            float(blocks.sum()) / max(lung, 1),
            trees[side],
        )
    return out


def _blocks(share: npt.NDArray[np.float32], grid: LungGrid) -> tuple[npt.NDArray[np.float32], Floats]:
    """Sums over blocks of voxels, (n,), and the centres of the blocks, (n, 3) RAS mm."""
    factors = [max(1, round(_BLOCK_MM / step)) for step in grid.spacing]
    padded = np.pad(share, [(0, -size % factor) for size, factor in zip(share.shape, factors, strict=True)])
    for axis, factor in enumerate(factors):
        padded = np.add.reduceat(padded, np.arange(0, padded.shape[axis], factor), axis=axis)
    index = np.indices(padded.shape).reshape(3, -1).T * factors + (np.array(factors) - 1) / 2
    return padded.ravel(), grid.points(index)


def _plates(
    index: npt.NDArray[np.intp], derivatives: list[npt.NDArray[np.float32]]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Indices, normals and responses of the voxels of a block that lie in plates."""
    eigenvalues: Eigenvalues = eigenvalues_3x3(derivatives)
    response = plate_response(eigenvalues)
    strong = response > _LEAST_HU
    normals = smallest_eigenvector([part[strong] for part in derivatives], eigenvalues[2][strong])
    return index[strong], normals, np.minimum(response[strong], np.float32(_MOST_HU))

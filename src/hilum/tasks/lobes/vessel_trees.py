"""Small trees of vessels: each lies in one lobe, so a fissure leaves it whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from hilum.core.labels import Lung
from hilum.imaging.morphology import components

__all__ = ["VesselTrees", "find_vessel_trees"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

#: Voxels this far above the median of their lung are vessel, HU.
TREE_HU = 200.0
#: Vessels are cut off where they are wider than this, radius in mm; trees that are still too large are cut
#: again by the next. The radii go from the vessels of a lobe to those of a subsegment.
_CUTS_MM = (3.0, 2.5, 2.0, 1.6, 1.2)
#: What lies within this distance beyond the radius of a cut belongs to the wide vessel, mm.
_SHELL_MM = 0.7
#: A tree with a longer diagonal of its box is cut again, mm: arteries and veins touch, and what touches may
#: lie in two lobes. A lobe is wider than this. Chosen on a 1 mm scan that was made coarser.
_EXTENT_MM = 70.0
#: Smaller pieces are noise, mm3.
_LEAST_MM3 = 30.0


@dataclass(frozen=True, eq=False)
class VesselTrees:
    """Voxels of the trees of one lung.

    Attributes:
        points: Their places, (n, 3) RAS mm.
        tree: Number of the tree of each, from 0, (n,).
        voxel_mm3: Volume of a voxel.
    """

    points: Floats
    tree: Places
    voxel_mm3: float


def find_vessel_trees(
    vessels: Bools, lungs: npt.NDArray[np.uint8], affine: Floats, sides: Sequence[Lung]
) -> dict[Lung, VesselTrees]:
    """Cut the vessels of each lung into trees.

    Args:
        vessels: Voxels that are vessel, (i, j, k).
        lungs: Values of :class:`hilum.core.labels.Lung`.
        affine: From the index to RAS mm.
        sides: The lungs that are there.
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    voxel_mm3 = float(abs(np.linalg.det(affine[:3, :3])))
    index = np.argwhere(vessels)
    radius = edt.edt(np.asfortranarray(vessels), anisotropy=tuple(float(s) for s in steps))
    tree = _trees(index, radius[tuple(index.T)], vessels.shape, steps, _LEAST_MM3 / voxel_mm3)
    index, tree = index[tree > 0], tree[tree > 0]
    points = index @ affine[:3, :3].T + affine[:3, 3]
    lung = lungs[tuple(index.T)]
    out = {}
    for side in sides:
        mine = lung == side.value
        _, numbers = np.unique(tree[mine], return_inverse=True)
        out[side] = VesselTrees(points[mine], numbers.reshape(-1), voxel_mm3)
    return out


def _trees(
    index: Places, radius: npt.NDArray[np.float32], shape: tuple[int, ...], steps: Floats, least: float
) -> Places:
    """Number of the tree of each voxel, (n,); 0 for wide vessels and what is too small or too large."""
    out = np.zeros(len(index), np.intp)
    left, count = np.arange(len(index)), 0
    for cut in _CUTS_MM:
        if not len(left):
            break
        wide = radius[left] > cut
        if wide.any():
            away, _ = cKDTree(index[left[wide]] * steps).query(
                index[left] * steps, distance_upper_bound=cut + _SHELL_MM
            )
            left = left[~np.isfinite(away)]
        mask = np.zeros(shape, bool)
        mask[tuple(index[left].T)] = True
        labels, sizes = components(mask, 26)
        number = labels[tuple(index[left].T)].astype(np.intp)
        large = _extents(index[left] * steps, number, len(sizes)) > _EXTENT_MM
        kept = ~large & (sizes >= least)
        mine = kept[number]
        out[left[mine]] = number[mine] + count
        count += len(sizes)
        left = left[large[number]]
    return out


def _extents(places: Floats, number: Places, count: int) -> Floats:
    """Diagonal of the box of each piece, (count,) mm."""
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, number, places)
    np.maximum.at(high, number, places)
    diagonal: Floats = np.linalg.norm(np.maximum(high - low, 0), axis=1)
    return diagonal

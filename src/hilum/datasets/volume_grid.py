"""Resampling to isotropic voxels: the input grid of the 3-D network, in RAS order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.body import find_levels, normalise
from hilum.core.volume import Volume
from hilum.imaging.blocks import block_factor, block_share, reduce_volume
from hilum.imaging.isogrid import IsoGrid

__all__ = ["STEP_MM", "isotropic_affine", "to_isotropic"]

#: Voxel size of the network in mm: a chest then has about a million voxels, which two cores process in half a
#: second (chosen with version 1 of the network).
STEP_MM = 3.5
#: A voxel gets the label that fills more than this share of it.
_LEAST_SHARE = 0.5


def to_isotropic(
    volume: Volume, labels: npt.NDArray[np.uint8] | None = None, step_mm: float = STEP_MM
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Resample a scan and its labels to isotropic voxels, as segmentation does before the network.

    Args:
        volume: The scan. Values on another scale are mapped to HU, as for the network.
        labels: Labels on its grid, or None.
        step_mm: Voxel size in mm.

    Returns:
        HU, float32, and labels, uint8, both (x, y, z) in RAS order.
    """
    canonical = volume.canonical()
    reduced = reduce_volume(canonical.hu, canonical.spacing)
    grid = IsoGrid(reduced.hu.shape, reduced.spacing, step_mm)  # type: ignore[arg-type]
    hu: npt.NDArray[Any] = grid.to_iso(normalise(reduced.hu, find_levels(reduced.hu)))
    out = np.zeros(hu.shape, np.uint8)
    if labels is not None:
        own = Volume(labels.astype(np.int16), volume.affine, volume.meta).canonical().hu
        best: npt.NDArray[Any] = np.full(hu.shape, _LEAST_SHARE, np.float32)
        for label in (int(value) for value in np.unique(labels) if value):
            share = np.asarray(grid.to_iso(block_share(own == label, canonical.spacing)), np.float32)
            out[share > best] = label
            best = np.where(share > best, share, best)
    return hu, out


def isotropic_affine(
    volume: Volume, shape: tuple[int, ...], step_mm: float = STEP_MM
) -> npt.NDArray[np.float64]:
    """Return the affine (voxel to RAS mm) of the grid that :func:`to_isotropic` gives for a scan.

    Args:
        volume: The scan.
        shape: Voxels of the isotropic grid.
        step_mm: Voxel size in mm.
    """
    canonical = volume.canonical()
    factors = [block_factor(s) for s in canonical.spacing]
    # The last block of an axis may extend beyond the scan; the isotropic grid is centred on all blocks.
    middle = np.array([(-(-n // f) * f - 1) / 2 for n, f in zip(canonical.shape, factors, strict=True)])
    axes = canonical.affine[:3, :3] / np.array(canonical.spacing)
    out = np.eye(4)
    out[:3, :3] = axes * step_mm
    centre = canonical.affine[:3, :3] @ middle + canonical.affine[:3, 3]
    out[:3, 3] = centre - out[:3, :3] @ ((np.array(shape) - 1) / 2)
    return out

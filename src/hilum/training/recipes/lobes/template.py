"""Mean lungs in the space of the fissure points, as signed distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.tasks.lobes.prior import MeanLungs
from hilum.tasks.lobes.registration import REACH_MM, Shape, ToTemplate, register

__all__ = ["mean_lungs"]

Floats = npt.NDArray[np.float64]

#: Voxels of the mean lungs, mm.
_STEP_MM = 6.0
#: Times that the scans are registered to their own mean; it no longer moves then.
_ROUNDS = 3


def mean_lungs(first: tuple[npt.NDArray[np.uint8], Floats], label_maps: Sequence[Path]) -> MeanLungs:
    """Average the lungs of several scans.

    Args:
        first: Lungs that are in the space of the points, (i, j, k), with their affine to RAS mm. They say
            where the mean lies, and are not part of it.
        label_maps: Files of lungs as ``hilum segment`` writes them.
    """
    scans = [
        (np.asarray(image.dataobj).astype(np.uint8), image.affine) for image in map(_canonical, label_maps)
    ]
    affine = _grid_of(*first)
    labels, own = first
    unmoved = ToTemplate(np.eye(3), np.zeros(3), 0.0)
    mean = _resampled(Shape.of(labels, own), affine, _shape_of(*first), unmoved)
    shape = mean.shape[1:]
    anchor = mean
    for _ in range(_ROUNDS):
        template = MeanLungs(np.rint(mean).astype(np.int8), affine)
        total = np.zeros_like(mean)
        for one, placed in scans:
            found = register(one, placed, template)
            total += _resampled(Shape.of(one, placed), affine, shape, found)
        mean = np.asarray(total / len(scans), np.float32)
    # The mean drifts by a millimetre or two while it is registered to itself: it is laid on the first again.
    back = register((anchor[0] < 0) * np.uint8(1) + (anchor[1] < 0) * np.uint8(2), affine, template)
    inverse = np.asarray(np.linalg.inv(back.matrix), np.float64)
    moved = ToTemplate(inverse, np.asarray(-inverse @ back.offset, np.float64), back.residual)
    mean = _resampled(Shape(mean, affine, np.ones(shape, bool)), affine, shape, moved)
    return MeanLungs(np.rint(mean).astype(np.int8), affine)


def _canonical(path: Path) -> nib.Nifti1Image:
    return nib.as_closest_canonical(nib.load(path))


def _grid_of(labels: npt.NDArray[np.uint8], affine: Floats) -> Floats:
    low, _ = _box(labels, affine)
    out = np.diag([_STEP_MM, _STEP_MM, _STEP_MM, 1.0])
    out[:3, 3] = low
    return out


def _shape_of(labels: npt.NDArray[np.uint8], affine: Floats) -> tuple[int, int, int]:
    low, high = _box(labels, affine)
    i, j, k = (int(np.ceil(extent / _STEP_MM)) + 1 for extent in high - low)
    return i, j, k


def _box(labels: npt.NDArray[np.uint8], affine: Floats) -> tuple[Floats, Floats]:
    corners = np.argwhere(labels)[:, :3] @ affine[:3, :3].T + affine[:3, 3]
    return corners.min(axis=0) - REACH_MM, corners.max(axis=0) + REACH_MM


def _resampled(
    lungs: Shape, affine: Floats, shape: tuple[int, ...], found: ToTemplate
) -> npt.NDArray[np.float32]:
    """Bring the distances of a scan to the grid of the template."""
    index = np.indices(shape[-3:]).reshape(3, -1).T
    points = found.back(index @ affine[:3, :3].T + affine[:3, 3])
    at = np.linalg.solve(lungs.affine[:3, :3], (points - lungs.affine[:3, 3]).T)
    out = [
        ndimage.map_coordinates(one, at, order=1, mode="constant", cval=REACH_MM).reshape(shape[-3:])
        for one in lungs.distances
    ]
    return np.stack(out)

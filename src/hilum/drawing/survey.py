"""One pass over the scan that computes the projections and histograms of the report.

The scan is read in blocks along its slowest axis in memory, so that neither a float copy of the volume
nor a copy of the mask is ever made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS
from hilum.core.volume import Volume

__all__ = ["BIN_HU", "EDGES", "Survey", "bounding_box", "survey", "tissue_permille"]

BIN_HU = 10
_LOWEST, _HIGHEST = -1100, 300
#: Edges of the half-open histogram bins in HU. The first and the last bin take all that lies beyond.
EDGES = np.arange(_LOWEST, _HIGHEST + BIN_HU, BIN_HU)
_BLOCK_VOXELS = 3_000_000

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Survey:
    """Profiles, histograms and projections of the lungs on the canonical (RAS+) grid.

    Attributes:
        volume: The scan on its canonical grid (a view).
        labels: Lung labels on the same grid (a view), shape (x, y, z).
        file_orientation: Row n gives where axis n of the file went: canonical axis, and -1 where flipped.
        box: Bounding box of both lungs as slices; None where the mask is empty.
        profiles: Voxel counts of a lung along x, y and z; arrays of length ``volume.shape``.
        histograms: Voxel counts of a lung in the bins of :data:`EDGES`.
        tissue: Sum along y of the tissue fraction of a lung's voxels, float, shape (x, z).
        hu_sum: Sum along y of the HU of both lungs, float, shape (x, z).
        depth: Number of lung voxels along y, both lungs, shape (x, z).
    """

    volume: Volume
    labels: npt.NDArray[np.uint8]
    file_orientation: npt.NDArray[np.float64]
    box: Box | None
    profiles: dict[int, tuple[npt.NDArray[np.int64], ...]]
    histograms: dict[int, npt.NDArray[np.int64]]
    tissue: dict[int, npt.NDArray[np.float64]]
    hu_sum: npt.NDArray[np.float64]
    depth: npt.NDArray[np.int64]

    @property
    def present(self) -> tuple[int, ...]:
        """The lungs that have at least one voxel, right before left."""
        return tuple(lung for lung in LUNGS if self.histograms[lung].any())

    def profile(self, axis: int) -> npt.NDArray[np.int64]:
        """Voxel counts of both lungs along ``axis`` (0 = x, 1 = y, 2 = z)."""
        total = np.zeros(self.volume.shape[axis], np.int64)
        for lung in LUNGS:
            total += self.profiles[lung][axis]
        return total


def survey(scan: Volume, labels: LabelVolume) -> Survey:
    """Read through the scan once.

    Args:
        scan: The scan.
        labels: Its lungs, on the same grid.

    Returns:
        The profiles, histograms and projections of its lungs.
    """
    volume = scan.canonical()
    orientation = nib.io_orientation(scan.affine)
    lungs: npt.NDArray[np.uint8] = nib.apply_orientation(labels.data, orientation)
    nx, _, nz = volume.shape
    found = Survey(
        volume=volume,
        labels=lungs,
        file_orientation=orientation,
        box=bounding_box(lungs),
        profiles={lung: tuple(np.zeros(n, np.int64) for n in volume.shape) for lung in LUNGS},
        histograms={lung: np.zeros(len(EDGES) - 1, np.int64) for lung in LUNGS},
        tissue={lung: np.zeros((nx, nz)) for lung in LUNGS},
        hu_sum=np.zeros((nx, nz)),
        depth=np.zeros((nx, nz), np.int64),
    )
    if found.box is not None:
        for part in _blocks(volume.hu, found.box):
            _add_block(found, part)
    return found


def _add_block(found: Survey, part: Box) -> None:
    """Add the voxels of one block to all sums; NaN voxels are skipped."""
    hu, labels = found.volume.hu[part], found.labels[part]
    if hu.dtype.kind == "f" and not (finite := np.isfinite(hu)).all():
        hu, labels = np.where(finite, hu, hu.dtype.type(0)), np.where(finite, labels, labels.dtype.type(0))
    across = (part[0], part[2])
    for lung in LUNGS:
        inside = labels == lung
        if not inside.any():
            continue
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            found.profiles[lung][axis][part[axis]] += np.count_nonzero(inside, axis=others)
        found.histograms[lung][:] += _histogram(hu[inside])
        # Product instead of indexing keeps the (x, z) place; 1000 x the tissue fraction fits int16.
        found.tissue[lung][across] += (tissue_permille(hu) * inside).sum(axis=1, dtype=np.float64) / 1000.0
        found.depth[across] += np.count_nonzero(inside, axis=1)
        found.hu_sum[across] += np.where(inside, hu, 0).sum(axis=1, dtype=np.float64)


def tissue_permille(hu: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return 1000 x the tissue fraction: gas is -1000 HU, tissue 0 HU (Cressoni 2013).

    Values below -1000 count as gas, as in the measure ``tissue_mass``; the upper bound only keeps int16 from
    overflowing at metal.
    """
    fraction: npt.NDArray[Any] = np.clip(hu, -1000, 31000) + hu.dtype.type(1000)
    return fraction


def _histogram(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    bins = np.floor_divide(np.clip(values, _LOWEST, _HIGHEST - 1) - _LOWEST, BIN_HU).astype(np.int64)
    return np.bincount(bins, minlength=len(EDGES) - 1)


def bounding_box(labels: npt.NDArray[np.uint8]) -> Box | None:
    """Smallest box with all labelled voxels; None where there are none."""
    order = int(np.argmax(np.abs(labels.strides)))
    rest = [axis for axis in range(3) if axis != order]
    hits = [np.zeros(n, bool) for n in labels.shape]
    for index in range(labels.shape[order]):
        plane = _plane(labels, order, index)
        if not plane.any():
            continue
        hits[order][index] = True
        hits[rest[0]] |= plane.any(axis=1)
        hits[rest[1]] |= plane.any(axis=0)
    if not hits[0].any():
        return None
    first = [int(np.argmax(hit)) for hit in hits]
    last = [len(hit) - int(np.argmax(hit[::-1])) for hit in hits]
    return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])


def _plane(array: npt.NDArray[Any], axis: int, index: int) -> npt.NDArray[Any]:
    picked: list[Any] = [slice(None)] * 3
    picked[axis] = index
    plane: npt.NDArray[Any] = array[tuple(picked)]
    return plane


def _blocks(hu: npt.NDArray[Any], box: Box) -> Iterator[Box]:
    """Cut ``box`` into blocks of about :data:`_BLOCK_VOXELS` voxels along the slowest axis in memory."""
    axis = int(np.argmax(np.abs(hu.strides)))
    sides = [part.stop - part.start for part in box]
    step = max(1, _BLOCK_VOXELS // max(1, int(np.prod(sides)) // sides[axis]))
    for start in range(box[axis].start, box[axis].stop, step):
        cut = list(box)
        cut[axis] = slice(start, min(start + step, box[axis].stop))
        yield cut[0], cut[1], cut[2]

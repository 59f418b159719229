"""Sampling a scan: a few planes, averaged to blocks of about 3 mm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.constants import PADDING_HU, USUAL_WIDTH_MM
from hilum.core.flag_limits import LIMITS
from hilum.core.volume import Volume

__all__ = ["FewPlanes", "Plane", "block_any", "canonical_labels", "plane_axis"]

Mask = npt.NDArray[np.bool_]

#: Converters and scanners also pad with the lowest 12-bit value, which noise in air reaches as well:
#: only values constant over several blocks count. Above this value, a constant is air without noise.
_PADDING_CONSTANT = -1020.0
_BLOCK_MM = 3.0


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of a scan.

    Attributes:
        labels: Native labels, cropped to whole blocks, shape (a * f, b * g); None if not given.
        factors: Voxels per block along both axes.
        mean: Mean HU of the blocks, shape (a, b).
        padding: Blocks that hold padding.
        empty: Blocks that were not scanned: padding, or any constant value connected to the edge.
        spacing: Voxel size along both axes, mm.
    """

    labels: npt.NDArray[np.uint8] | None
    factors: tuple[int, int]
    mean: npt.NDArray[np.float32]
    padding: Mask
    empty: Mask
    spacing: tuple[float, float]


def canonical_labels(volume: Volume, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view of ``labels`` (shape of ``volume``) in the axis order of ``volume.canonical()``."""
    import nibabel as nib

    view: npt.NDArray[Any] = nib.apply_orientation(labels, nib.io_orientation(volume.affine))
    return view


def plane_axis(shape: tuple[int, int, int]) -> int:
    """Return the canonical axis across the sampled planes: head-foot, or that of a single slice.

    It is head-foot for a coronal or sagittal series as well: air around the body and the scan circle
    are seen best in axial planes.
    """
    return 2 if 1 not in shape else int(np.argmin(shape))


@dataclass(frozen=True, eq=False)
class FewPlanes:
    """Planes spread evenly over a scan.

    Args:
        volume: The scan.
        labels: Label map of its shape, or None.
        count: Maximum number of planes.
    """

    volume: Volume
    labels: npt.NDArray[np.uint8] | None = None
    count: int = 16

    def __iter__(self) -> Iterator[Plane]:
        canonical = self.volume.canonical()
        labels = None if self.labels is None else canonical_labels(self.volume, self.labels)
        axis = plane_axis(canonical.shape)
        spacing: tuple[float, ...] = tuple(s for n, s in enumerate(canonical.spacing) if n != axis)
        width = max(n for k, n in enumerate(canonical.shape) if k != axis)
        if not self.volume.meta.spacing_known:
            spacing = (USUAL_WIDTH_MM / width,) * 2
        depth = canonical.shape[axis]
        # The middles of equal parts, so that first and last slice are avoided if there are many.
        chosen = np.unique(((np.arange(self.count) + 0.5) * depth / self.count).astype(int))
        # Indexing is much faster here than ndarray.take, which traverses the whole array.
        stack = np.moveaxis(canonical.hu, axis, 0)
        for k in chosen:
            hu = np.ascontiguousarray(stack[k])
            marked = None if labels is None else np.ascontiguousarray(np.moveaxis(labels, axis, 0)[k])
            yield _plane(hu, marked, (spacing[0], spacing[1]))


def _plane(hu: npt.NDArray[Any], labels: npt.NDArray[Any] | None, spacing: tuple[float, float]) -> Plane:
    from scipy import ndimage

    f, g = (min(max(1, round(_BLOCK_MM / s)), n) for s, n in zip(spacing, hu.shape, strict=True))
    a, b = hu.shape[0] // f * f, hu.shape[1] // g * g
    hu = hu[:a, :b]
    # Shifted copies are added instead of reshaping to four axes, whose reduction is slow in NumPy.
    parts = [hu[i::f, j::g] for i in range(f) for j in range(g)]
    total = np.zeros(parts[0].shape, np.float32)
    low, high = parts[0].copy(), parts[0].copy()
    for part in parts:
        total += part
        np.minimum(low, part, out=low)
        np.maximum(high, part, out=high)
    mean = total / np.float32(len(parts))
    padding = (low < LIMITS.padding_hu) | (mean < PADDING_HU)
    flat = ndimage.maximum_filter(high, 3) == ndimage.minimum_filter(low, 3)
    padding |= ndimage.binary_dilation(flat & (high <= _PADDING_CONSTANT), np.ones((3, 3)))
    empty = padding | ndimage.binary_dilation(_from_the_edge(flat), np.ones((3, 3)))
    return Plane(None if labels is None else labels[:a, :b], (f, g), mean, padding, empty, spacing)


def _from_the_edge(mask: Mask) -> Mask:
    """Return the components of a mask, (a, b), that touch its edge."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.asarray(np.isin(labels, edge[edge > 0]))


def block_any(plane: Plane, marked: Mask) -> Mask:
    """Return the blocks of a plane that hold a marked voxel."""
    f, g = plane.factors
    out = np.zeros(plane.mean.shape, bool)
    for i in range(f):
        for j in range(g):
            out |= marked[i::f, j::g]
    return out

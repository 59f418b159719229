"""Binary morphology in millimetres, by exact Euclidean distance."""

from __future__ import annotations

from itertools import product

import cc3d
import edt
import numpy as np
import numpy.typing as npt

from hilum.core.cores import thread_count

__all__ = [
    "bounding_box",
    "close_",
    "components",
    "components_2d",
    "depth",
    "dilate",
    "distance_to",
    "erode",
    "open_",
    "touching",
]

Mask = npt.NDArray[np.bool_]
#: Up to this number of neighbours a mask is shifted; for more the distance transform is faster.
_MOST_NEIGHBOURS = 18
Spacing = tuple[float, float, float]


def depth(mask: Mask, spacing: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Distance of each voxel of ``mask`` to the nearest one outside, in the unit of ``spacing``.

    The border of the array is not an edge; 1e6 everywhere if the whole array is marked. Two or three axes.
    """
    out: npt.NDArray[np.float32] = edt.edt(
        mask, anisotropy=spacing, black_border=False, parallel=thread_count()
    )
    if mask.all():  # no edge anywhere: edt gives infinity
        out = np.full(mask.shape, np.float32(1e6))
    return out


def distance_to(mask: Mask, spacing: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Distance of each voxel to the nearest voxel of ``mask``, 0 inside; 1e6 everywhere if it is empty."""
    return depth(~mask, spacing)


def dilate(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Grow ``mask`` by ``radius`` mm."""
    near = _ball(radius, spacing)
    if near is not None:
        return _reached(mask, near)
    out = np.zeros(mask.shape, bool)
    box = bounding_box(mask, pad_mm=radius, spacing=spacing)
    if box is not None:  # nothing farther off is reached
        out[box] = distance_to(mask[box], spacing) <= radius
    return out


def erode(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Shrink ``mask`` by ``radius`` mm."""
    near = _ball(radius, spacing)
    if near is not None:
        return ~_reached(~mask, near)
    return np.asarray(depth(mask, spacing) > radius)


def touching(mask: Mask) -> Mask:
    """Return the mask with the six neighbours of each of its voxels."""
    ahead = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    return _reached(mask, [*ahead, *((-x, -y, -z) for x, y, z in ahead)])


def _ball(radius: float, spacing: Spacing) -> list[tuple[int, int, int]] | None:
    """Steps to the neighbours within ``radius`` mm; None if the distance transform is faster."""
    x, y, z = (int(radius / s) for s in spacing)
    if 8 * (x + 0.5) * (y + 0.5) * (z + 0.5) > 4 * _MOST_NEIGHBOURS:
        return None
    steps = product(range(-x, x + 1), range(-y, y + 1), range(-z, z + 1))
    near = [
        step
        for step in steps
        if any(step) and sum((n * s) ** 2 for n, s in zip(step, spacing, strict=True)) <= radius**2
    ]
    return near if len(near) <= _MOST_NEIGHBOURS else None


def _reached(mask: Mask, steps: list[tuple[int, int, int]]) -> Mask:
    """The mask, and all that lies one of ``steps`` from it."""
    out = mask.copy()
    for step in steps:
        to = tuple(slice(max(0, n), size + min(0, n)) for n, size in zip(step, mask.shape, strict=True))
        come = tuple(slice(max(0, -n), size + min(0, -n)) for n, size in zip(step, mask.shape, strict=True))
        out[to] |= mask[come]
    return out


def open_(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Opening: remove structures narrower than ``2 * radius`` mm."""
    return dilate(erode(mask, radius, spacing), radius, spacing)


def close_(mask: Mask, radius: float, spacing: Spacing) -> Mask:
    """Closing: fill gaps narrower than ``2 * radius`` mm; the array is edge-padded."""
    box = bounding_box(mask, pad_mm=radius + max(spacing), spacing=spacing)
    out = mask.copy()
    if box is None:
        return out
    # Where the box ends at the border of the array, pad it with the border voxels.
    rims = [
        ((b.start == 0) * wide, (b.stop == n) * wide)
        for b, n, wide in zip(box, mask.shape, (int(radius / s) + 2 for s in spacing), strict=True)
    ]
    grown = dilate(np.pad(mask[box], rims, mode="edge"), radius, spacing)
    closed = erode(grown, radius, spacing)
    inner = tuple(slice(low, size - high) for (low, high), size in zip(rims, closed.shape, strict=True))
    out[box] |= closed[inner]
    return out


def bounding_box(
    mask: Mask, pad_mm: float = 0.0, spacing: Spacing = (1, 1, 1)
) -> tuple[slice, slice, slice] | None:
    """Return the slices that hold ``mask``, widened by ``pad_mm``; None where it is empty."""
    box, part = [], mask
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        hit = np.flatnonzero(part.any(axis=other))
        if hit.size == 0:
            return None
        first, last = int(hit[0]), int(hit[-1])
        part = part[(slice(None),) * axis + (slice(first, last + 1),)]  # the rest is empty
        pad = int(np.ceil(pad_mm / spacing[axis]))
        box.append(slice(max(0, first - pad), min(mask.shape[axis], last + 1 + pad)))
    return box[0], box[1], box[2]


def components(mask: Mask, connectivity: int = 6) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Label connected components in 3-D; return the labels and the voxel count of each (index 0: outside)."""
    labels = cc3d.connected_components(mask, connectivity=connectivity)
    counts = np.bincount(labels[mask], minlength=1)  # counting the voxels outside as well takes longer
    counts[0] = mask.size - counts.sum()
    return labels.astype(np.uint32, copy=False), counts


def components_2d(mask: Mask) -> tuple[npt.NDArray[np.int32], int]:
    """Label connected components within each axial slice (4-connected); numbers are unique over slices."""
    from scipy import ndimage

    plane = np.zeros((3, 3, 3), bool)
    plane[:, 1, 1] = plane[1, :, 1] = True
    labels, count = ndimage.label(mask, structure=plane)
    return labels, int(count)

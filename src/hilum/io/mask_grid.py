"""Align a mask with the grid of its scan: by axes and whole voxels, or by nearest neighbour on request."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.affines import corner_distance
from hilum.core.errors import GeometryError, GridMismatch
from hilum.core.flags import FlagCode
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.io.mask import Mask, Notes

__all__ = ["place"]

_HINT = "Give labels that were drawn on this scan, or bring them to its grid (nearest neighbour)."
#: Least part of a mask that has to stay when it is resampled: less means that it lies beside the scan.
_LEAST_KEPT = 0.95


def place(
    mask: Mask,
    volume: Volume,
    name: str,
    other: str = "the scan",
    *,
    resample: bool = False,
    hint: str = _HINT,
) -> tuple[npt.NDArray[np.uint8], Notes]:
    """Bring a mask to the grid of its scan.

    Axes that are only permuted or flipped are put right, and a mask of a format that crops (3D Slicer, DICOM
    SEG) is put at its place by whole voxels; nothing is interpolated. A mask or a scan that does not say how
    it lies is matched by its shape.

    Args:
        mask: The mask.
        volume: The scan.
        name: What the mask is called in an error.
        other: What the scan is called in an error.
        resample: Bring a mask on another grid to that of the scan by nearest neighbour.
        hint: What to do about a mask on another grid.

    Returns:
        Array of the scan's shape, and what was done.

    Raises:
        GeometryError: It lies on another grid, or beside the scan.
    """
    if not (mask.meta.orientation_known and volume.meta.orientation_known):
        return _by_shape(mask, volume, name, other, hint, resample), ()
    ornt = nib.orientations.ornt_transform(nib.io_orientation(mask.affine), nib.io_orientation(volume.affine))
    array = np.asarray(nib.apply_orientation(mask.array, ornt))
    affine = mask.affine @ nib.orientations.inv_ornt_aff(ornt, mask.array.shape)
    # Headers round: a tenth of a voxel is far more than rounding and far less than a wrong slice.
    tolerance = max(0.05, 0.1 * min(volume.spacing))
    if array.shape == volume.shape and corner_distance(affine, volume.affine, array.shape) <= tolerance:
        return array, ()
    if array.shape == volume.shape and _is_lost(mask.affine) and not _is_lost(volume.affine):
        raise GeometryError(
            Sentence(
                "{mask:name} has the size of {scan:other}, but its header gives no position (an identity "
                "affine): the program that wrote it lost the affine.",
                name=name,
                other=other,
            ),
            Sentence("Copy the affine of {scan:other} into its header, if no axis was flipped.", other=other),
        )
    if mask.cropped and array.shape != volume.shape:
        offset = _whole_offset(affine, volume, array.shape, tolerance)
        if offset is not None:
            pasted, notes = _paste(array, offset, volume, name, other)
            # A DICOM SEG leaves out the slices without label, so there is nothing to report.
            return pasted, () if mask.meta.source_format == "dicom" else notes
    if resample:
        return _resampled(mask, volume, name, other)
    raise _other_grid(mask, volume, name, other, hint)


def _by_shape(
    mask: Mask, volume: Volume, name: str, other: str, hint: str, resample: bool
) -> npt.NDArray[Any]:
    """Match by shape alone, where the mask or the scan does not say where it lies."""
    if mask.array.shape == volume.shape:
        spacing = np.linalg.norm(mask.affine[:3, :3], axis=0)
        known = mask.meta.spacing_known and volume.meta.spacing_known
        if not known or np.allclose(spacing, volume.spacing, rtol=0.02):
            return mask.array
    if resample:
        hint = "Give masks that were drawn on these images."
    raise _other_grid(mask, volume, name, other, hint, placeless=resample)


def _is_lost(affine: npt.NDArray[np.float64]) -> bool:
    """Whether an affine is what libraries write when nobody gave them one: steps of 1 mm from 0."""
    return bool(np.allclose(np.abs(affine), np.eye(4), atol=1e-6))


def _whole_offset(
    affine: npt.NDArray[np.float64], volume: Volume, shape: tuple[int, ...], tolerance: float
) -> npt.NDArray[np.int64] | None:
    """Return at which voxel of the scan the mask begins; None if the grids do not share a lattice."""
    start = np.linalg.solve(volume.affine, affine[:, 3])[:3]
    offset = np.rint(start).astype(np.int64)
    moved = volume.affine.copy()
    moved[:3, 3] += volume.affine[:3, :3] @ offset
    error = corner_distance(affine, moved, shape)
    return offset if error <= tolerance else None


def _paste(
    array: npt.NDArray[Any], offset: npt.NDArray[np.int64], volume: Volume, name: str, other: str
) -> tuple[npt.NDArray[Any], Notes]:
    """Put the mask at its place; voxels of the scan that it does not cover are outside of the lungs."""
    source, target = [], []
    for start, size, full in zip(offset, array.shape, volume.shape, strict=True):
        low, high = max(0, -int(start)), min(size, full - int(start))
        source.append(slice(low, max(low, high)))
        target.append(slice(low + int(start), max(low, high) + int(start)))
    inside = array[tuple(source)]
    marked, kept = np.count_nonzero(array), np.count_nonzero(inside)
    if kept < marked:
        raise GeometryError(
            Sentence(
                "{percent} % of the mask {mask:name} lies outside of {scan:other}.",
                percent=f"{100 * (1 - kept / marked):.2g}",
                name=name,
                other=other,
            ),
            "Give the scan that it was drawn on.",
        )
    out = np.zeros(volume.shape, array.dtype, order="F")
    out[tuple(target)] = inside
    note = (
        f"The mask covers {_sizes(array.shape)} of the {_sizes(volume.shape)} voxels of {other} and was put "
        "at its place; nothing was interpolated."
    )
    return out, ((FlagCode.MASK_PASTED, note),)


def _resampled(mask: Mask, volume: Volume, name: str, other: str) -> tuple[npt.NDArray[Any], Notes]:
    out = _nearest(mask.array, np.linalg.inv(mask.affine) @ volume.affine, volume.shape)
    voxel_ml = abs(float(np.linalg.det(mask.affine[:3, :3]))) / 1000
    before = np.count_nonzero(mask.array) * voxel_ml
    after = np.count_nonzero(out) * volume.voxel_volume_ml
    if after < _LEAST_KEPT * before:
        raise GeometryError(
            Sentence(
                "Of the {before} mL of {mask:name} only {after} mL lie inside of {scan:other}.",
                before=f"{before:,.0f}",
                name=name,
                after=f"{after:,.0f}",
                other=other,
            ),
            "Check that they belong together, and that neither has lost its affine.",
        )
    grid = _words(mask.array.shape, mask.affine)
    note = f"The mask was resampled from {grid} by nearest neighbour: {before:.1f} mL became {after:.1f} mL."
    return out, ((FlagCode.MASK_RESAMPLED, note),)


def _nearest(
    labels: npt.NDArray[Any], to_mask: npt.NDArray[np.float64], shape: tuple[int, int, int]
) -> npt.NDArray[Any]:
    """Look up the nearest voxel of ``labels`` for each voxel of a grid; 0 outside of them.

    ``to_mask`` is the 4 x 4 matrix from index in the grid to index in ``labels``. One slice at a time.
    """
    out = np.zeros(shape, labels.dtype, order="F")
    i, j = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    for k in range(shape[2]):
        places = []
        inside = np.ones(i.shape, bool)
        for axis in range(3):
            a, b, c, d = to_mask[axis]
            where = np.rint(a * i + b * j + (c * k + d)).astype(np.int64)
            inside &= (where >= 0) & (where < labels.shape[axis])
            places.append(where)
        if inside.any():
            out[:, :, k][inside] = labels[tuple(where[inside] for where in places)]
    return out


def _other_grid(
    mask: Mask, volume: Volume, name: str, other: str, hint: str, *, placeless: bool = False
) -> GridMismatch:
    mine, scans = _words(mask.array.shape, mask.affine), _words(volume.shape, volume.affine)
    return GridMismatch(name, other, mine, scans, hint, placeless=placeless)


def _words(shape: tuple[int, ...], affine: npt.NDArray[np.float64]) -> str:
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    return f"{_sizes(shape)} voxels of {' x '.join(f'{s:.3g}' for s in steps)} mm"


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

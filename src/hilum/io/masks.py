"""Label maps from files, on the grid of the scan that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.errors import GeometryError, InputError
from hilum.io.dispatch import FileKind, kind_of
from hilum.io.finish import RawImage
from hilum.io.itk import load_itk
from hilum.io.nifti import load_nifti
from hilum.io.png import load_png
from hilum.io.tiff import load_tiff
from hilum.labels import Lung
from hilum.volume import ScanMeta, Volume

__all__ = ["check_lung_labels", "read_labels"]

_GRID_HINT = "Give labels that were drawn on this scan, or bring them to its grid (nearest neighbour)."


def read_labels(path: Path | str, volume: Volume | None = None) -> npt.NDArray[np.uint8]:
    """Read a label map from NIfTI, NRRD, MetaImage, TIFF or PNG.

    Args:
        path: The file. TIFF and PNG are masks of a single picture, [row, column].
        volume: The scan that the labels belong to. Labels whose axes are permuted or flipped against it but
            that lie on the same grid in space are brought to its axis order; nothing is interpolated.

    Returns:
        uint8 array of ``volume.shape``, or of the (three-axis) shape in the file where no volume is given.

    Raises:
        InputError: The file cannot be read, or holds values that are no labels.
        GeometryError: The labels lie on another grid than the scan.
    """
    path = Path(path)
    raw, placed = _load(path)
    if volume is None:
        return _as_labels(raw.array, path)
    if not placed or not (raw.meta.orientation_known and volume.meta.orientation_known):
        return _as_labels(_by_shape(raw, volume, path, placed=placed), path)
    return _as_labels(_by_place(raw, volume, path), path)


def check_lung_labels(labels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return lung labels as uint8 if they hold nothing but the values of :class:`hilum.labels.Lung`.

    Raises:
        InputError: Other values, or no lung at all.
    """
    if labels.dtype.kind not in "biu":
        raise InputError(f"Labels of type {labels.dtype} are not whole numbers.", "Save them as uint8.")
    allowed = [int(v) for v in Lung]
    low, high = int(labels.min()), int(labels.max())
    if low < min(allowed) or high > max(allowed):
        raise InputError(
            f"The labels hold values from {low} to {high}; lungs are 1 (right) and 2 (left), all else 0.",
            "Renumber the labels.",
        )
    if high == 0:
        raise InputError("The label map is empty: it holds no lung.", "Check that it is the right file.")
    return labels.astype(np.uint8, copy=False)


def _load(path: Path) -> tuple[RawImage, bool]:
    """Read the file; say whether its format places it in space."""
    kind = kind_of(path)
    if kind is FileKind.NIFTI:
        return load_nifti(path), True
    if kind in (FileKind.NRRD, FileKind.METAIMAGE):
        return load_itk(path), True
    if kind is FileKind.TIFF:
        return load_tiff(path, labels=True), False
    if kind is FileKind.PNG:
        return _load_png(path), False
    raise InputError(
        f"{path.name} is no label map that hilum reads.",
        "Give NIfTI, NRRD, MHA/MHD, or PNG/TIFF for a slice.",
    )


def _load_png(path: Path) -> RawImage:
    picture = load_png(path)
    meta = ScanMeta(
        source_format="png", stored_shape=picture.shape, spacing_known=False, orientation_known=False
    )
    return RawImage(picture[:, :, np.newaxis], np.eye(4), meta)


def _as_labels(array: npt.NDArray[Any], path: Path) -> npt.NDArray[np.uint8]:
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise InputError(
            f"{path.name} holds values that are not whole numbers, so it is no label map.",
            "Save the labels without interpolation (nearest neighbour).",
        )
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        raise InputError(
            f"{path.name} holds values from {low:g} to {high:g}; labels lie between 0 and 255.",
            "Check that it is a label map and not the scan.",
        )
    return array.astype(np.uint8, order="K")


def _by_shape(raw: RawImage, volume: Volume, path: Path, *, placed: bool) -> npt.NDArray[Any]:
    """Match by shape alone, where the mask or the scan does not say where it lies."""
    if raw.array.shape == volume.shape:
        spacing = np.linalg.norm(raw.affine[:3, :3], axis=0)
        known = placed and raw.meta.spacing_known and volume.meta.spacing_known
        if not known or np.allclose(spacing, volume.spacing, rtol=0.02):
            return raw.array
    raise _other_grid(raw, volume, path)


def _by_place(raw: RawImage, volume: Volume, path: Path) -> npt.NDArray[Any]:
    """Permute and flip the mask to the axes of the scan and compare the corners."""
    ornt = nib.orientations.ornt_transform(nib.io_orientation(raw.affine), nib.io_orientation(volume.affine))
    array = nib.apply_orientation(raw.array, ornt)
    affine = raw.affine @ nib.orientations.inv_ornt_aff(ornt, raw.array.shape)
    if array.shape != volume.shape:
        raise _other_grid(raw, volume, path)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in volume.shape], [1], indexing="ij")).reshape(4, -1)
    # Headers round: a tenth of a voxel is far more than rounding and far less than a wrong slice.
    if np.abs((affine - volume.affine) @ corners)[:3].max() > max(0.05, 0.1 * min(volume.spacing)):
        raise _other_grid(raw, volume, path)
    return np.asarray(array)


def _other_grid(raw: RawImage, volume: Volume, path: Path) -> GeometryError:
    spacing = np.linalg.norm(raw.affine[:3, :3], axis=0)
    mine, scans = (
        f"{' x '.join(map(str, shape))} voxels of {' x '.join(f'{s:.3g}' for s in steps)} mm"
        for shape, steps in ((raw.array.shape, spacing), (volume.shape, volume.spacing))
    )
    if mine == scans:
        text = f"The labels in {path.name} have the scan's size ({mine}) but lie at another place."
    else:
        text = f"The labels in {path.name} are {mine}, the scan is {scans}: they do not lie on one grid."
    return GeometryError(text, _GRID_HINT)

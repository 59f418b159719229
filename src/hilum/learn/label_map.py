"""What the values of a mask mean: lungs by the label contract, or by a map that the user gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.errors import GeometryError, InputError, UsageError
from hilum.io.dispatch import FileKind, kind_of
from hilum.io.finish import RawImage
from hilum.io.text import shown
from hilum.labels import Lung
from hilum.volume import ScanMeta, Volume

__all__ = ["LabelMap", "apply_map", "describe_map", "load_mask", "on_grid", "parse_labels"]

#: Value in the mask to a value of :class:`hilum.labels.Lung`; the key None stands for all others.
LabelMap = dict[int | None, int]

_CHUNK = 4 * 2**20
_SHOWN = 6
_VALUE = re.compile(r"[0-9]{1,3}")


def parse_labels(text: str | Mapping[int, int] | None) -> LabelMap | None:
    """Read a map of mask values such as ``3=1,5=1`` or ``10=2,11=1,*=0``.

    Args:
        text: Pairs VALUE=LABEL, where LABEL is 0 (outside), 1 (right lung, or lung) or 2 (left lung); ``*``
            stands for all values that are not named. None and empty text are no map.

    Raises:
        UsageError: It cannot be read so.
    """
    if not text:
        return None
    if isinstance(text, str):
        pairs = [tuple(part.partition("=")[::2]) for part in text.split(",")]
    else:
        pairs = [(str(key), str(value)) for key, value in text.items()]
    out: LabelMap = {}
    for key, value in pairs:
        key, value = key.strip(), value.strip()
        named = _VALUE.fullmatch(key) is not None and int(key) <= 255
        known = (key == "*" or named) and value in ("0", "1", "2")
        if not known:
            raise UsageError(
                f"labels holds {shown(f'{key}={value}')}, expected VALUE=LABEL with a value of 0 to 255 "
                "(or * for all others) and a label of 0, 1 or 2, such as 3=1,5=1."
            )
        out[None if key == "*" else int(key)] = int(value)
    return out


def describe_map(mapping: LabelMap) -> str:
    """Return a map in the form that :func:`parse_labels` reads, in a fixed order."""
    named = sorted((k, v) for k, v in mapping.items() if k is not None)
    parts = [f"{key}={value}" for key, value in named]
    return ",".join(parts + ([f"*={mapping[None]}"] if None in mapping else []))


def apply_map(labels: npt.NDArray[np.uint8], mapping: LabelMap | None) -> npt.NDArray[np.uint8]:
    """Bring the values of a mask to 0, 1 and 2.

    Args:
        labels: The mask as it was read.
        mapping: From :func:`parse_labels`; None where the mask follows the label contract.

    Raises:
        InputError: The mask holds values that nothing tells the meaning of.
    """
    present = [int(value) for value in np.flatnonzero(_histogram(labels))]
    if mapping is None:
        unknown = [value for value in present if value not in {int(lung) for lung in Lung}]
        if unknown:
            example = ",".join(f"{value}=1" for value in unknown[:2])
            raise InputError(
                f"The mask holds values other than 0, 1 and 2 ({_listed(unknown)}).",
                f"Say which of them are lung, such as --labels {example}.",
            )
        return labels
    table = np.zeros(256, np.uint8)
    unknown = []
    for value in present:
        if value in mapping or None in mapping:
            table[value] = mapping.get(value, mapping.get(None, 0)) if value or 0 in mapping else 0
        elif value:
            unknown.append(value)
    if unknown:
        raise InputError(
            f"The mask holds values that --labels does not name ({_listed(unknown)}).",
            "Name them too, or add *=0 to drop all others.",
        )
    mapped: npt.NDArray[np.uint8] = table[labels]
    return mapped


def load_mask(path: Path) -> RawImage:
    """Read a mask as uint8 with its place in space, before its image is read.

    In this order the two are never in memory as they lie in their files at the same time.

    Raises:
        InputError: It cannot be read, or holds values that are no labels.
    """
    # The readers load as they are needed: SimpleITK alone takes a tenth of a gigabyte in each process.
    kind = kind_of(path)
    if kind is FileKind.NIFTI:
        from hilum.io.nifti import load_nifti

        raw = load_nifti(path)
    elif kind in (FileKind.NRRD, FileKind.METAIMAGE):
        from hilum.io.itk import load_itk

        raw = load_itk(path)
    else:
        from hilum.io.masks import read_labels

        meta = ScanMeta(spacing_known=False, orientation_known=False)
        return RawImage(read_labels(path), np.eye(4), meta)
    array, low, high = raw.array, raw.array.min(), raw.array.max()
    if not (low >= 0 and high <= 255) or (array.dtype.kind == "f" and (array != np.rint(array)).any()):
        raise InputError(
            f"{path.name} holds values that are no labels (whole numbers from 0 to 255).",
            "Check that it is the mask and not the scan, and that it was saved without interpolation.",
        )
    return RawImage(array.astype(np.uint8, order="K"), raw.affine, raw.meta)


def on_grid(mask: RawImage, volume: Volume, resample: bool) -> tuple[npt.NDArray[np.uint8], str]:
    """Bring a mask to the grid of its image.

    Axes that are only permuted or flipped are put right without interpolation. A mask or an image that does
    not tell how it lies is matched by its shape.

    Args:
        mask: From :func:`load_mask`.
        volume: The image.
        resample: Bring a mask that lies on another grid to that of the image, by nearest neighbour.

    Returns:
        uint8 array of the volume's shape, and a sentence on how it was resampled, empty where it was not.

    Raises:
        GeometryError: It lies on another grid, or beside the image.
    """
    placed = mask.meta.orientation_known and volume.meta.orientation_known
    if not placed:
        steps = np.linalg.norm(mask.affine[:3, :3], axis=0)
        unknown = not (mask.meta.spacing_known and volume.meta.spacing_known)
        if mask.array.shape == volume.shape and (unknown or np.allclose(steps, volume.spacing, rtol=0.02)):
            return mask.array, ""
    else:
        ornt = nib.orientations.ornt_transform(
            nib.io_orientation(mask.affine), nib.io_orientation(volume.affine)
        )
        array = nib.apply_orientation(mask.array, ornt)
        affine = mask.affine @ nib.orientations.inv_ornt_aff(ornt, mask.array.shape)
        tolerance = max(0.05, 0.1 * min(volume.spacing))  # headers round
        if Volume(_grid_only(array.shape), affine).same_grid(volume, tolerance):
            return array, ""
    text = f"The mask ({_grid_words(mask.array.shape, mask.affine)}) does not lie on the grid of its image "
    text += f"({_grid_words(volume.shape, volume.affine)})."
    if not resample:
        raise GeometryError(text, "Check that they belong together; --resample-masks resamples the mask.")
    if not placed:
        raise GeometryError(
            f"{text[:-1]}, and one of them does not tell where it lies, so it cannot be resampled.",
            "Give masks that were drawn on these images.",
        )
    out = _nearest(mask.array, np.linalg.inv(mask.affine) @ volume.affine, volume.shape)
    if mask.array.any() and not out.any():
        raise GeometryError(
            f"{text[:-1]}, and no part of the lung in it lies inside of the image.",
            "Check that they belong together.",
        )
    grid = _grid_words(mask.array.shape, mask.affine)
    return out, f"The mask was resampled from {grid} by nearest neighbour."


def _grid_only(shape: tuple[int, ...]) -> npt.NDArray[np.int16]:
    return np.broadcast_to(np.int16(0), shape)


def _grid_words(shape: tuple[int, ...], affine: npt.NDArray[np.float64]) -> str:
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    return f"{' x '.join(map(str, shape))} voxels of {' x '.join(f'{s:.3g}' for s in steps)} mm"


def _nearest(labels: npt.NDArray[np.uint8], to_mask: Any, shape: tuple[int, int, int]) -> Any:
    """Look up the nearest voxel of ``labels`` for each voxel of a grid; 0 outside of them.

    ``to_mask`` is the 4 x 4 matrix from index in the grid to index in ``labels``. One slice at a time.
    """
    out = np.zeros(shape, np.uint8, order="F")
    i, j = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    for k in range(shape[2]):
        places = []
        inside = np.ones(i.shape, bool)
        for axis in range(3):
            a, b, c, d = to_mask[axis]
            place = np.rint(a * i + b * j + (c * k + d)).astype(np.int64)
            inside &= (place >= 0) & (place < labels.shape[axis])
            places.append(place)
        if inside.any():
            out[:, :, k][inside] = labels[tuple(place[inside] for place in places)]
    return out


def _histogram(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Count each value, a chunk at a time: bincount takes eight bytes a voxel."""
    counts = np.zeros(256, np.int64)
    flat = labels.ravel(order="K")
    for start in range(0, flat.size, _CHUNK):
        counts += np.bincount(flat[start : start + _CHUNK], minlength=256)
    return counts


def _listed(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:_SHOWN]))
    return shown + (" ..." if len(values) > _SHOWN else "")

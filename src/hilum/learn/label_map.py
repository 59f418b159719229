"""What the values of a mask mean: lungs by the label contract, or by a map that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import GeometryError, InputError, UsageError
from hilum.io.dispatch import FileKind, kind_of
from hilum.io.masks import read_labels
from hilum.labels import Lung
from hilum.volume import Volume

__all__ = ["LabelMap", "apply_map", "describe_map", "parse_labels", "read_mask_for"]

#: Value in the mask to a value of :class:`hilum.labels.Lung`; the key None stands for all others.
LabelMap = dict[int | None, int]

_CHUNK = 4 * 2**20
_SHOWN = 6


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
        known = (key == "*" or (key.isdecimal() and int(key) <= 255)) and value in ("0", "1", "2")
        if not known:
            raise UsageError(
                f"labels holds {key}={value}, expected VALUE=LABEL with a value of 0 to 255 (or * for all "
                "others) and a label of 0, 1 or 2, such as 3=1,5=1."
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


def read_mask_for(path: str, volume: Volume, resample: bool) -> tuple[npt.NDArray[np.uint8], str]:
    """Read a mask onto the grid of a scan.

    Args:
        path: The file.
        volume: The scan.
        resample: Bring a mask that lies on another grid to that of the scan (nearest neighbour).

    Returns:
        uint8 array of the scan's shape, and a sentence on how it was resampled, empty where it was not.

    Raises:
        InputError: It cannot be read.
        GeometryError: It lies on another grid, or beside the scan.
    """
    try:
        return read_labels(path, volume), ""
    except GeometryError as error:
        if not resample:
            hint = "Check that they belong together; --resample-masks brings the mask to the image's grid."
            raise GeometryError(error.message, hint) from error
        return _resampled(path, volume, error)


def _resampled(path: str, volume: Volume, other: GeometryError) -> tuple[npt.NDArray[np.uint8], str]:
    from hilum.io.itk import load_itk
    from hilum.io.nifti import load_nifti

    kind = kind_of(path)
    if kind not in (FileKind.NIFTI, FileKind.NRRD, FileKind.METAIMAGE):
        raise other
    raw = load_nifti(Path(path)) if kind is FileKind.NIFTI else load_itk(Path(path))
    if not (raw.meta.orientation_known and volume.meta.orientation_known):
        raise GeometryError(
            f"{other.message} One of them does not tell where it lies, so it cannot be resampled.",
            "Give masks that were drawn on these images.",
        )
    labels = read_labels(path)
    out = _nearest(labels, np.linalg.inv(raw.affine) @ volume.affine, volume.shape)
    if not out.any():
        raise GeometryError(
            f"{other.message} No part of the mask lies inside of the image.",
            "Check that they belong together.",
        )
    sizes, steps = " x ".join(map(str, labels.shape)), np.linalg.norm(raw.affine[:3, :3], axis=0)
    grid = " x ".join(f"{step:.3g}" for step in steps)
    return out, f"The mask was resampled from {sizes} voxels of {grid} mm by nearest neighbour."


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

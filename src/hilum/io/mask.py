"""A mask as its file gave it, and its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.flags import Note
from hilum.core.sentences import Sentence
from hilum.core.volume import ScanMeta
from hilum.io.vocabulary import MAX_VALUE

__all__ = ["Mask", "Notes", "count_values", "out_of_range", "whole_values"]

_BLOCK = 4 * 2**20
#: Labels that were stored with a scale come back as 1.000015; what is farther from a whole number is not a
#: label.
_WHOLE = 1e-3
#: (code, sentence) of what was done to a mask.
Notes = tuple[Note, ...]


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask as its file gave it.

    Attributes:
        array: uint8 or uint16, three axes, file order.
        affine: 4 x 4, voxel to RAS millimetres.
        meta: Whether spacing and orientation are known.
        names: Names of its values, if the file has any.
        cropped: Whether its format keeps a box round its segments, as 3D Slicer does, and not the scan's
            grid.
        mapped: Whether the values are those of :mod:`hilum.io.vocabulary` already: 0, 1, 2 and BOTH.
        notes: (code, sentence) pairs of what was done.
    """

    array: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    meta: ScanMeta
    names: Mapping[int, str] = field(default_factory=dict)
    cropped: bool = False
    mapped: bool = False
    notes: Notes = ()


def whole_values(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return the values of a label map as uint8, or as uint16 where they do not fit.

    Args:
        array: As it was read. Values within a thousandth of a whole number are that number.
        name: What the mask is called in an error.

    Raises:
        InputError: Values that are not labels.
    """
    low, high = array.min(), array.max()  # NaN where any value is
    if array.dtype.kind == "f" and not (np.isfinite(low) and np.isfinite(high) and _are_whole(array)):
        if low >= 0 and high <= 1:
            raise InputError(
                Sentence(
                    "{mask:name} holds fractions between 0 and 1 and not whole numbers: it is a probability "
                    "map.",
                    name=name,
                ),
                "Make a label map of it first, such as by a threshold of 0.5.",
            )
        raise InputError(
            Sentence(
                "{mask:name} holds values that are not whole numbers, so it is not a label map.", name=name
            ),
            "Save the labels without interpolation (nearest neighbour).",
        )
    if low < -_WHOLE or high > MAX_VALUE + _WHOLE:
        raise out_of_range(name, array, MAX_VALUE)
    kind = np.uint8 if high < 255.5 else np.uint16
    if array.dtype.kind != "f":
        return array.astype(kind, order="K", copy=False)
    out = np.empty_like(array, kind)
    for k in range(array.shape[2]):  # a slice at a time spares a copy of the volume
        out[:, :, k] = np.rint(array[:, :, k])
    return out


def _are_whole(array: npt.NDArray[Any]) -> bool:
    flat = array.ravel(order="K")
    return all(
        bool((np.abs(flat[part] - np.rint(flat[part])) <= _WHOLE).all()) for part in _blocks(flat.size)
    )


def _blocks(size: int) -> Iterator[slice]:
    for start in range(0, size, _BLOCK):
        yield slice(start, start + _BLOCK)


def out_of_range(name: str, array: npt.NDArray[Any], most: int) -> InputError:
    """Return the error for a mask with values below 0 or above ``most``."""
    return InputError(
        Sentence(
            "{mask:name} holds values from {least} to {largest}; labels lie between 0 and {most}.",
            name=name,
            least=f"{array.min():g}",
            largest=f"{array.max():g}",
            most=most,
        ),
        "Check that it is a label map and not the scan.",
    )


def count_values(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Count each value of a label map, block by block: bincount takes eight bytes per voxel."""
    counts = np.zeros(MAX_VALUE + 1 if labels.dtype != np.uint8 else 256, np.int64)
    flat = labels.ravel(order="K")
    for part in _blocks(flat.size):
        counts += np.bincount(flat[part], minlength=counts.size)
    return counts

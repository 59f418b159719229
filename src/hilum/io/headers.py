"""Text headers of NRRD and MetaImage, parsed within bounds."""

from __future__ import annotations

import math
from pathlib import Path

from hilum.core.errors import GeometryError, HilumError, InputError
from hilum.io.stream import open_regular

__all__ = ["mm_per_unit", "numbers", "read_header_bytes", "shape_of", "text_of", "whole"]

#: A header with thousands of segments or file names has some hundred kB.
_MOST_BYTES = 4 * 2**20
_MOST_AXES = 16
_LARGEST = 2**62
_SHOWN = 40
_CORRECT = "Correct the header, or convert the scan again from DICOM."
_MM_PER_UNIT = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 0.001),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
    **dict.fromkeys(("", "?", "??", "???", "none", "unknown", "nan"), 1.0),  # not given
}


def read_header_bytes(path: Path) -> bytes:
    """Return the beginning of a file, long enough for any header.

    Raises:
        InputError: It is not a regular file.
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        return file.read(_MOST_BYTES)


def text_of(line: bytes) -> str:
    """Decode one line: UTF-8 as nearly all programs write, else Latin-1."""
    try:
        return line.decode("utf-8").strip()
    except UnicodeDecodeError:
        return line.decode("latin-1").strip()


def numbers(
    text: str, field: str, count: int | None = None, *, error: type[HilumError] = GeometryError
) -> list[float]:
    """Return the numbers of a field, ``nan`` among them.

    Raises:
        GeometryError: Something else stands there, or not ``count`` of them.
    """
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        hint = _CORRECT
        if "," in text:
            hint = "Write a point, not a comma, in numbers of the header. " + hint
        raise error(f"The header gives {_cut(text)} as {field}, which is not a number.", hint) from None
    if count is not None and len(values) != count:
        raise error(f"The header gives {len(values)} numbers as {field}, not {count}.", _CORRECT)
    return values


def whole(text: str, field: str, low: int, high: int = _LARGEST) -> int:
    """Return a whole number from ``low`` to ``high``.

    Raises:
        InputError: It is not such a number.
    """
    value = numbers(text, field, 1, error=InputError)[0]
    if not (math.isfinite(value) and value.is_integer() and low <= value <= high):
        raise InputError(f"The header gives {_cut(text)} as {field}, so it is broken.", "Get the file again.")
    return int(value)


def shape_of(axes: str, sizes: str, axes_field: str, sizes_field: str) -> tuple[int, ...]:
    """Return the number of voxels along each axis.

    Raises:
        InputError: They are not whole numbers above 0, or not as many as there are axes.
    """
    count = whole(axes, axes_field, 1, _MOST_AXES)
    values = numbers(sizes, sizes_field, count, error=InputError)
    return tuple(whole(f"{value:.17g}", sizes_field, 1) for value in values)


def mm_per_unit(unit: str) -> float:
    """Return how many mm a unit of length is; mm if no unit is given.

    Raises:
        GeometryError: The unit is not known.
    """
    try:
        return _MM_PER_UNIT[unit.strip().strip('"').strip().lower()]
    except KeyError:
        raise GeometryError(
            f"The header gives voxel sizes in the unknown unit {_cut(unit)}.", _CORRECT
        ) from None


def _cut(text: str) -> str:
    """Part of a field that is fit for a message."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return f'"{shown[:_SHOWN]}{"..." if len(shown) > _SHOWN else ""}"'

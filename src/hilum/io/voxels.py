"""Voxels out of a stream: bytes or text in, one flat array of int16 or float32 out."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.io.checks import HuBuffer
from hilum.io.stream import fill

__all__ = ["calibrate", "read_text_voxels", "read_voxels"]

_BLOCK_BYTES = 16 * 2**20
_TEXT_BYTES = 2**20
#: Up to here whole slopes and intercepts stay exact in int64 with voxels of 32 bits; a larger one is broken.
_LARGEST_WHOLE_SLOPE, _LARGEST_WHOLE_INTERCEPT = 2.0**20, 2.0**40
_BETWEEN_NUMBERS = re.compile(rb"[\s,]+")


def read_voxels(
    stream: BinaryIO, dtype: np.dtype[Any], count: int, slope: float = 1.0, inter: float = 0.0
) -> npt.NDArray[Any]:
    """Read ``count`` voxels; int16 and float32 go straight into the result, other types block by block.

    Args:
        stream: Where the bytes of the voxels begin.
        dtype: Type as stored, with its byte order.
        count: Number of voxels.
        slope: Factor of the stored values.
        inter: What is added to them afterwards.

    Returns:
        Flat array, int16 where all values are whole and fit, else float32.

    Raises:
        EOFError: The stream ends before.
    """
    plain = slope == 1.0 and inter == 0.0
    native = dtype.newbyteorder("=")
    if plain and native in (np.dtype(np.int16), np.dtype(np.float32)):
        array: npt.NDArray[Any] = np.empty(count, native)
        fill(stream, array)
        if not dtype.isnative:
            array.byteswap(inplace=True)
        return array
    buffer = HuBuffer(count)
    step = max(1, _BLOCK_BYTES // dtype.itemsize)
    block = np.empty(min(step, count), dtype)
    for start in range(0, count, step):
        part = block[: min(step, count - start)]
        fill(stream, part)
        buffer.add(part if plain else calibrate(part, slope, inter))
    return buffer.take()


def calibrate(values: npt.NDArray[Any], slope: float, inter: float) -> npt.NDArray[Any]:
    """Return ``values * slope + inter``: int64 where all is whole and stays exact, else float64."""
    whole = values.dtype.kind in "iu" and values.dtype.itemsize <= 4
    small = abs(slope) <= _LARGEST_WHOLE_SLOPE and abs(inter) <= _LARGEST_WHOLE_INTERCEPT
    if whole and small and slope.is_integer() and inter.is_integer():
        return values.astype(np.int64) * int(slope) + int(inter)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite values are reported by to_volume()
        scaled: npt.NDArray[Any] = values.astype(np.float64) * slope + inter
    return scaled


def read_text_voxels(stream: BinaryIO, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
    """Read ``count`` numbers written as text, separated by spaces, line ends or commas.

    Returns:
        Flat array, int16 where all values are whole and fit, else float32.

    Raises:
        InputError: Something else than a number of this type stands there.
        EOFError: The stream ends before.
    """
    buffer = HuBuffer(count)
    left, rest = count, b""
    while left > 0:
        block = stream.read(_TEXT_BYTES)
        words = _BETWEEN_NUMBERS.split(rest + block)
        # The last word of a block may continue in the next one.
        rest = words.pop() if block else b""
        values = [word for word in words if word][:left]
        if not values and not block:
            raise EOFError
        if len(rest) > _TEXT_BYTES:
            raise _no_number(dtype)
        if values:
            buffer.add(_numbers(values, dtype))
            left -= len(values)
    return buffer.take()


def _numbers(words: list[bytes], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    try:
        if dtype.kind == "f":
            return np.array([float(word) for word in words], np.float64)
        return np.array([int(word) for word in words], dtype.newbyteorder("="))
    except (ValueError, OverflowError) as error:
        raise _no_number(dtype) from error


def _no_number(dtype: np.dtype[Any]) -> InputError:
    return InputError(
        f"The voxels are written as text, but not all are numbers of type {dtype.newbyteorder('=')}.",
        "Save the scan again in binary; where it is binary, the header has to say so (BinaryData = True).",
    )

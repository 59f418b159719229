"""Masks of a single slice as PNG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.io.checks import check_size
from hilum.io.stream import open_regular, read_head, readable

__all__ = ["load_png"]

_GREY = 0
#: 8192 x 8192, sixteen times the largest slice.
_MOST_PIXELS = 2**26
_BROKEN = (SyntaxError, ValueError, LookupError, ArithmeticError, struct.error, zlib.error)


def load_png(path: Path) -> npt.NDArray[Any]:
    """Read grey values as they are stored; one bit is read as 0 and 255.

    Returns:
        Array [row, column] of uint8, or of 16-bit values as uint16.

    Raises:
        InputError: Colours, too large, truncated or corrupt.
    """
    _check_header(path, read_head(path, 26))
    with readable(path), open_regular(path) as stream:
        try:
            with Image.open(stream, formats=("PNG",)) as image:
                grey = image.convert("L") if image.mode == "1" else image
                return _unsigned(np.asarray(grey))
        except _BROKEN as error:
            raise _broken(path) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise _broken(path) from error


def _check_header(path: Path, head: bytes) -> None:
    """Look at size and colours (PNG specification, IHDR) before Pillow takes memory."""
    if len(head) < 26 or head[12:16] != b"IHDR":
        raise _broken(path)
    width, height, _, colours = struct.unpack(">IIBB", head[16:26])
    if colours != _GREY:
        raise InputError(
            Sentence("{file:path} is a colour image; a mask has one number per pixel.", path=path.name),
            "Save it as grey values.",
        )
    if not 0 < width * height <= _MOST_PIXELS:
        raise _broken(path)
    with readable(path):
        check_size((width, height), 0, path.stat().st_size, compressed=True)


def _unsigned(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pillow gives 16 bits as int32 or as uint16, by its version."""
    return image if image.dtype == np.uint8 else image.astype(np.uint16)


def _broken(path: Path) -> InputError:
    return InputError(
        Sentence("{file:path} is truncated or not a valid PNG.", path=path.name), "Get the file again."
    )

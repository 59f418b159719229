"""Encoding slices as TIFF and masks as PNG; equal pixels always give equal bytes.

Compressed with zlib. The deflate of isal is four times as fast, but not deterministic: among
thousands of slices a few get other bytes (for the same pixels) on the next run, because its match tables
start with uninitialised memory.
"""

from __future__ import annotations

import json
import struct
import zlib
from io import BytesIO
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tifffile

from hilum.core.planes import Plane

__all__ = ["encode_mask", "encode_slice"]

_LEVEL = 1
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_slice(
    hu: npt.NDArray[np.int16],
    plane: Plane,
    spacing: tuple[float, float] | None,
    thickness: float | None,
) -> bytes:
    """Encode a slice as :func:`hilum.io.write_hu_tiff` does, so that :func:`hilum.read` can read it.

    Args:
        hu: Array [row, column].
        plane: Plane of the slice.
        spacing: Row and column spacing in mm; None if unknown.
        thickness: Distance to the next slice in mm; None if unknown.

    Returns:
        The bytes of a TIFF file of one deflated strip with horizontal differences (TIFF 6.0, section 14).
    """
    hu = np.ascontiguousarray(hu, "<i2")
    differences = hu.copy()
    np.subtract(hu[:, 1:], hu[:, :-1], out=differences[:, 1:])  # wraps around, as TIFF 6.0 requires
    description = {
        "schema": "hilum-ct-slice",
        "version": 1,
        "unit": "HU",
        "plane": plane.value,
        "spacing_mm": None if spacing is None else list(spacing),
        "thickness_mm": thickness,
        "affine_ras_mm": None,
    }
    out = BytesIO()
    tifffile.imwrite(
        out,
        iter([_deflate(differences)]),
        shape=hu.shape,
        dtype=hu.dtype,
        byteorder="<",
        photometric="minisblack",
        compression="zlib",
        predictor=True,
        rowsperstrip=hu.shape[0],
        description=json.dumps(description),
        metadata=None,
        software="hilum",
        resolution=None if spacing is None else (10.0 / spacing[1], 10.0 / spacing[0]),
        resolutionunit="NONE" if spacing is None else "CENTIMETER",
    )
    return out.getvalue()


def encode_mask(mask: npt.NDArray[np.uint8]) -> bytes:
    """Encode a mask [row, column] as an 8-bit grey PNG whose pixels are the labels themselves.

    Format: Portable Network Graphics, second edition (W3C 2003): one IDAT, no filter.
    """
    rows, cols = mask.shape
    lines = np.zeros((rows, cols + 1), np.uint8)  # each line starts with its filter type; 0: no filter
    lines[:, 1:] = mask
    header = struct.pack(">IIBBBBB", cols, rows, 8, 0, 0, 0, 0)
    return b"".join(
        (_PNG_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", _deflate(lines)), _chunk(b"IEND", b""))
    )


def _deflate(array: npt.NDArray[Any]) -> bytes:
    return zlib.compress(cast(Any, array), _LEVEL)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

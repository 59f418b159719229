"""Structure-aware mutations of the headers of images and archives."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib

import numpy as np
import pydicom

from fuzzing.raw import Rng, flip, integer, whole
from fuzzing.texts import NUMBERS, text


def _header_end(data: bytes) -> int:
    for mark in (b"\n\n", b"ElementDataFile"):
        at = data.find(mark)
        if 0 <= at < 20_000:
            end = data.find(b"\n", at + 2)
            return len(data) if end < 0 else end
    return min(len(data), 2000)


def header_line(data: bytes, rng: Rng) -> bytes:
    end = _header_end(data)
    lines = data[:end].split(b"\n")
    at, way = int(rng.integers(len(lines))), int(rng.integers(3))
    if way == 0:
        del lines[at]
    elif way == 1:
        lines.insert(int(rng.integers(len(lines) + 1)), lines[at])
    else:
        lines[at] = lines[at].replace(b"=", b"").replace(b":", b"")
    return b"\n".join(lines) + data[end:]


def header_value(data: bytes, rng: Rng) -> bytes:
    """Give a key of a text header other values: extreme, fewer, more, or of another kind."""
    end = _header_end(data)
    found = list(re.finditer(rb"(?m)^([^\n=:#]+)(:=|=|:)\s*([^\n]*)$", data[:end]))
    if not found:
        return flip(data, rng)
    hit = found[int(rng.integers(len(found)))]
    words = hit[3].split() or [b""]
    at, way = int(rng.integers(len(words))), int(rng.integers(4))
    if way == 0:
        words[at] = str(rng.choice(NUMBERS)).encode()
    elif way == 1:
        words = words[:at]
    elif way == 2:
        words = words * int(rng.integers(2, 400))
    else:
        words = [text(rng).encode()]
    return data[: hit.start(3)] + b" ".join(words) + data[hit.end(3) :]


#: Place and struct code of fields.
_NIFTI1 = [
    *((0, "i"), (70, "h"), (72, "h"), (108, "f"), (112, "f"), (116, "f"), (123, "b"), (252, "h"), (254, "h")),
    *((344, "i"), *((40 + 2 * k, "h") for k in range(8)), *((76 + 4 * k, "f") for k in range(8))),
    *(*((256 + 4 * k, "f") for k in range(6)), *((280 + 4 * k, "f") for k in range(12))),
]
_NIFTI2 = [
    *((0, "i"), (12, "h"), (14, "h"), (168, "q"), (176, "d"), (184, "d"), (344, "i"), (348, "i"), (500, "i")),
    *((16 + 8 * k, "q") for k in range(8)),
    *(*((104 + 8 * k, "d") for k in range(8)), *((400 + 8 * k, "d") for k in range(12))),
]


def nifti_field(data: bytes, rng: Rng) -> bytes:
    """Overwrite a field of a NIfTI header: sizes, types, offsets, scales, affine."""
    packed = data[:2] == b"\x1f\x8b"
    if packed:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return flip(data, rng)
    second = data[:4] in (struct.pack("<i", 540), struct.pack(">i", 540))
    fields = _NIFTI2 if second else _NIFTI1
    at, kind = fields[int(rng.integers(len(fields)))]
    size = struct.calcsize(kind)
    if kind in "fd":
        value = float(
            rng.choice([0, -1, 1, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-30, 352, 2**31, 1e9, 0.5])
        )
        raw = struct.pack("<" + kind, value)
    else:
        raw = whole(rng, size).to_bytes(size, "little")
    data = data[:at] + raw + data[at + size :]
    return gzip.compress(data, 1, mtime=0) if packed else data


def element(data: bytes, rng: Rng) -> bytes:
    """Give an element of a DICOM file another value, or take it out."""
    try:
        ds = pydicom.dcmread(io.BytesIO(data))
        elements = [element for element in ds if element.keyword]
        element = elements[int(rng.integers(len(elements)))]
        if rng.random() < 0.2:
            del ds[element.tag]
        elif element.VR in ("US", "UL", "SS", "SL"):
            size = 2 if element.VR in ("US", "SS") else 4
            value = whole(rng, size)
            element.value = (
                value - 2 ** (8 * size) if element.VR[0] == "S" and value >= 2 ** (8 * size - 1) else value
            )
        elif element.keyword != "PixelData":
            values = [str(rng.choice(NUMBERS)) if rng.random() < 0.6 else text(rng)] * int(
                rng.choice([1, 1, 2, 3, 6])
            )
            ds[element.tag] = pydicom.DataElement(
                element.tag, "LO", values[0] if len(values) == 1 else values
            )
            ds[element.tag].VR = element.VR if rng.random() < 0.3 else "LO"
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        return out.getvalue()
    except Exception:  # what pydicom cannot write is changed byte by byte
        return integer(data, rng)


def length(data: bytes, rng: Rng) -> bytes:
    """Overwrite the length of an element with explicit VR."""
    found = list(re.finditer(rb"(?s)..(?:UI|CS|DS|IS|LO|US|UL|OW|OB|SQ|PN|DA|TM|SH)", data[132:6000]))
    if not found:
        return integer(data, rng)
    at = 132 + found[int(rng.integers(len(found)))].end()
    size = int(rng.choice([2, 4, 6]))
    return data[:at] + whole(rng, size).to_bytes(size, "little") + data[at + size :]


def tag(data: bytes, rng: Rng) -> bytes:
    """Overwrite a part of an entry in a TIFF's first directory."""
    if len(data) < 8:
        return flip(data, rng)
    start = int.from_bytes(data[4:8], "little" if data[:2] == b"II" else "big")
    count = int.from_bytes(data[start : start + 2], "little" if data[:2] == b"II" else "big")
    entry = start + 2 + 12 * int(rng.integers(max(1, min(count, 40))))
    part, size = [(0, 2), (2, 2), (4, 4), (8, 4)][int(rng.integers(4))]
    raw = whole(rng, size).to_bytes(size, "little" if data[:2] == b"II" else "big")
    return data[: entry + part] + raw + data[entry + part + size :]


def zip_entry(data: bytes, rng: Rng) -> bytes:
    """Overwrite a field of a local header, a central one or the end record; or a name."""
    marks = [hit.start() for hit in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)]
    if not marks:
        return flip(data, rng)
    at = marks[int(rng.integers(len(marks)))] + int(rng.integers(4, 46))
    if rng.random() < 0.2:
        name = [b"../evil", b"/abs/evil", b"a\x00b.nii", b"\xff\xfe.nii", b"", b"c:\\x.nii"][
            int(rng.integers(6))
        ]
        return data[:at] + name + data[at + len(name) :]
    size = int(rng.choice([1, 2, 4]))
    return data[:at] + whole(rng, size).to_bytes(size, "little") + data[at + size :]

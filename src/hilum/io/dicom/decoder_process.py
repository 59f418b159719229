"""The program of the process in which compressed pixels are decoded; see :mod:`hilum.io.dicom.decoding`.

The decoders are C and C++. A broken file can make them end their process (GDCM does on some JPEG streams) or
write to standard error, so they never run in hilum's own process. This file is run by its path, so that the
package is not imported: it takes requests as JSON lines on standard input, each a path, the transfer syntax,
the frames that are wanted and the plugin of pydicom to use, and answers on standard output with a JSON line
and the bytes of each frame, or with a JSON line that holds ``error``.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import iter_pixels
from pydicom.uid import JPEGExtended12Bit

_TAGS: list[Any] = [
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
]  # fmt: skip

#: Markers of a JPEG stream that are followed by no length: restarts, start and end of the image.
_BARE = {0x01, *range(0xD0, 0xDA)}
#: Markers of a JPEG or JPEG-LS frame header (SOF), which hold the size of the image.
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def stream_size(data: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream gives; None where it gives none."""
    if data[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: SIZ comes first
        width, height, left, top = (int.from_bytes(data[n : n + 4], "big") for n in (8, 12, 16, 20))
        return height - top, width - left
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker in _FRAME_HEADERS:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        if marker == 0xFF:
            at += 1  # fill bytes
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def check_sizes(ds: pydicom.Dataset, wanted: Sequence[int]) -> None:
    """Refuse streams of another size than the header gives: a decoder would take what memory they ask for.

    Raises:
        ValueError: They disagree.
    """
    count = int(ds.get("NumberOfFrames") or 1)
    for n, data in enumerate(generate_frames(ds.PixelData, number_of_frames=count)):
        size = stream_size(data) if n in wanted else None
        if size is not None and size != (ds.Rows, ds.Columns):
            raise ValueError("size")


def decode(path: str, syntax: str, wanted: Sequence[int], plugin: str) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the stored values of the frames that are wanted, shape (rows, columns)."""
    ds = pydicom.dcmread(path, force=True, specific_tags=_TAGS)
    check_sizes(ds, wanted)
    if syntax == JPEGExtended12Bit and ds.BitsStored > 8:
        yield from decode_12_bits(path, ds, wanted)
    else:
        yield from iter_pixels(ds, indices=list(wanted), raw=True, decoding_plugin=plugin)


def decode_12_bits(path: str, ds: pydicom.Dataset, wanted: Sequence[int]) -> Iterator[np.ndarray[Any, Any]]:
    """Decode 12-bit JPEG by GDCM alone: pydicom has no plugin for it among those that are installed.

    Raises:
        ValueError: GDCM cannot read it.
    """
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise ValueError("GDCM")
    # GDCM gives bytes as text.
    data = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    dtype = np.dtype(np.int16 if ds.PixelRepresentation else np.uint16)
    frames = np.frombuffer(data, dtype).reshape(-1, ds.Rows, ds.Columns)
    for n in wanted:
        yield frames[n]


def answer(request: dict[str, Any], out: BinaryIO) -> None:
    """Write the frames that a request asks for."""
    try:
        for frame in decode(request["path"], request["syntax"], request["frames"], request["plugin"]):
            head = {"dtype": frame.dtype.newbyteorder("<").str, "shape": frame.shape}
            out.write(json.dumps(head).encode() + b"\n")
            out.write(np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).data)
            out.flush()
    except Exception as error:  # broken bytes make decoders raise errors of any kind
        out.write(json.dumps({"error": type(error).__name__}).encode() + b"\n")
        out.flush()


def main() -> None:
    """Answer requests until standard input ends."""
    # What a library prints must not come between the answers.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    for line in sys.stdin.buffer:
        answer(json.loads(line), out)


if __name__ == "__main__":
    main()

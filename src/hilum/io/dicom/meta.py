"""What the file meta information of a DICOM file says on how the rest is encoded, before it is parsed."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from pydicom import config
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

__all__ = ["as_uid", "inflates_beyond_reason", "odd_encoding"]

_USUAL = 4096  # file meta information takes some hundreds of bytes
_SYNTAX = b"\x02\0\x10\0"
#: Value representations whose length takes 4 bytes after 2 that are reserved (PS3.5, 7.1.2).
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}
#: A deflated file of more than the first size may grow by the second; CT grows by 2 to 5, an empty image by
#: some hundreds.
_SMALL, _RATIO = 16 * 2**20, 200
_CHUNK = 2**20


def as_uid(text: str) -> UID:
    """Return a UID as it stands in a file; by itself pydicom warns on stderr of one that breaks the rules."""
    return UID(text, validation_mode=config.IGNORE)


def odd_encoding(path: Path) -> str:
    """Say which encoding keeps a DICOM file from being parsed; empty where none does.

    Two are met in old archives: data that are big endian without saying so (implicit VR big endian, which
    DICOM has no transfer syntax for), and a maker's own transfer syntax.
    """
    with path.open("rb") as stream:
        syntax, start, head = _read(stream)
    if head[start : start + 2] in (b"\0\x08", b"\0\x10") and syntax != ExplicitVRBigEndian:
        return "its data are big endian and its header does not say so, an encoding that DICOM does not have"
    if syntax and syntax.replace(".", "").isdigit() and as_uid(syntax).is_private:
        return f"its encoding, the private transfer syntax {syntax}, is not supported"
    return ""


def inflates_beyond_reason(stream: BinaryIO) -> bool:
    """Whether a deflated file unpacks to far more than an image, as a bomb does. Others do not.

    Args:
        stream: The file, at its beginning; it is left anywhere.

    Raises:
        OSError: It cannot be read.
    """
    syntax, start, _ = _read(stream)
    if syntax != DeflatedExplicitVRLittleEndian:
        return False
    allowed = max(_SMALL, _RATIO * stream.seek(0, 2))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    stream.seek(start)
    data = stream.read(_CHUNK)
    while data and size <= allowed:
        try:
            size += len(inflater.decompress(data, _CHUNK))
        except zlib.error:
            return False  # the parser reports it
        data = inflater.unconsumed_tail or stream.read(_CHUNK)
    return size > allowed


def _read(stream: BinaryIO) -> tuple[str, int, bytes]:
    """Return the transfer syntax, where the data begin, and the bytes of the file up to there at least."""
    head = stream.read(_USUAL)
    if head[128:132] != b"DICM":
        return "", len(head), head
    syntax, start = _parse(head)
    if start + 8 > len(head):
        head += stream.read()
        syntax, start = _parse(head)
    return syntax, start, head


def _parse(head: bytes) -> tuple[str, int]:
    """Walk over the elements of group 2, which are explicit VR little endian."""
    at, syntax = 132, ""
    while head[at : at + 2] == b"\x02\0":
        long = head[at + 4 : at + 6] in _LONG
        first = at + (12 if long else 8)
        length = int.from_bytes(head[at + 8 : at + 12] if long else head[at + 6 : at + 8], "little")
        if head[at : at + 4] == _SYNTAX:
            syntax = head[first : first + length].rstrip(b"\0 ").decode("ascii", "replace")
        at = first + length
    return syntax, at

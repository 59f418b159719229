"""Names of labels in the extensions of a NIfTI header.

TotalSegmentator, Connectome Workbench and Caret write a label table in XML
(``<Label Key="1" ...>name</Label>``) behind the header, under different codes; it is looked for in all of
them.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import BinaryIO

from hilum.io.stream import open_stream, readable

__all__ = ["label_names"]

#: More than any label table has; a header that asks for more is not followed.
_MOST_BYTES = 4 * 2**20
_LABEL = re.compile(
    r"<Label\s[^<>]*\bKey=[\"'](\d{1,6})[\"'][^<>]*>([^<]*(?:<!\[CDATA\[(.*?)\]\]>)?[^<]*)</Label>"
)


def label_names(path: Path) -> dict[int, str]:
    """Return the names of the values of a label map; empty where the file holds none.

    Args:
        path: A NIfTI file that was read already, so that its header is known to be sound.
    """
    with readable(path), open_stream(path, ahead=False) as stream:
        text = _extensions(stream).decode("utf-8", "replace")
    names = {}
    for key, plain, quoted in _LABEL.findall(text):
        names[int(key)] = quoted.strip() or html.unescape(plain).strip()
    return {key: name for key, name in names.items() if key and name}


def _extensions(stream: BinaryIO) -> bytes:
    """Return what lies between the header and the voxels of a single file."""
    head = stream.read(348)
    two = len(head) == 348 and 540 in {int.from_bytes(head[:4], order) for order in ("little", "big")}
    if two:
        head += stream.read(192)
    extender = stream.read(4)
    if len(extender) < 4 or not extender[0]:
        return b""
    order = "little" if int.from_bytes(head[:4], "little") in (348, 540) else "big"
    out = b""
    while len(out) < _MOST_BYTES:
        start = stream.read(8)
        size = int.from_bytes(start[:4], order)  # type: ignore[arg-type]
        if len(start) < 8 or not 16 <= size <= _MOST_BYTES or size % 16:
            break  # the voxels begin here, or the chain is broken
        out += stream.read(size - 8)
    return out

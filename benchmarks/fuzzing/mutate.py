"""Mutations of inputs: of bytes without knowing what they mean, and of headers, tables and trees that do."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
#: Integers at the borders of what headers hold.
_WHOLE = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
#: Numbers as text.
_NUMBERS = (
    *("0", "-1", "1", "2", "3", "4", "-0", "nan", "inf", "-inf", "1e308", "-1e308", "1e999", "1e-320", "0x10", "1,5"),
    *("2147483647", "-2147483648", "4294967295", "9223372036854775807", "18446744073709551616", "99999999999", "9" * 5000),
)
#: Texts that end where one does not expect it.
_TEXTS = (
    *("", " ", "\\", "/", "..", "../../../../etc/passwd", "/dev/zero", "/dev/null", ".", "LIST", "LOCAL", "a/b", "%s%n"),
    *("\x1b[31mred", "[/red]", "[link=x]y", "ü" * 30, "x" * 300, "x" * 140_000, "none", "true", "\r\n", "a\\b", "'", '"'),
    *("short", "double", "uchar", "raw", "gzip", "bzip2", "big", "little", "left-posterior-superior", "(1,0,0)", "{"),
)
#: Values for trees of JSON; ``_Raw`` stands in the text as it is.
_MOST_FIELDS = 20


class _Raw(str):
    """A piece of JSON text that json would not write."""


def mutate(folder: Path, rng: Rng) -> list[str]:
    """Change the files of an input in one to three places, in place; return what was done."""
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".kind")
        file = files[int(rng.integers(len(files)))]
        ways = _ways(file)
        name = str(rng.choice(list(ways)))
        before = file.read_bytes()
        after = ways[name](before, rng)
        if len(files) > 1 and rng.random() < 0.3 and file.suffix == ".dcm":  # the same fault in all slices
            for other in files:
                other.write_bytes(ways[name](other.read_bytes(), np.random.default_rng(int(rng.integers(2**31)))))
        else:
            file.write_bytes(after)
        done.append(f"{file.relative_to(folder)}: {name}")
    return done


def _ways(file: Path) -> dict[str, Callable[[bytes, Rng], bytes]]:
    """The mutations for a kind of file; those that know it stand there several times."""
    name = file.name.lower()
    own: dict[str, Callable[[bytes, Rng], bytes]] = {}
    if name.endswith(".json"):
        own = {"tree": _tree, "tree again": _tree, "tree twice": _tree}
    if name.endswith((".json", ".toml", ".csv", ".txt")):
        own |= {"number": _number, "line": _line, "word": _word}
    elif name.endswith((".mhd", ".mha", ".nhdr", ".nrrd")):
        own = {"header line": _header_line, "header number": _number, "header value": _header_value}
        own |= {"header value again": _header_value}
    elif name.endswith((".nii", ".hdr", ".img", ".nii.gz")):
        own = {"field": _nifti_field, "field again": _nifti_field}
    elif name.endswith(".dcm"):
        own = {"element": _element, "element again": _element, "length": _length}
    elif name.endswith((".tif", ".tiff")):
        own = {"tag": _tag, "tag again": _tag}
    elif name.endswith(".zip"):
        own = {"entry": _zip_entry, "entry again": _zip_entry}
    return {**own, **_BYTES}


# -- bytes ------------------------------------------------------------------------------------------------------


def _place(data: bytes, rng: Rng, most: int = 512) -> int:
    """A place in the data; more often near the beginning, where headers are."""
    end = len(data) if rng.random() < 0.4 else min(most, len(data))
    return int(rng.integers(max(1, end)))


def _flip(data: bytes, rng: Rng) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if out:
            out[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _cut(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _double(data: bytes, rng: Rng) -> bytes:
    start = _place(data, rng)
    part = data[start : start + int(rng.integers(1, 200))]
    return data[:start] + part * int(rng.integers(2, 20)) + data[start:]


def _drop(data: bytes, rng: Rng) -> bytes:
    start = _place(data, rng)
    return data[:start] + data[start + int(rng.integers(1, 64)) :]


def _put(data: bytes, rng: Rng) -> bytes:
    start = _place(data, rng)
    return data[:start] + rng.bytes(int(rng.integers(1, 64))) + data[start:]


def _integer(data: bytes, rng: Rng) -> bytes:
    """Overwrite 1, 2, 4 or 8 bytes by an integer at a border."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = _whole(rng, size)
    start = _place(data, rng)
    raw = value.to_bytes(size, str(rng.choice(["little", "big"])))
    return data[:start] + raw + data[start + size :]


def _swap(data: bytes, rng: Rng) -> bytes:
    one, two = sorted((_place(data, rng), _place(data, rng)))
    size = min(int(rng.integers(1, 32)), two - one)
    return data[:one] + data[two : two + size] + data[one + size : two] + data[one : one + size] + data[two + size :]


def _blank(data: bytes, rng: Rng) -> bytes:
    start, size = _place(data, rng), int(rng.integers(1, 128))
    fill = bytes([int(rng.choice([0, 255, 32]))])
    return data[:start] + fill * len(data[start : start + size]) + data[start + size :]


_BYTES: dict[str, Callable[[bytes, Rng], bytes]] = {
    "flip": _flip, "cut": _cut, "double": _double, "drop": _drop, "put": _put, "integer": _integer,
    "swap": _swap, "blank": _blank,
}  # fmt: skip


def _whole(rng: Rng, size: int) -> int:
    value = int(rng.choice(np.array(_WHOLE, object)))
    if rng.random() < 0.3:
        value = -value
    return value % 2 ** (8 * size)


# -- texts ------------------------------------------------------------------------------------------------------


def _number(data: bytes, rng: Rng) -> bytes:
    """Replace a number by one at a border, in the text that the file begins with."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", data[:20_000]))
    if not found:
        return _integer(data, rng)
    hit = found[int(rng.integers(min(len(found), 200)))]
    return data[: hit.start()] + str(rng.choice(_NUMBERS)).encode() + data[hit.end() :]


def _word(data: bytes, rng: Rng) -> bytes:
    found = list(re.finditer(rb"[A-Za-z_]{2,}", data[:20_000]))
    if not found:
        return _put(data, rng)
    hit = found[int(rng.integers(min(len(found), 200)))]
    return data[: hit.start()] + _text(rng).encode("utf-8", "surrogatepass") + data[hit.end() :]


def _line(data: bytes, rng: Rng) -> bytes:
    """Drop, repeat, swap, nest or lengthen a line."""
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    way = int(rng.integers(6))
    if way == 0:
        del lines[at]
    elif way == 1:
        lines[at : at + 1] = [lines[at]] * int(rng.integers(2, 50))
    elif way == 2:
        lines.insert(at, b"[" + b"a." * int(rng.integers(1, 60_000)) + b"a]")
    elif way == 3:
        lines.insert(at, b"x = " + b"[" * int(rng.integers(1, 30_000)))
    elif way == 4:
        lines[at] = lines[at].replace(b"=", b": ").replace(b",", b";")
    else:
        lines[at] = b'"' + lines[at]
    return b"\n".join(lines)


def _text(rng: Rng) -> str:
    return str(rng.choice(np.array([*_TEXTS, *_NUMBERS], object)))


def _hostile(rng: Rng) -> Any:
    """A value that a tree does not expect."""
    way = int(rng.integers(8))
    if way == 0:
        return _Raw(str(rng.choice(["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "-" + "9" * 400, "1e308"])))
    if way == 1:
        depth = int(rng.choice([5, 40, 900, 50_000]))
        return _Raw("[" * depth + "]" * depth)
    if way == 2:
        return _Raw('"' + str(rng.choice(["\\u0000", "\\ud800", "\\u001b[31m", "\\n", "\\u202e", "\\\\"])) + '"')
    if way == 3:
        return _text(rng)
    if way == 4:
        return int(rng.choice(np.array(_WHOLE, object))) * int(rng.choice([1, -1]))
    if way == 5:
        return float(rng.choice([0.5, -0.5, 1e-300, 1e300, 1.0000001]))
    return [None, True, False, [], {}, [[]], {"": {}}, [None], "", 0][int(rng.integers(10))]


def _tree(data: bytes, rng: Rng) -> bytes:
    """Replace, drop, repeat or rename a node of a JSON tree."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return _flip(data, rng)
    nodes: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            nodes.append((node, key))
            walk(value)

    walk(tree)
    if not nodes:
        return _dump(_hostile(rng))
    node, key = nodes[int(rng.integers(len(nodes)))]
    way = int(rng.integers(10))
    if way == 0:
        del node[key]
    elif way == 1 and isinstance(node, list):
        node.extend([node[key]] * int(rng.integers(1, 100)))
    elif way == 2 and isinstance(node, dict):
        node[_text(rng)] = node.pop(key)
    elif way == 3:
        return _dump(_hostile(rng))
    else:
        node[key] = _hostile(rng)
    return _dump(tree)


def _dump(tree: Any) -> bytes:
    """Write a tree as JSON, pieces of text as they are."""
    pieces: list[str] = []

    def mark(node: Any) -> Any:
        if isinstance(node, _Raw):
            pieces.append(str(node))
            return f"\x01{len(pieces) - 1}\x01"
        if isinstance(node, dict):
            return {key: mark(value) for key, value in node.items()}
        return [mark(value) for value in node] if isinstance(node, list) else node

    text = json.dumps(mark(tree), indent=1, ensure_ascii=False)
    return re.sub(r'"\\u0001(\d+)\\u0001"', lambda hit: pieces[int(hit[1])], text).encode("utf-8", "surrogatepass")


# -- headers ----------------------------------------------------------------------------------------------------


def _header_end(data: bytes) -> int:
    for mark in (b"\n\n", b"ElementDataFile"):
        at = data.find(mark)
        if 0 <= at < 20_000:
            end = data.find(b"\n", at + 2)
            return len(data) if end < 0 else end
    return min(len(data), 2000)


def _header_line(data: bytes, rng: Rng) -> bytes:
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


def _header_value(data: bytes, rng: Rng) -> bytes:
    """Give a key of a text header other values: extreme, fewer, more, or of another kind."""
    end = _header_end(data)
    found = list(re.finditer(rb"(?m)^([^\n=:#]+)(:=|=|:)\s*([^\n]*)$", data[:end]))
    if not found:
        return _flip(data, rng)
    hit = found[int(rng.integers(len(found)))]
    words = hit[3].split() or [b""]
    at, way = int(rng.integers(len(words))), int(rng.integers(4))
    if way == 0:
        words[at] = str(rng.choice(_NUMBERS)).encode()
    elif way == 1:
        words = words[:at]
    elif way == 2:
        words = words * int(rng.integers(2, 400))
    else:
        words = [_text(rng).encode()]
    return data[: hit.start(3)] + b" ".join(words) + data[hit.end(3) :]


def _nifti_field(data: bytes, rng: Rng) -> bytes:
    """Overwrite a field of a NIfTI header: sizes, types, offsets, scales, affine."""
    import gzip

    packed = data[:2] == b"\x1f\x8b"
    if packed:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError):
            return _flip(data, rng)
        except Exception:  # zlib's own
            return _flip(data, rng)
    second = data[:4] in (struct.pack("<i", 540), struct.pack(">i", 540))
    fields = (
        [(0, "i"), *((16 + 8 * k, "q") for k in range(8)), (12, "h"), (14, "h"), *((104 + 8 * k, "d") for k in range(8)),
         (168, "q"), (176, "d"), (184, "d"), (344, "i"), (348, "i"), *((400 + 8 * k, "d") for k in range(12)), (500, "i")]
        if second
        else [(0, "i"), *((40 + 2 * k, "h") for k in range(8)), (70, "h"), (72, "h"), *((76 + 4 * k, "f") for k in range(8)),
              (108, "f"), (112, "f"), (116, "f"), (123, "b"), (252, "h"), (254, "h"), *((256 + 4 * k, "f") for k in range(6)),
              *((280 + 4 * k, "f") for k in range(12)), (344, "i")]
    )  # fmt: skip
    at, kind = fields[int(rng.integers(len(fields)))]
    size = struct.calcsize(kind)
    if kind in "fd":
        value = float(rng.choice([0, -1, 1, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-30, 352, 2**31, 1e9, 0.5]))
        raw = struct.pack("<" + kind, value)
    else:
        raw = _whole(rng, size).to_bytes(size, "little")
    data = data[:at] + raw + data[at + size :]
    return gzip.compress(data, 1, mtime=0) if packed else data


def _element(data: bytes, rng: Rng) -> bytes:
    """Give an element of a DICOM file another value, or take it out."""
    import io

    import pydicom

    try:
        ds = pydicom.dcmread(io.BytesIO(data))
        elements = [element for element in ds if element.keyword]
        element = elements[int(rng.integers(len(elements)))]
        if rng.random() < 0.2:
            del ds[element.tag]
        elif element.VR in ("US", "UL", "SS", "SL"):
            size = 2 if element.VR in ("US", "SS") else 4
            value = _whole(rng, size)
            element.value = value - 2 ** (8 * size) if element.VR[0] == "S" and value >= 2 ** (8 * size - 1) else value
        elif element.keyword != "PixelData":
            values = [str(rng.choice(_NUMBERS)) if rng.random() < 0.6 else _text(rng)] * int(rng.choice([1, 1, 2, 3, 6]))
            ds[element.tag] = pydicom.DataElement(element.tag, "LO", values[0] if len(values) == 1 else values)
            ds[element.tag].VR = element.VR if rng.random() < 0.3 else "LO"
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        return out.getvalue()
    except Exception:  # what pydicom cannot write is changed byte by byte
        return _integer(data, rng)


def _length(data: bytes, rng: Rng) -> bytes:
    """Overwrite the length of an element with explicit VR."""
    found = list(re.finditer(rb"(?s)..(?:UI|CS|DS|IS|LO|US|UL|OW|OB|SQ|PN|DA|TM|SH)", data[132:6000]))
    if not found:
        return _integer(data, rng)
    at = 132 + found[int(rng.integers(len(found)))].end()
    size = int(rng.choice([2, 4, 6]))
    return data[:at] + _whole(rng, size).to_bytes(size, "little") + data[at + size :]


def _tag(data: bytes, rng: Rng) -> bytes:
    """Overwrite a part of an entry in a TIFF's first directory."""
    if len(data) < 8:
        return _flip(data, rng)
    start = int.from_bytes(data[4:8], "little" if data[:2] == b"II" else "big")
    count = int.from_bytes(data[start : start + 2], "little" if data[:2] == b"II" else "big")
    entry = start + 2 + 12 * int(rng.integers(max(1, min(count, 40))))
    part, size = [(0, 2), (2, 2), (4, 4), (8, 4)][int(rng.integers(4))]
    raw = _whole(rng, size).to_bytes(size, "little" if data[:2] == b"II" else "big")
    return data[: entry + part] + raw + data[entry + part + size :]


def _zip_entry(data: bytes, rng: Rng) -> bytes:
    """Overwrite a field of a local header, a central one or the end record; or a name."""
    marks = [hit.start() for hit in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)]
    if not marks:
        return _flip(data, rng)
    at = marks[int(rng.integers(len(marks)))] + int(rng.integers(4, 46))
    if rng.random() < 0.2:
        name = [b"../evil", b"/abs/evil", b"a\x00b.nii", b"\xff\xfe.nii", b"", b"c:\\x.nii"][int(rng.integers(6))]
        return data[:at] + name + data[at + len(name) :]
    size = int(rng.choice([1, 2, 4]))
    return data[:at] + _whole(rng, size).to_bytes(size, "little") + data[at + size :]

"""Structure-aware mutations of JSON, TOML, CSV and other text: numbers, lines and trees."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from fuzzing.raw import WHOLE, Rng, flip, integer, put

#: Numbers as text.
NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "3",
        "4",
        "-0",
        "nan",
        "inf",
        "-inf",
        "1e308",
        "-1e308",
        "1e999",
        "1e-320",
        "0x10",
    ),
    *(
        "2147483647",
        "-2147483648",
        "4294967295",
        "9223372036854775807",
        "18446744073709551616",
        "1,5",
        "9" * 5000,
    ),
)
#: Texts that end where one does not expect it.
_TEXTS = (
    *(
        "",
        " ",
        "\\",
        "/",
        "..",
        "../../../../etc/passwd",
        "/dev/zero",
        "/dev/null",
        ".",
        "LIST",
        "LOCAL",
        "a/b",
    ),
    *(
        "\x1b[31mred",
        "[/red]",
        "[link=x]y",
        "ü" * 30,
        "x" * 300,
        "x" * 140_000,
        "none",
        "true",
        "\r\n",
        "%s%n",
    ),
    *(
        "short",
        "double",
        "uchar",
        "raw",
        "gzip",
        "bzip2",
        "big",
        "little",
        "left-posterior-superior",
        "{",
        "'",
        '"',
    ),
)


class _Raw(str):
    """A piece of JSON text that json would not write."""


def number(data: bytes, rng: Rng) -> bytes:
    """Replace a number by one at a border, in the text that the file begins with."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", data[:20_000]))
    if not found:
        return integer(data, rng)
    hit = found[int(rng.integers(min(len(found), 200)))]
    return data[: hit.start()] + str(rng.choice(NUMBERS)).encode() + data[hit.end() :]


def word(data: bytes, rng: Rng) -> bytes:
    found = list(re.finditer(rb"[A-Za-z_]{2,}", data[:20_000]))
    if not found:
        return put(data, rng)
    hit = found[int(rng.integers(min(len(found), 200)))]
    return data[: hit.start()] + text(rng).encode("utf-8", "surrogatepass") + data[hit.end() :]


def line(data: bytes, rng: Rng) -> bytes:
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


def text(rng: Rng) -> str:
    return str(rng.choice(np.array([*_TEXTS, *NUMBERS], object)))


def _hostile(rng: Rng) -> Any:
    """A value that a tree does not expect."""
    way = int(rng.integers(8))
    if way == 0:
        return _Raw(
            str(
                rng.choice(
                    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "-" + "9" * 400, "1e308"]
                )
            )
        )
    if way == 1:
        depth = int(rng.choice([5, 40, 900, 50_000]))
        return _Raw("[" * depth + "]" * depth)
    if way == 2:
        return _Raw(
            '"' + str(rng.choice(["\\u0000", "\\ud800", "\\u001b[31m", "\\n", "\\u202e", "\\\\"])) + '"'
        )
    if way == 3:
        return text(rng)
    if way == 4:
        return int(rng.choice(np.array(WHOLE, object))) * int(rng.choice([1, -1]))
    if way == 5:
        return float(rng.choice([0.5, -0.5, 1e-300, 1e300, 1.0000001]))
    return [None, True, False, [], {}, [[]], {"": {}}, [None], "", 0][int(rng.integers(10))]


def tree(data: bytes, rng: Rng) -> bytes:
    """Replace, drop, repeat or rename a node of a JSON tree."""
    try:
        return _dump(_changed(json.loads(data), rng))
    except (ValueError, RecursionError):  # broken, or too deep for Python, by an earlier mutation
        return flip(data, rng)


def _changed(root: Any, rng: Rng) -> Any:
    nodes: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            nodes.append((node, key))
            walk(value)

    walk(root)
    if not nodes:
        return _hostile(rng)
    node, key = nodes[int(rng.integers(len(nodes)))]
    way = int(rng.integers(10))
    if way == 0:
        del node[key]
    elif way == 1 and isinstance(node, list):
        node.extend([node[key]] * int(rng.integers(1, 100)))
    elif way == 2 and isinstance(node, dict):
        node[text(rng)] = node.pop(key)
    elif way == 3:
        return _hostile(rng)
    else:
        node[key] = _hostile(rng)
    return root


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
    return re.sub(r'"\\u0001(\d+)\\u0001"', lambda hit: pieces[int(hit[1])], text).encode(
        "utf-8", "surrogatepass"
    )

"""Mutations of bytes, independent of their meaning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[bytes, Rng], bytes]
#: Integers at the borders of what headers hold.
WHOLE = (
    *(0, 1, 2, 7, 127, 128, 255, 256, 32767, 32768, 65535, 65536),
    *(2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1),
)


def _place(data: bytes, rng: Rng, most: int = 512) -> int:
    """A place in the data; more often near the beginning, where headers are."""
    end = len(data) if rng.random() < 0.4 else min(most, len(data))
    return int(rng.integers(max(1, end)))


def flip(data: bytes, rng: Rng) -> bytes:
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


def put(data: bytes, rng: Rng) -> bytes:
    start = _place(data, rng)
    return data[:start] + rng.bytes(int(rng.integers(1, 64))) + data[start:]


def integer(data: bytes, rng: Rng) -> bytes:
    """Overwrite 1, 2, 4 or 8 bytes by an integer at a border."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = whole(rng, size)
    start = _place(data, rng)
    raw = value.to_bytes(size, str(rng.choice(["little", "big"])))
    return data[:start] + raw + data[start + size :]


def _swap(data: bytes, rng: Rng) -> bytes:
    one, two = sorted((_place(data, rng), _place(data, rng)))
    size = min(int(rng.integers(1, 32)), two - one)
    return (
        data[:one]
        + data[two : two + size]
        + data[one + size : two]
        + data[one : one + size]
        + data[two + size :]
    )


def _blank(data: bytes, rng: Rng) -> bytes:
    start, size = _place(data, rng), int(rng.integers(1, 128))
    fill = bytes([int(rng.choice([0, 255, 32]))])
    return data[:start] + fill * len(data[start : start + size]) + data[start + size :]


BYTES: dict[str, Mutation] = {
    "flip": flip, "cut": _cut, "double": _double, "drop": _drop, "put": put, "integer": integer,
    "swap": _swap, "blank": _blank,
}  # fmt: skip


def whole(rng: Rng, size: int) -> int:
    value = int(rng.choice(np.array(WHOLE, object)))
    if rng.random() < 0.3:
        value = -value
    return value % 2 ** (8 * size)

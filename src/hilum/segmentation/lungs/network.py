"""The 3-D network on a scan: from block means to the probability of each lung, and how sure it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.segmentation.engine import Session
from hilum.segmentation.isogrid import IsoGrid

__all__ = ["Opinion", "ask_network"]

Float = npt.NDArray[np.floating[Any]]
#: Longer scans are judged in pieces of so many cubes, each overlapping the next by half.
_LONGEST = 160
_MULTIPLE = 16


@dataclass(frozen=True, eq=False)
class Opinion:
    """What the network says of each block.

    Attributes:
        right: Probability of right lung, (x, y, z) on the grid of the block means.
        left: Probability of left lung.
        doubt: How much the scan and its mirror image disagree, 0 to 1; None where it was not asked.
        agreement: Dice of the two answers of the scan and of its mirror image; None likewise.
    """

    right: Float
    left: Float
    doubt: Float | None
    agreement: float | None


def ask_network(
    session: Session,
    hu: Float,
    spacing: tuple[float, float, float],
    step: float,
    window: tuple[float, float],
    mirror: bool,
) -> Opinion:
    """Run the network on a scan.

    Args:
        session: Takes (1, 1, x, y, z) scaled to -1 to 1, gives probabilities of background, right, left.
        hu: Block means in RAS order, on the scale of true HU.
        spacing: Their spacing in mm.
        step: Side of the network's cubes in mm.
        window: HU that become -1 and 1.
        mirror: Ask for the mirror image too: the mean is steadier, the difference tells of doubt.
    """
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    grid = IsoGrid(shape, spacing, step)
    cubes = grid.forth(hu)
    low, high = window
    x = ((np.clip(cubes, low, high) - low) * (2.0 / (high - low)) - 1.0).astype(np.float32)
    doubt, agreement = None, None
    asked = [x, np.ascontiguousarray(x[::-1])] if mirror else [x]
    with ThreadPoolExecutor(max(1, min(session.lanes, len(asked)))) as pool:
        answers = list(pool.map(lambda one: _in_pieces(session, one), asked))
    p = answers[0]
    if mirror:
        q = answers[1][::-1, :, :, ::-1]
        a, b = p.sum(-1), q.sum(-1)
        doubt = grid.back(np.abs(a - b))
        agreement = _dice(a >= 0.5, b >= 0.5)
        p = 0.5 * (p + q)
    right, left = (grid.back(np.ascontiguousarray(p[..., k])) for k in (0, 1))
    return Opinion(right, left, doubt, agreement)


def _dice(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def _in_pieces(session: Session, x: Float) -> Float:
    """Return the probabilities of right and left lung, (x, y, z, 2)."""
    length = x.shape[2]
    if length <= _LONGEST:
        return _one(session, x)
    out = np.zeros((*x.shape, 2), np.float32)
    weight = np.zeros(length, np.float32)
    starts = [*list(range(0, length - _LONGEST, _LONGEST // 2)), length - _LONGEST]
    bell = np.minimum(np.arange(1, _LONGEST + 1), np.arange(_LONGEST, 0, -1)).astype(np.float32)
    for start in starts:
        part = slice(start, start + _LONGEST)
        out[:, :, part] += bell[:, None] * _one(session, x[:, :, part])
        weight[part] += bell
    return np.asarray(out / weight[:, None], np.float32)


def _one(session: Session, x: Float) -> Float:
    """Fill up with air to sizes that the network takes, run it, and cut back."""
    pads = [(0, -n % _MULTIPLE) for n in x.shape]
    full = np.pad(x, pads, constant_values=-1.0)[None, None]
    out = session.run(np.ascontiguousarray(full, np.float32))[0, 1:]
    return np.moveaxis(out, 0, -1)[: x.shape[0], : x.shape[1], : x.shape[2]]

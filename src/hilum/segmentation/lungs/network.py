"""The 3-D network on a scan: from block means to the probability of each lung, and how sure it is."""

from __future__ import annotations

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
    answers = _in_pieces(session, asked)
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


def _in_pieces(session: Session, volumes: list[Float]) -> list[Float]:
    """Return the probabilities of right and left lung, (x, y, z, 2), of volumes of one shape."""
    length = volumes[0].shape[2]
    span = min(length, _LONGEST)
    starts = [*range(0, length - span, max(1, span // 2)), length - span]
    bell = np.minimum(np.arange(1, span + 1), np.arange(span, 0, -1)).astype(np.float32)
    out = [np.zeros((*x.shape, 2), np.float32) for x in volumes]
    weight = np.zeros(length, np.float32)
    for start in starts:
        part = slice(start, start + span)
        answers = session.run_many([_filled(x[:, :, part]) for x in volumes])
        for total, answer, x in zip(out, answers, volumes, strict=True):
            total[:, :, part] += (
                bell[:, None] * np.moveaxis(answer[0, 1:], 0, -1)[: x.shape[0], : x.shape[1], :span]
            )
        weight[part] += bell
    return [total / weight[:, None] for total in out]


def _filled(x: Float) -> Float:
    """Fill up with air to sizes that the network takes: (1, 1, x, y, z)."""
    pads = [(0, -n % _MULTIPLE) for n in x.shape]
    full = np.pad(x, pads, constant_values=-1.0)[None, None]
    return np.ascontiguousarray(full, np.float32)

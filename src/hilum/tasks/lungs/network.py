"""The 3-D network on a scan: from block means to the probability of each lung, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.imaging.isogrid import IsoGrid
from hilum.imaging.overlap import dice
from hilum.models.engine import Session, check_probabilities

__all__ = ["Opinion", "ask_network"]

Float = npt.NDArray[np.floating[Any]]
#: Longer scans are judged in pieces of so many cubes, each overlapping the next by half.
_LONGEST = 160
_MULTIPLE = 16
#: Denser than this is body, arm or table; so many cubes of the room round it are shown to the network.
_SOLID_HU, _MARGIN = -500.0, 2


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
    cubes = grid.to_iso(hu)
    low, high = window
    x = ((np.clip(cubes, low, high) - low) * (2.0 / (high - low)) - 1.0).astype(np.float32)
    body = _body(cubes)

    def back(values: Float) -> Float:
        whole = np.zeros(x.shape, np.float32)
        whole[body] = values
        return grid.from_iso(whole)

    near = np.ascontiguousarray(x[body])
    doubt, agreement = None, None
    asked = [near, np.ascontiguousarray(near[::-1])] if mirror else [near]
    answers = _in_pieces(session, asked)
    p = answers[0]
    if mirror:
        q = answers[1][::-1, :, :, ::-1]
        a, b = p.sum(-1), q.sum(-1)
        doubt = back(np.abs(a - b))
        agreement = dice(a >= 0.5, b >= 0.5)
        p = 0.5 * (p + q)
    right, left = (back(p[..., k]) for k in (0, 1))
    return Opinion(right, left, doubt, agreement)


def _body(cubes: Float) -> tuple[slice, slice, slice]:
    """Box round all that is denser than air and cushions: the room beside it need not be judged."""
    solid = cubes > _SOLID_HU
    box = [slice(0, n) for n in cubes.shape]
    for axis in (0, 1):
        hit = np.flatnonzero(solid.any(axis=(1 - axis, 2)))
        if hit.size:
            box[axis] = slice(max(0, int(hit[0]) - _MARGIN), int(hit[-1]) + 1 + _MARGIN)
    return box[0], box[1], box[2]


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
        asked = [_filled(x[:, :, part]) for x in volumes]
        answers = session.run_many(asked)
        for total, answer, x in zip(out, answers, volumes, strict=True):
            check_probabilities(answer, (1, 3, *asked[0].shape[2:]), "lungs")
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

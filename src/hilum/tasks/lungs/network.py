"""The 3-D network on a scan: from block means to the probability of each lung, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.imaging.isogrid import IsoGrid
from hilum.models.volumes import VolumeModel

__all__ = ["LABELS", "Opinion", "ask_network", "dice"]

Float = npt.NDArray[np.floating[Any]]
#: What a network of volumes must tell apart, in the order that is used here.
LABELS = ("right_lung", "left_lung")
#: Longer scans are judged in pieces of so many cubes, each overlapping the next by half.
_LONGEST = 160
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
    network: VolumeModel, hu: Float, spacing: tuple[float, float, float], mirror: bool
) -> Opinion:
    """Run the network on a scan.

    Args:
        network: Gives the probabilities of :data:`LABELS`.
        hu: Block means in RAS order, on the scale of true HU.
        spacing: Their spacing in mm.
        mirror: Ask for the mirror image too: the mean is steadier, the difference tells of doubt.
    """
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    grid = IsoGrid(shape, spacing, network.input.step_mm)
    cubes = grid.forth(hu)
    x = network.scaled(cubes)
    body = _body(cubes)

    def back(values: Float) -> Float:
        whole = np.zeros(x.shape, np.float32)
        whole[body] = values
        return grid.back(whole)

    near = np.ascontiguousarray(x[body])
    doubt, agreement = None, None
    asked = [near, np.ascontiguousarray(near[::-1])] if mirror else [near]
    answers = _in_pieces(network, asked)
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


def dice(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks; 1 where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def _in_pieces(network: VolumeModel, volumes: list[Float]) -> list[Float]:
    """Return the probabilities of right and left lung, (x, y, z, 2), of volumes of one shape."""
    length = volumes[0].shape[2]
    span = min(length, _LONGEST)
    starts = [*range(0, length - span, max(1, span // 2)), length - span]
    bell = np.minimum(np.arange(1, span + 1), np.arange(span, 0, -1)).astype(np.float32)
    out = [np.zeros((*x.shape, len(LABELS)), np.float32) for x in volumes]
    weight = np.zeros(length, np.float32)
    for start in starts:
        part = slice(start, start + span)
        answers = network.probabilities([x[:, :, part] for x in volumes])
        for total, answer in zip(out, answers, strict=True):
            total[:, :, part] += bell[:, None] * answer
        weight[part] += bell
    return [total / weight[:, None] for total in out]

"""Right and left lung, also where they touch in front, or where only one is in the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.anatomy.select import Piece
from hilum.core.labels import Lung
from hilum.core.units import WorkingSpacing
from hilum.imaging.morphology import Mask, components, depth

__all__ = ["PARTING_MM", "SIDES", "SideRules", "assign_sides", "grow_back", "midline"]

#: Radii of erosion that separate two touching lungs, working mm: from the thin anterior junction line to
#: a broad bridge. The steps grow, because the border is no more certain than the radius. Not tuned.
PARTING_MM = (1.5, 2.5, 3.5, 5.0, 7.0, 9.0, 12.0, 16.0, 20.0, 25.0)


@dataclass(frozen=True)
class SideRules:
    """Rules that assign right and left, and locate the body's middle.

    Chosen by hand on the 214 slices of docs/results/classic.md, so not held out; no value was searched for or
    ablated. Unless stated otherwise a value is the order of magnitude of what it describes. Lengths and
    volumes are in working mm, cm2 and mL, HU on the scale of true HU.

    Attributes:
        spans: (From, to) share of a piece on the right of the middle that makes it both lungs.
        least_core: Least size of the smaller of two cores as a share of the larger, where a piece is cut.
        smooth_mm: Width over which the lungs' profile is averaged.
        middle: (From, to) share of the lungs, from the left, in which the valley is searched for.
        valley: The valley is lower than this share of the lower peak; otherwise only one lung is visible.
        least_side: And each side of it holds at least this share of the lungs.
        bone_hu: Threshold of bone.
        spine_columns: Columns of blocks over which bone is summed: about the width of a vertebra.
        growth: Most steps of growing back, in blocks; more than a lung is wide.
    """

    spans: tuple[float, float] = (0.12, 0.88)
    least_core: float = 0.15
    smooth_mm: float = 8.0
    middle: tuple[float, float] = (0.2, 0.8)
    valley: float = 0.6
    least_side: float = 0.15
    bone_hu: float = 150.0
    spine_columns: int = 9
    growth: int = 200


#: The rules in use.
SIDES = SideRules()


def assign_sides(
    hu: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint32],
    pieces: list[Piece],
    spacing: WorkingSpacing,
) -> npt.NDArray[np.uint8]:
    """Assign each piece to the right or the left lung; split a piece that spans both.

    Args:
        hu: Normalised block means in RAS order; see :class:`hilum.core.volume.Volume`.
        labels: Component map.
        pieces: The pieces that are lung, largest first.
        spacing: Block size.

    Returns:
        Lung labels on the working grid.
    """
    lungs = np.isin(labels, [p.label for p in pieces])
    middle = midline(hu, lungs, spacing)
    out = np.zeros(labels.shape, np.uint8)
    for piece in pieces:
        mask = labels == piece.label
        share = float(np.mean(np.nonzero(mask)[0] > middle))
        if SIDES.spans[0] < share < SIDES.spans[1]:
            parts = _split(mask, spacing, middle)
            if parts is not None:
                out[parts[0]], out[parts[1]] = Lung.RIGHT, Lung.LEFT
                continue
        out[mask] = Lung.RIGHT if share >= 0.5 else Lung.LEFT
    return out


def midline(hu: npt.NDArray[np.float32], lungs: Mask, spacing: WorkingSpacing) -> float:
    """Return the body's middle as an x index.

    With both lungs visible it is the valley between them in the projection onto x; otherwise it is the
    spine, the densest column of bone behind the lungs.
    """
    profile = lungs.sum(axis=(1, 2)).astype(float)
    total = profile.sum()
    if total == 0:
        return hu.shape[0] / 2
    width = max(1, round(SIDES.smooth_mm / spacing[0]))
    smooth = np.convolve(profile, np.ones(width) / width, "same")
    index = np.arange(len(smooth))
    mass = np.cumsum(profile) / total
    low, high = (int(np.searchsorted(mass, share)) for share in SIDES.middle)
    valley = low + int(np.argmin(smooth[low : high + 1]))
    left_peak, right_peak = smooth[: valley + 1].max(), smooth[valley:].max()
    deep = smooth[valley] < SIDES.valley * min(left_peak, right_peak)
    if deep and min(mass[valley], 1 - mass[valley]) > SIDES.least_side:
        return float(valley)
    return _spine(hu, lungs, index)


def _spine(hu: npt.NDArray[np.float32], lungs: Mask, index: npt.NDArray[np.int64]) -> float:
    rows = np.flatnonzero(lungs.any(axis=(0, 2)))
    planes = np.flatnonzero(lungs.any(axis=(0, 1)))
    half = (rows[0] + rows[-1]) // 2
    # Supine or prone, the spine lies in the half of the lungs' depth with the more bone near one column.
    best, where = 0.0, hu.shape[0] / 2
    for part in (slice(0, half), slice(half, hu.shape[1])):
        bone = (hu[:, part, planes[0] : planes[-1] + 1] > SIDES.bone_hu).sum(axis=(1, 2)).astype(float)
        smooth = np.convolve(bone, np.ones(SIDES.spine_columns), "same")
        if smooth.max() > best:
            best, where = float(smooth.max()), float(index[int(smooth.argmax())])
    return where


def _split(mask: Mask, spacing: WorkingSpacing, middle: float) -> tuple[Mask, Mask] | None:
    """Split a piece that spans both sides at its narrowest: erode until two cores separate, grow back."""
    deep = depth(mask, spacing)
    for radius in PARTING_MM:
        labels, counts = components(deep > radius)
        counts[0] = 0
        order = np.argsort(counts)[::-1][:2]
        if counts.size < 3 or counts[order[1]] < SIDES.least_core * counts[order[0]]:
            continue
        x = [float(np.nonzero(labels == i)[0].mean()) for i in order]
        if (x[0] - middle) * (x[1] - middle) < 0:
            right, left = (order[0], order[1]) if x[0] > x[1] else (order[1], order[0])
            return grow_back(mask, labels == right, labels == left)
    column = np.arange(mask.shape[0])[:, None, None] > middle
    return mask & column, mask & ~column


def grow_back(mask: Mask, first: Mask, second: Mask) -> tuple[Mask, Mask]:
    """Grow two seeds inside ``mask`` step by step until they meet; the rest goes to the nearer one in x."""
    owner = np.zeros(mask.shape, np.uint8)
    owner[first], owner[second] = 1, 2
    free = mask & (owner == 0)
    for _ in range(SIDES.growth):
        grown = _neighbour(owner)
        step = np.where(free, grown, 0).astype(np.uint8)
        if not step.any():
            break
        owner |= step
        free &= step == 0
    return owner == 1, owner == 2


def _neighbour(owner: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the owner of a 6-neighbour of each voxel, the smaller value where two differ, else 0."""
    big = np.where(owner == 0, np.uint8(255), owner)
    near = big.copy()
    for axis in range(3):
        lo, hi = [slice(None)] * 3, [slice(None)] * 3
        lo[axis], hi[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(lo), tuple(hi)
        near[a] = np.minimum(near[a], big[b])
        near[b] = np.minimum(near[b], big[a])
    near[near == 255] = 0
    return near

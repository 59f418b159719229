"""Which pieces of inner air are lung: not bowel, not stomach, not a pocket in a cushion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.units import WorkingSpacing
from hilum.imaging.morphology import (
    Mask,
    bounding_box,
    components,
    depth,
    dilate,
    open_,
)

__all__ = ["Piece", "most_gas", "pieces_of", "remove_gas_bubbles", "select_lungs", "share_of_body"]

#: As dark as this all through: free gas, not lung.
GAS_HU = -955.0


@dataclass(frozen=True)
class Piece:
    """One connected piece of air inside the body, with what tells lung from gas.

    Attributes:
        label: Its value in the component map.
        size: mL in a volume, cm2 in a single slice.
        median_hu: Median over its inner voxels.
        gas_share: Share of its inner voxels that are as dark as free gas.
        radius: Largest distance to its border in mm.
        centre: Centre of mass in voxels.
    """

    label: int
    size: float
    median_hu: float
    gas_share: float
    radius: float
    centre: tuple[float, float, float]


def remove_gas_bubbles(hu: npt.NDArray[np.float32], air: Mask, spacing: WorkingSpacing) -> Mask:
    """Take out free gas that soft tissue encloses: stomach and bowel.

    A bubble that touches the lung through a thin diaphragm would else pull the lung's mask along. A bulla
    is as dark, but it has lung on one side at least, or lies high. In a single slice no bubble is taken
    out of a larger piece: there is no telling it from a bulla.
    """
    if air.shape[2] == 1:
        return air
    heights = np.flatnonzero(air.any(axis=(0, 1)))
    if heights.size == 0:
        return air
    half_height = 0.5 * (heights[0] + heights[-1])
    gas = open_(air & (hu < GAS_HU), 4.0, spacing)
    labels, counts = components(gas)
    if counts.size < 2:
        return air
    ml = float(np.prod(spacing)) / 1000.0
    out = air.copy()
    for label in np.flatnonzero(counts * ml > 1.0):
        if label == 0:
            continue
        mask = labels == label
        box = bounding_box(mask, 8.0, spacing)
        if box is None or 0.5 * (box[2].start + box[2].stop) > half_height:
            continue
        inner = mask[box]
        near = dilate(inner, 1.6 * max(spacing[:2]), spacing)
        shell = dilate(inner, 3.6 * max(spacing[:2]), spacing) & ~near
        local = hu[box][shell]
        if local.size and float(np.mean(local > -300)) > 0.6:
            out[box] &= ~(near & (hu[box] < -300))
    return out


def pieces_of(
    hu: npt.NDArray[np.float32], air: Mask, spacing: WorkingSpacing
) -> tuple[npt.NDArray[np.uint32], list[Piece]]:
    """Split the air into connected pieces and describe each that is large enough to matter."""
    flat = air.shape[2] == 1
    unit = spacing[0] * spacing[1] / 100.0 if flat else float(np.prod(spacing)) / 1000.0
    labels, counts = components(air)
    pieces = []
    for label in np.flatnonzero(counts * unit > (1.0 if flat else 4.0)):
        if label == 0:
            continue
        mask = labels == label
        box = bounding_box(mask, 3.0, spacing)
        if box is None:
            continue
        deep = depth(mask[box], spacing)
        inside = deep > 1.6 * max(spacing[:2])
        values = hu[box][inside] if inside.any() else hu[box][mask[box]]
        where = np.nonzero(mask[box])
        x, y, z = (float(w.mean()) + s.start for w, s in zip(where, box, strict=True))
        pieces.append(
            Piece(
                int(label),
                float(counts[label] * unit),
                float(np.median(values)),
                float(np.mean(values < GAS_HU)),
                float(deep.max()),
                (x, y, z),
            )
        )
    return labels, sorted(pieces, key=lambda p: -p.size)


def _sizes(flat: bool) -> tuple[float, float]:
    """From where a piece is of medium size, and large: mL, in a single slice cm2."""
    return (15.0, 60.0) if flat else (100.0, 600.0)


def most_gas(size: float, flat: bool) -> float:
    """Share of free gas from which a piece is bowel or stomach: the larger, the more emphysema is allowed."""
    medium, large = _sizes(flat)
    return 0.25 if size < medium else 0.5 if size < large else 0.85


def _like_lung(piece: Piece, flat: bool, beside_lung: bool = False) -> bool:
    """Whether a piece could be lung by itself, or beside a lung that was found already.

    Free gas is uniformly dark; a lung has vessels and tissue in every voxel, and even one destroyed by
    emphysema is not dark throughout. It is also thick, where folds of fat or cushions are thin. Where there
    is a lung, a large dark piece is more likely a hyperinflated lobe than bowel.
    """
    limit = most_gas(piece.size, flat)
    if beside_lung and piece.size >= _sizes(flat)[0]:
        limit = max(limit, 0.75)
    if piece.gas_share > limit:
        return False
    return piece.radius > 7.0 and -985 < piece.median_hu < -450


def select_lungs(
    hu: npt.NDArray[np.float32], air: Mask, spacing: WorkingSpacing
) -> tuple[npt.NDArray[np.uint32], list[Piece]]:
    """Choose the pieces that are lung.

    Args:
        hu: Normalised block means.
        air: Air inside the body, without central airways.
        spacing: Block size.

    Returns:
        The component map and the chosen pieces, largest first; an empty list where there is no lung.
    """
    flat = air.shape[2] == 1
    labels, pieces = pieces_of(hu, air, spacing)
    main = next((p for p in pieces if _like_lung(p, flat)), None)
    if main is None or main.size < (8.0 if flat else 60.0):
        return labels, []
    large = main.size > (60.0 if flat else 600.0)
    low, high = _height(labels, main)
    reach = 30 / spacing[2]
    chosen = [main]
    for piece in pieces:
        # A second lung may be small; loose bits beside the first are kept only if they are near in height.
        near = low - reach < piece.centre[2] < high + reach
        if piece is not main and near and piece.size > 0.02 * main.size and _like_lung(piece, flat, large):
            chosen.append(piece)
    return labels, sorted(chosen, key=lambda p: -p.size)


def share_of_body(lungs: Mask, filled: Mask) -> float:
    """Return the largest share of the body's cross-section that lung takes in an axial slice.

    A chest gives 0.2 to 0.6, however short the scan; the tips of the lungs above an abdomen, or gas in the
    bowel, a few hundredths.
    """
    body = filled.sum(axis=(0, 1))
    lung = lungs.sum(axis=(0, 1))
    usable = body > 0.25 * body.max(initial=1)
    return float((lung[usable] / body[usable]).max(initial=0.0))


def _height(labels: npt.NDArray[np.uint32], piece: Piece) -> tuple[int, int]:
    planes = np.flatnonzero((labels == piece.label).any(axis=(0, 1)))
    return int(planes[0]), int(planes[-1])

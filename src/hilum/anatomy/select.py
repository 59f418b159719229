"""Selection of the components of inner air that are lung, not bowel, stomach or a pocket in a cushion."""

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

__all__ = [
    "SELECT",
    "Piece",
    "SelectRules",
    "most_gas",
    "pieces_of",
    "remove_gas_bubbles",
    "select_lungs",
    "share_of_body",
]

#: Blocks darker than this are free gas; lung has vessels and tissue in every block.
GAS_HU = -955.0


@dataclass(frozen=True)
class SelectRules:
    """Rules that separate lung from bowel, stomach and folds.

    Chosen by hand on the 214 slices of docs/results/classic.md, so not held out; no value was searched for or
    ablated. Unless stated otherwise a value is the order of magnitude of what it describes. Lengths and
    volumes are in working mm, cm2 and mL, HU on the scale of true HU.

    Pairs are (from, to) or (medium, large) as stated; values with ``cm2`` hold in a single slice.

    Attributes:
        bubble_opening_mm: Radius of the opening that separates bubbles from dark lung beside them.
        bubble_ml: Smaller bubbles stay: they do not distort the surface.
        bubble_box_mm: Margin round a bubble that is analysed.
        bubble_rim: Width in blocks of the rim of mixed blocks round a bubble.
        bubble_shell: Outer radius in blocks of the shell in which enclosing tissue is measured.
        soft_hu: Threshold of soft tissue; below it are air and mixed blocks.
        enclosed: Share of the shell that is soft tissue round gas of bowel and stomach; a bulla has less.
        piece_ml, piece_cm2: Smaller pieces are not lung and are not described.
        piece_box_mm: Margin round a piece that is analysed.
        inner: Its inner blocks lie this many blocks from its border.
        size_ml, size_cm2: (Medium, large) pieces.
        gas: Largest share of free gas of a small, a medium and a large piece: the larger, the more emphysema.
        gas_beside_lung: The same of a medium or large piece beside a lung that was found: an inflated lobe.
        radius_mm: Least depth of a lung; folds of fat and cushions are thinner.
        median_hu: (From, to) median HU of a lung: above free gas, below dense tissue.
        main_ml, main_cm2: Least size of the largest piece; otherwise no lung is found.
        reach_mm: Other pieces lie at most this far above or below the largest.
        least_part: They hold at least this share of it.
        whole_section: Slices with less than this share of the largest section of the body do not count for
            the share that lung takes of it.
    """

    bubble_opening_mm: float = 4.0
    bubble_ml: float = 1.0
    bubble_box_mm: float = 8.0
    bubble_rim: float = 1.6
    bubble_shell: float = 3.6
    soft_hu: float = -300.0
    enclosed: float = 0.6
    piece_ml: float = 4.0
    piece_cm2: float = 1.0
    piece_box_mm: float = 3.0
    inner: float = 1.6
    size_ml: tuple[float, float] = (100.0, 600.0)
    size_cm2: tuple[float, float] = (15.0, 60.0)
    gas: tuple[float, float, float] = (0.25, 0.5, 0.85)
    gas_beside_lung: float = 0.75
    radius_mm: float = 7.0
    median_hu: tuple[float, float] = (-985.0, -450.0)
    main_ml: float = 60.0
    main_cm2: float = 8.0
    reach_mm: float = 30.0
    least_part: float = 0.02
    whole_section: float = 0.25


#: The rules in use.
SELECT = SelectRules()


@dataclass(frozen=True)
class Piece:
    """One connected piece of air inside the body, with the features that separate lung from gas.

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
    """Remove free gas that soft tissue encloses: stomach and bowel.

    A bubble that touches the lung through a thin diaphragm would otherwise be merged into its mask. A bulla
    is as dark, but it borders on lung or lies high. In a single slice bubbles are never removed from a larger
    piece, because they cannot be distinguished from bullae.
    """
    if air.shape[2] == 1:
        return air
    heights = np.flatnonzero(air.any(axis=(0, 1)))
    if heights.size == 0:
        return air
    half_height = 0.5 * (heights[0] + heights[-1])
    gas = open_(air & (hu < GAS_HU), SELECT.bubble_opening_mm, spacing)
    labels, counts = components(gas)
    if counts.size < 2:
        return air
    ml = float(np.prod(spacing)) / 1000.0
    out = air.copy()
    for label in np.flatnonzero(counts * ml > SELECT.bubble_ml):
        if label == 0:
            continue
        mask = labels == label
        box = bounding_box(mask, SELECT.bubble_box_mm, spacing)
        if box is None or 0.5 * (box[2].start + box[2].stop) > half_height:
            continue
        inner = mask[box]
        near = dilate(inner, SELECT.bubble_rim * max(spacing[:2]), spacing)
        shell = dilate(inner, SELECT.bubble_shell * max(spacing[:2]), spacing) & ~near
        local = hu[box][shell]
        if local.size and float(np.mean(local > SELECT.soft_hu)) > SELECT.enclosed:
            out[box] &= ~(near & (hu[box] < SELECT.soft_hu))
    return out


def pieces_of(
    hu: npt.NDArray[np.float32], air: Mask, spacing: WorkingSpacing
) -> tuple[npt.NDArray[np.uint32], list[Piece]]:
    """Split the air into connected components and compute the features of those that are large enough."""
    flat = air.shape[2] == 1
    unit = spacing[0] * spacing[1] / 100.0 if flat else float(np.prod(spacing)) / 1000.0
    labels, counts = components(air)
    pieces = []
    for label in np.flatnonzero(counts * unit > (SELECT.piece_cm2 if flat else SELECT.piece_ml)):
        if label == 0:
            continue
        mask = labels == label
        box = bounding_box(mask, SELECT.piece_box_mm, spacing)
        if box is None:
            continue
        deep = depth(mask[box], spacing)
        inside = deep > SELECT.inner * max(spacing[:2])
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
    """Least sizes of a medium and of a large piece: mL, in a single slice cm2."""
    return SELECT.size_cm2 if flat else SELECT.size_ml


def most_gas(size: float, flat: bool) -> float:
    """Share of free gas from which a piece is bowel or stomach; larger pieces may hold more emphysema."""
    medium, large = _sizes(flat)
    return SELECT.gas[0 if size < medium else 1 if size < large else 2]


def _like_lung(piece: Piece, flat: bool, beside_lung: bool = False) -> bool:
    """Whether a piece could be lung, alone or beside a lung that was found already.

    Free gas is uniformly dark; a lung has vessels and tissue in every voxel, and even one destroyed by
    emphysema is not dark throughout. It is also thick, where folds of fat or cushions are thin. Where there
    is a lung, a large dark piece is more likely a hyperinflated lobe than bowel.
    """
    limit = most_gas(piece.size, flat)
    if beside_lung and piece.size >= _sizes(flat)[0]:
        limit = max(limit, SELECT.gas_beside_lung)
    if piece.gas_share > limit:
        return False
    low, high = SELECT.median_hu
    return piece.radius > SELECT.radius_mm and low < piece.median_hu < high


def select_lungs(
    hu: npt.NDArray[np.float32], air: Mask, spacing: WorkingSpacing
) -> tuple[npt.NDArray[np.uint32], list[Piece]]:
    """Select the pieces that are lung.

    Args:
        hu: Normalised block means.
        air: Air inside the body, without central airways.
        spacing: Block size.

    Returns:
        The component map and the chosen pieces, largest first; an empty list if no lung is found.
    """
    flat = air.shape[2] == 1
    labels, pieces = pieces_of(hu, air, spacing)
    main = next((p for p in pieces if _like_lung(p, flat)), None)
    if main is None or main.size < (SELECT.main_cm2 if flat else SELECT.main_ml):
        return labels, []
    large = main.size > _sizes(flat)[1]
    low, high = _height(labels, main)
    reach = SELECT.reach_mm / spacing[2]
    chosen = [main]
    for piece in pieces:
        # A second lung may be small; loose bits beside the first are kept only if they are near in height.
        near = low - reach < piece.centre[2] < high + reach
        enough = piece.size > SELECT.least_part * main.size
        if piece is not main and near and enough and _like_lung(piece, flat, large):
            chosen.append(piece)
    return labels, sorted(chosen, key=lambda p: -p.size)


def share_of_body(lungs: Mask, filled: Mask) -> float:
    """Return the largest share of the body's cross-section that lung takes in an axial slice.

    A chest gives 0.2 to 0.6, however short the scan; the tips of the lungs above an abdomen, or gas in the
    bowel, a few hundredths.
    """
    body = filled.sum(axis=(0, 1))
    lung = lungs.sum(axis=(0, 1))
    usable = body > SELECT.whole_section * body.max(initial=1)
    return float((lung[usable] / body[usable]).max(initial=0.0))


def _height(labels: npt.NDArray[np.uint32], piece: Piece) -> tuple[int, int]:
    planes = np.flatnonzero((labels == piece.label).any(axis=(0, 1)))
    return int(planes[0]), int(planes[-1])

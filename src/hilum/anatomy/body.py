"""Where the body is, and which air lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.anatomy.select import GAS_HU
from hilum.imaging.blocks import PADDING_HU, Reduced
from hilum.imaging.morphology import Mask, components, components_2d, dilate, erode

__all__ = ["BodyAir", "Levels", "find_inner_air", "find_levels", "normalise", "not_scanned"]


@dataclass(frozen=True)
class Levels:
    """HU of air and of soft tissue as this scan has them, and the threshold between lung and tissue."""

    air: float
    tissue: float


@dataclass(frozen=True, eq=False)
class BodyAir:
    """Masks on the working grid.

    Attributes:
        inner: Air inside the body.
        outside: Air of the room, and what was not scanned.
        filled: The body with its air.
        border: The outermost of what was scanned, at the sides, front and back.
    """

    inner: Mask
    outside: Mask
    filled: Mask
    border: Mask

    def diameter(self, spacing: tuple[float, float, float]) -> float | None:
        """Return the diameter, mm, of a circle as large as the body's cross-section.

        That of the larger slices; None unless half of them show the body whole.
        """
        areas = self.filled.sum(axis=(0, 1)) * (spacing[0] * spacing[1])
        large = areas > 0.5 * areas.max(initial=0.0)
        whole = large & ~(self.filled & self.border).any(axis=(0, 1))
        if not large.any() or whole.sum() < 0.5 * large.sum():
            return None
        return float(np.sqrt(np.percentile(areas[whole], 75) * 4 / np.pi))


def find_levels(hu: npt.NDArray[np.float32]) -> Levels:
    """Read off where air and soft tissue lie.

    A scan in true HU has its darkest voxels near -1000 and is taken as it is; only one whose darkest
    voxels are far from that (a picture with squeezed values) is rescaled, for finding the lungs only.
    """
    from scipy import ndimage

    # Blocks at the rim of the padding mix it with air, so they tell nothing.
    padding = hu <= PADDING_HU
    if padding.any():
        padding = ndimage.binary_dilation(padding, iterations=2)
    values = hu[~padding]
    if values.size == 0:
        return Levels(-1000.0, 0.0)
    darkest = float(np.percentile(values, 0.2))
    if darkest < -930:
        return Levels(-1000.0, 0.0)
    dark = values[values < -450]
    if dark.size < 0.02 * values.size:
        return Levels(-1000.0, 0.0)
    counts, edges = np.histogram(values, bins=np.arange(-150, 151, 10))
    tissue = float(edges[int(counts.argmax())] + 5)
    rim = hu[_side_border(hu.shape, 0.06) & ~padding]
    rim = rim[rim < -450]
    air = float(np.percentile(dark, 5))
    if rim.size > 200 and float(np.median(rim)) < float(np.median(dark)) + 20:
        air = float(np.median(rim))  # the room round the body
    return Levels(min(-600.0, air), min(tissue, 50.0))


def normalise(hu: npt.NDArray[np.float32], levels: Levels) -> npt.NDArray[np.float32]:
    """Map ``levels`` onto -1000 and 0; padding becomes air."""
    if levels == Levels(-1000.0, 0.0):
        return np.maximum(hu, np.float32(-1024.0))
    scaled = (hu - levels.air) * (1000.0 / (levels.tissue - levels.air)) - 1000.0
    scaled[hu <= PADDING_HU] = -1024.0
    return np.clip(scaled, -1024.0, 700.0).astype(np.float32, copy=False)


def optimal_threshold(hu: npt.NDArray[np.float32]) -> float:
    """Threshold half-way between the mean of what is below and above it (Ridler 1978; Hu 2001)."""
    values = hu[(hu > -1020) & (hu < 300)]
    if values.size == 0:
        return -500.0
    # Bins of one width, given as a range, are counted without sorting.
    counts, edges = np.histogram(values, bins=264, range=(-1020, 300))
    centres = (edges[:-1] + edges[1:]) / 2
    below_n, below_s = np.cumsum(counts), np.cumsum(counts * centres)
    threshold = -500.0
    for _ in range(50):
        i = int(np.searchsorted(edges, threshold)) - 1
        n_low, n_high = below_n[i], below_n[-1] - below_n[i]
        if n_low == 0 or n_high == 0:
            return -500.0
        new = 0.5 * (below_s[i] / n_low + (below_s[-1] - below_s[i]) / n_high)
        if abs(new - threshold) < 1:
            break
        threshold = float(new)
    return float(np.clip(threshold, -550.0, -380.0))


def _side_border(shape: tuple[int, ...], share: float = 0.0) -> Mask:
    """Mark the voxels at the left, right, front and back of the picture, ``share`` of its width deep."""
    border = np.ones(shape, bool)
    x, y = (max(1, round(share * n)) for n in shape[:2])
    border[x:-x, y:-y] = False
    return border


def not_scanned(hu: npt.NDArray[np.float32], threshold: float) -> Mask:
    """Mark what was not scanned: padding, and what a circle or a turned grid left empty, of one value.

    Real air has noise: blocks of one exact value that reach the sides of the picture are none. Blocks at the
    rim that are as dark as gas mix it with what was scanned, and are taken in.

    Args:
        hu: Block means in the scan's own values.
        threshold: HU below which a block may be such.
    """
    empty = hu <= PADDING_HU
    corners, counts = np.unique(
        hu[:: max(1, hu.shape[0] - 1), :: max(1, hu.shape[1] - 1)], return_counts=True
    )
    usual = corners[counts.argmax()]
    if usual < threshold and counts.max() > 0.1 * counts.sum():
        empty |= hu == usual
    empty = _reached_in_plane(empty, _side_border(hu.shape))
    return empty | (_beside_in_plane(empty) & (hu < GAS_HU))


def _beside_in_plane(mask: Mask) -> Mask:
    """Mark what lies beside ``mask``, or in it, in the same slice."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out


def _reached_in_plane(region: Mask, start: Mask) -> Mask:
    """Return the parts of ``region`` that touch ``start``, slice by slice."""
    labels, count = components_2d(region)
    hit = np.zeros(count + 1, bool)
    hit[labels[start & region]] = True
    hit[0] = False
    return np.asarray(hit[labels])


def _part_air(
    hu: npt.NDArray[np.float32], air: Mask, body: Mask, thing: Mask, border: Mask
) -> tuple[Mask, Mask]:
    """Part air into the room's, which reaches the border of what was scanned, and air that the body holds.

    The room's air is darker on the mean, or, where blankets brighten it, it lies against a table or another
    thing that is not body, or along much of the border. A lung that the crop cuts is bright and has the body
    all round it.
    """
    labels, count = components_2d(air)
    sizes = np.maximum(np.bincount(labels.ravel(), minlength=count + 1), 1)
    mean = np.bincount(labels.ravel(), weights=hu.ravel(), minlength=count + 1) / sizes
    at_border = np.zeros(count + 1, bool)
    at_border[labels[border & air]] = True
    at_border[0] = False
    by_body, by_thing = (_contacts(labels, what, count) for what in (body, thing))
    by_edge = np.bincount(labels[border & air], minlength=count + 1)
    faces = by_body + by_thing + by_edge
    room = at_border & ((mean < -935) | (by_thing > 0.15 * faces) | (by_edge > 0.3 * faces))
    held = ~room & (by_body > 0.7 * faces)
    held[0] = False
    return np.asarray(room[labels]), np.asarray(held[labels])


def _things(loose: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Return the pieces of what is not body that are too large for a vessel in the lung: table, cushion."""
    labels, counts = components(loose)
    flat = loose.shape[2] == 1
    size = counts * (spacing[0] * spacing[1] / 100.0 if flat else float(np.prod(spacing)) / 1000.0)
    large = size > (3.0 if flat else 40.0)
    large[0] = False
    return np.asarray(large[labels])


def _contacts(labels: npt.NDArray[np.int32], what: Mask, count: int) -> npt.NDArray[np.int64]:
    """Count, for each 2-D component, its in-plane faces with ``what``."""
    total = np.zeros(count + 1, np.int64)
    for axis in (0, 1):
        ahead = np.moveaxis(what, axis, 0)
        mine = np.moveaxis(labels, axis, 0)
        total += np.bincount(mine[:-1][ahead[1:]], minlength=count + 1)
        total += np.bincount(mine[1:][ahead[:-1]], minlength=count + 1)
    return total


def find_inner_air(hu: npt.NDArray[np.float32], reduced: Reduced, threshold: float) -> BodyAir:
    """Find the air inside the body.

    Outside air is flooded from the border of what was scanned slice by slice, so that an open mouth, a cut at
    the neck or a lung at the edge of the field of view does not let it in. Table and blankets fall away
    because only the largest piece of tissue is the body.

    Args:
        hu: Normalised block means.
        reduced: The grid.
        threshold: HU between lung and tissue.

    Returns:
        The air inside the body and outside it.
    """
    spacing = reduced.spacing
    unseen = not_scanned(reduced.hu, threshold)
    air = (hu < threshold) & ~unseen
    border = _side_border(hu.shape) | _beside_in_plane(unseen)
    tissue = ~air & ~unseen
    core = erode(tissue, 2.4, spacing) if min(hu.shape[:2]) > 8 else tissue
    labels, counts = components(core)
    if counts.size < 2:
        return BodyAir(np.zeros_like(air), air | unseen, np.zeros_like(air), border)
    counts[0] = 0
    body = dilate(labels == counts.argmax(), 8.0, spacing) & tissue
    thing = _things(tissue & ~body, spacing)
    room, held = _part_air(hu, air, body, thing, border)
    start = border & (room | (tissue & ~body))
    not_body = _reached_in_plane(~body & ~held & ~unseen, start)
    outside = room | unseen
    filled = ~outside & ~not_body
    return BodyAir(air & filled, outside, filled, border)

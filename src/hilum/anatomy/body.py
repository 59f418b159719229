"""Segmentation of the body and of the air inside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.anatomy.select import GAS_HU
from hilum.core.constants import AIR_HU, LOWEST_HU, PADDING_HU
from hilum.core.units import WorkingSpacing
from hilum.imaging.blocks import Reduced
from hilum.imaging.morphology import Mask, components, components_2d, dilate, erode

__all__ = [
    "BODY",
    "BodyAir",
    "BodyRules",
    "Levels",
    "find_inner_air",
    "find_levels",
    "normalise",
    "not_scanned",
]


@dataclass(frozen=True)
class BodyRules:
    """Rules that separate the body, its air and the room air.

    HU are on the scale of true HU unless said otherwise, lengths and volumes in working mm, cm2 and mL.
    Chosen by hand on the 214 slices of docs/results/classic.md and on plain chests of the tests, so not held
    out; no value was searched for or ablated. Unless stated otherwise a value is the order of magnitude of
    what it describes.

    Attributes:
        air_hu: Air of a scan in true HU.
        tissue_hu: Soft tissue assumed for a scan in true HU.
        darkest_percent: Percentile of the HU that stands for the darkest air, above single outliers.
        true_scale_hu: A scan whose darkest air is below this is in true HU.
        dark_hu: Darker than this is air or lung, half-way from air to tissue and a little.
        least_dark: Least share of dark blocks from which the scale can be estimated.
        tissue_search_hu: Range of HU in which the mode is soft tissue.
        tissue_bin_hu: Bin width of that histogram.
        rim: Share of the slice's width at each side where room air is searched for.
        least_rim_blocks: Least number of dark blocks at the rim for a median.
        rim_above_dark_hu: Room air lies at most this far above the median of all dark blocks; otherwise
            lung is at the rim.
        air_percentile: Percentile of the dark blocks that counts as air where the rim has no air.
        brightest_air_hu: Upper limit of air, in the scan's own values.
        brightest_tissue_hu: Upper limit of soft tissue, in the scan's own values.
        highest_hu: Values are clipped here once scaled; lung lies far below.
        threshold_hu: Range in which the optimal threshold is searched for, above padding and below bone.
        threshold_bin_hu: Bin width of its histogram.
        threshold_start_hu: Start of the search, and the result where there is only air or only tissue.
        threshold_steps: Most iterations of the search; it usually converges in fewer than ten.
        threshold_ends_hu: The threshold is kept in this range: half-way between lung and tissue in any scan.
        same_value: Share of the corners and sides of the slices with one exact value, from which this value
            is unscanned padding.
        room_hu: Air whose mean is below this is room air: lung is brighter.
        room_by_furniture: So is air with more than this share of its surface against table or cushion.
        room_by_edge: So is air with more than this share of its surface along the border.
        held_by_body: Air with more than this share of its surface against the body is air inside it.
        furniture_ml: A loose piece of tissue larger than this is not a vessel but table, cushion or arm.
        furniture_cm2: The same in a single slice.
        core_mm: Radius of the erosion that separates table and clothes from the body.
        regrow_mm: Radius of the dilation, inside tissue, that restores the body from its core.
        least_blocks: Slices narrower than this many blocks are not eroded: nothing would be left.
        padding_rim: Blocks round padding that mix it with air, so their HU are not used.
        large_section: Slices with more than this share of the largest section give the body's diameter.
        least_whole: Least share of those slices that must show the body whole.
        section_percentile: Percentile of the sections that the diameter is taken of.
    """

    air_hu: float = AIR_HU
    tissue_hu: float = 0.0
    darkest_percent: float = 0.2
    true_scale_hu: float = -930.0
    dark_hu: float = -450.0
    least_dark: float = 0.02
    tissue_search_hu: tuple[int, int] = (-150, 150)
    tissue_bin_hu: int = 10
    rim: float = 0.06
    least_rim_blocks: int = 200
    rim_above_dark_hu: float = 20.0
    air_percentile: float = 5.0
    brightest_air_hu: float = -600.0
    brightest_tissue_hu: float = 50.0
    highest_hu: float = 700.0
    threshold_hu: tuple[int, int] = (-1020, 300)
    threshold_bin_hu: int = 5
    threshold_start_hu: float = -500.0
    threshold_steps: int = 50
    threshold_ends_hu: tuple[float, float] = (-550.0, -380.0)
    same_value: float = 0.1
    room_hu: float = -935.0
    room_by_furniture: float = 0.15
    room_by_edge: float = 0.3
    held_by_body: float = 0.7
    furniture_ml: float = 40.0
    furniture_cm2: float = 3.0
    core_mm: float = 2.4
    regrow_mm: float = 8.0
    least_blocks: int = 8
    padding_rim: int = 2
    large_section: float = 0.5
    least_whole: float = 0.5
    section_percentile: float = 75.0


#: The rules in use.
BODY = BodyRules()


@dataclass(frozen=True)
class Levels:
    """HU of air and of soft tissue in this scan."""

    air: float
    tissue: float


#: Levels of a scan in true HU.
_TRUE = Levels(BODY.air_hu, BODY.tissue_hu)


@dataclass(frozen=True, eq=False)
class BodyAir:
    """Masks on the working grid.

    Attributes:
        inner: Air inside the body.
        outside: Room air, and what was not scanned.
        filled: The body with its air.
        border: Outermost scanned blocks at the sides, front and back.
    """

    inner: Mask
    outside: Mask
    filled: Mask
    border: Mask

    def diameter(self, spacing: WorkingSpacing) -> float | None:
        """Return the diameter, mm, of a circle with the area of the body's cross-section.

        It is measured on the larger slices; None unless half of them show the whole body.
        """
        areas = self.filled.sum(axis=(0, 1)) * (spacing[0] * spacing[1])
        large = areas > BODY.large_section * areas.max(initial=0.0)
        whole = large & ~(self.filled & self.border).any(axis=(0, 1))
        if not large.any() or whole.sum() < BODY.least_whole * large.sum():
            return None
        return float(np.sqrt(np.percentile(areas[whole], BODY.section_percentile) * 4 / np.pi))


def find_levels(hu: npt.NDArray[np.float32]) -> Levels:
    """Estimate the HU of air and of soft tissue.

    A scan in true HU has its darkest voxels near -1000 and is taken as it is; only one whose darkest
    voxels are far from that (an image with a compressed range) is rescaled, for finding the lungs only.
    """
    from scipy import ndimage

    # Blocks at the rim of the padding mix it with air, so they are not used.
    padding = hu <= PADDING_HU
    if padding.any():
        padding = ndimage.binary_dilation(padding, iterations=BODY.padding_rim)
    values = hu[~padding]
    if values.size == 0 or float(np.percentile(values, BODY.darkest_percent)) < BODY.true_scale_hu:
        return _TRUE
    dark = values[values < BODY.dark_hu]
    if dark.size < BODY.least_dark * values.size:
        return _TRUE
    (low, high), width = BODY.tissue_search_hu, BODY.tissue_bin_hu
    counts, edges = np.histogram(values, bins=np.arange(low, high + 1, width))
    tissue = float(edges[int(counts.argmax())] + width // 2)
    rim = hu[_side_border(hu.shape, BODY.rim) & ~padding]
    rim = rim[rim < BODY.dark_hu]
    air = float(np.percentile(dark, BODY.air_percentile))
    room = rim.size > BODY.least_rim_blocks
    if room and float(np.median(rim)) < float(np.median(dark)) + BODY.rim_above_dark_hu:
        air = float(np.median(rim))  # the room round the body
    return Levels(min(BODY.brightest_air_hu, air), min(tissue, BODY.brightest_tissue_hu))


def normalise(hu: npt.NDArray[np.float32], levels: Levels) -> npt.NDArray[np.float32]:
    """Map ``levels`` onto -1000 and 0; padding becomes air."""
    if levels == _TRUE:
        return np.maximum(hu, np.float32(LOWEST_HU))
    scaled = (hu - levels.air) * (1000.0 / (levels.tissue - levels.air)) - 1000.0
    scaled[hu <= PADDING_HU] = LOWEST_HU
    return np.clip(scaled, LOWEST_HU, BODY.highest_hu).astype(np.float32, copy=False)


def optimal_threshold(hu: npt.NDArray[np.float32]) -> float:
    """Threshold half-way between the mean of what is below and above it (Ridler 1978; Hu 2001)."""
    low, high = BODY.threshold_hu
    values = hu[(hu > low) & (hu < high)]
    if values.size == 0:
        return BODY.threshold_start_hu
    # Bins of one width, given as a range, are counted without sorting.
    counts, edges = np.histogram(values, bins=(high - low) // BODY.threshold_bin_hu, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below_n, below_s = np.cumsum(counts), np.cumsum(counts * centres)
    threshold = BODY.threshold_start_hu
    for _ in range(BODY.threshold_steps):
        i = int(np.searchsorted(edges, threshold)) - 1
        n_low, n_high = below_n[i], below_n[-1] - below_n[i]
        if n_low == 0 or n_high == 0:
            return BODY.threshold_start_hu
        new = 0.5 * (below_s[i] / n_low + (below_s[-1] - below_s[i]) / n_high)
        if abs(new - threshold) < 1:
            break
        threshold = float(new)
    return float(np.clip(threshold, *BODY.threshold_ends_hu))


def _side_border(shape: tuple[int, ...], share: float = 0.0) -> Mask:
    """Mark the voxels at the left, right, front and back of each slice, ``share`` of its width deep."""
    border = np.ones(shape, bool)
    x, y = (max(1, round(share * n)) for n in shape[:2])
    border[x:-x, y:-y] = False
    return border


def not_scanned(hu: npt.NDArray[np.float32], threshold: float) -> Mask:
    """Mark what was not scanned: padding, and constant values outside a circular or rotated field of view.

    Real air has noise: blocks of one exact value that reach the sides of a slice are not air. Blocks at
    the rim that are as dark as gas mix it with what was scanned, and are included.

    Args:
        hu: Block means in the scan's own values.
        threshold: HU below which a block may be unscanned.
    """
    empty = hu <= PADDING_HU
    corners, counts = np.unique(
        hu[:: max(1, hu.shape[0] - 1), :: max(1, hu.shape[1] - 1)], return_counts=True
    )
    usual = corners[counts.argmax()]
    if usual < threshold and counts.max() > BODY.same_value * counts.sum():
        empty |= hu == usual
    empty = _reached_in_plane(empty, _side_border(hu.shape))
    return empty | (_beside_in_plane(empty) & (hu < GAS_HU))


def _beside_in_plane(mask: Mask) -> Mask:
    """Dilate ``mask`` by one block within each slice."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out


def _reached_in_plane(region: Mask, start: Mask) -> Mask:
    """Return the 2-D components of ``region`` that overlap ``start``."""
    labels, count = components_2d(region)
    hit = np.zeros(count + 1, bool)
    hit[labels[start & region]] = True
    hit[0] = False
    return np.asarray(hit[labels])


def _partition_air(
    hu: npt.NDArray[np.float32], air: Mask, body: Mask, furniture: Mask, border: Mask
) -> tuple[Mask, Mask]:
    """Partition air into room air, which reaches the border of what was scanned, and air in the body.

    Room air is darker on average or, where blankets brighten it, touches the table or other objects outside
    the body, or follows much of the border. A lung that the crop cuts is brighter and surrounded by the body.
    """
    labels, count = components_2d(air)
    sizes = np.maximum(np.bincount(labels.ravel(), minlength=count + 1), 1)
    mean = np.bincount(labels.ravel(), weights=hu.ravel(), minlength=count + 1) / sizes
    at_border = np.zeros(count + 1, bool)
    at_border[labels[border & air]] = True
    at_border[0] = False
    by_body, by_furniture = (_contacts(labels, what, count) for what in (body, furniture))
    by_edge = np.bincount(labels[border & air], minlength=count + 1)
    faces = by_body + by_furniture + by_edge
    dark, beside = mean < BODY.room_hu, by_furniture > BODY.room_by_furniture * faces
    room = at_border & (dark | beside | (by_edge > BODY.room_by_edge * faces))
    held = ~room & (by_body > BODY.held_by_body * faces)
    held[0] = False
    return np.asarray(room[labels]), np.asarray(held[labels])


def _furniture(loose: Mask, spacing: WorkingSpacing) -> Mask:
    """Return the components outside the body that are too large for a vessel in the lung: table, cushion."""
    labels, counts = components(loose)
    flat = loose.shape[2] == 1
    size = counts * (spacing[0] * spacing[1] / 100.0 if flat else float(np.prod(spacing)) / 1000.0)
    large = size > (BODY.furniture_cm2 if flat else BODY.furniture_ml)
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
    the neck or a lung at the edge of the field of view does not let it in. Table and blankets are
    excluded because only the largest component of tissue is the body.

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
    core = erode(tissue, BODY.core_mm, spacing) if min(hu.shape[:2]) > BODY.least_blocks else tissue
    labels, counts = components(core)
    if counts.size < 2:
        return BodyAir(np.zeros_like(air), air | unseen, np.zeros_like(air), border)
    counts[0] = 0
    body = dilate(labels == counts.argmax(), BODY.regrow_mm, spacing) & tissue
    furniture = _furniture(tissue & ~body, spacing)
    room, held = _partition_air(hu, air, body, furniture, border)
    start = border & (room | (tissue & ~body))
    not_body = _reached_in_plane(~body & ~held & ~unseen, start)
    outside = room | unseen
    filled = ~outside & ~not_body
    return BodyAir(air & filled, outside, filled, border)

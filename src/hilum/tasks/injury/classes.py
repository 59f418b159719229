"""The classes of lung on blocks: which blocks are ill, and how far each lies from the border of its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hilum.imaging.morphology import Mask, close_, components, depth, dilate, open_
from hilum.tasks.injury.expected import Expected
from hilum.tasks.injury.fields import BLOCK_MM, Fields, Floats, Spacing
from hilum.tasks.injury.nodules import nodule_blocks
from hilum.tasks.injury.tubes import tube_blocks

__all__ = [
    "CONSOLIDATION_HU",
    "EMPHYSEMA_HU",
    "GROUND_GLASS_RISE_HU",
    "Classes",
    "classify",
    "emphysema_edge",
]

#: Lung is consolidated or collapsed above this HU, smoothed.
CONSOLIDATION_HU = -300.0
#: HU half-way between dense and aerated lung: the border of a dense piece in lung that is not hazy.
DENSE_EDGE_HU = -400.0
#: Least thickness of consolidated lung, mm, and least volume of a piece, mL.
CONSOLIDATION_MM = 6.0
CONSOLIDATION_ML = 0.5
#: Widest vessel in a lung, mm: what is thicker is consolidated.
WIDEST_VESSEL_MM = 15.0
#: The same near the hila, where vessels, nodes and bronchi lie side by side.
HILAR_MM = 20.0
#: So far beyond the neighbourhood of the hila, mm, their vessels are side by side still.
HILAR_VESSELS_MM = 12.0
#: Denser than this, HU, is blood with contrast agent: consolidated lung stays below 120 HU (Konietzke 2021).
BLOOD_HU = 140.0
#: How far thinner parts hang on to a thick one, mm.
CONSOLIDATION_REACH_MM = 40.0
#: What is dense within this distance of a piece belongs to it, mm.
CONSOLIDATION_RIM_MM = 4.1
#: Gaps up to this width are air in the bronchi of consolidated lung, mm.
BRONCHOGRAM_MM = 4.0
#: Beside this much consolidated lung, mL, a round one wider than this, mm, is taken for one more patch.
PATCHY_ML, PATCHY_NODULE_MM = 20.0, 24.0
#: Lung is hazy where it is denser than expected by this much, HU, and at least this dense. In ten real scans
#: without diffuse disease 0.1 to 1.6 % of the blocks away from dense ones rise by more than 100 HU.
GROUND_GLASS_RISE_HU = 100.0
GROUND_GLASS_HU = -830.0
#: Haze reaches to half of its rise, seen within this distance, mm; at least and at most to this rise, HU.
PLATEAU_MM, EDGE_HU = 15.0, (70.0, 135.0)
#: Least volume of a hazy piece, mL.
GROUND_GLASS_ML = 0.5
#: The same near the hila, where blurred vessels look hazy.
HILAR_GROUND_GLASS_ML = 3.0
#: How far haze reaches from where it is sure, mm.
GROUND_GLASS_REACH_MM = 30.0
#: The blurred rim of a dense structure is no haze to this distance, mm.
HALO_MM = 5.0
#: Beyond this share of the lungs haze is disease, and haze beside heart and diaphragm is more of it.
#: Nine real scans without diffuse disease have at most 1.4 %.
WIDESPREAD_SHARE = 0.02
#: A hazy piece reaches to the pleura where at least this share of it stands above blur.
STANDING_SHARE = 0.5
#: Lung is emphysema-like below this HU, smoothed, and in clusters of at least this many mm3.
EMPHYSEMA_HU = -950.0
EMPHYSEMA_MM3 = 20.0
#: HU of lung without tissue between its walls; a cluster reaches to half-way to what is expected.
DESTROYED_HU = -985.0
#: How far the border of emphysema may lie from a cluster, mm.
EMPHYSEMA_REACH_MM = 6.1
#: Lung within this much of what is expected tells how the smoothed HU differ from it, HU.
_LIKE_EXPECTED_HU = 60.0
#: Air that has brighter walls on all sides within this width, mm, by this much, HU, is in a bronchus.
LUMEN_MM, LUMEN_HU = 10.0, 250.0
#: Half-levels of HU over which a score runs from 0 to 1: any will do, they only set the interpolation.
_SCALE_HU = 150.0


@dataclass(frozen=True, eq=False)
class Classes:
    """Scores on blocks, above 0 inside the class, -1 to 1; a voxel takes the first class above 0.

    Attributes:
        nodule: Nodules.
        consolidation: Consolidated or collapsed lung.
        emphysema: Emphysema-like lung.
        ground_glass: Hazy lung.
    """

    nodule: Floats
    consolidation: Floats
    emphysema: Floats
    ground_glass: Floats


def classify(
    fields: Fields, expected: Expected, hila: Mask, blur: Floats, known: Mask | None = None
) -> Classes:
    """Find the injured blocks.

    Args:
        fields: The lungs on blocks.
        expected: What is expected of them.
        hila: Blocks near the hila.
        blur: Rise in HU that blur explains, see :func:`hilum.tasks.injury.rim.blurred_rise`.
        known: Blocks of vessels and airways that another task found; None without.
    """
    lung, spacing = fields.lung, fields.spacing
    image = np.where(lung, fields.mean, expected.hu).astype(np.float32)
    dense = (fields.mean > CONSOLIDATION_HU) & lung
    denser = (fields.mean > DENSE_EDGE_HU) & lung
    tubes = tube_blocks(image, denser, spacing)
    if known is not None:
        tubes |= known & denser
    nodules = nodule_blocks(image, denser, hila, spacing)
    consolidated = _consolidated(dense, tubes, nodules, hila, fields)
    if consolidated.sum() * fields.block_ml > PATCHY_ML:
        nodules = nodule_blocks(image, denser, hila, spacing, PATCHY_NODULE_MM)
        consolidated = _consolidated(dense, tubes, nodules, hila, fields)
    rise = _rise(fields, expected)
    haze_edge = _haze_edge(rise, lung, spacing)
    hazy = _hazy(rise, rise - blur, haze_edge, dense | tubes | nodules, hila, fields)
    if hazy.sum() > WIDESPREAD_SHARE * lung.sum():
        hazy = _hazy(rise, rise, haze_edge, dense | tubes | nodules, hila, fields)
    dark = _dark(fields, lung)
    # A border lies half-way between the HU of the two sides.
    beside_haze = dilate(hazy, HALO_MM, spacing)
    edge = np.where(beside_haze, np.float32(CONSOLIDATION_HU), np.float32(DENSE_EDGE_HU))
    return Classes(
        nodule=_score(fields.mean - np.float32(DENSE_EDGE_HU), nodules, spacing),
        consolidation=_score(fields.mean - edge, consolidated, spacing, CONSOLIDATION_RIM_MM),
        emphysema=_score(emphysema_edge(fields, expected) - fields.dark, dark, spacing, EMPHYSEMA_REACH_MM),
        ground_glass=_score(rise - haze_edge, hazy, spacing),
    )


def emphysema_edge(fields: Fields, expected: Expected) -> Floats:
    """HU half-way between destroyed and expected lung: the border of emphysema."""
    off = (fields.dark - expected.hu)[fields.lung]
    off = off[np.abs(off) < _LIKE_EXPECTED_HU]
    # What is expected is said of lung between vessels; with the small ones it is a little denser.
    usual = expected.hu + np.float32(np.median(off) if off.size else 0.0)
    return np.maximum((usual + np.float32(DESTROYED_HU)) / 2, np.float32(EMPHYSEMA_HU))


def _rise(fields: Fields, expected: Expected) -> Floats:
    """HU above what is expected, 0 where the lung is too dark to be hazy."""
    rise = fields.haze - expected.hu
    return np.where(fields.haze > GROUND_GLASS_HU, rise, np.float32(0)).astype(np.float32)


def _haze_edge(rise: Floats, lung: Mask, spacing: Spacing) -> Floats:
    """Rise at the border of haze: half of that of the haze near it."""
    size = [2 * round(PLATEAU_MM / step / 2) + 1 for step in spacing]
    high = ndimage.maximum_filter(np.where(lung, rise, np.float32(0)), size, mode="nearest")
    edge: Floats = np.clip(high / np.float32(2), np.float32(EDGE_HU[0]), np.float32(EDGE_HU[1]))
    return edge


def _consolidated(dense: Mask, tubes: Mask, nodules: Mask, hila: Mask, fields: Fields) -> Mask:
    """Thick dense lung: too thick for a vessel, or no part of a tube; with what hangs on to it."""
    spacing = fields.spacing
    whole = close_(dense, BRONCHOGRAM_MM / 2, spacing) & fields.lung & ~nodules
    thick = open_(whole, CONSOLIDATION_MM / 2, spacing)
    hila = dilate(hila, HILAR_VESSELS_MM, spacing) & fields.lung
    wide = np.where(hila, np.float32(HILAR_MM / 2), np.float32(WIDEST_VESSEL_MM / 2))
    # A depth is known to a block, so what must lie deep in thick slices lies deeper by what they add.
    wide = wide + np.float32(max(0.0, max(spacing) - BLOCK_MM))
    seeds = (depth(dense & ~nodules, spacing) > wide) & fields.lung
    # Thinner than three blocks, a vessel and consolidated lung look alike.
    least = max(CONSOLIDATION_MM / 2, 1.01 * max(spacing))
    rest = open_(thick & ~tubes & ~hila, least, spacing)
    seeds |= _large(rest, CONSOLIDATION_ML / fields.block_ml)
    seeds &= ~dilate(fields.mean > BLOOD_HU, HALO_MM, spacing)
    beyond_tubes = _grown(seeds, thick & ~tubes, spacing, CONSOLIDATION_REACH_MM)
    return _grown(beyond_tubes, thick, spacing, WIDEST_VESSEL_MM / 2)


def _grown(seeds: Mask, inside: Mask, spacing: Spacing, reach_mm: float) -> Mask:
    """Grow seeds inside a mask, by about ``reach_mm`` along ways that do not leave it."""
    if not seeds.any():
        return seeds
    steps = max(1, round(reach_mm / float(np.mean(spacing))))
    out: Mask = ndimage.binary_dilation(seeds, iterations=steps, mask=inside | seeds)
    return out


def _hazy(rise: Floats, own_rise: Floats, edge: Floats, dense: Mask, hila: Mask, fields: Fields) -> Mask:
    """Haze that reaches farther than the blurred rim of dense structures.

    Args:
        rise: HU above what is expected.
        own_rise: The same without what blur explains.
        edge: Rise at the border of haze.
        dense: Dense structures in the lungs.
        hila: Blocks near the hila.
        fields: The lungs on blocks.
    """
    spacing = fields.spacing
    clear = fields.lung & ~dilate(dense, HALO_MM, spacing)
    sure = (own_rise > GROUND_GLASS_RISE_HU) & clear
    own = _large(sure & ~hila, GROUND_GLASS_ML / fields.block_ml)
    own |= _large(sure, HILAR_GROUND_GLASS_ML / fields.block_ml)
    raised = (rise > edge) & fields.lung
    standing = (own_rise > edge) & clear
    whole = _grown(own, raised & clear, spacing, GROUND_GLASS_REACH_MM)
    near = _grown(own, standing, spacing, GROUND_GLASS_REACH_MM) | _mostly(whole, standing)
    return np.asarray(dilate(near, HALO_MM + 1, spacing) & raised)


def _mostly(mask: Mask, standing: Mask) -> Mask:
    """The pieces of a mask of which at least :data:`STANDING_SHARE` stands above blur."""
    labels, counts = components(mask, 26)
    keep = np.bincount(labels[standing], minlength=len(counts)) >= STANDING_SHARE * counts
    keep[0] = False
    out: Mask = keep[labels]
    return out


def _dark(fields: Fields, lung: Mask) -> Mask:
    """Clusters of dark blocks that are no lumen of a bronchus."""
    low = (fields.dark < EMPHYSEMA_HU) & lung
    if not low.any():
        return low
    size = [2 * round(LUMEN_MM / step / 2) + 1 for step in fields.spacing]
    high = ndimage.maximum_filter(fields.mean, size, mode="nearest")
    walls = ndimage.minimum_filter(high, size, mode="nearest")
    low &= walls - fields.mean < LUMEN_HU
    return _large(low, EMPHYSEMA_MM3 / (1000 * fields.block_ml))


def _large(mask: Mask, least: float) -> Mask:
    """The pieces of a mask with at least ``least`` blocks."""
    labels, counts = components(mask, 26)
    keep = counts >= least
    keep[0] = False
    out: Mask = keep[labels]
    return out


def _score(excess: Floats, accepted: Mask, spacing: Spacing, reach_mm: float = 0.0) -> Floats:
    """Scale the excess over the HU of the border to -1..1, and to -1 where no accepted block is near."""
    near = dilate(accepted, max(reach_mm, 1.01 * max(spacing)), spacing)
    return np.where(near, np.clip(excess / np.float32(_SCALE_HU), -1, 1), np.float32(-1)).astype(np.float32)

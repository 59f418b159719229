"""Disease of the pleural space: fluid, free gas, and the lung beside them, put into scans with lung masks.

What the pleural space takes, the lung loses: it is compressed beside thin fluid, collapses within much of it,
and shrinks towards its hilum in a pneumothorax. Dense lung stays lung, however dense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.imaging.morphology import Mask, bounding_box
from hilum.synthesis.lesions.flattened import flatten_diaphragm
from hilum.synthesis.lesions.kinds import Change, bronchograms
from hilum.synthesis.lesions.lung import Float, LungSpace, noise_level, smooth_step
from hilum.synthesis.lesions.make import draw_gravity, mix_in

__all__ = ["PLEURAL_SHARES", "PleuralCase", "PleuralKind", "add_pleura", "random_pleura"]


class PleuralKind(str, Enum):
    """What can be put into the pleural space of one lung."""

    CRESCENT = "crescent"
    """Fluid of 3 to 20 mm along the dependent wall, beside dense lung."""
    FISSURE = "fissure"
    """Fluid of 3 to 16 mm in a fissure, a lens or the whole of it."""
    LOCULATED = "loculated"
    """A lens of fluid of 8 to 50 mm against the chest wall, wherever gravity points."""
    EFFUSION = "effusion"
    """Much fluid, the lung shrunken within it."""
    PNEUMOTHORAX = "pneumothorax"
    """Free gas where it rises, the lung shrunken a little to entirely."""
    HYDROPNEUMOTHORAX = "hydropneumothorax"
    """Free gas over fluid with a level."""


#: How often each kind is drawn: thin fluid the most, which is what is missed the most.
PLEURAL_SHARES: Mapping[PleuralKind, float] = {
    PleuralKind.CRESCENT: 0.30,
    PleuralKind.FISSURE: 0.10,
    PleuralKind.LOCULATED: 0.15,
    PleuralKind.EFFUSION: 0.25,
    PleuralKind.PNEUMOTHORAX: 0.12,
    PleuralKind.HYDROPNEUMOTHORAX: 0.08,
}
#: Watery fluid, exudates as most are (Nandalur 2005), and blood, HU; with how often each is drawn.
_FLUIDS = (((0.0, 10.0), 0.3), ((5.0, 25.0), 0.45), ((30.0, 60.0), 0.25))
#: Collapsed lung without and with contrast medium, HU (Konietzke 2021: 81 HU part it from pneumonia).
_COLLAPSED_HU, _ENHANCED_HU = (20.0, 60.0), (80.0, 120.0)
#: Share of cases with contrast medium, and by how much it lifts blood, HU.
_CONTRAST, _CONTRAST_HU = 0.4, (40.0, 150.0)
#: Chance that both lungs have a pleural disease, and that a diaphragm beside one is pressed flat.
_BOTH, _FLAT = 0.35, 0.5
#: Free gas, HU.
_GAS_HU = -1000.0
#: Border of thin layers is as wide as this, mm: a voxel of a thick slice.
_EDGE_MM = 3.0
#: Lung in voxels with less fluid than this changes too, else a dark line would part the two.
_PURE = 0.98
_MARGIN_MM = 6.0


@dataclass(frozen=True, eq=False)
class PleuralCase:
    """A scan with disease of the pleural space.

    Attributes:
        hu: New HU, float32, of the shape of the scan.
        lungs: Lung labels without fluid and gas.
        fluid: Voxels of pleural fluid.
        gas: Voxels of free gas.
        kinds: What was put in, by label of the lung.
    """

    hu: npt.NDArray[np.float32]
    lungs: npt.NDArray[Any]
    fluid: Mask
    gas: Mask
    kinds: dict[int, PleuralKind]


def random_pleura(
    hu: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    spacing: Sequence[float],
    rng: np.random.Generator,
    *,
    gravity: tuple[float, float, float] | None = None,
) -> PleuralCase:
    """Put a random disease into the pleural space of one lung or of both.

    Args:
        hu: HU, (x, y, z) in RAS order.
        mask: Lung labels of the same shape.
        spacing: Voxel size in mm.
        rng: Source of all draws.
        gravity: Direction towards the ground; None draws it.
    """
    found = [int(v) for v in np.unique(mask) if v > 0]
    if len(found) > 1 and rng.random() >= _BOTH:
        found = [found[int(rng.integers(len(found)))]]
    names, chances = list(PLEURAL_SHARES), np.array(list(PLEURAL_SHARES.values()))
    kinds = {label: names[int(rng.choice(len(names), p=chances / chances.sum()))] for label in found}
    return add_pleura(hu, mask, spacing, kinds, rng, gravity=gravity or draw_gravity(rng))


def add_pleura(
    hu: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    spacing: Sequence[float],
    kinds: Mapping[int, PleuralKind],
    rng: np.random.Generator,
    *,
    gravity: tuple[float, float, float],
) -> PleuralCase:
    """Put given diseases into the pleural spaces of lungs.

    Args:
        hu: HU, (x, y, z) in RAS order.
        mask: Lung labels of the same shape; each value above 0 is a lung of its own.
        spacing: Voxel size in mm.
        kinds: Disease of each lung that gets one, by its label.
        rng: Source of all draws: amounts, places, HU of fluid (watery, usual, blood) and of collapsed lung,
            and whether there is contrast medium.
        gravity: Direction towards the ground, RAS.
    """
    step = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    new, lungs = hu.astype(np.float32), mask.copy()
    enhanced = bool(rng.random() < _CONTRAST)
    if enhanced:
        rise = np.clip((new - 30) / 40, 0, 1) * (lungs == 0)
        new = new + np.float32(rng.uniform(*_CONTRAST_HU)) * rise
    for label in kinds:
        if rng.random() < _FLAT:
            new, lungs = flatten_diaphragm(new, lungs, label, step, float(rng.uniform(0.3, 0.9)))
    before = lungs.copy()
    fluid, gas, noise = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool), noise_level(new)
    for label, kind in kinds.items():
        box = bounding_box(before == label, _MARGIN_MM, step)
        if box is None:
            continue
        lung = LungSpace(before[box] == label, step, gravity, rng, _medial(before, new, label))
        others = (before[box] > 0) & ~lung.mask
        gone = np.zeros(lung.shape, bool)
        for change in _MAKERS[kind](lung, enhanced):
            new[box] = mix_in(new[box], lung, change, noise, others | gone)
            if change.leaves is not None:
                left = (change.leaves > 0.5) & lung.mask & ~gone
                (gas if float(np.mean(change.target)) < -500 else fluid)[box] |= left
                gone |= left
        lungs[box][gone] = 0
    return PleuralCase(new.astype(np.float32), lungs, fluid, gas, dict(kinds))


def _medial(lungs: npt.NDArray[Any], hu: Float, label: int) -> float:
    """Direction along x from a lung to the other one, or to the middle of the body."""
    own = float(np.nonzero(lungs == label)[0].mean())
    others = np.nonzero((lungs > 0) & (lungs != label))[0]
    middle = float(others.mean()) if others.size else float(np.nonzero(hu > -300)[0].mean())
    return 1.0 if middle > own else -1.0


def _fluid_hu(lung: LungSpace) -> Float:
    """HU of fluid, with slow changes of 2 HU."""
    low, high = _FLUIDS[int(lung.rng.choice(len(_FLUIDS), p=[share for _, share in _FLUIDS]))][0]
    return np.float32(lung.rng.uniform(low, high)) + np.float32(2.0) * lung.field(40.0)


def _tissue_hu(lung: LungSpace, enhanced: bool) -> Float:
    """HU of lung without air."""
    low, high = _ENHANCED_HU if enhanced else _COLLAPSED_HU
    return np.float32(lung.rng.uniform(low, high)) + np.float32(5.0) * lung.field(20.0)


def _beside(lung: LungSpace, fluid: Float, enhanced: bool) -> list[Change]:
    """The lung beside fluid: compressed throughout, mostly with a shell that has collapsed, or a tumour."""
    rng = lung.rng
    away = np.asarray(ndimage.distance_transform_edt(fluid < 0.5, sampling=lung.spacing), np.float32)
    share = np.float32(rng.uniform(0.03, 0.35)) * np.exp(-away / np.float32(rng.uniform(10, 40)))
    if rng.random() < 0.75:
        width = np.float32(rng.uniform(5, 60)) * (1 + np.float32(0.3) * lung.field(30.0))
        shell = smooth_step((width - away) / np.float32(rng.uniform(3, 15)) + np.float32(0.5))
        share = np.maximum(share, np.float32(0.98) * shell * (1 - bronchograms(lung)))
    if rng.random() < 0.25:
        near = np.flatnonzero(lung.mask & (away < 25) & (fluid < 0.5))
        if near.size:
            x, y, z = np.unravel_index(int(rng.choice(near)), lung.shape)
            ball = lung.ball((float(x), float(y), float(z)), rng.uniform(12, 40))
            share = np.maximum(share, smooth_step(np.float32(0.5) - ball / np.float32(3.0)))
    return [Change(share * (fluid < _PURE), _tissue_hu(lung, enhanced))]


def _filled(lung: LungSpace, fluid: Float, enhanced: bool) -> list[Change]:
    leaves = (fluid >= 0.5).astype(np.float32)
    return [*_beside(lung, fluid, enhanced), Change(fluid, _fluid_hu(lung), leaves)]


def _layer(lung: LungSpace, thick: Float) -> Float:
    """Share of each voxel that a layer along the lung's surface takes, ``thick`` mm; 0 outside the lung."""
    inside = lung.deep - np.float32(0.5 * min(lung.spacing))  # of the voxel's middle
    return smooth_step((thick - inside) / np.float32(_EDGE_MM) + np.float32(0.5)) * lung.mask


def _facing(lung: LungSpace, direction: npt.NDArray[np.floating[Any]]) -> Float:
    """0 to 1: how far the lung's surface near a voxel faces a direction."""
    soft = ndimage.gaussian_filter(lung.mask.astype(np.float32), [8.0 / s for s in lung.spacing])
    slopes = [
        np.gradient(soft, s, axis=axis) if n > 1 else np.zeros_like(soft)
        for axis, (n, s) in enumerate(zip(lung.shape, lung.spacing, strict=True))
    ]
    steep = np.sqrt(sum(g * g for g in slopes)) + np.float32(1e-6)
    unit = direction / np.linalg.norm(direction)
    along = sum(-np.float32(u) * g for u, g in zip(unit, slopes, strict=True)) / steep
    out: Float = np.clip(np.float32(0.35) + np.float32(1.2) * along, 0, 1)
    return out


def _crescent(lung: LungSpace, enhanced: bool) -> list[Change]:
    rng = lung.rng
    score = lung.low + np.float32(rng.uniform(0, 0.6)) * lung.basal + np.float32(0.12) * lung.field(45.0)
    weight = lung.highest(score, rng.uniform(0.15, 0.75), 0.3)
    wall = _facing(lung, np.array([-rng.uniform(0, 1.5) * lung.medial, 0.0, 0.0]) + lung.gravity)
    thick = np.float32(rng.uniform(3, 20)) * weight * wall * (1 + np.float32(0.2) * lung.field(30.0))
    fluid = _layer(lung, thick) * (weight > 0.1)
    return _filled(lung, fluid, enhanced)


def _fissure(lung: LungSpace, enhanced: bool) -> list[Change]:
    rng = lung.rng
    # The oblique fissure falls from the back to the front, the horizontal one lies across.
    tilt = rng.uniform(0.5, 1.1) if rng.random() < 0.75 else rng.uniform(-0.15, 0.15)
    normal = np.array([rng.uniform(-0.2, 0.2), np.sin(tilt), np.cos(tilt)])
    normal /= np.linalg.norm(normal)
    points = [
        (np.arange(n, dtype=np.float32) * s).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (n, s) in enumerate(zip(lung.shape, lung.spacing, strict=True))
    ]
    centre = [float(c) * s for c, s in zip(lung.inside_point(), lung.spacing, strict=True)]
    off = [p - np.float32(c) for p, c in zip(points, centre, strict=True)]
    plane = sum(
        (np.float32(n) * o for n, o in zip(normal, off, strict=True)), np.zeros((1, 1, 1), np.float32)
    )
    plane = plane + np.float32(rng.uniform(1, 5)) * lung.field(60.0)
    round_ = np.sqrt(sum((o * o for o in off), np.zeros((1, 1, 1), np.float32)))
    reach = np.float32(rng.uniform(25, 60) if rng.random() < 0.5 else 200)
    half = np.float32(rng.uniform(1.5, 8)) * np.clip(1 - (round_ / reach) ** 2, 0, 1)
    fluid = smooth_step((half - np.abs(plane)) / np.float32(_EDGE_MM) + np.float32(0.5)) * (half > 0.5)
    return _filled(lung, fluid * lung.mask, enhanced)


def _loculated(lung: LungSpace, enhanced: bool) -> list[Change]:
    rng = lung.rng
    at = lung.inside_point(max(lung.spacing))
    reach = rng.uniform(22, 80)
    beside = np.clip(1 - ((lung.ball(at, 0.0)) / np.float32(reach)) ** 2, 0, 1)
    thick = (
        np.float32(min(rng.uniform(8, 50), 0.8 * reach)) * beside * (1 + np.float32(0.1) * lung.field(30.0))
    )
    fluid = _layer(lung, thick) * (beside > 0)
    return _filled(lung, fluid, enhanced)


def _shrunken(lung: LungSpace, size: float, sunk: float) -> Float:
    """Share of each voxel that the lung still takes when it shrinks towards its hilum.

    Args:
        lung: The lung as it was.
        size: Length of what is left beside that of the lung.
        sunk: Half-lengths of the lung by which its fixed point lies nearer to the ground than the hilum;
            below 0 the lung floats.
    """
    inside = np.nonzero(lung.mask)
    fixed = np.array([float(i.mean()) for i in inside])
    lengths = np.array([float(np.ptp(i)) for i in inside])
    fixed[0] += 0.4 * lung.medial * lengths[0]
    fixed += 0.5 * sunk * np.array(lung.gravity) * lengths
    scale = 1 / (size * lung.rng.uniform(0.93, 1.05, 3))
    left = ndimage.affine_transform(
        lung.mask.astype(np.float32), np.diag(scale), fixed * (1 - scale), order=1
    )
    rough = left + np.float32(0.08) * lung.field(20.0) * (left > 0) * (left < 1)
    return np.asarray(np.clip(rough, 0, 1) * lung.mask, np.float32)


def _squeezed(lung: LungSpace, size: float, enhanced: bool) -> Change:
    """Lung that has shrunk is denser the smaller it is: below half its length it holds hardly any air."""
    air = np.clip((size - 0.45) / 0.5, 0, 1) * lung.rng.uniform(0.5, 1.1)
    share = np.clip(np.float32(0.98 - air) * (1 + np.float32(0.1) * lung.field(25.0)), 0, 0.98)
    return Change(share * (1 - bronchograms(lung)), _tissue_hu(lung, enhanced))


def _effusion(lung: LungSpace, enhanced: bool) -> list[Change]:
    rng = lung.rng
    size = float(rng.uniform(0.35, 0.92))
    left = _shrunken(lung, size, float(rng.uniform(-0.6, 0.3)))
    level = float(rng.uniform(0.1, 0.9))
    score = lung.low + np.float32(rng.uniform(0, 0.4)) * (lung.basal - np.float32(0.5))
    score = score + np.float32(rng.uniform(0.05, 0.4)) * np.exp(-lung.deep / np.float32(8.0))
    below = smooth_step((score - np.float32(level)) / np.float32(0.05) + np.float32(0.5))
    fluid = below * (1 - left) * lung.mask
    dense = _squeezed(lung, size, enhanced)
    # Above the fluid the lung keeps its air, within it the lung is as dense as it is small.
    return [
        *_beside(lung, fluid, enhanced),
        Change(dense.share * below * (fluid < _PURE), dense.target),
        Change(fluid, _fluid_hu(lung), (fluid >= 0.5).astype(np.float32)),
    ]


def _pneumothorax(lung: LungSpace, enhanced: bool, level: float | None = None) -> list[Change]:
    rng = lung.rng
    # A quarter collapses entirely; of the others most keep three quarters of their length or more.
    size = float(rng.uniform(0.15, 0.35) if rng.random() < 0.25 else 0.97 - 0.5 * rng.beta(1.2, 2.0))
    left = _shrunken(lung, size, float(rng.uniform(0.0, 0.9)))
    outside = (1 - left) * lung.mask
    changes = [_squeezed(lung, size, enhanced)]
    low: Mask = np.zeros(lung.shape, bool)
    if level is not None:
        low = lung.low > level
        fluid = outside * low
        changes.append(Change(fluid, _fluid_hu(lung), (fluid >= 0.5).astype(np.float32)))
    gas = outside * ~low
    changes.append(Change(gas, _GAS_HU, (gas >= 0.5).astype(np.float32)))
    return changes


def _hydropneumothorax(lung: LungSpace, enhanced: bool) -> list[Change]:
    return _pneumothorax(lung, enhanced, level=float(lung.rng.uniform(0.3, 0.9)))


_MAKERS: Mapping[PleuralKind, Callable[[LungSpace, bool], list[Change]]] = {
    PleuralKind.CRESCENT: _crescent,
    PleuralKind.FISSURE: _fissure,
    PleuralKind.LOCULATED: _loculated,
    PleuralKind.EFFUSION: _effusion,
    PleuralKind.PNEUMOTHORAX: _pneumothorax,
    PleuralKind.HYDROPNEUMOTHORAX: _hydropneumothorax,
}

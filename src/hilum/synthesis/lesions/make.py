"""Synthesis of disease in a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.imaging.morphology import Mask, Spacing, bounding_box
from hilum.synthesis.lesions.kinds import RECIPES, Change
from hilum.synthesis.lesions.lung import Float, LungSpace, noise_level
from hilum.synthesis.pathology import Pathology

__all__ = ["POSTERIOR", "Injured", "add_injury", "draw_gravity", "mix_in", "random_injury"]

#: Towards the back, RAS: where a supine patient's dependent lung lies.
POSTERIOR = (0.0, -1.0, 0.0)
#: Diseases of one lung with their severities, in the order they are put in.
Plan = tuple[tuple[Pathology, float], ...]
_MARGIN_MM = 6.0
#: Outermost millimetres of a lung, where voxels hold wall too.
_RIM_MM = 3.0
#: Relative frequency of each kind in training.
_FREQUENCIES = {
    Pathology.GROUND_GLASS: 2.0,
    Pathology.CRAZY_PAVING: 1.0,
    Pathology.CONSOLIDATION: 4.0,
    Pathology.ATELECTASIS: 3.0,
    Pathology.OEDEMA: 1.0,
    Pathology.FIBROSIS: 1.0,
    Pathology.EMPHYSEMA: 1.0,
    Pathology.MASS: 1.5,
    Pathology.EFFUSION: 2.0,
    Pathology.PNEUMOTHORAX: 1.0,
    Pathology.WHITE_OUT: 0.7,
}
#: Kinds that displace the lung are added last, over all others.
_LAST = (Pathology.EFFUSION, Pathology.PNEUMOTHORAX)


@dataclass(frozen=True, eq=False)
class Injured:
    """A scan with disease.

    Attributes:
        hu: New HU, shape and dtype of the input.
        mask: The corrected mask: fluid and free gas are removed, dense lung stays.
        grams_added: Mass added in the old mask, fluid included, g: HU / 1000 over its voxels.
        kinds: What was put in, by label of the lung.
    """

    hu: npt.NDArray[Any]
    mask: npt.NDArray[Any]
    grams_added: float
    kinds: dict[int, Plan]


def add_injury(
    hu: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    spacing: Sequence[float],
    *,
    kind: Pathology | str,
    severity: float,
    seed: int,
    gravity: tuple[float, float, float] = POSTERIOR,
) -> Injured:
    """Put one disease into all lungs of a scan.

    Args:
        hu: HU, (x, y, z) in RAS order; an axis may be one voxel long.
        mask: Lung labels of the same shape; each value above 0 is a lung of its own.
        spacing: Voxel size in mm.
        kind: The disease.
        severity: 0 (none) to 1.
        seed: The same arguments give the same bytes.
        gravity: Direction towards the ground, RAS.

    Raises:
        UsageError: An argument has a wrong value or shape; the message names it.
    """
    what = next((pathology for pathology in RECIPES if pathology == kind), None)
    if what is None:
        known = ", ".join(pathology.value for pathology in RECIPES)
        raise UsageError(f"kind is {kind!r}, expected one of {known}.")
    if not 0 <= severity <= 1:
        raise UsageError(f"severity is {severity}, expected a number from 0 to 1.")
    labels = [int(v) for v in np.unique(mask) if v > 0]
    plan: dict[int, Plan] = {label: ((what, float(severity)),) for label in labels if severity > 0}
    return _apply(hu, mask, spacing, plan, np.random.default_rng(seed), gravity)


def random_injury(
    hu: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    spacing: Sequence[float],
    rng: np.random.Generator,
    *,
    healthy: float = 0.12,
    gravity: tuple[float, float, float] | None = None,
) -> Injured:
    """Add a random mixture to each lung separately: up to three diseases of any severity.

    Args:
        hu: HU, (x, y, z) in RAS order.
        mask: Lung labels of the same shape.
        spacing: Voxel size in mm.
        rng: Source of all draws.
        healthy: Probability that a lung stays unchanged.
        gravity: Direction towards the ground; None draws it: mostly the back, also the front or a side.
    """
    if gravity is None:
        gravity = draw_gravity(rng)
    kinds = list(_FREQUENCIES)
    frequencies = np.array([_FREQUENCIES[k] for k in kinds])
    plan: dict[int, Plan] = {}
    for label in (int(v) for v in np.unique(mask) if v > 0):
        if rng.random() < healthy:
            continue
        count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
        drawn = rng.choice(len(kinds), size=count, replace=False, p=frequencies / frequencies.sum())
        found = [(kinds[int(i)], float(rng.beta(1.2, 1.2))) for i in drawn]
        plan[label] = tuple(sorted(found, key=lambda pair: pair[0] in _LAST))
    return _apply(hu, mask, spacing, plan, rng, gravity)


def draw_gravity(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw the direction towards the ground, RAS: supine (75 %), prone (15 %), or on either side (10 %)."""
    choice = rng.random()
    if choice > 0.9:
        return (1.0 if choice > 0.95 else -1.0, 0.0, 0.0)
    return POSTERIOR if choice < 0.75 else (0.0, 1.0, 0.0)


def _apply(
    hu: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    spacing: Sequence[float],
    plan: Mapping[int, Plan],
    rng: np.random.Generator,
    gravity: tuple[float, float, float],
) -> Injured:
    if hu.ndim != 3 or hu.shape != mask.shape:
        raise UsageError(f"hu has shape {hu.shape} and mask {mask.shape}; expected the same three axes.")
    if len(spacing) != 3 or min(spacing) <= 0:
        raise UsageError(f"spacing is {tuple(spacing)}, expected three positive numbers in mm.")
    step: Spacing = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    new, labels = hu.astype(np.float32), mask.copy()
    noise = noise_level(new)
    for label, diseases in plan.items():
        box = bounding_box(mask == label, _MARGIN_MM, step)
        if box is None:
            continue
        lung = LungSpace(mask[box] == label, step, gravity, rng)
        others = (mask[box] > 0) & ~lung.mask
        gone = np.zeros(lung.shape, bool)
        for kind, severity in diseases:
            for change in RECIPES[kind](lung, severity):
                new[box] = mix_in(new[box], lung, change, noise, others | gone)
                if change.leaves is not None:
                    gone |= (change.leaves > 0.5) & lung.mask
        labels[box][gone] = 0
    if hu.dtype.kind in "iu":
        limits = np.iinfo(hu.dtype)
        new = np.clip(np.rint(new), limits.min, limits.max)
    out = new.astype(hu.dtype)
    inside = mask > 0
    rise = float((out[inside].astype(np.float64) - hu[inside]).sum())
    return Injured(out, labels, rise / 1000.0 * float(np.prod(step)) / 1000.0, dict(plan))


def mix_in(hu: Float, lung: LungSpace, change: Change, noise: float, keep: npt.NDArray[np.bool_]) -> Float:
    """Blend a share of each voxel to the target, with the scan's noise in the new part.

    The voxels at the surface hold lung and wall: their lung part changes too, else a dark line would be
    left round the dense lung and give its border away. So the share of the nearest lung voxel is carried
    over the surface, onto voxels that are darker than tissue.
    """
    target = np.asarray(change.target, np.float32)
    gas = float(np.mean(target)) < -500
    share = np.where(lung.mask & ~keep, np.clip(change.share, 0, 1), 0).astype(np.float32)
    emptied: Mask = np.zeros(lung.shape, bool)
    if change.leaves is not None:
        emptied = lung.mask & ~keep & (lung.deep > _RIM_MM)
    if gas:  # takes the place of lung only: what a voxel holds of wall or vessel stays
        share = np.where(emptied, share, share * np.clip((50 - hu) / 900, 0, 1))
    else:
        near = ~lung.mask & (lung.outside <= 1.8 * max(lung.spacing[:2])) & (hu < -20) & ~keep
        share = np.where(near, _spread(share), share)
    # Nothing gets less dense by disease that brings tissue in, nothing denser by gas, but where the lung has
    # gone its vessels have gone with it.
    spared = (hu < target) == gas
    share = np.where(spared & ~emptied, 0, share)
    out = hu + share * (target - hu)
    grain = lung.rng.standard_normal(hu.shape, np.float32) * np.float32(noise)
    out += grain * np.sqrt(np.clip(1 - (1 - share) ** 2, 0, 1)) * (hu > -2000)
    result: Float = out.astype(np.float32)
    return result


def _spread(values: Float) -> Float:
    """Greatest value among the voxel and its neighbours, two steps far in the plane, one across it."""
    from scipy import ndimage

    size = tuple(5 if axis < 2 and n > 1 else 3 if n > 1 else 1 for axis, n in enumerate(values.shape))
    out: Float = ndimage.maximum_filter(values, size=size)
    return out

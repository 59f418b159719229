"""Measures of the lobes: every measure of the lungs, and how much of each fissure is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import nibabel as nib
import numpy as np

from hilum.core.flags import Flag, FlagCode
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LOBES, Side
from hilum.core.volume import Volume
from hilum.measures import Group, LabelVoxels, MeasureDef, Measures, Value, compute, formulae
from hilum.measures.registry import REGISTRY
from hilum.tasks.lobes.find import LobeSegmentation
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.seen import CHANCE_MM, SEEN_HU, WITHIN_MM

__all__ = ["FISSURE_SEEN", "LOBES_OF", "measure_lobes"]

#: The lobes of each lung.
LOBES_OF = {
    Side.RIGHT: ("right_upper_lobe", "right_middle_lobe", "right_lower_lobe"),
    Side.LEFT: ("left_upper_lobe", "left_lower_lobe"),
    Side.LUNGS: tuple(region.name for region in LOBES.regions),
}
FISSURE_SEEN = MeasureDef(
    id="fissure_seen",
    title="Part of the fissure that is seen",
    unit="%",
    group=Group.ALL,
    formula_id="fissure_seen",
    formula_version="1",
    formula=(
        "(s - c) / (1 - c), at least 0: s is the share of the fitted surface inside the lung with a bright "
        f"plate within {WITHIN_MM:g} mm, whose response, averaged along the surface, is above {SEEN_HU:g} "
        f"HU; c is the mean share at {CHANCE_MM[2]} and {CHANCE_MM[3]} mm from it, where plates are chance"
    ),
    source="hilum",
    valid_range=(0.0, 100.0),
    invalidated_by=("slice thickness", "noise (dose)", "reconstruction kernel"),
    compute=lambda sample, voxel_ml: None,
    undefined="It is not computed from the voxels of a region.",
)
_NO_LUNG = "No {lung} was found in this scan."
_NO_LOBES = "The lobes were not found in this scan."


def measure_lobes(
    volume: Volume,
    segmentation: LobeSegmentation,
    flags: Sequence[Flag] = (),
    voxels: LabelVoxels | None = None,
) -> Measures:
    """Measure the lobes and the fissures between them.

    A flag that withholds measures of a lung withholds them of its lobes; where the lung is cut by the top or
    the bottom of the scan, of those that lie there. Thirds of lobes are not measured.

    Args:
        volume: The scan.
        segmentation: Its lobes.
        flags: Flags of the quality gate.
        voxels: Result of :func:`hilum.measures.collect`, if already computed.
    """
    touched = _touched(volume, segmentation.labels)
    of_lobes = [one for flag in flags if (one := _for_lobes(flag, touched)) is not None]
    all_values = compute(volume, segmentation.labels, of_lobes, voxels)
    values = {region.name: all_values[region.name] for region in LOBES.regions}
    for fissure in Fissure:
        values[fissure.region] = {FISSURE_SEEN.id: _seen(fissure, segmentation)}
    return Measures(values, tuple(dict.fromkeys(flags)), formulae((*REGISTRY.values(), FISSURE_SEEN)))


def _seen(fissure: Fissure, segmentation: LobeSegmentation) -> Value:
    if fissure in segmentation.seen:
        return Value(segmentation.seen[fissure], FISSURE_SEEN.unit)
    side = fissure.region.split("_")[0]
    reason = _NO_LUNG.format(lung=f"{side} lung") if segmentation.seen else _NO_LOBES
    return Value(None, FISSURE_SEEN.unit, reason)


def _for_lobes(flag: Flag, touched: Mapping[FlagCode, frozenset[str]]) -> Flag | None:
    """Return a flag of the lungs as one of their lobes; None where it concerns none of them."""
    sides = [side for side in (Side.RIGHT, Side.LEFT) if side.value in flag.regions]
    if not sides and Side.LUNGS.value in flag.regions:
        sides = [Side.LUNGS]
    if not sides:
        return flag
    names = [
        name for side in sides for name in LOBES_OF[side] if name in touched.get(flag.code, LOBES_OF[side])
    ]
    return replace(flag, regions=tuple(names)) if names else None


def _touched(volume: Volume, labels: LabelVolume) -> dict[FlagCode, frozenset[str]]:
    """The lobes in the end planes of the scan: the others are whole where their lung is cut there."""
    planes = nib.apply_orientation(labels.data, nib.io_orientation(volume.affine))[:, :, [0, -1]]
    low, high = (
        frozenset(LOBES[value].name for value in np.unique(planes[:, :, end]).tolist() if value)
        for end in (0, 1)
    )
    return {FlagCode.CUT_BOTTOM: low, FlagCode.CUT_TOP: high}

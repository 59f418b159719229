"""Measures of pleural fluid and free gas, by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hilum.anatomy.pleura import FLUID, GAS, SIDES, by_side
from hilum.core.flags import Flag
from hilum.core.labels import LUNGS, PLEURA, LabelRegion, Side
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.imaging.morphology import bounding_box, depth
from hilum.measures import (
    REGISTRY,
    Group,
    LabelVoxels,
    MeasureDef,
    Measures,
    Region,
    Sample,
    Value,
    collect,
    formulae,
)

__all__ = ["DEFINITIONS", "FLUID_MASS", "FLUID_THICKNESS", "collect_pleura", "measure_pleura"]

#: Mass of fluid: the formula of the lungs' tissue, over the voxels of fluid.
FLUID_MASS = replace(
    REGISTRY["tissue_mass"],
    id="fluid_mass",
    title="Mass of pleural fluid",
    formula="sum of V x (HU + 1000) / 1000 with HU clamped to HU >= -1000, at 1 g/mL",
    invalidated_by=("HU calibration", "mask", "contrast agent"),
)


def _thickness_measure(thickness_mm: float | None) -> MeasureDef:
    """The largest thickness as a measure; it is found from the shape of the fluid, not from its HU."""
    return replace(
        REGISTRY["volume"],
        id="fluid_thickness",
        title="Largest thickness of pleural fluid",
        unit="mm",
        formula_id="fluid_thickness",
        formula="diameter of the largest ball inside the fluid: twice the largest distance to other voxels",
        source="of this program",
        invalidated_by=("slice thickness", "mask"),
        compute=lambda sample, voxel_ml: thickness_mm,
    )


#: Largest thickness of the fluid of a side.
FLUID_THICKNESS = _thickness_measure(None)
_MEASURED: dict[int, tuple[MeasureDef, ...]] = {
    FLUID: (REGISTRY["volume"], FLUID_MASS, REGISTRY["mean_hu"], FLUID_THICKNESS),
    GAS: (REGISTRY["volume"],),
}
#: Every measure of the task.
DEFINITIONS = _MEASURED[FLUID]
_NO_SPACING = "The file holds no voxel size, so amounts are unknown."


def collect_pleura(volume: Volume, segmentation: Segmentation) -> LabelVoxels:
    """Group the voxels of fluid and free gas by side.

    Args:
        volume: The scan.
        segmentation: The pleura, with the label map of the lungs beside it.
    """
    lungs = segmentation.beside[LUNGS.name]
    return collect(volume, by_side(volume, segmentation.labels, lungs))


def measure_pleura(
    volume: Volume, segmentation: Segmentation, flags: Sequence[Flag] = (), voxels: LabelVoxels | None = None
) -> Measures:
    """Measure fluid and free gas: right, left, and both.

    Where none was found, the volume is 0 mL and the mass 0 g: the model has looked. The mean HU is then
    unknown. A flag that withholds a group of measures of a lung withholds it for the pleura of that side.

    Args:
        volume: The scan.
        segmentation: The pleura, with the label map of the lungs beside it.
        flags: Flags of the quality gate.
        voxels: Result of :func:`collect_pleura`, if already computed.

    Returns:
        Values of the regions of :data:`hilum.anatomy.pleura.SIDES`.
    """
    voxels = voxels or collect_pleura(volume, segmentation)
    values = {}
    for region in SIDES.regions:
        sample = voxels.sample(Region(region.name, region.values))
        kind = FLUID if region.name.endswith(PLEURA[FLUID].name) else GAS
        entries = [
            _thickness_measure(_thickness_mm(volume, segmentation, region))
            if entry is FLUID_THICKNESS
            else entry
            for entry in _MEASURED[kind]
        ]
        values[region.name] = {entry.id: _value(entry, region, sample, volume, flags) for entry in entries}
    return Measures(values, tuple(dict.fromkeys(flags)), formulae(DEFINITIONS))


def _value(
    entry: MeasureDef, region: LabelRegion, sample: Sample, volume: Volume, flags: Sequence[Flag]
) -> Value:
    """Compute one value, or say why it is unknown."""
    if entry.group is not Group.DENSITY and not volume.meta.spacing_known:
        return Value(None, entry.unit, _NO_SPACING)
    lung = _lung_of(region)
    for flag in flags:
        if flag.concerns(lung) and {Group.ALL.value, entry.group.value} & set(flag.forbids):
            return Value(None, entry.unit, flag.reason or flag.message)
    if entry.group is Group.DENSITY and not sample.size:
        return Value(None, entry.unit, f"No {region.title.split(',')[0].lower()} was found here.")
    return Value(entry.compute(sample, volume.voxel_volume_ml), entry.unit)


def _thickness_mm(volume: Volume, segmentation: Segmentation, region: LabelRegion) -> float:
    """Diameter in mm of the largest ball in the fluid of a region; 0 where there is none."""
    if not (segmentation.labels.data == FLUID).any():
        return 0.0
    sided = by_side(volume, segmentation.labels, segmentation.beside[LUNGS.name])
    mask = np.isin(sided.data, region.values)
    box = bounding_box(mask)
    return 0.0 if box is None else 2.0 * float(depth(np.pad(mask[box], 1), volume.spacing).max())


def _lung_of(region: LabelRegion) -> str:
    """The region of the lungs whose flags concern a region of the pleura."""
    side = {"right": Side.RIGHT, "left": Side.LEFT}.get(region.name.split("_")[0], Side.LUNGS)
    return side.value

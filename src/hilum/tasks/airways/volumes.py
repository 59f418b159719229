"""Volume of the airways, alone and beside that of the lungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hilum.core.flags import Flag
from hilum.core.labels import AIRWAYS, LUNGS
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.measures import REGISTRY, Group, MeasureDef, Measures, Value, formulae

__all__ = ["DEFINITIONS", "RATIO", "VOLUME", "measure_volumes"]

#: Volume of a label.
VOLUME = replace(
    REGISTRY["volume"],
    invalidated_by=(
        "field of view",
        "mask",
        "depth of inspiration",
        "slice thickness",
        "reconstruction kernel",
    ),
)
#: Lumen by lungs. The trachea counts as far as it is in view.
RATIO = MeasureDef(
    id="airway_lung_ratio",
    title="Airway lumen / lungs",
    unit="%",
    group=Group.VOLUME,
    formula_id="airway_lung_ratio.tree",
    formula_version="1",
    formula="100 x volume of the lumen of the whole tree found, trachea included / volume of both lungs",
    source="by definition, after the airway volume per cent of Tanabe 2019",
    valid_range=(0.0, None),
    invalidated_by=(
        "field of view",
        "mask",
        "depth of inspiration",
        "slice thickness",
        "reconstruction kernel",
    ),
    compute=lambda sample, voxel_ml: None,  # of two label maps, see measure_volumes
)
#: Every measure here.
DEFINITIONS = (VOLUME, RATIO)


def measure_volumes(
    volume: Volume,
    segmentation: Segmentation,
    flags: Sequence[Flag] = (),
    counts: Mapping[int, int] | None = None,
) -> Measures:
    """Measure the volume of lumen and wall, and the share of the lumen in the lungs.

    Args:
        volume: The scan.
        segmentation: The airways, with the label map of the lungs beside it.
        flags: Flags of the quality gate.
        counts: Voxels of each label of the airways, if already counted.
    """
    counts = counts or segmentation.labels.counts()
    ml = volume.voxel_volume_ml
    withheld = _withheld(volume, flags)
    values: dict[str, dict[str, Value]] = {}
    for region in AIRWAYS.regions:
        amount = sum(counts[value] for value in region.values) * ml
        values[region.name] = {VOLUME.id: _value(amount, VOLUME, withheld)}
    lungs = sum(segmentation.beside[LUNGS.name].counts().values()) * ml
    lumen = counts[AIRWAYS.region("airway_lumen").values[0]] * ml
    values["airway_lumen"][RATIO.id] = _value(100.0 * lumen / lungs if lungs else None, RATIO, withheld)
    return Measures(values, tuple(dict.fromkeys(flags)), formulae(DEFINITIONS))


def _withheld(volume: Volume, flags: Sequence[Flag]) -> str | None:
    """Why volumes are unknown; None where they are known."""
    if not volume.meta.spacing_known:
        return "The file holds no voxel size, so amounts are unknown."
    for flag in flags:
        if flag.concerns("lungs") and {Group.ALL.value, Group.VOLUME.value} & set(flag.forbids):
            return flag.reason or flag.message
    return None


def _value(amount: float | None, entry: MeasureDef, withheld: str | None) -> Value:
    if withheld is not None:
        return Value(None, entry.unit, withheld)
    return Value(amount, entry.unit, "No lung was found." if amount is None else None)

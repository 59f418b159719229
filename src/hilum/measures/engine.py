"""Computing measures from HU and labels: pure arithmetic on the native grid."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LabelSet
from hilum.core.volume import Volume
from hilum.measures.definition import Group
from hilum.measures.regions import LabelVoxels, Region, collect, regions_of
from hilum.measures.registry import REGISTRY, air_ml, mass_g
from hilum.measures.result import Measures, Value
from hilum.measures.sample import Sample
from hilum.quality.metal import metal_flags

__all__ = ["compute"]

_LOG = logging.getLogger(__name__)
#: Groups that are amounts of a whole lung, not shares of what was seen.
_AMOUNTS = (Group.VOLUME, Group.MASS)
_TOLERANCE = 1e-6

_NO_SPACING = "The file holds no voxel size, so amounts are unknown."
_ONLY_METAL = "All voxels of the mask here are metal."
_THIN = {
    0: "The {noun} is fewer than three voxel layers thick from front to back.",
    1: "The {noun} is fewer than three voxel layers thick from head to foot.",
}


def compute(
    volume: Volume,
    labels: LabelVolume,
    flags: Sequence[Flag] = (),
    voxels: LabelVoxels | None = None,
) -> Measures:
    """Measure the lungs of a scan.

    Every value is computed from the unchanged HU of the volume on its native grid. An unknown value is None
    with a reason: values invalidated by a flag, amounts if the file holds no voxel size, the thirds of a lung
    that is fewer than three voxel layers thick, and all values of a lung that is not in the mask. If
    only one lung is there, the amounts of ``lungs`` and all its thirds are unknown, while its densities are
    those of the lung that was found. Metal voxels count in the volume only, and are flagged.

    Args:
        volume: The scan.
        labels: The lungs, on the same grid.
        flags: Flags of the quality gate; groups of measures that they invalidate become None.
        voxels: Result of :func:`collect` for this volume and these labels, if already computed.

    Returns:
        Values of all regions and measures.

    Raises:
        UsageError: The labels have another shape.
        GeometryError: Their grids differ.

    Examples:
        >>> import numpy as np
        >>> volume = Volume(np.full((10, 10, 10), -800, np.int16), np.diag([10.0, 10.0, 10.0, 1.0]))
        >>> labels = LabelVolume.on_grid_of(volume, np.ones(volume.shape, np.uint8))
        >>> round(compute(volume, labels)["right_lung"]["tissue_mass"].value, 6)
        200.0
    """
    labels.require_grid_of(volume)
    label_set, regions = labels.label_set, regions_of(labels.label_set)
    voxels = voxels or collect(volume, labels)
    samples = {region.name: voxels.sample(region) for region in regions if region.axis is None}
    found = tuple(value for value, info in label_set.items() if samples[info.name].voxels)
    broken = _identity(samples, volume.voxel_volume_ml, labels)
    metal = {value: samples[info.name].metal for value, info in label_set.items()}
    every = (*flags, *broken, *metal_flags(metal, volume, label_set))
    worst_first = [*broken, *sorted(flags, key=_rank)]
    values = {}
    for region in regions:
        sample = samples[region.name] if region.axis is None else voxels.sample(region)
        values[region.name] = _measure(region, sample, volume, found, voxels, worst_first)
    return Measures(values, tuple(dict.fromkeys(every)))


def _rank(flag: Flag) -> int:
    return [Severity.ERROR, Severity.WARNING, Severity.INFO].index(flag.severity)


def _measure(
    region: Region,
    sample: Sample,
    volume: Volume,
    found: tuple[int, ...],
    voxels: LabelVoxels,
    flags: Iterable[Flag],
) -> dict[str, Value]:
    """Return all measures of one region."""
    nothing = _whole_region_unknown(region, sample, found, voxels)
    reasons = {
        group: nothing or _group_unknown(group, region, volume, (voxels.label_set, found), flags)
        for group in Group
    }
    out = {}
    for id_, entry in REGISTRY.items():
        reason = reasons[entry.group]
        if not reason and not sample.size and entry.group is not Group.VOLUME:
            reason = _ONLY_METAL
        value = None if reason else entry.compute(sample, volume.voxel_volume_ml)
        if value is None:
            out[id_] = Value(None, entry.unit, reason or entry.undefined)
        else:
            out[id_] = Value(value, entry.unit)
    return out


def _whole_region_unknown(
    region: Region, sample: Sample, found: tuple[int, ...], voxels: LabelVoxels
) -> str | None:
    """Return why no value of a region can be known; None if some can."""
    label_set = voxels.label_set
    missing = [value for value in region.values if value not in found]
    if len(missing) == len(region.values) > 1:
        return f"No {label_set.noun} was found in this scan."
    if missing and len(region.values) == 1:
        return f"No {label_set[missing[0]].title.lower()} was found in this scan."
    if region.axis is None:
        return None
    if missing:
        return _only(label_set, found)
    if not voxels.has_thirds(region):
        return _THIN[region.axis].format(noun=label_set.noun)
    return None if sample.voxels else f"The mask is empty in this part of the {label_set.noun}."


def _group_unknown(
    group: Group,
    region: Region,
    volume: Volume,
    known: tuple[LabelSet, tuple[int, ...]],
    flags: Iterable[Flag],
) -> str | None:
    """Return why a group of measures of a region cannot be known; None if it can."""
    label_set, found = known
    if group in _AMOUNTS and not volume.meta.spacing_known:
        return _NO_SPACING
    if group in _AMOUNTS and any(value not in found for value in region.values):
        return _only(label_set, found)
    invalidating = {Group.ALL.value, group.value}
    if region.axis is not None:
        invalidating.add(Group.THIRDS.value)
    for flag in flags:
        if flag.concerns(region.name) and invalidating.intersection(flag.forbids):
            return flag.reason or flag.message
    return None


def _only(label_set: LabelSet, found: tuple[int, ...]) -> str:
    names = " and the ".join(label_set[value].title.lower() for value in found)
    return f"Only the {names} was found in this scan."


def _identity(samples: dict[str, Sample], voxel_ml: float, labels: LabelVolume) -> tuple[Flag, ...]:
    """Check that every voxel was counted and that air + tissue = volume where all HU are in [-1000, 0].

    A failure would be a bug in hilum, so the values are withheld.
    """
    broken = []
    voxels = labels.counts()
    for value, info in labels.label_set.items():
        if samples[info.name].voxels != voxels[value]:
            broken.append(info.name)
    for name, sample in samples.items():
        if not sample.size or sample.metal or sample.low < -1000 or sample.high > 0:
            continue
        volume = sample.size * voxel_ml
        if abs(air_ml(sample, voxel_ml) + mass_g(sample, voxel_ml) - volume) > _TOLERANCE * volume:
            broken.append(name)
    if not broken:
        return ()
    _LOG.error("The identity air + tissue = volume does not hold in %s.", ", ".join(broken))
    message = (
        "Air and tissue do not add up to the volume, which is a bug in hilum; the values are withheld. "
        "Report it with the scan's shape, spacing and type."
    )
    return (Flag(FlagCode.IDENTITY_FAILED, Severity.ERROR, message, tuple(broken), (Group.ALL.value,)),)

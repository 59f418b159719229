"""Values of the measures of injured lung, by place and class."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.core.flags import Flag
from hilum.core.labels import INJURY, LUNGS, Side
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.measures import Group, Measures, Value
from hilum.tasks.injury.definitions import (
    CLASS_MEASURES,
    PLACE_MEASURES,
    Context,
    InjuryMeasure,
    injury_formulae,
)
from hilum.tasks.injury.places import Amounts, Place, sum_places

__all__ = ["LOBES_NAME", "SUFFIX", "collect_injury", "measure_injury", "region_of"]

#: Name of the label set of the lobes.
LOBES_NAME = "lobes"
#: Name of what is measured of all classes together: this after the name of the place.
SUFFIX = "injury"
_NO_SPACING = "The file holds no voxel size, so amounts are unknown."
_AMOUNTS = (Group.VOLUME, Group.MASS)
_THIN = "The lung is fewer than three voxel layers thick along this axis."


def region_of(place: Place, kind: str = SUFFIX) -> str:
    """Name of a region of the outputs: a place and a class; the class alone for both lungs."""
    both = place.name == Side.LUNGS.value
    return kind if both and kind != SUFFIX else f"{place.name}_{kind}"


def collect_injury(volume: Volume, segmentation: Segmentation) -> Amounts:
    """Sum the classes by place.

    Args:
        volume: The scan.
        segmentation: The tissue, with the label maps of the lungs and, if known, of the lobes beside it.
    """
    beside = segmentation.beside
    return sum_places(volume, segmentation.labels, beside[LUNGS.name], beside.get(LOBES_NAME))


def measure_injury(
    volume: Volume, segmentation: Segmentation, flags: Sequence[Flag] = (), amounts: Amounts | None = None
) -> Measures:
    """Measure the tissue of the lungs: each class by place, and all together.

    Args:
        volume: The scan.
        segmentation: The tissue, as for :func:`collect_injury`.
        flags: Flags of the quality gate; what they invalidate becomes None.
        amounts: Result of :func:`collect_injury`, if already computed.

    Returns:
        Values by region: a class, a class at a place such as ``right_lung_ground_glass``, or a place such as
        ``right_lung_injury``.
    """
    amounts = amounts or collect_injury(volume, segmentation)
    values: dict[str, dict[str, Value]] = {}
    for place in Place.all(amounts.lobes):
        context = Context(amounts, place, segmentation.facts, volume.meta.predicted_weight_g)
        reasons = {group: _unknown(group, place, context, volume, flags) for group in Group}
        values[region_of(place)] = {
            entry.id: _value(entry, context, 0, reasons) for entry in PLACE_MEASURES if entry.where(place)
        }
        for kind, info in INJURY.items():
            values[region_of(place, info.name)] = {
                entry.id: _value(entry, context, kind, reasons) for entry in CLASS_MEASURES
            }
    return Measures(values, tuple(dict.fromkeys(flags)), injury_formulae())


def _value(entry: InjuryMeasure, context: Context, kind: int, reasons: dict[Group, str | None]) -> Value:
    reason = reasons[entry.group]
    return Value(None, entry.unit, reason) if reason else entry.value(context, kind)


def _unknown(
    group: Group, place: Place, context: Context, volume: Volume, flags: Sequence[Flag]
) -> str | None:
    """Why a group of measures of a place is unknown; None if it can be known."""
    if group in _AMOUNTS and not volume.meta.spacing_known:
        return _NO_SPACING
    forbidden = {Group.ALL.value, group.value} | ({Group.THIRDS.value} if place.third else set())
    region = place.name
    if place.lobe:
        region = (Side.LEFT if place.name.startswith("left") else Side.RIGHT).value
    for flag in flags:
        if flag.concerns(region) and forbidden & set(flag.forbids):
            return flag.reason or flag.message
    if not context.sums.volume() and not place.lobe:
        return f"No {place.title.split(',')[0].lower()} was found in this scan."
    return None if context.amounts.has(place) else _THIN

"""Values of the airways: of the whole tree, by side, by generation, and of trachea and main bronchi."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hilum.core.errors import InputError
from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import AIRWAYS, LOBES, LUNGS, VESSELS, Side
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.measures import Group, Measures, Value, formulae
from hilum.tasks.airways.calibre import (
    ARTERY_SLICE_MM,
    CALIBRE_SLICE_MM,
    MAIN_SLICE_MM,
    MeasuredAirways,
    coarsest_mm,
    measure_airway_tree,
)
from hilum.tasks.airways.definitions import (
    AIRWAY_MEASURES,
    AIRWAY_REGIONS,
    ARTERIAL,
    GENERATIONS,
    LOBE_REGIONS,
    MEASURED,
    PI10_AT_MM,
    PI10_BRANCHES,
    PI10_GENERATIONS,
    PI10_PERIMETERS_MM,
    generation_region,
)
from hilum.tasks.airways.tree import AirwayBranch, AirwayTree

__all__ = ["collect_airways", "measure_airways"]

_LUMEN = next(iter(AIRWAYS))
_NO_SPACING = "The file holds no voxel size, so lengths and volumes are unknown."
_NO_BRANCH = AIRWAY_MEASURES["lumen_diameter"].undefined
_NO_GENERATION = "No branch of this generation was found here."
_NO_LOBE = "No branch was found in this lobe."
_NO_VESSELS = "Arteries are not known: the task vessels was not done with this scan."
_NOT_FOUND = "It was not found in this scan."
#: Regions that a calibre is given of on thick slices, too.
_CENTRAL = ("trachea", "right_main_bronchus", "left_main_bronchus")
_SIDES = {Side.RIGHT: "right", Side.LEFT: "left", Side.LUNGS: ""}
_Branches = Sequence[AirwayBranch]


def collect_airways(volume: Volume, segmentation: Segmentation) -> MeasuredAirways | None:
    """Measure the tree of the airways.

    Args:
        volume: The scan.
        segmentation: The airways, with the label map of the lungs beside it, and those of lobes and vessels
            where they are known.

    Returns:
        The tree with calibres; None where the lumen gives no line.
    """
    lumen = segmentation.labels.mask(AIRWAYS[_LUMEN].name)
    lobes, vessels = (segmentation.beside.get(one.name) for one in (LOBES, VESSELS))
    try:
        return measure_airway_tree(
            volume,
            lumen,
            segmentation.beside[LUNGS.name].data,
            lobes=None if lobes is None else lobes.data,
            vessels=None if vessels is None else vessels.data > 0,
        )
    except InputError:
        return None


def measure_airways(
    volume: Volume,
    segmentation: Segmentation,
    airways: MeasuredAirways | None = None,
    flags: Sequence[Flag] = (),
) -> Measures:
    """Compute every measure of the airways.

    A value that a quality flag withholds, or that the tree does not give, is unknown with a reason. On slices
    thicker than :data:`CALIBRE_SLICE_MM` only trachea and main bronchi have a calibre, beyond
    :data:`MAIN_SLICE_MM` only the trachea.

    Args:
        volume: The scan.
        segmentation: The airways, with the label map of the lungs beside it.
        airways: Result of :func:`collect_airways`; None where there is no tree.
        flags: Flags of the quality gate.

    Returns:
        Values of the regions of the label set, of :data:`AIRWAY_REGIONS`, of each of :data:`GENERATIONS` and,
        where lobes are known, of :data:`LOBE_REGIONS`.
    """
    lungs = segmentation.beside[LUNGS.name]
    tree = AirwayTree(()) if airways is None else airways.tree
    lung_ml = {side: float(lungs.mask(side.value).sum()) * volume.voxel_volume_ml for side in _SIDES}
    values = _volumes(segmentation.labels)
    for region, (_, lung) in AIRWAY_REGIONS.items():
        side = Side(lung)
        kind, branches = _branches_of(region, tree, side)
        amounts = _amounts(branches, lung_ml[side]) if kind == "whole" else _length(branches)
        row = _values(kind, branches, amounts, _NO_BRANCH if kind == "whole" else _NOT_FOUND)
        values.setdefault(region, {}).update(row)
    for generation in GENERATIONS:
        for word in _SIDES.values():
            branches = [
                branch
                for branch in (tree.of(word) if word else tree.branches)
                if branch.generation == generation
            ]
            values[generation_region(generation, word)] = _part(branches, _NO_GENERATION)
    if airways is not None and airways.lobes:
        for region, (_, _, lobe) in LOBE_REGIONS.items():
            values[region] = _part(tree.of_lobe(lobe), _NO_LOBE)
    for region, row in values.items():
        for id_ in row:
            reason = _withheld(region, id_, volume, flags)
            if not reason and id_ in ARTERIAL and not (airways is not None and airways.arteries):
                reason = _NO_VESSELS
            if reason:
                row[id_] = Value(None, row[id_].unit, reason)
    return Measures(values, tuple(dict.fromkeys(flags)), formulae(AIRWAY_MEASURES.values()))


def _volumes(labels: LabelVolume) -> dict[str, dict[str, Value]]:
    """Return the volume of each region of the label set."""
    counts, info = labels.counts(), AIRWAY_MEASURES["volume"]
    return {
        region.name: {
            info.id: Value(sum(counts[value] for value in region.values) * labels.voxel_ml, info.unit)
        }
        for region in labels.label_set.regions
    }


def _branches_of(region: str, tree: AirwayTree, side: Side) -> tuple[str, _Branches]:
    """Return the kind of a region, and its branches."""
    word = _SIDES[side]
    if region == "trachea":
        return "branch", tree.trachea
    if region in _CENTRAL:
        found = tree.main_bronchus(word)
        return "branch", () if found is None else (found,)
    return "whole", tree.of(word) if word else tree.branches


def _amounts(branches: _Branches, lung_ml: float) -> dict[str, float | None]:
    """Length, counts and volumes of a tree."""
    lumen = sum(branch.mask_ml for branch in branches if branch.generation > 0)
    # The pieces of a trachea from which a bronchus leaves are one branch.
    count = sum(branch.generation > 0 for branch in branches) + any(b.generation == 0 for b in branches)
    return {
        **_length(branches, none=0.0),
        "branch_count": float(count),
        "tac.whole": float(count),
        "lumen_volume": float(lumen),
        "airway_lung_ratio": 100 * float(lumen) / lung_ml if lung_ml > 0 else None,
    }


def _length(branches: _Branches, none: float | None = None) -> dict[str, float | None]:
    return {"tree_length": float(sum(b.length_mm for b in branches)) if branches else none}


def _part(branches: _Branches, reason: str) -> dict[str, Value]:
    """Return the values of a generation or a lobe."""
    amounts = {**_length(branches, none=0.0), "branch_count": float(len(branches))}
    return _values("part", branches, amounts, reason)


def _values(
    kind: str, branches: _Branches, amounts: dict[str, float | None], reason: str
) -> dict[str, Value]:
    """Return the values of a region, each with its unit or the reason why it is unknown."""
    out = {}
    for id_ in MEASURED[kind]:
        info = AIRWAY_MEASURES[id_]
        if id_ in amounts:
            value = amounts[id_]
            out[id_] = Value(value, info.unit, None if value is not None else reason)
        else:
            value = _CALIBRES[id_](branches)
            why = (info.undefined if branches else reason) if value is None else None
            out[id_] = Value(value, info.unit, why)
    return out


def _withheld(region: str, id_: str, volume: Volume, flags: Iterable[Flag]) -> str:
    """Return why a value must not be given; empty if it may."""
    info = AIRWAY_MEASURES[id_]
    if not volume.meta.spacing_known and info.unit:
        return _NO_SPACING
    lung = _lung_of(region)
    for flag in flags:
        if flag.concerns(lung) and {Group.ALL.value, info.group.value} & set(flag.forbids):
            return flag.reason or flag.message
    thickness = coarsest_mm(volume)
    thin = {"trachea": np.inf}.get(region, MAIN_SLICE_MM if region in _CENTRAL else CALIBRE_SLICE_MM)
    if id_ in ARTERIAL and thickness > ARTERY_SLICE_MM:
        return f"Voxels of {thickness:.3g} mm are too coarse for the arteries beside airways."
    if info.group is Group.DENSITY and thickness > thin:
        return f"Voxels of {thickness:.3g} mm are too coarse for the calibre of these airways."
    return ""


def _lung_of(region: str) -> str:
    """The region of the lungs whose flags concern a region of the airways."""
    if region in AIRWAY_REGIONS:
        return AIRWAY_REGIONS[region][1]
    return {"right": Side.RIGHT, "left": Side.LEFT}.get(region.split("_")[0], Side.LUNGS).value


def _median(get: Callable[[AirwayBranch], float | None]) -> Callable[[_Branches], float | None]:
    def compute(branches: _Branches) -> float | None:
        known = [value for value in map(get, branches) if value is not None]
        return float(np.median(known)) if known else None

    return compute


def _of_calibre(name: str) -> Callable[[_Branches], float | None]:
    return _median(lambda branch: None if branch.calibre is None else getattr(branch.calibre, name))


def _with_artery(branches: _Branches) -> float:
    """Count the branches with an artery."""
    return float(sum(b.calibre is not None and b.calibre.artery_ratio is not None for b in branches))


def _pi10(name: str) -> Callable[[_Branches], float | None]:
    """Read a straight line over the inner perimeter at 10 mm."""

    def compute(branches: _Branches) -> float | None:
        rows = []
        for branch in branches:
            found = branch.calibre
            if found is None or found.lumen_mm is None or found.wall_mm2 is None or branch.generation < 1:
                continue
            perimeter = np.pi * found.lumen_mm
            if PI10_PERIMETERS_MM[0] <= perimeter <= PI10_PERIMETERS_MM[1]:
                value = np.sqrt(found.wall_mm2) if name == "sqrt_wa" else found.wall_mm
                rows.append((perimeter, value, branch.generation))
        if len(rows) < PI10_BRANCHES or len({row[2] for row in rows}) < PI10_GENERATIONS:
            return None
        x, y, _ = np.array(rows, np.float64).T
        _, start = np.polyfit(x - PI10_AT_MM, y, 1)
        return float(start)

    return compute


_CALIBRES: dict[str, Callable[[_Branches], float | None]] = {
    "lumen_diameter": _of_calibre("lumen_mm"),
    "lumen_area": _of_calibre("lumen_mm2"),
    "wall_thickness": _of_calibre("wall_mm"),
    "wall_area_percent": _of_calibre("wall_percent"),
    "lumen_diameter_half": _of_calibre("half_lumen_mm"),
    "wall_area_percent_half": _of_calibre("half_wall_percent"),
    "airway_artery_ratio": _of_calibre("artery_ratio"),
    "airway_artery_branches": _with_artery,
    "taper.intra": _of_calibre("taper_percent_per_mm"),
    "taper.inter": _of_calibre("narrowing_percent"),
    "pi10.sqrt_wa": _pi10("sqrt_wa"),
    "pi10.thickness": _pi10("thickness"),
}

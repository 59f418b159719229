"""What is measured of the airways: id, formula and source of each measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from types import MappingProxyType

from hilum.core.labels import AIRWAYS, LOBES, Side
from hilum.measures import REGISTRY, Group, MeasureInfo, measure_info
from hilum.tasks.airways.arteries import ARTERY_RULE
from hilum.tasks.airways.tree import BRANCH_RULE
from hilum.tasks.airways.tube_fit import WALL_HU

__all__ = [
    "AIRWAY_MEASURES",
    "AIRWAY_REGIONS",
    "ARTERIAL",
    "GENERATIONS",
    "LOBE_REGIONS",
    "MEASURED",
    "PI10_PERIMETERS_MM",
    "generation_region",
    "measures_of",
]

#: Generations that have regions of their own; the table of branches holds all.
GENERATIONS = range(1, 11)
#: Inner perimeters of the branches of Pi10, in mm, and the perimeter that it is read at.
PI10_PERIMETERS_MM = (7.5, 25.0)
PI10_AT_MM = 10.0
#: How many branches of how many generations it needs.
PI10_BRANCHES = 10
PI10_GENERATIONS = 3
#: Regions that are not of one generation: name in the outputs, name for people, lung whose flags concern it.
AIRWAY_REGIONS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "airways": ("Airways", Side.LUNGS.value),
    "right_airways": ("Right airways", Side.RIGHT.value),
    "left_airways": ("Left airways", Side.LEFT.value),
    "trachea": ("Trachea", Side.LUNGS.value),
    "right_main_bronchus": ("Right main bronchus", Side.RIGHT.value),
    "left_main_bronchus": ("Left main bronchus", Side.LEFT.value),
})  # fmt: skip

#: The same of each lobe, where lobes are known; the last is its name in the label set ``lobes``.
LOBE_REGIONS: Mapping[str, tuple[str, str, str]] = MappingProxyType({
    f"{info.name}_airways": (
        f"Airways, {info.title.lower()}",
        (Side.RIGHT if info.name.startswith("right") else Side.LEFT).value,
        info.name,
    )
    for info in LOBES.values()
})  # fmt: skip

_MASK, _KERNEL, _THICKNESS = "mask", "reconstruction kernel", "slice thickness"
_BREATH, _NOISE, _CUT = "depth of inspiration", "noise (dose)", "lung cut by the field of view"
_SEEN = (_MASK, _THICKNESS, _NOISE, _BREATH, _CUT)
_FITTED = (_MASK, _THICKNESS, _BREATH, "contrast agent")
_FIT = (
    f"fit of a lumen and a wall of {WALL_HU:g} HU in parenchyma, blurred by the point spread of the scan, to "
    "the HU of sections at right angles on the centreline; rays with a bright neighbour are left out; median "
    "over the middle 60 % of a branch"
)
_MEDIAN = "; of several branches the median"
_HALF = (
    "half-maximum: inner and outer edge half way between the peak of the wall and the lowest HU inward and "
    "outward, along rays at right angles on the centreline; median over the middle 60 % of a branch"
)
_HALF_SOURCE = "half-maximum as in AirQuant, after Kiraly"
_OWN_FIT = "of this program; model fits of airway walls: Saba 2003"
_NO_BRANCH = "No branch whose lumen could be measured was found here."
_NO_WALL = "No branch was found here whose wall has an outer edge: soft tissue lies round it."
_NO_ARTERY = "No vessel that could be measured runs beside the branches here."
_NO_PI10 = (
    f"Fewer than {PI10_BRANCHES} branches of {PI10_GENERATIONS} generations with an inner perimeter of "
    f"{PI10_PERIMETERS_MM[0]:g} to {PI10_PERIMETERS_MM[1]:g} mm were measured."
)


_info = partial(measure_info, "airway")


def _amounts() -> tuple[MeasureInfo, ...]:
    return (
        _info("tree_length", "Length of the tree", "mm", Group.VOLUME,
              "sum of the lengths of the smoothed centrelines of all branches", "by definition", _SEEN),
        _info("branch_count", "Branches", "", Group.VOLUME, f"number of branches: {BRANCH_RULE}",
              "of this program; rule of spurs: ATM'22 drops short pieces too", _SEEN),
        _info("tac.whole", "Total airway count", "", Group.VOLUME,
              "number of branches of the whole tree, the trachea among them, by the rule of branch_count",
              "count of the whole tree, as in the cohort CanCOLD", _SEEN, formula_id="tac.whole"),
        _info("lumen_volume", "Volume of the lumen", "mL", Group.VOLUME,
              "volume of the voxels of the lumen mask, without the trachea", "by definition",
              (_MASK, _THICKNESS, _BREATH, _CUT)),
        _info("airway_lung_ratio", "Airway to lung volume", "%", Group.VOLUME,
              "100 x lumen_volume / volume of the lungs (of the lung of that side)",
              "of this program, after the airway volume percent of Tanabe 2019; without the trachea, whose "
              "length in the scan differs", (_MASK, _BREATH, _CUT), high=100.0),
    )  # fmt: skip


def _calibres() -> tuple[MeasureInfo, ...]:
    return (
        _info("lumen_diameter", "Lumen diameter", "mm", Group.DENSITY,
              f"2 sqrt(A / pi) of the area A of the lumen; {_FIT}{_MEDIAN}", _OWN_FIT, _FITTED,
              formula_id="airway.lumen.fit", undefined=_NO_BRANCH),
        _info("lumen_area", "Lumen area", "mm2", Group.DENSITY, f"area of the lumen; {_FIT}{_MEDIAN}",
              _OWN_FIT, _FITTED, formula_id="airway.lumen_area.fit", undefined=_NO_BRANCH),
        _info("wall_thickness", "Wall thickness", "mm", Group.DENSITY, f"{_FIT}{_MEDIAN}", _OWN_FIT, _FITTED,
              formula_id="airway.wall.fit", undefined=_NO_WALL),
        _info("wall_area_percent", "Wall area", "%", Group.DENSITY,
              f"100 (Ao - Ai) / Ao of the areas within the outer and the inner border; {_FIT}{_MEDIAN}",
              _OWN_FIT, _FITTED, formula_id="airway.wall_area.fit", high=100.0, undefined=_NO_WALL),
        _info("lumen_diameter_half", "Lumen diameter, half-maximum", "mm", Group.DENSITY, f"{_HALF}{_MEDIAN}",
              _HALF_SOURCE, (*_FITTED, _KERNEL), formula_id="airway.lumen.fwhm", undefined=_NO_BRANCH),
        _info("wall_area_percent_half", "Wall area, half-maximum", "%", Group.DENSITY,
              f"100 (Ao - Ai) / Ao; {_HALF}{_MEDIAN}", _HALF_SOURCE, (*_FITTED, _KERNEL),
              formula_id="airway.wall_area.fwhm", high=100.0, undefined=_NO_WALL),
    )  # fmt: skip


def _arterial() -> tuple[MeasureInfo, ...]:
    return (
        _info("airway_artery_ratio", "Lumen by artery (BAR)", "", Group.DENSITY,
              "lumen_diameter / diameter of the artery beside the branch, the latter by the fit of a solid "
              "cylinder with the HU of blood, blurred by the point spread of the scan; median over branches; "
              f"{ARTERY_RULE}", "of this program",
              (*_FITTED, "mask of the vessels"), formula_id="airway.bar.fit", undefined=_NO_ARTERY),
        _info("airway_artery_branches", "Branches with an artery", "", Group.DENSITY,
              "number of branches that airway_artery_ratio is the median of", "by definition",
              (_MASK, "mask of the vessels", _THICKNESS), formula_id="airway.bar_branches"),
    )  # fmt: skip


def _derived() -> tuple[MeasureInfo, ...]:
    low, high = PI10_PERIMETERS_MM
    line = (
        "straight line (least squares) of {} over the inner perimeter, branches with a perimeter of "
        f"{low:g} to {high:g} mm, read at {PI10_AT_MM:g} mm; lumen and wall by the fit"
    )
    return (
        _info("taper.intra", "Taper within branches", "%/mm", Group.DENSITY,
              "-100 x slope / intercept of the straight line of the lumen diameter along the middle 60 % of "
              f"a branch{_MEDIAN}", "as in AirQuant", _FITTED, formula_id="airway.taper.intra",
              low=None, undefined=_NO_BRANCH),
        _info("taper.inter", "Taper between branches", "%", Group.DENSITY,
              f"100 (D of the parent - D) / D of the parent{_MEDIAN}", "as in AirQuant", _FITTED,
              formula_id="airway.taper.inter", low=None, high=100.0, undefined=_NO_BRANCH),
        _info("pi10.sqrt_wa", "Pi10, square root of wall area", "mm", Group.DENSITY,
              line.format("sqrt(wall area)"),
              "regression and range of perimeters as in the Chest Imaging Platform", _FITTED,
              formula_id="pi10.sqrt_wa", undefined=_NO_PI10),
        _info("pi10.thickness", "Pi10, wall thickness", "mm", Group.DENSITY, line.format("wall thickness"),
              "thickness at 10 mm as in PMC5286807; range of perimeters as pi10.sqrt_wa", _FITTED,
              formula_id="pi10.thickness", undefined=_NO_PI10),
    )  # fmt: skip


#: Volume of a label, as that of a lung.
_VOLUME = MeasureInfo(
    **{
        field.name: getattr(REGISTRY["volume"], field.name)
        for field in fields(MeasureInfo)
        if field.name != "invalidated_by"
    },
    invalidated_by=(_MASK, _BREATH, _THICKNESS, _KERNEL, _CUT),
)
#: Every measure of the task by its id, in the order of the outputs.
AIRWAY_MEASURES: Mapping[str, MeasureInfo] = MappingProxyType(
    {
        info.id: info
        for part in ((_VOLUME,), _amounts(), _calibres(), _arterial(), _derived())
        for info in part
    }
)
#: Measures that are known where vessels are.
ARTERIAL = tuple(info.id for info in _arterial())
#: Measures of the regions: whole trees, single branches, generations and lobes.
MEASURED: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "whole": tuple(id_ for id_ in AIRWAY_MEASURES if id_ != _VOLUME.id),
    "branch": ("tree_length", *(info.id for info in _calibres())),
    "part": ("branch_count", "tree_length", *(info.id for info in (*_calibres(), *_arterial()))),
})  # fmt: skip


def measures_of(region: str) -> tuple[str, ...]:
    """Return the ids of the measures of a region of the label set, of a lobe or of :data:`AIRWAY_REGIONS`."""
    if region in LOBE_REGIONS:
        return MEASURED["part"]
    volume = (_VOLUME.id,) if region in {one.name for one in AIRWAYS.regions} else ()
    if region not in AIRWAY_REGIONS:
        return volume
    return (*volume, *MEASURED["whole" if region.endswith("airways") else "branch"])


def generation_region(generation: int, side: str = "") -> str:
    """Return the name of the region of a generation: of both sides, or of ``right`` or ``left``."""
    return f"{side}_airways_generation_{generation}" if side else f"airways_generation_{generation}"

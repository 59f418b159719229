"""What is measured of the vessels: id, formula and source of each measure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from hilum.core.labels import Side
from hilum.measures import Group, MeasureInfo, measure_info
from hilum.tasks.vessels.pieces import MARGIN_MM, PIECE_MM

__all__ = ["CLASSES", "VESSEL_MEASURES", "VESSEL_REGIONS"]

#: Area of the section in mm2, low <= area < high, of the classes of calibre.
CLASSES: Mapping[str, tuple[float, float]] = MappingProxyType({
    "bv5": (0.0, 5.0),
    "bv5_10": (5.0, 10.0),
    "bv10_plus": (10.0, float("inf")),
})  # fmt: skip
#: Regions: name in the outputs, name for people, lung whose flags concern it.
VESSEL_REGIONS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "right_vessels": ("Right", Side.RIGHT.value),
    "left_vessels": ("Left", Side.LEFT.value),
    "vessels": ("Both", Side.LUNGS.value),
})  # fmt: skip

_TITLES = {"bv5": "below 5 mm²", "bv5_10": "5 to below 10 mm²", "bv10_plus": "from 10 mm² on"}
_CAUSES = (
    "slice thickness", "noise (dose)", "reconstruction kernel", "depth of inspiration", "mask",
    "lung cut by the field of view", "consolidation",
)  # fmt: skip
_INTEGRAL = (
    f"sum of V (HU - p) / (b - p) over the voxels of the lungs within {MARGIN_MM:g} mm of the vessels, "
    "without walls of airways and dense tissue; p is the mean HU of the parenchyma near by, away from "
    "vessels, b the HU of blood in this scan (blood_hu)"
)
_BY_PIECE = (
    f"; each voxel counts for the nearest piece of centreline of about {PIECE_MM:g} mm, and the volume of a "
    "piece by its length is the area of its section"
)
_SOURCE = (
    "classes of area: Estepar 2013; integral: of this program, linear partial volume, checked on phantoms"
)


_info = partial(measure_info, "vessel")


def _volumes() -> tuple[MeasureInfo, ...]:
    group = Group.VOLUME
    by_area = tuple(
        _info(id_, f"Vessels {_TITLES[id_]}", "mL", group,
              f"{_INTEGRAL}{_BY_PIECE}; pieces of {_TITLES[id_]}", _SOURCE, _CAUSES,
              formula_id="bv.integral.1")
        for id_ in CLASSES
    )  # fmt: skip
    by_mask = tuple(
        _info(f"{id_}_edt", f"Vessels {_TITLES[id_]}, by the mask", "mL", group,
              f"voxels of the mask nearest to pieces of centreline of {_TITLES[id_]}; area = pi r^2, r the "
              "mean distance of the centreline from the outside of the mask", _SOURCE, _CAUSES,
              formula_id="bv.mask_edt.1")
        for id_ in CLASSES
    )  # fmt: skip
    return (
        _info("blood_volume", "Total blood vessel volume", "mL", group, f"{_INTEGRAL}; walls included",
              _SOURCE, _CAUSES, formula_id="tbv.integral.1"),
        *by_area,
        _info("bv5_share", "Vessels below 5 mm², share", "%", group, "100 x bv5 / blood_volume", _SOURCE,
              _CAUSES, formula_id="bv5_share.integral.1", high=100.0, undefined="No vessel was found here."),
        _info("mask_volume", "Vessels, volume of the mask", "mL", group,
              "number of voxels of the label map x voxel volume", "by definition", _CAUSES,
              formula_id="tbv.mask.1"),
        *by_mask,
    )  # fmt: skip


def _others() -> tuple[MeasureInfo, ...]:
    return (
        _info("vessel_density", "Vessel density", "%", Group.VOLUME,
              "100 x blood_volume / volume of the lungs (of the lung of that side)", "by definition",
              _CAUSES, high=100.0, undefined="No lung was found here."),
        _info("vessel_length", "Length of the vessels", "m", Group.VOLUME,
              "sum of the lengths of the smoothed centrelines", "by definition", _CAUSES),
        _info("lung_mass", "CT lung weight, with vessels", "g", Group.MASS,
              "tissue_mass of the lungs (of the lung of that side)", "Cressoni 2013; Protti 2014", _CAUSES,
              formula_id="mass_two_compartment"),
        _info("lung_mass_without_vessels", "CT lung weight, without vessels", "g", Group.MASS,
              "lung_mass - blood_volume x (1 + blood_hu / 1000) g/mL", "of this program", _CAUSES),
        _info("blood_hu", "Blood", "HU", Group.DENSITY,
              "median HU of the vessels deeper than 2.5 mm below their surface; of both lungs together",
              "of this program", ("HU calibration", "contrast agent"), low=None,
              undefined="No vessel in the lungs is wide enough to read it; 40 HU were taken."),
    )  # fmt: skip


#: Every measure of the task by its id, in the order of the outputs.
VESSEL_MEASURES: Mapping[str, MeasureInfo] = MappingProxyType(
    {info.id: info for part in (_volumes(), _others()) for info in part}
)

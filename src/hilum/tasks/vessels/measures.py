"""Values of the vessels, by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, Side
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.measures import Group, Measures, Value, formulae
from hilum.tasks.vessels.definitions import CLASSES, VESSEL_MEASURES, VESSEL_REGIONS
from hilum.tasks.vessels.pieces import VesselPieces, measure_pieces
from hilum.tasks.vessels.prepare import prepare
from hilum.tasks.vessels.segment import LEFT_OUT

__all__ = ["MeasuredVessels", "collect_vessels", "measure_vessels", "slice_mm"]

_SIDES = {"vessels": Side.LUNGS, "right_vessels": Side.RIGHT, "left_vessels": Side.LEFT}
_NO_SPACING = "The file holds no voxel size, so volumes are unknown."


@dataclass(frozen=True, eq=False)
class MeasuredVessels:
    """Vessels with what is measured of them.

    Attributes:
        pieces: The vessels, piece by piece.
        lung_ml: Volume of the lungs by region of the label set ``lungs``.
        lung_g: Their weight.
    """

    pieces: VesselPieces
    lung_ml: dict[str, float]
    lung_g: dict[str, float]


def collect_vessels(volume: Volume, segmentation: Segmentation) -> MeasuredVessels:
    """Measure the pieces of the vessels.

    Args:
        volume: The scan.
        segmentation: The vessels; beside it the lungs and what was left out.
    """
    lungs = segmentation.beside[LUNGS.name]
    scan = prepare(volume, lungs, segmentation.prepared)
    vessels = scan.crop(segmentation.labels) > 0
    left_out = scan.crop(segmentation.beside[LEFT_OUT.name]) > 0
    lung_ml, lung_g = {}, {}
    for side in (Side.RIGHT, Side.LEFT):
        lung_ml[side.value], lung_g[side.value] = _lung(volume, lungs, side)
    lung_ml[Side.LUNGS.value] = sum(lung_ml.values())
    lung_g[Side.LUNGS.value] = sum(lung_g.values())
    return MeasuredVessels(measure_pieces(scan, vessels, left_out), lung_ml, lung_g)


def _lung(volume: Volume, lungs: LabelVolume, side: Side) -> tuple[float, float]:
    """Volume in mL and weight in g of a lung, by the formulae ``volume`` and ``mass_two_compartment``."""
    hu = volume.hu[lungs.mask(side.value)]
    tissue = np.maximum(hu[hu <= LIMITS.metal_hu].astype(np.float64), -1000.0) + 1000.0
    return hu.size * volume.voxel_volume_ml, float(tissue.sum()) / 1000.0 * volume.voxel_volume_ml


def measure_vessels(
    volume: Volume,
    segmentation: Segmentation,
    flags: Sequence[Flag] = (),
    found: MeasuredVessels | None = None,
) -> Measures:
    """Compute every measure of the vessels.

    A value that a quality flag withholds is unknown with a reason, and so is a volume by calibre on slices
    thicker than ``LIMITS.vessels_thin_mm``.

    Args:
        volume: The scan.
        segmentation: The vessels; beside it the lungs and what was left out.
        flags: Flags of the quality gate.
        found: Result of :func:`collect_vessels`, if already computed.

    Returns:
        Values of the regions of :data:`hilum.tasks.vessels.definitions.VESSEL_REGIONS`.
    """
    found = found or collect_vessels(volume, segmentation)
    values: dict[str, dict[str, Value]] = {}
    for region, side in _SIDES.items():
        amounts = _amounts(found, side)
        values[region] = {}
        for id_, info in VESSEL_MEASURES.items():
            reason = _withheld(region, id_, volume, flags)
            value = None if reason else amounts[id_]
            values[region][id_] = Value(
                value, info.unit, (reason or info.undefined) if value is None else None
            )
    return Measures(values, tuple(dict.fromkeys(flags)), formulae(VESSEL_MEASURES.values()))


def _amounts(found: MeasuredVessels, side: Side) -> dict[str, float | None]:
    """Every value of a side, whether or not it may be given."""
    pieces = found.pieces
    mine = np.ones(len(pieces.side), bool)
    if side is not Side.LUNGS:
        mine = pieces.side == LUNGS.region(side.value).values[0]
    by_area = _by_class(pieces.volume_ml[mine], pieces.area_mm2[mine])
    by_mask = _by_class(pieces.mask_ml[mine], pieces.mask_area_mm2[mine])
    total, lung = sum(by_area.values()), found.lung_ml[side.value]
    return {
        "blood_volume": total,
        **by_area,
        "bv5_share": 100 * by_area["bv5"] / total if total > 0 else None,
        "mask_volume": sum(by_mask.values()),
        **{f"{id_}_edt": value for id_, value in by_mask.items()},
        "vessel_density": 100 * total / lung if lung > 0 else None,
        "vessel_length": float(pieces.length_mm[mine].sum()) / 1000,
        "lung_mass": found.lung_g[side.value],
        "lung_mass_without_vessels": found.lung_g[side.value] - total * (1 + pieces.blood_hu / 1000),
        "blood_hu": pieces.blood_hu if pieces.blood_read else None,
    }


def _by_class(ml: npt.NDArray[np.float64], area: npt.NDArray[np.float64]) -> dict[str, float]:
    """Volume of the pieces of each class of area."""
    return {
        id_: max(0.0, float(ml[(area >= low) & (area < high)].sum())) for id_, (low, high) in CLASSES.items()
    }


def _withheld(region: str, id_: str, volume: Volume, flags: Sequence[Flag]) -> str:
    """Return why a value must not be given; empty if it may."""
    info, lung = VESSEL_MEASURES[id_], VESSEL_REGIONS[region][1]
    if not volume.meta.spacing_known:
        return _NO_SPACING
    for flag in flags:
        if flag.concerns(lung) and {Group.ALL.value, info.group.value} & set(flag.forbids):
            return flag.reason or flag.message
    if id_ in ("lung_mass", "blood_hu"):
        return ""
    thickness = slice_mm(volume)
    if id_.startswith("bv") and thickness > LIMITS.vessels_thin_mm + LIMITS.thick_slack_mm:
        return _too_thick(thickness, "calibre", LIMITS.vessels_thin_mm)
    if thickness > LIMITS.vessels_total_mm + LIMITS.thick_slack_mm:
        return _too_thick(thickness, "volume", LIMITS.vessels_total_mm)
    return ""


def _too_thick(thickness: float, what: str, most: float) -> str:
    return f"Voxels of up to {thickness:.3g} mm are too large for the {what} of vessels; at most {most:g} mm."


def slice_mm(volume: Volume) -> float:
    """Largest extent of a voxel, or the thickness of the slices where that is larger, in mm."""
    return max(*volume.spacing, volume.meta.slice_thickness or 0.0)

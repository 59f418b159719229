"""The registry of measures: one entry per measure, the only place that defines it.

Every formula uses the native HU of the labelled voxels. Air is assumed to be -1000 HU and tissue 0 HU
with 1 g/mL, the two-compartment model of CT quantification (Cressoni 2013; Protti 2014). Metal, above
``LIMITS.metal_hu``, is neither: a sample keeps it separate, and it counts in the volume only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from hilum.measures.definition import Compute, Group, MeasureDef
from hilum.measures.edge import BAND_MM, CUBE_MM, DENSE_HU, MOST_OUTSIDE, WALL_HU
from hilum.measures.sample import Sample

__all__ = ["AERATION", "REGISTRY", "air_ml", "describe", "mass_g"]

_Floats = npt.NDArray[np.float64]

#: Aeration compartments, half-open [low, high) in HU.
AERATION: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"hyper": (-1000, -900), "normal": (-900, -500), "poor": (-500, -100), "non": (-100, 100)}
)

_TWO_COMPARTMENTS = "Cressoni 2013; Protti 2014"
_AERATION_SOURCE = "ranges as commonly used after Gattinoni 2001; -900 HU: Vieira 1998"
_CALIBRATION = "HU calibration"
_KERNEL = "reconstruction kernel"
_THICKNESS = "slice thickness"
_BREATH = "depth of inspiration"
_NOISE = "noise (dose)"
_CUT = "lung cut by the field of view"
_MASK = "mask"
_NO_MASS = "The region holds no tissue (no HU above -1000)."
_NO_EDGE = "More than a tenth of the boundary has no lung and wall near it to be compared with."
_NO_SPREAD = "All voxels of the region have the same HU."


def air_ml(sample: Sample, voxel_ml: float) -> float:
    """Volume of air in mL: voxels at or below -1000 HU are air, those at or above 0 HU hold no air."""
    return sample.total(_air_share) * voxel_ml


def mass_g(sample: Sample, voxel_ml: float, low: float | None = None, high: float | None = None) -> float:
    """Mass in g of the voxels with HU in [low, high); voxels below -1000 HU have no mass."""
    return sample.total(_density, low, high) * voxel_ml


def _edge_air_ml(sample: Sample, voxel_ml: float) -> float | None:
    if sample.edge is None:
        return None
    return max(0.0, air_ml(sample, voxel_ml) + sample.edge.air * voxel_ml)


def _edge_mass_g(sample: Sample, voxel_ml: float) -> float | None:
    if sample.edge is None:
        return None
    return max(0.0, mass_g(sample, voxel_ml) + sample.edge.tissue * voxel_ml)


def describe() -> list[dict[str, object]]:
    """Return the registry as plain data: one entry per measure, with id, formula, source and range."""
    return [
        {
            "id": entry.id,
            **entry.as_dict(),
            "group": entry.group.value,
            "valid_range": list(entry.valid_range),
            "invalidated_by": list(entry.invalidated_by),
        }
        for entry in REGISTRY.values()
    ]


def _air_share(hu: _Floats) -> _Floats:
    return np.clip(hu, -1000.0, 0.0) / -1000.0


def _density(hu: _Floats) -> _Floats:
    return (np.maximum(hu, -1000.0) + 1000.0) / 1000.0


def _ratio(sample: Sample, voxel_ml: float) -> float | None:
    mass = mass_g(sample, 1.0)
    return air_ml(sample, 1.0) / mass if mass > 0 else None


def _sd(sample: Sample, voxel_ml: float) -> float:
    return float(np.sqrt(sample.moment(2)))


def _skewness(sample: Sample, voxel_ml: float) -> float | None:
    return sample.moment(3) / sample.moment(2) ** 1.5 if sample.low < sample.high else None


def _kurtosis(sample: Sample, voxel_ml: float) -> float | None:
    return sample.moment(4) / sample.moment(2) ** 2 - 3.0 if sample.low < sample.high else None


def _share(low: float | None, high: float | None) -> Compute:
    return lambda sample, voxel_ml: sample.share(low, high)


def _mass_share(low: float | None, high: float | None) -> Compute:
    def compute(sample: Sample, voxel_ml: float) -> float | None:
        mass = mass_g(sample, 1.0)
        return 100.0 * mass_g(sample, 1.0, low, high) / mass if mass > 0 else None

    return compute


def _outside(sample: Sample, voxel_ml: float) -> float:
    return sample.share(None, -1000) + sample.share(100, None)


def _amounts() -> Iterable[MeasureDef]:
    yield MeasureDef(
        id="volume",
        title="Volume",
        unit="mL",
        group=Group.VOLUME,
        formula_id="volume",
        formula_version="1",
        formula="number of voxels x voxel volume",
        source="by definition; inside as stated by the label contract",
        valid_range=(0.0, None),
        invalidated_by=(_CUT, _MASK, _BREATH),
        compute=lambda sample, voxel_ml: sample.voxels * voxel_ml,
    )
    yield MeasureDef(
        id="air_volume",
        title="Air",
        unit="mL",
        group=Group.MASS,
        formula_id="air_two_compartment",
        formula_version="1",
        formula="sum of V x (-HU / 1000) with HU clamped to -1000 <= HU <= 0",
        source=_TWO_COMPARTMENTS,
        valid_range=(0.0, None),
        invalidated_by=(_CALIBRATION, _CUT, _MASK, _BREATH),
        compute=air_ml,
    )
    yield MeasureDef(
        id="tissue_mass",
        title="CT lung weight",
        unit="g",
        group=Group.MASS,
        formula_id="mass_two_compartment",
        formula_version="2",
        formula="sum of V x (HU + 1000) / 1000 with HU clamped to HU >= -1000, at 1 g/mL; "
        "includes blood, so it is not extravascular lung water",
        source=_TWO_COMPARTMENTS,
        valid_range=(0.0, None),
        invalidated_by=(_CALIBRATION, _CUT, _MASK, "contrast agent"),
        compute=mass_g,
    )
    yield from _edge_amounts()
    yield MeasureDef(
        id="air_tissue_ratio",
        title="Air / tissue",
        unit="mL/g",
        group=Group.DENSITY,
        formula_id="air_tissue_ratio",
        formula_version="2",
        formula="air_volume / tissue_mass of the same voxels",
        source=_TWO_COMPARTMENTS,
        valid_range=(0.0, None),
        invalidated_by=(_CALIBRATION, _MASK, _BREATH),
        compute=_ratio,
        undefined=_NO_MASS,
    )


def _edge_amounts() -> Iterable[MeasureDef]:
    near = f"{BAND_MM:g} mm of the boundary of the mask (at least one voxel)"
    share = (
        f"within {near} V x share of lung replaces V inside the mask and is added outside it (there only "
        f"shares up to {MOST_OUTSIDE:g}), share = (HU - wall) / (lung - wall) clipped to 0..1; lung and wall "
        f"are median HU over {3 * CUBE_MM:g} mm behind and before the boundary, and the share of lung has "
        f"the density of that median; no correction where lung > {DENSE_HU:g} HU or wall < {WALL_HU:g} HU"
    )
    for id_, title, unit, plain, causes, compute in (
        ("air_volume_edge", "Air without wall partial volume", "mL", "air_two_compartment", (_BREATH,),
         _edge_air_ml),
        ("tissue_mass_edge", "CT lung weight without wall partial volume", "g", "mass_two_compartment",
         ("contrast agent",), _edge_mass_g),
    ):  # fmt: skip
        yield MeasureDef(
            id=id_,
            title=title,
            unit=unit,
            group=Group.MASS,
            formula_id=f"{plain}_edge",
            formula_version="1",
            formula=f"{plain}, but {share}",
            source="of this program; linear partial volume of two compartments, checked on phantoms",
            valid_range=(0.0, None),
            invalidated_by=(_CALIBRATION, _CUT, _MASK, *causes),
            compute=compute,
            undefined=_NO_EDGE,
        )


def _moments() -> Iterable[MeasureDef]:
    causes = (_CALIBRATION, _BREATH, _MASK)
    rows: tuple[tuple[str, str, str, str, tuple[float | None, float | None], Compute, str], ...] = (
        ("mean_hu", "Mean", "HU", "sum of HU / n", (None, None), lambda sample, _: sample.mean, ""),
        ("sd_hu", "Standard deviation", "HU", "sqrt(m2), m_k = mean of (HU - mean)^k, divisor n",
         (0.0, None), _sd, ""),
        ("skewness_hu", "Skewness", "", "m3 / m2^1.5, m_k = mean of (HU - mean)^k, no bias correction",
         (None, None), _skewness, _NO_SPREAD),
        ("kurtosis_hu", "Kurtosis (excess)", "",
         "m4 / m2^2 - 3 (Fisher: a normal distribution has 0), m_k = mean of (HU - mean)^k, "
         "no bias correction", (-2.0, None), _kurtosis, _NO_SPREAD),
    )  # fmt: skip
    for id_, title, unit, formula, valid, compute, undefined in rows:
        yield MeasureDef(
            id=id_,
            title=title,
            unit=unit,
            group=Group.DENSITY,
            formula_id=id_,
            formula_version="2",
            formula=formula,
            source="by definition",
            valid_range=valid,
            invalidated_by=causes if id_ == "mean_hu" else (*causes, _KERNEL, _THICKNESS, _NOISE),
            compute=compute,
            undefined=undefined,
        )


def _percentiles() -> Iterable[MeasureDef]:
    def quantile(percent: int) -> Compute:
        return lambda sample, voxel_ml: sample.quantile(percent / 100)

    for percent in (5, 15, 50, 85, 95):
        yield MeasureDef(
            id=f"hu_p{percent:02d}",
            title=f"{percent}th percentile",
            unit="HU",
            group=Group.DENSITY,
            formula_id=f"hu_p{percent:02d}_type7",
            formula_version="2",
            formula=f"linear interpolation at position (n - 1) x {percent / 100:g} of the n sorted voxels",
            source="rule: Hyndman and Fan 1996, type 7",
            valid_range=(None, None),
            invalidated_by=(_CALIBRATION, _KERNEL, _THICKNESS, _NOISE, _BREATH, _MASK),
            compute=quantile(percent),
        )


def _attenuation_areas() -> Iterable[MeasureDef]:
    causes = (_CALIBRATION, _KERNEL, _THICKNESS, _NOISE, _BREATH, _MASK)
    for bound, source in ((-950, "threshold: Parr 2004"), (-910, "threshold as used for thicker slices")):
        yield MeasureDef(
            id=f"laa_{-bound}",
            title=f"Low attenuation area, {bound} HU",
            unit="%",
            group=Group.DENSITY,
            formula_id=f"laa_{-bound}_strict",
            formula_version="2",
            formula=f"share of voxels with HU < {bound}",
            source=f"{source}; strictly below, where COPDGene counts <= (Zach 2012)",
            valid_range=(0.0, 100.0),
            invalidated_by=causes,
            compute=_share(None, bound),
        )
    yield MeasureDef(
        id="haa",
        title="High attenuation area",
        unit="%",
        group=Group.DENSITY,
        formula_id="haa_600_250",
        formula_version="2",
        formula="share of voxels with -600 <= HU < -250",
        source="range: Podolanczuk 2016 (MESA)",
        valid_range=(0.0, 100.0),
        invalidated_by=causes,
        compute=_share(-600, -250),
    )


def _aeration() -> Iterable[MeasureDef]:
    causes = (_CALIBRATION, _BREATH, _MASK, _NOISE, "position (prone or supine)")
    titles = {
        "hyper": "Hyperaerated",
        "normal": "Normally aerated",
        "poor": "Poorly aerated",
        "non": "Non-aerated",
    }
    for name, (low, high) in AERATION.items():
        for suffix, of, compute in (
            ("", "voxels", _share(low, high)),
            ("_mass", "tissue mass (formula mass_two_compartment)", _mass_share(low, high)),
        ):
            yield MeasureDef(
                id=f"aeration_{name}{suffix}",
                title=f"{titles[name]}, by {'mass' if suffix else 'volume'}",
                unit="%",
                group=Group.DENSITY,
                formula_id=f"aeration_{name}{suffix}",
                formula_version="2",
                formula=f"share of the {of} with {low} <= HU < {high}",
                source=_AERATION_SOURCE,
                valid_range=(0.0, 100.0),
                invalidated_by=causes,
                compute=compute,
                undefined=_NO_MASS if suffix else "",
            )
    for suffix, of, outside in (
        ("", "voxels", _outside),
        # Voxels below -1000 HU have no mass, so only the upper range counts.
        ("_mass", "tissue mass (formula mass_two_compartment)", _mass_share(100, None)),
    ):
        yield MeasureDef(
            id=f"aeration_outside{suffix}",
            title=f"Outside all compartments, by {'mass' if suffix else 'volume'}",
            unit="%",
            group=Group.DENSITY,
            formula_id=f"aeration_outside{suffix}",
            formula_version="2",
            formula=f"share of the {of} with HU < -1000 or HU >= 100; counted, not dropped",
            source="complement of the four compartments",
            valid_range=(0.0, 100.0),
            invalidated_by=causes,
            compute=outside,
            undefined=_NO_MASS if suffix else "",
        )


def _all() -> Mapping[str, MeasureDef]:
    parts = (_amounts(), _moments(), _percentiles(), _attenuation_areas(), _aeration())
    return MappingProxyType({entry.id: entry for part in parts for entry in part})


#: Every measure by its id, in the order of the outputs.
REGISTRY: Mapping[str, MeasureDef] = _all()

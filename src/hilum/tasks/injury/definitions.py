"""The measures of injured lung: one entry a measure, with its formula and source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hilum.core.labels import InjuryClass
from hilum.measures import REGISTRY, Group, Value
from hilum.tasks.injury.places import Amounts, Place, Sums

__all__ = ["CLASS_MEASURES", "INJURED", "PLACE_MEASURES", "Context", "InjuryMeasure", "injury_formulae"]

#: The classes that are injury by added tissue.
INJURED = (InjuryClass.GROUND_GLASS, InjuryClass.CONSOLIDATION, InjuryClass.NODULE)
_MASK = "mask of the lungs"
_CALIBRATION = "HU calibration"
_BREATH = "depth of inspiration"
_CUT = "lung cut by the field of view"
_OF_HILUM = "of this program"
_TISSUE = "sum of V x (HU + 1000) / 1000 with HU clamped to HU >= -1000, at 1 g/mL"


@dataclass(frozen=True, eq=False)
class Context:
    """What a measure may look at.

    Attributes:
        amounts: Sums of all places.
        place: The place that is measured.
        facts: Numbers found while segmenting, see :class:`hilum.tasks.injury.segment.Tissue`.
        predicted_g: Predicted weight of both lungs in g that the user gave; None without one.
    """

    amounts: Amounts
    place: Place
    facts: Mapping[str, float] = field(default_factory=dict)
    predicted_g: float | None = None

    @property
    def sums(self) -> Sums:
        """The sums of the place."""
        return self.amounts.at(self.place)


@dataclass(frozen=True)
class InjuryMeasure:
    """A measure of the task.

    Attributes:
        id: Identifier in every output, without a unit.
        title: Name for people.
        unit: Unit of the value.
        group: What the value depends on.
        formula_id: Identifier of the formula.
        formula: The formula in words.
        source: Origin of the definition.
        invalidated_by: What changes the value although the lung has not changed.
        compute: Takes the context and the class (0 for a measure of all of them); None where it is undefined.
        undefined: Why it is undefined.
        where: The places that it is measured at.
        formula_version: Incremented whenever the value for the same voxels changes.
    """

    id: str
    title: str
    unit: str
    group: Group
    formula_id: str
    formula: str
    source: str
    invalidated_by: tuple[str, ...]
    compute: Callable[[Context, int], float | None]
    undefined: str = ""
    where: Callable[[Place], bool] = lambda place: True
    formula_version: str = "1"

    def as_dict(self) -> dict[str, object]:
        """Return the description of the formula for outputs, as plain data."""
        return {
            "title": self.title,
            "unit": self.unit,
            "formula_id": self.formula_id,
            "version": self.formula_version,
            "formula": self.formula,
            "source": self.source,
        }

    def value(self, context: Context, kind: int = 0) -> Value:
        """Compute the value, or say why there is none."""
        value = self.compute(context, kind)
        return Value(value, self.unit, None if value is not None else self.undefined)


def _share(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole > 0 else None


#: What is measured of each class at each place.
CLASS_MEASURES = (
    InjuryMeasure(
        "volume",
        "Volume",
        "mL",
        Group.VOLUME,
        "volume",
        str(REGISTRY["volume"].formula),
        REGISTRY["volume"].source,
        (_CUT, _MASK, _BREATH),
        lambda c, k: c.sums.volume(k),
    ),
    InjuryMeasure(
        "class_mass",
        "Mass of the class",
        "g",
        Group.MASS,
        "mass_two_compartment",
        _TISSUE,
        REGISTRY["tissue_mass"].source,
        (_CALIBRATION, _CUT, _MASK, "contrast agent"),
        lambda c, k: c.sums.mass(k),
    ),
    InjuryMeasure(
        "class_share",
        "Share of the lung",
        "%",
        Group.DENSITY,
        "class_share",
        "voxels of the class / all voxels of the lung at this place",
        "by definition",
        (_CALIBRATION, _MASK, _BREATH),
        lambda c, k: _share(c.sums.volume(k), c.sums.volume()),
        "There is no lung at this place.",
    ),
)


def _excess_self(context: Context, _: int) -> float | None:
    amounts, sums = context.amounts, context.sums
    best: tuple[float, float] | None = None
    for third in Place.all(False):
        if third.third is None or not amounts.has(third):
            continue
        part = amounts.at(third)
        share = _share(part.volume(InjuryClass.AERATED), part.volume())
        if share is not None and (best is None or share > best[0]):
            best = share, part.mass() / part.volume()
    return None if best is None else sums.mass() - best[1] * sums.volume()


def _excess_predicted(context: Context, _: int) -> float | None:
    return None if context.predicted_g is None else context.sums.mass() - context.predicted_g


#: Points of the CT severity score: a lobe has one point more for each of these shares that it exceeds, %.
SEVERITY_CUTS = (0.0, 5.0, 25.0, 50.0, 75.0)


def _severity(context: Context, _: int) -> float | None:
    if not context.amounts.lobes:
        return None
    points = 0
    for lobe in Place.all(True):
        if lobe.lobe:
            sums = context.amounts.at(lobe)
            share = _share(sums.volume(*INJURED), sums.volume()) or 0.0
            points += sum(round(share, 1) > cut for cut in SEVERITY_CUTS)
    return float(points)


def _fact(name: str) -> Callable[[Context, int], float | None]:
    return lambda context, _: context.facts.get(name)


def _both(place: Place) -> bool:
    return len(place.lungs) == 2 and not place.lobe


def _whole(place: Place) -> bool:
    return place.third is None and not place.lobe


#: What is measured of all classes together at each place.
PLACE_MEASURES = (
    InjuryMeasure(
        "injured_volume",
        "Injured lung",
        "mL",
        Group.VOLUME,
        "injured_volume",
        "volume of ground glass, consolidation and nodules",
        "by definition",
        (_CUT, _MASK, _BREATH),
        lambda c, _: c.sums.volume(*INJURED),
    ),
    InjuryMeasure(
        "injured_mass",
        "Mass of injured lung",
        "g",
        Group.MASS,
        "injured_mass",
        f"over ground glass, consolidation and nodules: {_TISSUE}",
        _OF_HILUM,
        (_CALIBRATION, _CUT, _MASK, "contrast agent"),
        lambda c, _: c.sums.mass(*INJURED),
    ),
    InjuryMeasure(
        "injured_share",
        "Injured share",
        "%",
        Group.DENSITY,
        "injured_share",
        "voxels of ground glass, consolidation and nodules / all voxels of the lung at this place",
        "by definition",
        (_CALIBRATION, _MASK, _BREATH),
        lambda c, _: _share(c.sums.volume(*INJURED), c.sums.volume()),
        "There is no lung at this place.",
    ),
    InjuryMeasure(
        "aerated_share",
        "Normally aerated share",
        "%",
        Group.DENSITY,
        "aerated_share",
        "normally aerated voxels / all voxels of the lung at this place without vessels and airways",
        _OF_HILUM,
        (_CALIBRATION, _MASK, _BREATH),
        lambda c, _: _share(
            c.sums.volume(InjuryClass.AERATED), c.sums.volume() - c.sums.volume(InjuryClass.TUBE)
        ),
        "There is no lung at this place.",
    ),
    InjuryMeasure(
        "excess_self",
        "Excess tissue against the own best third",
        "g",
        Group.MASS,
        "excess.self.1",
        "mass - volume x (mass / volume) of the third of a lung with the largest share of normally "
        "aerated voxels; "
        "thirds from front to back and from head to foot, of both lungs; above 0 also where a healthy "
        "lung is "
        "denser below than above",
        _OF_HILUM,
        (_CALIBRATION, _CUT, _MASK, _BREATH, "emphysema in that third"),
        _excess_self,
        "The lungs cannot be split into thirds.",
        lambda place: place.third is None,
    ),
    InjuryMeasure(
        "excess_predicted",
        "Excess tissue against the predicted weight",
        "g",
        Group.MASS,
        "excess.predicted.1",
        "mass of both lungs - predicted weight that the user gave",
        _OF_HILUM,
        (_CALIBRATION, _CUT, _MASK, "contrast agent"),
        _excess_predicted,
        "No predicted weight of the lungs was given.",
        _both,
    ),
    InjuryMeasure(
        "ct_severity",
        "CT severity score, 0 to 25",
        "",
        Group.DENSITY,
        "ct_severity.five_lobes.1",
        "sum over five lobes of 0 for no injury, 1 for up to 5 %, 2 for up to 25 %, 3 for up to 50 %, 4 "
        "for up to "
        "75 %, 5 for more of the volume in ground glass, consolidation or nodules, shares rounded to 0.1 %",
        "scale of visual scores (0 to 5 a lobe) applied to shares of volume; a visual score is another thing",
        (_CALIBRATION, "borders of the lobes", _BREATH),
        _severity,
        "The lobes were not segmented in this run.",
        _both,
    ),
    InjuryMeasure(
        "laa_950_smoothed",
        "Low attenuation area, -950 HU, smoothed",
        "%",
        Group.DENSITY,
        "laa_950_smoothed_2mm",
        "share of the lung with mean HU < -950; means over blocks of about 2 mm, without the outermost "
        "1.2 mm of "
        "the lung, smoothed by a Gaussian of 1 mm",
        "threshold: Parr 2004; smoothing of this program",
        (_CALIBRATION, "slice thickness", _BREATH, _MASK),
        lambda c, _: c.facts.get(f"{c.place.name}.laa_950_smoothed"),
        "There is no lung at this place.",
        _whole,
    ),
    InjuryMeasure(
        "expected_hu",
        "Expected HU of own lung",
        "HU",
        Group.DENSITY,
        "expected_hu.1",
        "median over the lungs of the HU that a smooth function of depth and place, fitted robustly to "
        "the lower "
        "part of the HU of both lungs, gives",
        _OF_HILUM,
        (_CALIBRATION, _BREATH, "disease of nearly all lung"),
        _fact("expected_hu"),
        "There is no lung in the scan.",
        _both,
    ),
    InjuryMeasure(
        "expected_slope",
        "Expected rise from front to back",
        "HU/(10.cm)",
        Group.DENSITY,
        "expected_slope.1",
        "slope of the same function at the middle of the lungs; negative where the front is denser, as in "
        "prone "
        "patients",
        _OF_HILUM,
        (_CALIBRATION, _BREATH),
        _fact("slope_hu"),
        "There is no lung in the scan.",
        _both,
    ),
    InjuryMeasure(
        "nodule_count",
        "Nodules",
        "",
        Group.VOLUME,
        "nodule_count.1",
        "number of pieces of the class nodule or mass (26 neighbours)",
        _OF_HILUM,
        (_MASK, "slice thickness"),
        lambda c, _: float(c.amounts.nodules),
        where=_both,
    ),
)


def injury_formulae(
    entries: Iterable[InjuryMeasure] = (*CLASS_MEASURES, *PLACE_MEASURES),
) -> dict[str, dict[str, object]]:
    """Return the formulae of the measures by id, as plain data."""
    return {entry.id: entry.as_dict() for entry in entries}

"""The findings as sentences, each with what it does not say."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.core.labels import INJURY, InjuryClass, Side
from hilum.drawing.numbers import format_number
from hilum.measures import Measures
from hilum.tasks.injury.measures import region_of
from hilum.tasks.injury.places import Place

__all__ = ["findings"]

#: Shares below this are not told as findings, %: digital chests without disease show up to about as much.
LEAST_SHARE = 1.0
_LIMITS = {
    InjuryClass.GROUND_GLASS: "Expiration, motion and blurred vessels look alike.",
    InjuryClass.CONSOLIDATION: "Collapse, pneumonia and tumour larger than 30 mm are not told apart.",
    InjuryClass.EMPHYSEMA: "Noise, sharp kernels and overinflation add to it.",
}


def findings(measures: Measures) -> list[str]:
    """Return a sentence for each finding; one sentence where there is none."""
    out = [*_classes(measures), *_nodules(measures), *_amounts(measures)]
    if not any(sentence for sentence in out):
        return ["No class of injury fills 1 % of the lungs or more."]
    return out


def _classes(measures: Measures) -> Iterator[str]:
    for kind, limits in _LIMITS.items():
        info = INJURY[kind]
        share = measures[info.name]["class_share"].value
        if share is None or share < LEAST_SHARE:
            continue
        volume, mass = (measures[info.name][id_].value for id_ in ("volume", "class_mass"))
        sides = _by_side(measures, info.name)
        amount = "" if volume is None else f", {format_number(volume, significant=2)} mL"
        weight = "" if mass is None else f" and {format_number(mass, significant=2)} g"
        yield f"{info.title}: {format_number(share, 1)} % of the lungs{amount}{weight} ({sides}). {limits}"


def _by_side(measures: Measures, name: str) -> str:
    parts = []
    for side, word in ((Side.RIGHT, "right"), (Side.LEFT, "left")):
        value = measures[f"{side.value}_{name}"]["class_share"].value
        parts.append(f"{word} unknown" if value is None else f"{word} {format_number(value, 1)} %")
    worst = _worst_third(measures, name)
    return ", ".join(parts) + (f"; most in the {worst}" if worst else "")


def _worst_third(measures: Measures, name: str) -> str:
    best = (0.0, "")
    for place in Place.all(False):
        if place.third is not None:
            value = measures[region_of(place, name)]["class_share"].value
            if value is not None and value > best[0]:
                best = value, place.title.lower().replace("mid_ap", "middle (front to back)")
    return best[1]


def _nodules(measures: Measures) -> Iterator[str]:
    count = measures[region_of(Place.all(False)[2])]["nodule_count"].value
    if count:
        volume = measures[INJURY[InjuryClass.NODULE].name]["volume"].value or 0.0
        number = f"{count:.0f} nodule" + ("s" if count > 1 else "")
        yield (
            f"{number} of 6 mm or more, {format_number(volume, 1)} mL in all. Vessels that branch may be "
            f"taken for "
            "nodules, and nodules on the pleura missed."
        )


def _amounts(measures: Measures) -> Iterator[str]:
    values = measures[region_of(Place.all(False)[2])]
    mass = values["injured_mass"].value
    if mass is not None and (values["injured_share"].value or 0.0) >= LEAST_SHARE:
        yield f"Injured lung weighs {format_number(mass, significant=2)} g, the blood in it included."
    score = values["ct_severity"].value
    if score is not None:
        yield f"CT severity score {score:.0f} of 25, from shares of volume; a visual score may differ."
    excess = values["excess_predicted"].value
    if excess is not None:
        word = "more" if excess >= 0 else "less"
        amount = format_number(abs(excess), significant=2)
        yield f"The lungs weigh {amount} g {word} than the weight that was given."

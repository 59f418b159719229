"""One case of a label map of several classes: overlap, sizes, surfaces and lesions of each class."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.labels import LabelRegion
from hilum.evaluation.case_values import (
    BOTH_EMPTY,
    NO_CT,
    NO_VOLUME,
    DistanceUnit,
    Grid,
    box_of,
    distance_unit,
    known,
    no_reference,
    no_surface,
    of_distances,
    overlap_values,
    size_errors,
    squeeze,
    surface_values,
)
from hilum.evaluation.cases import Case, CaseResult
from hilum.evaluation.class_metrics import CLASS_METRICS
from hilum.evaluation.class_sets import ClassSet, Fissure
from hilum.evaluation.lesions import LARGE_MM, Lesions, find_lesions
from hilum.evaluation.measurement import mass_per_ml
from hilum.imaging.surface import interface_distances
from hilum.measures import Value

__all__ = ["MEAN", "class_sizes", "evaluate_classes", "only_predicted", "swapped"]

#: The region that holds the mean over the classes.
MEAN = LabelRegion("classes", "Mean over classes", ())
_FISSURES = LabelRegion("fissures", "Fissures", ())
_Labels = npt.NDArray[np.uint8]
#: A class fits another one above this Dice: then most of each is the other.
_FITS = 0.5
_Bools = npt.NDArray[np.bool_]


def evaluate_classes(case: Case, classes: ClassSet) -> CaseResult:
    """Compute the metrics of each class of a case.

    Args:
        case: Its masks hold values of the classes.
        classes: The classes, their unions and, for lobes, their fissures.

    Returns:
        Values of the mean over the classes, of each class and union that one of the masks holds, and of the
        fissures.
    """
    box = box_of(case.prediction, case.reference)
    found, drawn = case.prediction[box], case.reference[box]
    hu = None if case.hu is None else case.hu[box]
    distance = distance_unit(case.grid, case.reference.shape[0])
    values: dict[str, dict[str, Value]] = {}
    titles: dict[str, str] = {MEAN.name: MEAN.title}
    shown = [entry for entry in (*classes.classes, *classes.unions) if _is_there(entry, found, drawn)]
    for entry in shown:
        p, r = np.isin(found, entry.values), np.isin(drawn, entry.values)
        titles[entry.name] = entry.title
        values[entry.name] = {
            **overlap_values(p, r, entry.title.lower()),
            **surface_values(p, r, distance),
            **class_sizes(p, r, hu, case.grid),
            **size_errors(p, r, hu, case.grid, entry.title.lower()),
            **(_lesion_values(p, r, case.grid) if entry.name in classes.lesions else {}),
        }
    for name, title, distances in _fissure_values(found, drawn, classes.fissures, distance):
        values[name], titles[name] = distances, title
    mean = {MEAN.name: {"dice": _mean_dice(values, classes)}}
    return CaseResult(case.name, case.subject, {**mean, **values}, titles)


def only_predicted(case: Case, classes: ClassSet) -> list[str]:
    """Return the titles of the classes that the prediction holds and the reference lacks."""
    found, drawn = (set(np.unique(labels).tolist()) for labels in (case.prediction, case.reference))
    return [entry.title for entry in classes.classes if entry.values[0] in found - drawn]


def swapped(case: Case, classes: ClassSet) -> list[tuple[str, str]]:
    """Return classes of the prediction that are another class in the reference, most likely by their values.

    Returns:
        Title of the class in the prediction, and of the class of the reference that it fits with a Dice above
        :data:`_FITS`.
    """
    size = 1 + max(classes.values)
    pairs = case.prediction.astype(np.int64) * size + case.reference
    common = np.bincount(pairs.ravel(), minlength=size * size).reshape(size, size)
    titles = {entry.values[0]: entry.title for entry in classes.classes}
    out = []
    for value, title in titles.items():
        dice = 2 * common[value] / np.maximum(common[value].sum() + common.sum(axis=0), 1)
        best = 1 + int(np.argmax(dice[1:]))
        if best != value and best in titles and dice[best] > _FITS:
            out.append((title, titles[best]))
    return out


def _is_there(entry: LabelRegion, found: _Labels, drawn: _Labels) -> bool:
    return bool(np.isin(drawn, entry.values).any() or np.isin(found, entry.values).any())


def _mean_dice(values: Mapping[str, Mapping[str, Value]], classes: ClassSet) -> Value:
    every = [values[entry.name]["dice"].value for entry in classes.classes if entry.name in values]
    numbers = [value for value in every if value is not None]
    return Value(fmean(numbers), "") if numbers else Value(None, "", BOTH_EMPTY)


def class_sizes(p: _Bools, r: _Bools, hu: npt.NDArray[Any] | None, grid: Grid) -> dict[str, Value]:
    """Return volume and mass of both masks."""
    out: dict[str, Value] = {}
    for name, mask in (("prediction", p), ("reference", r)):
        ml = None if grid.voxel_ml is None else int(np.count_nonzero(mask)) * grid.voxel_ml
        grams = None if hu is None or grid.voxel_ml is None else mass_per_ml(hu, mask) * grid.voxel_ml
        out[f"volume_{name}"] = known(ml, "mL", NO_VOLUME)
        out[f"mass_{name}"] = known(grams, "g", NO_CT if hu is None else NO_VOLUME)
    return {metric: out[metric] for metric in CLASS_METRICS if metric in out}


def _lesion_values(p: _Bools, r: _Bools, grid: Grid) -> dict[str, Value]:
    """Count lesions; a single slice has no volume, so there the large ones are unknown."""
    voxel_mm3 = None if grid.voxel_ml is None or grid.slice_mm is None else grid.voxel_ml * 1000
    every, large = find_lesions(p, r, voxel_mm3)
    out = _counts(every, "", "")
    tail = f"_{LARGE_MM:g}_mm"
    if large is None:
        return out | {f"{name}{tail}": Value(None, "", NO_VOLUME) for name in out}
    return out | _counts(large, tail, f" of {LARGE_MM:g} mm and more")


def _counts(lesions: Lesions, tail: str, which: str) -> dict[str, Value]:
    counts = {
        "lesions": lesions.reference,
        "lesions_found": lesions.found,
        "lesions_missed": lesions.missed,
        "lesions_false": lesions.false,
    }
    return {
        **{f"{name}{tail}": Value(float(count), "") for name, count in counts.items()},
        f"lesion_sensitivity{tail}": known(lesions.sensitivity, "", no_reference(f"lesion{which}")),
    }


def _fissure_values(
    found: _Labels, drawn: _Labels, fissures: tuple[Fissure, ...], distance: DistanceUnit
) -> list[tuple[str, str, dict[str, Value]]]:
    """Return name, title and distances of each fissure, and of all together as their mean by case."""
    out = []
    for fissure in fissures:
        found_pair, drawn_pair = (
            tuple(squeeze(np.isin(labels, side), distance.axes) for side in (fissure.above, fissure.below))
            for labels in (found, drawn)
        )
        missing = [
            name
            for name, pair in (("prediction", found_pair), ("reference", drawn_pair))
            if not all(side.any() for side in pair)
        ]
        distances = None
        if not missing:
            distances = interface_distances(found_pair, drawn_pair, distance.spacing)  # type: ignore[arg-type]
        if distances is not None:
            values = of_distances(distances, distance)
        else:
            reason = (
                f"the {' and the '.join(missing)} lacks a lobe beside it"
                if missing
                else "the lobes beside it do not touch in one of the masks"
            )
            values = no_surface(distance, reason)
        out.append((fissure.name, fissure.title, values))
    return [*_all_fissures(out), *out] if out else []


def _all_fissures(
    parts: list[tuple[str, str, dict[str, Value]]],
) -> list[tuple[str, str, dict[str, Value]]]:
    """Mean over the fissures that have a value."""
    merged: dict[str, Value] = {}
    for metric, first in parts[0][2].items():
        numbers = [v for _, _, values in parts if (v := values[metric].value) is not None]
        merged[metric] = (
            Value(fmean(numbers), first.unit) if numbers else Value(None, first.unit, first.reason)
        )
    return [(_FISSURES.name, "Mean over fissures", merged)]

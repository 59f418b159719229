"""The values of one region of a case: overlap, surface distances, errors of volume and mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.evaluation.measurement import mass_per_ml
from hilum.evaluation.metrics import TOLERANCES
from hilum.imaging.overlap import count_overlap
from hilum.imaging.surface import SurfaceDistances, surface_distances
from hilum.measures import Value

__all__ = [
    "BOTH_EMPTY",
    "NO_CT",
    "NO_SPACING",
    "NO_VOLUME",
    "ONE_EMPTY",
    "Box",
    "DistanceUnit",
    "Grid",
    "box_of",
    "distance_unit",
    "known",
    "no_reference",
    "no_surface",
    "of_distances",
    "overlap_values",
    "size_errors",
    "squeeze",
    "surface_values",
]

_Bools = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

BOTH_EMPTY = "both masks are empty"
ONE_EMPTY = "one of the masks is empty and has no surface"
NO_CT = "no CT was given"
NO_SPACING = "the voxel size is not known"
NO_VOLUME = "the voxel volume is not known"


@dataclass(frozen=True)
class Grid:
    """Known voxel size, axes (slice, row, column).

    Attributes:
        pixel_mm: Row and column spacing; None if unknown.
        slice_mm: Distance between slices; None if unknown.
        voxel_ml: Voxel volume; None if unknown.
    """

    pixel_mm: tuple[float, float] | None
    slice_mm: float | None = None
    voxel_ml: float | None = None


@dataclass(frozen=True)
class DistanceUnit:
    """Spacing for surface distances, and its unit.

    Attributes:
        spacing: Along each axis that is measured: three, or two for a single slice.
        unit: ``mm``, ``px`` or ``voxel``.
    """

    spacing: tuple[float, ...]
    unit: str

    @property
    def in_mm(self) -> bool:
        """Whether distances are in mm."""
        return self.unit == "mm"

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that are measured."""
        return (0, 1, 2)[-len(self.spacing) :]


def distance_unit(grid: Grid, slices: int) -> DistanceUnit:
    """Return the unit of distances in a stack of slices; a single one is measured in its plane."""
    if slices == 1:
        if grid.pixel_mm is None:
            return DistanceUnit((1.0, 1.0), "px")
        return DistanceUnit(grid.pixel_mm, "mm")
    if grid.pixel_mm is None or grid.slice_mm is None:
        return DistanceUnit((1.0, 1.0, 1.0), "voxel")
    return DistanceUnit((grid.slice_mm, *grid.pixel_mm), "mm")


def box_of(prediction: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> Box:
    """Return the bounding box of both masks with a margin of one voxel, within the array.

    Metrics are computed inside it, so that a whole body takes no longer than its lungs.
    """
    shape = prediction.shape
    whole = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    union = [np.zeros(n, bool) for n in shape]
    for mask in (prediction, reference):
        for z, plane in enumerate(mask):  # slice by slice, to avoid a copy of the volume
            rows = plane.any(axis=1)
            if rows.any():
                union[0][z] = True
                union[1] |= rows
                union[2] |= plane.any(axis=0)
    if not union[0].any():
        return whole
    spans = []
    for line, size in zip(union, shape, strict=True):
        inside = np.flatnonzero(line)
        spans.append(slice(max(0, int(inside[0]) - 1), min(size, int(inside[-1]) + 2)))
    return spans[0], spans[1], spans[2]


def squeeze(array: npt.NDArray[Any], axes: tuple[int, ...]) -> npt.NDArray[Any]:
    """Drop the axis of a single slice, so that distances are measured in its plane."""
    return np.ascontiguousarray(array.reshape([array.shape[axis] for axis in axes]))


def overlap_values(p: _Bools, r: _Bools, noun: str) -> dict[str, Value]:
    """Return Dice, IoU, sensitivity and precision; ``noun`` says in reasons what the masks show."""
    counts = count_overlap(p, r)
    nothing = BOTH_EMPTY if counts.prediction + counts.reference == 0 else ""
    return {
        "dice": known(counts.dice, "", BOTH_EMPTY),
        "iou": known(counts.iou, "", BOTH_EMPTY),
        "sensitivity": known(counts.sensitivity, "", nothing or no_reference(noun)),
        "precision": known(counts.precision, "", nothing or f"the prediction holds no {noun}"),
    }


def surface_values(p: _Bools, r: _Bools, distance: DistanceUnit) -> dict[str, Value]:
    """Return HD95, ASSD and surface Dice."""
    if not (p.any() and r.any()):
        both = not (p.any() or r.any())
        return no_surface(distance, BOTH_EMPTY if both else ONE_EMPTY, dice=None if both else 0.0)
    box = box_of(p.view(np.uint8), r.view(np.uint8))
    found = surface_distances(
        squeeze(p[box], distance.axes), squeeze(r[box], distance.axes), distance.spacing
    )
    assert found is not None  # both masks hold a voxel
    return of_distances(found, distance)


def no_surface(distance: DistanceUnit, reason: str, dice: float | None = None) -> dict[str, Value]:
    """Return the values where a mask has no surface: none, but surface Dice may be known."""
    out = {name: Value(None, distance.unit, reason) for name in ("hd95", "assd")}
    for name, unit in _surface_dice_units(distance).items():
        out[name] = Value(None, unit, reason) if dice is None else Value(dice, unit)
    return out


def of_distances(found: SurfaceDistances, distance: DistanceUnit) -> dict[str, Value]:
    """Return HD95, ASSD and surface Dice of distances."""
    units = _surface_dice_units(distance)
    return {
        "hd95": Value(found.hausdorff(95), distance.unit),
        "assd": Value(found.average(), distance.unit),
        **{
            f"surface_dice_{tolerance}": Value(found.dice(tolerance), units[f"surface_dice_{tolerance}"])
            for tolerance in TOLERANCES
        },
    }


def _surface_dice_units(distance: DistanceUnit) -> dict[str, str]:
    return {f"surface_dice_{tolerance}": f"at {tolerance} {distance.unit}" for tolerance in TOLERANCES}


def size_errors(p: _Bools, r: _Bools, hu: npt.NDArray[Any] | None, grid: Grid, noun: str) -> dict[str, Value]:
    """Return the errors of volume and mass."""
    sizes = float(np.count_nonzero(p)), float(np.count_nonzero(r))
    out = _errors("volume_error", "mL", sizes, grid.voxel_ml, no_reference(noun))
    if hu is None:
        out["mass_error"] = Value(None, "g", NO_CT)
        out["mass_error_percent"] = Value(None, "%", NO_CT)
        return out
    masses = mass_per_ml(hu, p), mass_per_ml(hu, r)
    nothing = f"the reference has no {noun} or no mass"
    return {**out, **_errors("mass_error", "g", masses, grid.voxel_ml, nothing)}


def _errors(
    name: str, unit: str, sizes: tuple[float, float], voxel_ml: float | None, nothing: str
) -> dict[str, Value]:
    found, drawn = sizes
    absolute = None if voxel_ml is None else (found - drawn) * voxel_ml
    percent = None if not drawn else 100 * (found - drawn) / drawn
    return {
        name: known(absolute, unit, NO_VOLUME),
        f"{name}_percent": known(percent, "%", nothing),
    }


def no_reference(noun: str) -> str:
    """Return the reason why a value that is relative to the reference is unknown."""
    return f"the reference holds no {noun}"


def known(value: float | None, unit: str, reason: str) -> Value:
    """Return a value, or the reason where it is None."""
    return Value(None, unit, reason) if value is None else Value(value, unit)

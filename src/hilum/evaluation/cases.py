"""One case: a prediction and a reference on one grid, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import GeometryError
from hilum.core.labels import LUNGS, Lung, Side
from hilum.evaluation.measurement import deep_dense, mass_per_ml
from hilum.evaluation.metrics import DENSE_DEPTH_MM, METRICS, TOLERANCES
from hilum.imaging.overlap import Overlap, count_overlap
from hilum.imaging.surface import SurfaceDistances, surface_distances
from hilum.measures import Value

__all__ = ["Case", "CaseResult", "Grid", "SideChoice", "evaluate_case"]

_Bools = npt.NDArray[np.bool_]
_Box = tuple[slice, slice, slice]

_NO_LUNG = "both masks are empty"
_NO_REFERENCE = "the reference holds no lung"
_NO_PREDICTION = "the prediction holds no lung"
_ONE_EMPTY = "one of the masks is empty and has no surface"
_NO_CT = "no CT was given"
_NO_SPACING = "the voxel size is not known"
_NO_DENSE = "the reference holds no dense lung"


class SideChoice(str, Enum):
    """Whether right and left lung are also compared separately."""

    AUTO = "auto"
    """If both masks label a left lung (2)."""
    YES = "yes"
    NO = "no"


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


@dataclass(frozen=True, eq=False)
class Case:
    """A prediction and its reference, as a stack of slices in display orientation.

    Attributes:
        name: Name of the case in tables.
        subject: Its subject: slices of one subject are not independent.
        prediction: Labels of :class:`hilum.core.labels.Lung`, shape (slices, rows, columns).
        reference: Labels of the same shape.
        grid: The voxel size.
        hu: The scan, same shape; None if not given.
        sides: Whether to compare right and left lung separately.
    """

    name: str
    subject: str
    prediction: npt.NDArray[np.uint8]
    reference: npt.NDArray[np.uint8]
    grid: Grid
    hu: npt.NDArray[Any] | None = None
    sides: SideChoice = SideChoice.AUTO

    def __post_init__(self) -> None:
        shapes = {self.prediction.shape, self.reference.shape}
        if self.hu is not None:
            shapes.add(self.hu.shape)
        if len(shapes) > 1:
            listed = ", ".join(" x ".join(map(str, shape)) for shape in sorted(shapes))
            raise GeometryError(
                f"Prediction, reference and CT of {self.name} differ in size: {listed}.",
                "Give masks of the same scan.",
            )


@dataclass(frozen=True, eq=False)
class CaseResult:
    """The metrics of one case.

    Attributes:
        name: As in :class:`Case`.
        subject: As in :class:`Case`.
        values: Side to metric id to value, or the reason why it is unknown.
    """

    name: str
    subject: str
    values: Mapping[Side, Mapping[str, Value]]


@dataclass(frozen=True)
class _DistanceUnit:
    """Spacing for surface distances, and its unit."""

    spacing: tuple[float, ...]
    unit: str

    @property
    def in_mm(self) -> bool:
        return self.unit == "mm"


def evaluate_case(case: Case) -> CaseResult:
    """Compute all metrics of a case.

    Distances are in mm; if the spacing is unknown they are in pixels (``px``) or voxels, as given by the
    unit. A single slice is measured in its plane.

    Returns:
        Values for both lungs, and for each lung if sides are compared.
    """
    box = _box(case.prediction, case.reference)
    found, drawn = case.prediction[box], case.reference[box]
    hu = None if case.hu is None else case.hu[box]
    distance = _distance_unit(case.grid, case.reference.shape[0])
    dense = None
    if hu is not None and distance.in_mm and drawn.any():
        flat = tuple(range(found.ndim))[-len(distance.spacing) :]
        dense = deep_dense(
            _squeeze(hu, flat), _squeeze(drawn, flat) > 0, distance.spacing, DENSE_DEPTH_MM
        ).reshape(drawn.shape)
    values: dict[Side, dict[str, Value]] = {}
    for side in _sides(case):
        p, r = _part(found, side), _part(drawn, side)
        values[side] = {
            **_overlap_values(count_overlap(p, r)),
            **_surface_values(p, r, distance),
            "dense_recall": _dense_recall(p, r, dense, hu, distance),
            **_size_values(p, r, hu, case.grid),
        }
    return CaseResult(
        case.name,
        case.subject,
        {side: {metric: entry[metric] for metric in METRICS} for side, entry in values.items()},
    )


def _sides(case: Case) -> tuple[Side, ...]:
    sided = case.sides is SideChoice.YES or (
        case.sides is SideChoice.AUTO
        and bool((case.prediction == Lung.LEFT).any())
        and bool((case.reference == Lung.LEFT).any())
    )
    return tuple(Side) if sided else (Side.LUNGS,)


def _part(labels: npt.NDArray[np.uint8], side: Side) -> _Bools:
    values = LUNGS.region(side.value).values
    part: _Bools = labels > 0 if len(values) == len(LUNGS) else labels == values[0]
    return part


def _distance_unit(grid: Grid, slices: int) -> _DistanceUnit:
    if slices == 1:
        if grid.pixel_mm is None:
            return _DistanceUnit((1.0, 1.0), "px")
        return _DistanceUnit(grid.pixel_mm, "mm")
    if grid.pixel_mm is None or grid.slice_mm is None:
        return _DistanceUnit((1.0, 1.0, 1.0), "voxel")
    return _DistanceUnit((grid.slice_mm, *grid.pixel_mm), "mm")


def _box(prediction: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> _Box:
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


def _squeeze(array: npt.NDArray[Any], axes: tuple[int, ...]) -> npt.NDArray[Any]:
    """Drop the axis of a single slice, so that distances are measured in its plane."""
    return np.ascontiguousarray(array.reshape([array.shape[axis] for axis in axes]))


def _overlap_values(counts: Overlap) -> dict[str, Value]:
    nothing = _NO_LUNG if counts.prediction + counts.reference == 0 else ""
    return {
        "dice": _known(counts.dice, "", _NO_LUNG),
        "iou": _known(counts.iou, "", _NO_LUNG),
        "sensitivity": _known(counts.sensitivity, "", nothing or _NO_REFERENCE),
        "precision": _known(counts.precision, "", nothing or _NO_PREDICTION),
    }


def _surface_values(p: _Bools, r: _Bools, distance: _DistanceUnit) -> dict[str, Value]:
    axes = (0, 1, 2)[-len(distance.spacing) :]
    units = {f"surface_dice_{tolerance}": f"at {tolerance} {distance.unit}" for tolerance in TOLERANCES}
    if not (p.any() and r.any()):
        both = not (p.any() or r.any())
        reason = _NO_LUNG if both else _ONE_EMPTY
        out = {name: Value(None, distance.unit, reason) for name in ("hd95", "assd")}
        for name, unit in units.items():  # no part of one surface is near the other
            out[name] = Value(None, unit, reason) if both else Value(0.0, unit)
        return out
    box = _box(p.view(np.uint8), r.view(np.uint8))
    found: SurfaceDistances | None = surface_distances(
        _squeeze(p[box], axes), _squeeze(r[box], axes), distance.spacing
    )
    assert found is not None  # both masks hold a voxel
    return {
        "hd95": Value(found.hausdorff(95), distance.unit),
        "assd": Value(found.average(), distance.unit),
        **{
            f"surface_dice_{tolerance}": Value(found.dice(tolerance), units[f"surface_dice_{tolerance}"])
            for tolerance in TOLERANCES
        },
    }


def _dense_recall(
    p: _Bools, r: _Bools, dense: _Bools | None, hu: npt.NDArray[Any] | None, distance: _DistanceUnit
) -> Value:
    if hu is None:
        return Value(None, "", _NO_CT)
    if not distance.in_mm:
        return Value(None, "", _NO_SPACING)
    if dense is None or not r.any():
        return Value(None, "", _NO_REFERENCE)
    wanted = dense & r
    total = int(np.count_nonzero(wanted))
    if not total:
        return Value(None, "", _NO_DENSE)
    return Value(int(np.count_nonzero(wanted & p)) / total, "")


def _size_values(p: _Bools, r: _Bools, hu: npt.NDArray[Any] | None, grid: Grid) -> dict[str, Value]:
    sizes = float(np.count_nonzero(p)), float(np.count_nonzero(r))
    out = _errors("volume_error", "mL", sizes, grid.voxel_ml)
    if hu is None:
        out["mass_error"] = Value(None, "g", _NO_CT)
        out["mass_error_percent"] = Value(None, "%", _NO_CT)
        return out
    return {**out, **_errors("mass_error", "g", (mass_per_ml(hu, p), mass_per_ml(hu, r)), grid.voxel_ml)}


def _errors(name: str, unit: str, sizes: tuple[float, float], voxel_ml: float | None) -> dict[str, Value]:
    found, drawn = sizes
    absolute = None if voxel_ml is None else (found - drawn) * voxel_ml
    percent = None if not drawn else 100 * (found - drawn) / drawn
    no_mass = _NO_REFERENCE if name == "volume_error" else "the reference has no lung or no mass"
    return {
        name: _known(absolute, unit, "the voxel volume is not known"),
        f"{name}_percent": _known(percent, "%", no_mass),
    }


def _known(value: float | None, unit: str, reason: str) -> Value:
    return Value(None, unit, reason) if value is None else Value(value, unit)

"""One case: a prediction and a reference on one grid, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import GeometryError
from hilum.core.labels import LUNGS, Lung, Side
from hilum.evaluation.case_values import (
    NO_CT,
    NO_SPACING,
    DistanceUnit,
    Grid,
    box_of,
    distance_unit,
    overlap_values,
    size_errors,
    squeeze,
    surface_values,
)
from hilum.evaluation.measurement import deep_dense
from hilum.evaluation.metrics import DENSE_DEPTH_MM, METRICS
from hilum.measures import Value

__all__ = ["Case", "CaseResult", "Grid", "SideChoice", "evaluate_case"]

_Bools = npt.NDArray[np.bool_]


class SideChoice(str, Enum):
    """Whether right and left lung are also compared separately."""

    AUTO = "auto"
    """If both masks label a left lung (2)."""
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, eq=False)
class Case:
    """A prediction and its reference, as a stack of slices in display orientation.

    Attributes:
        name: Name of the case in tables.
        subject: Its subject: slices of one subject are not independent.
        prediction: Labels of shape (slices, rows, columns): those of :class:`hilum.core.labels.Lung`, or the
            classes of another task.
        reference: Labels of the same shape.
        grid: The voxel size.
        hu: The scan, same shape; None if not given.
        sides: Whether to compare right and left lung separately.
        affine: 4 x 4 matrix from index (slice, row, column) to RAS millimetres; None if unknown.
    """

    name: str
    subject: str
    prediction: npt.NDArray[np.uint8]
    reference: npt.NDArray[np.uint8]
    grid: Grid
    hu: npt.NDArray[Any] | None = None
    sides: SideChoice = SideChoice.AUTO
    affine: npt.NDArray[np.float64] | None = None

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
        values: Name of a region (such as ``right_lung``) to metric id to value, or the reason why it is
            unknown.
        titles: Name of each region for people.
    """

    name: str
    subject: str
    values: Mapping[str, Mapping[str, Value]]
    titles: Mapping[str, str] = field(default_factory=dict)


def evaluate_case(case: Case) -> CaseResult:
    """Compute all metrics of a case.

    Distances are in mm; if the spacing is unknown they are in pixels (``px``) or voxels, as given by the
    unit. A single slice is measured in its plane.

    Returns:
        Values for both lungs, and for each lung if sides are compared.
    """
    box = box_of(case.prediction, case.reference)
    found, drawn = case.prediction[box], case.reference[box]
    hu = None if case.hu is None else case.hu[box]
    distance = distance_unit(case.grid, case.reference.shape[0])
    dense = None
    if hu is not None and distance.in_mm and drawn.any():
        flat = distance.axes
        dense = deep_dense(
            squeeze(hu, flat), squeeze(drawn, flat) > 0, distance.spacing, DENSE_DEPTH_MM
        ).reshape(drawn.shape)
    values: dict[str, dict[str, Value]] = {}
    for side in _sides(case):
        p, r = _part(found, side), _part(drawn, side)
        entry = {
            **overlap_values(p, r, LUNGS.noun),
            **surface_values(p, r, distance),
            "dense_recall": _dense_recall(p, r, dense, hu, distance),
            **size_errors(p, r, hu, case.grid, LUNGS.noun),
        }
        values[side.value] = {metric: entry[metric] for metric in METRICS}
    titles = {name: Side(name).words for name in values}
    return CaseResult(case.name, case.subject, values, titles)


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


def _dense_recall(
    p: _Bools, r: _Bools, dense: _Bools | None, hu: npt.NDArray[Any] | None, distance: DistanceUnit
) -> Value:
    if hu is None:
        return Value(None, "", NO_CT)
    if not distance.in_mm:
        return Value(None, "", NO_SPACING)
    if dense is None or not r.any():
        return Value(None, "", f"the reference holds no {LUNGS.noun}")
    wanted = dense & r
    total = int(np.count_nonzero(wanted))
    if not total:
        return Value(None, "", "the reference holds no dense lung")
    return Value(int(np.count_nonzero(wanted & p)) / total, "")

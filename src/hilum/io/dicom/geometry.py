"""Positions of the slices of a stack, and their errors.

Slices are ordered along their normal (DICOM PS3.3 C.7.6.2.1.1: ImageOrientationPatient gives the direction
of a row and of a column, their cross product the normal; the projection of ImagePositionPatient on it is the
place of a slice). File names, instance numbers and slice locations are never used for the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hilum.core.flags import FlagCode
from hilum.core.sentences import Sentence
from hilum.io.dicom.findings import Effect, Finding, Refusal
from hilum.io.dicom.headers import Plane

__all__ = ["Grid", "Orientation", "lay_out"]

Array = npt.NDArray[np.float64]

#: Two slices closer than this part of the step lie at the same place.
_SAME = 0.02
#: A distance beyond this many steps is a gap with slices missing.
_GAP = 1.5
#: Slices may lie off an even grid by this part of the step, or by what rounding to 0.1 mm does.
_UNEVEN, _ROUNDING_MM = 0.1, 0.1
#: A gantry tilt up to this angle is accepted: over 300 mm it shifts 5 mm, and the sheared grid is kept.
_MAX_TILT_DEG = 1.0
#: Shifts in the plane below this part of a pixel are ignored.
_SHIFT_PIXELS = 0.5
_RESAMPLE = Sentence("Get the series again, or interpolate with {set:resample}.")


@dataclass(frozen=True)
class Orientation:
    """Directions of rows, columns and the normal in LPS, unit length."""

    row: Array
    column: Array
    normal: Array

    @property
    def plane(self) -> str:
        """``axial`` (within 37 degrees, so that a tilted gantry stays axial), ``coronal``, ``sagittal`` or
        ``oblique``.
        """
        axis = int(np.argmax(np.abs(self.normal)))
        return ("sagittal", "coronal", "axial")[axis] if abs(self.normal[axis]) >= 0.8 else "oblique"


@dataclass(frozen=True, eq=False)
class Grid:
    """The geometry of a stack.

    Attributes:
        planes: Slices in order along the normal, one per position; from feet to head where it is axial.
        places: Position of each along the normal in mm, shape (n,).
        shifts: Shift of each along row and column against the first, in mm, shape (n, 2).
        orientation: Directions.
        spacing: Distance between columns (along i) and between rows (along j) in mm.
        step: Distance between slices in mm: the median, or the thickness of a single slice.
        duplicates: Further planes at the place of slice n, as (n, plane) pairs.
        even: Whether the slices form a grid as they are.
    """

    planes: tuple[Plane, ...]
    places: Array
    shifts: Array
    orientation: Orientation
    spacing: tuple[float, float]
    step: float
    duplicates: tuple[tuple[int, Plane], ...]
    even: bool

    @property
    def extent(self) -> float:
        """Length along the normal in mm, the thickness of one step included."""
        return float(self.places[-1] - self.places[0]) + self.step

    def affine(self) -> Array:
        """Return the 4 x 4 matrix from (i, j, k) to RAS mm. i counts columns, j rows, k slices.

        If the slices shift sideways by more than half a pixel in total, the grid is sheared.
        """
        n = len(self.planes)
        o = self.orientation
        along = o.normal * self.step
        if n > 1:
            mean = float(self.places[-1] - self.places[0]) / (n - 1)
            along = o.normal * mean
            if np.linalg.norm(self.shifts[-1]) > _SHIFT_PIXELS * min(self.spacing):
                along = along + (o.row * self.shifts[-1, 0] + o.column * self.shifts[-1, 1]) / (n - 1)
        lps = np.eye(4)
        lps[:3, 0] = o.row * self.spacing[0]
        lps[:3, 1] = o.column * self.spacing[1]
        lps[:3, 2] = along
        lps[:3, 3] = self.planes[0].origin
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps

    def say(self, place: float) -> str:
        """Return a position as text."""
        axial = abs(self.orientation.normal[2]) > 0.9999
        return f"z = {place:.1f} mm" if axial else f"{place:.1f} mm along the slice normal"


def lay_out(planes: Sequence[Plane]) -> tuple[Grid | None, list[Finding]]:
    """Order planes of one orientation and size, and report errors in their positions.

    Args:
        planes: Planes of one stack in any order, at least one.

    Returns:
        The grid (None where the files do not say where the slices lie) and the findings.
    """
    missing = _missing(planes)
    if missing is not None:
        return None, [missing]
    orientation = _orientation(planes[0])
    if orientation is None:
        sentence = "ImageOrientationPatient gives no two directions at a right angle."
        return None, [Finding(Refusal.BAD_ORIENTATION, sentence, Effect.GEOMETRY, "Export the series again.")]
    origins = np.array([p.origin for p in planes])
    places = origins @ orientation.normal
    # Equal places keep the order of the instance numbers, so that the same input gives the same result.
    order = sorted(
        range(len(planes)), key=lambda n: (places[n], planes[n].instance or 0, str(planes[n].head.path))
    )
    places, origins = places[order], origins[order]
    step, note = _step(planes, places)
    keep, duplicates = _merge([planes[n] for n in order], places, step)
    places, origins = places[keep], origins[keep]
    offsets = origins - origins[0]
    shifts = np.stack([offsets @ orientation.row, offsets @ orientation.column], axis=1)
    between_rows, between_columns = planes[0].spacing or (0.0, 0.0)  # PixelSpacing names rows first
    draft = Grid(
        planes=tuple(planes[order[n]] for n in keep),
        places=places,
        shifts=shifts,
        orientation=orientation,
        spacing=(between_columns, between_rows),
        step=step,
        duplicates=duplicates,
        even=True,
    )
    findings = [*note, *_duplicate_findings(draft), *_distance_findings(draft), *_shift_findings(draft)]
    uneven = any(f.effect is Effect.RESAMPLE for f in findings)
    return (replace(draft, even=False) if uneven else draft), findings


def _missing(planes: Sequence[Plane]) -> Finding | None:
    for keyword, what in (
        ("origin", "ImagePositionPatient"),
        ("axes", "ImageOrientationPatient"),
        ("spacing", "PixelSpacing"),
    ):
        lacking = [p for p in planes if getattr(p, keyword) is None]
        if lacking:
            return Finding(
                Refusal.NO_GEOMETRY,
                f"A valid {what} is missing in {len(lacking)} of {len(planes)} images, so the place is lost.",
                Effect.GEOMETRY,
                "Export the original series again, without changes.",
            )
    if any(min(p.spacing or (0.0,)) <= 0 for p in planes):
        return Finding(
            Refusal.NO_GEOMETRY, "PixelSpacing is zero or negative.", Effect.GEOMETRY, "Export it again."
        )
    return None


def _orientation(plane: Plane) -> Orientation | None:
    axes = np.array(plane.axes).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(axes[0] @ axes[1]) > 0.01:
        return None
    row = axes[0] / lengths[0]
    column = axes[1] - (axes[1] @ row) * row  # headers carry few digits; make the angle exact
    column /= np.linalg.norm(column)
    normal = np.cross(row, column)
    if normal[np.argmax(np.abs(normal))] < 0:
        normal = -normal
    return Orientation(row, column, normal)


def _step(planes: Sequence[Plane], places: Array) -> tuple[float, list[Finding]]:
    """Return the step in mm. ``places`` is sorted."""
    apart = np.diff(places)
    apart = apart[apart > 0.005]
    if apart.size:
        apart = apart[apart > _SAME * np.median(apart)]
        return float(np.median(apart)), []
    thickness = planes[0].thickness
    if thickness and thickness > 0:
        return thickness, []
    sentence = "The slice has no thickness in its header; 1 mm is taken, so volumes mean nothing."
    return 1.0, [Finding(FlagCode.THICKNESS_UNKNOWN, sentence)]


def _merge(
    planes: Sequence[Plane], places: Array, step: float
) -> tuple[list[int], tuple[tuple[int, Plane], ...]]:
    """Keep one plane per position; list the others with the slice that they duplicate."""
    keep: list[int] = [0]
    repeated: list[tuple[int, Plane]] = []
    for n in range(1, len(planes)):
        if places[n] - places[keep[-1]] <= max(_SAME * step, 0.005):
            repeated.append((len(keep) - 1, planes[n]))
        else:
            keep.append(n)
    return keep, tuple(repeated)


def _duplicate_findings(grid: Grid) -> list[Finding]:
    if not grid.duplicates:
        return []
    n = len(grid.duplicates)
    where = grid.say(grid.places[grid.duplicates[0][0]])
    subject = "1 image lies" if n == 1 else f"{n} images lie"
    return [Finding(FlagCode.DUPLICATE_SLICES, f"{subject} at the place of another one, first at {where}.")]


def _distance_findings(grid: Grid) -> list[Finding]:
    apart = np.diff(grid.places)
    if apart.size < 2:
        return []
    steps = apart / grid.step
    gaps = np.flatnonzero(steps >= _GAP)
    low, high = float(apart.min()), float(apart.max())
    if gaps.size > max(1, apart.size // 5):
        return [_uneven(low, high)]
    rest = np.delete(apart, gaps)
    tolerance = max(_UNEVEN * grid.step, min(_ROUNDING_MM, 0.25 * grid.step))
    if np.abs(rest - grid.step).max() > 2 * tolerance:
        return [_uneven(low, high)]
    if gaps.size:
        return [_gap(grid, gaps, steps)]
    return [_uneven(low, high)] if _off_grid(grid.places) > tolerance else []


def _off_grid(places: Array) -> float:
    """Greatest distance in mm of a slice from the even grid between the first and the last."""
    even = np.linspace(places[0], places[-1], places.size)
    return float(np.abs(places - even).max())


def _gap(grid: Grid, gaps: npt.NDArray[np.intp], steps: Array) -> Finding:
    lost = int(sum(max(1, round(float(steps[g])) - 1) for g in gaps))
    first = int(gaps[0])
    where = grid.say(grid.places[first] + grid.step)
    apart = float(grid.places[first + 1] - grid.places[first])
    subject = "1 slice is missing" if lost == 1 else f"{lost} slices are missing"
    places = "at" if gaps.size == 1 and lost == 1 else f"in {_count(gaps.size, 'place')}, first at"
    sentence = (
        f"{subject} {places} {where}: its neighbours lie {apart:.4g} mm apart, the others {grid.step:.4g} mm."
    )
    return Finding(FlagCode.MISSING_SLICES, sentence, Effect.RESAMPLE, _RESAMPLE)


def _uneven(low: float, high: float) -> Finding:
    sentence = f"The slices are not evenly spaced: neighbours lie {low:.4g} to {high:.4g} mm apart."
    return Finding(FlagCode.UNEVEN_SLICES, sentence, Effect.RESAMPLE, _RESAMPLE)


def _shift_findings(grid: Grid) -> list[Finding]:
    """Check sideways shifts of the slices: a constant shift is a tilted gantry, jumps are an error."""
    if len(grid.planes) < 2:
        return []
    along = grid.places - grid.places[0]
    slope = along @ grid.shifts / (along @ along)
    least = _SHIFT_PIXELS * min(grid.spacing)
    jumps = float(np.linalg.norm(grid.shifts - along[:, None] * slope, axis=1).max())
    if jumps > least:
        sentence = f"The slices are shifted sideways against each other by up to {jumps:.1f} mm."
        return [Finding(FlagCode.SHIFTED_SLICES, sentence, Effect.RESAMPLE, _RESAMPLE)]
    march = float(np.linalg.norm(slope)) * float(along[-1])
    tilt = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    if march <= least:
        return []
    if tilt > _MAX_TILT_DEG:
        sentence = (
            f"The gantry was tilted by {tilt:.1f} degrees, so the slices do not form a rectangular grid."
        )
        return [Finding(FlagCode.GANTRY_TILT, sentence, Effect.RESAMPLE, _RESAMPLE)]
    sentence = (
        f"The gantry tilt is {tilt:.2f} degrees ({march:.1f} mm in total); the grid is sheared to match."
    )
    return [Finding(FlagCode.SMALL_TILT, sentence)]


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"

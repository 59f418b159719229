"""Group image planes into stacks; one stack is one volume that could be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from hilum.core.flags import FlagCode
from hilum.io.dicom.findings import Effect, Finding
from hilum.io.dicom.frame_types import Kind, kind_of, left_out
from hilum.io.dicom.geometry import Grid, lay_out
from hilum.io.dicom.headers import PHASE_KEYS, FileHeader, Plane
from hilum.io.dicom.joining import join
from hilum.io.dicom.phases import divide
from hilum.io.dicom.values import pixel_findings

__all__ = ["Stack", "build_stacks"]

#: Planes whose direction cosines differ by less (a third of a degree) have the same orientation.
_SAME_DIRECTION = 0.005
_SAME_SPACING = 1e-3


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of one series that belong together.

    Attributes:
        planes: All planes, duplicates included, in no particular order.
        kind: What it is.
        grid: Where the slices lie; None if that is unknown or the stack is not CT.
        findings: Findings about it.
        part: Number of this stack within its series, from 1.
        parts: How many stacks the series holds.
    """

    planes: tuple[Plane, ...]
    kind: Kind
    grid: Grid | None
    findings: tuple[Finding, ...]
    part: int = 1
    parts: int = 1

    @property
    def head(self) -> FileHeader:
        """Header of the first file."""
        return self.planes[0].head

    @property
    def slices(self) -> int:
        """Number of slices, duplicates not counted."""
        return len(self.grid.planes) if self.grid else len(self.planes)

    @property
    def readable(self) -> bool:
        """Whether somebody would expect to read it as a CT volume, even if something is wrong with it."""
        return not any(f.effect is Effect.LEFT_OUT for f in self.findings)

    @property
    def extent(self) -> float:
        """Length along the normal in mm, 0 where unknown."""
        return self.grid.extent if self.grid else 0.0

    @property
    def thickness(self) -> float | None:
        """Slice thickness in mm, or the step where the header has none."""
        return self.planes[0].thickness or (self.grid.step if self.grid else None)

    @property
    def kernel(self) -> str:
        """Convolution kernel."""
        return str(self.planes[0].phase[PHASE_KEYS.index("kernel")] or self.head.kernel)

    @property
    def plane(self) -> str:
        """``axial``, ``coronal``, ``sagittal``, ``oblique``, or empty where unknown."""
        return self.grid.orientation.plane if self.grid else ""


def build_stacks(planes: Iterable[Plane], *, lone: bool = False) -> list[Stack]:
    """Group planes into stacks.

    A series is divided by kind (localizers apart), size, pixel spacing and orientation, and, where planes
    then still lie on top of each other or interleave, into scans (:func:`hilum.io.dicom.phases.divide`).
    Series of one slice each that fit together are one series whose UIDs are broken
    (:func:`hilum.io.dicom.joining.join`).

    Args:
        planes: Planes of any number of series.
        lone: The user pointed at one file: a single sagittal or coronal slice is then no scout.

    Returns:
        Stacks ordered by study, series number, series UID and part; the largest part of a series first.
    """
    series: dict[tuple[str, str], list[Plane]] = {}
    for plane in planes:
        # Without a UID, what lies in one folder is taken as one series.
        uid = plane.head.series_uid or str(plane.head.path.parent)
        series.setdefault((plane.head.study_uid, uid), []).append(plane)
    ordered = sorted(series.items(), key=lambda s: (s[0][0], _or_inf(s[1][0].head.number), s[0][1]))
    stacks = []
    for members, note in join([members for _, members in ordered]):
        stacks += _divide(members, lone, note)
    return stacks


def _divide(planes: Sequence[Plane], lone: bool, notes: tuple[Finding, ...]) -> list[Stack]:
    groups: list[list[Plane]] = []
    for plane in planes:
        home = next((g for g in groups if _alike(g[0], plane)), None)
        if home is None:
            groups.append([plane])
        else:
            home.append(plane)
    stacks: list[Stack] = []
    reasons: set[str] = set()
    for group in groups:
        if kind_of(group[0]) is not Kind.VOLUME:
            stacks.append(_left_out(group, kind_of(group[0])))
            continue
        division = divide(group)
        reasons |= {division.reason} if division.reason else set()
        stacks += [_stack(part, lone, (*notes, *division.findings)) for part in division.parts]
    readable = [s for s in stacks if s.readable]
    if len(readable) > 1:
        reasons = reasons or {"orientations or sizes"}
        what = " and ".join(sorted(reasons))
        sentence = (
            f"The series holds {len(readable)} stacks of images that differ in {what}; they are kept apart."
        )
        note = Finding(FlagCode.SERIES_DIVIDED, sentence)
        stacks = [replace(s, findings=(*s.findings, note)) if s.readable else s for s in stacks]
    stacks.sort(key=lambda s: (not s.readable, -s.slices))
    return [replace(s, part=n, parts=len(stacks)) for n, s in enumerate(stacks, 1)]


def _alike(a: Plane, b: Plane) -> bool:
    if kind_of(a) is not kind_of(b) or (a.head.rows, a.head.columns) != (b.head.rows, b.head.columns):
        return False
    return _close(a.axes, b.axes, _SAME_DIRECTION) and _close(a.spacing, b.spacing, _SAME_SPACING)


def _close(a: Sequence[float] | None, b: Sequence[float] | None, tolerance: float) -> bool:
    if a is None or b is None:
        return a is b
    return all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


def _left_out(planes: Sequence[Plane], kind: Kind) -> Stack:
    grid, _ = lay_out(planes)
    return Stack(tuple(planes), kind, grid, (left_out(kind, planes[0].head),))


def _stack(planes: Sequence[Plane], lone: bool, notes: tuple[Finding, ...]) -> Stack:
    grid, findings = lay_out(planes)
    count = len(grid.planes) if grid else len(planes)
    if grid and not lone and count <= 2 and grid.orientation.plane in ("coronal", "sagittal"):
        return Stack(tuple(planes), Kind.LOCALIZER, grid, (left_out(Kind.LOCALIZER, planes[0].head),))
    kind = Kind.SLICE if count == 1 else Kind.VOLUME
    return Stack(tuple(planes), kind, grid, (*notes, *findings, *pixel_findings(planes)))


def _or_inf(number: int | None) -> float:
    return inf if number is None else number

"""From loose image planes to stacks: one stack is one volume that could be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from pydicom.pixels import get_decoder
from pydicom.uid import UID

from hilum.io.dicom.findings import Effect, Finding
from hilum.io.dicom.geometry import Grid, lay_out
from hilum.io.dicom.headers import PHASE_KEYS, FileHeader, Plane
from hilum.io.dicom.kinds import Kind, kind_of, left_out

__all__ = ["Stack", "build_stacks"]

#: Planes whose direction cosines differ by less (a third of a degree) have the same orientation.
_SAME_DIRECTION = 0.005
_SAME_SPACING = 1e-3
_PHASE_WORDS = {
    "temporal": "time points",
    "acquisition": "acquisitions",
    "cardiac": "cardiac phases",
    "kernel": "kernels",
    "image_type": "image types",
    "thickness": "slice thicknesses",
}


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of one series that belong together.

    Attributes:
        planes: All planes, duplicates included, in no particular order.
        kind: What it is.
        grid: Where the slices lie; None where that is unknown or the stack is no CT.
        findings: What is to be said about it.
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
        """Whether somebody would expect to read it as a CT volume, whatever is wrong with it."""
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

    A series is divided by kind (localizers apart), size, pixel spacing and orientation. Where planes then
    still lie on top of each other, it is divided further by the first of time point, acquisition, cardiac
    phase, kernel, image type and thickness that sets them apart, or, where every place is taken equally
    often, by the order of the instance numbers.

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
    return [stack for _, members in ordered for stack in _divide(members, lone)]


def _divide(planes: Sequence[Plane], lone: bool) -> list[Stack]:
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
        parts, reason = _phases(group)
        reasons |= {reason} if reason else set()
        stacks += [_stack(part, lone) for part in parts]
    readable = [s for s in stacks if s.readable]
    if len(readable) > 1:
        reasons = reasons or {"orientations or sizes"}
        what = " and ".join(sorted(reasons))
        sentence = (
            f"The series holds {len(readable)} stacks of images that differ in {what}; they are kept apart."
        )
        note = Finding("series_divided", sentence)
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


def _phases(planes: Sequence[Plane]) -> tuple[list[list[Plane]], str]:
    """Divide planes that lie on top of each other; return the parts and in words what tells them apart."""
    if not _crowded(planes):
        return [list(planes)], ""
    for index, key in enumerate(PHASE_KEYS):
        parts = _by(planes, lambda p, i=index: p.phase[i])  # type: ignore[misc]
        if len(parts) > 1 and not any(_crowded(part) for part in parts):
            return parts, _PHASE_WORDS[key]
    ranks = _ranks(planes)
    if ranks:
        return ranks, "instance numbers at the same places"
    return [list(planes)], ""


def _by(planes: Sequence[Plane], key: Callable[[Plane], object]) -> list[list[Plane]]:
    parts: dict[object, list[Plane]] = {}
    for plane in planes:
        parts.setdefault(key(plane), []).append(plane)
    return sorted(parts.values(), key=lambda part: min(_or_inf(p.instance) for p in part))


def _place(plane: Plane) -> tuple[int, ...]:
    """Position to a hundredth of a millimetre, for counting what lies on top of each other."""
    return tuple(round(v * 100) for v in plane.origin or ())


def _crowded(planes: Sequence[Plane]) -> bool:
    return len({_place(p) for p in planes}) < len(planes)


def _ranks(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Divide by instance number where three places or more are all taken n times; else nothing."""
    places = _by(planes, _place)
    times = {len(members) for members in places}
    if len(places) < 3 or len(times) != 1:
        return []
    if any(len({p.instance for p in members}) < len(members) for members in places):
        return []  # copies of the same images, not phases
    columns = [sorted(members, key=lambda p: _or_inf(p.instance)) for members in places]
    return [list(rank) for rank in zip(*columns, strict=True)]


def _left_out(planes: Sequence[Plane], kind: Kind) -> Stack:
    grid, _ = lay_out(planes)
    return Stack(tuple(planes), kind, grid, (left_out(kind, planes[0].head),))


def _stack(planes: Sequence[Plane], lone: bool) -> Stack:
    grid, findings = lay_out(planes)
    count = len(grid.planes) if grid else len(planes)
    if grid and not lone and count <= 2 and grid.orientation.plane in ("coronal", "sagittal"):
        return Stack(tuple(planes), Kind.LOCALIZER, grid, (left_out(Kind.LOCALIZER, planes[0].head),))
    kind = Kind.SLICE if count == 1 else Kind.VOLUME
    return Stack(tuple(planes), kind, grid, (*findings, *_pixel_findings(planes)))


def _pixel_findings(planes: Sequence[Plane]) -> list[Finding]:
    findings = []
    short = [p.head.path.name for p in planes if p.head.truncated]
    if short:
        more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
        sentence = f"{short[0]}{more} is truncated: the file is smaller than its pixels."
        findings.append(Finding("truncated_file", sentence, Effect.INPUT, "Get the file again."))
    for syntax in sorted({p.head.transfer_syntax for p in planes}):
        if not _decodable(syntax):
            sentence = f"The pixels are compressed as {UID(syntax).name}, which cannot be decoded here."
            hint = "Decompress the series first, for instance with gdcmconv --raw."
            findings.append(Finding("compression", sentence, Effect.INPUT, hint))
    if any(p.slope is None or p.intercept is None for p in planes):
        findings.append(_no_rescale(planes))
    if any(p.slope == 0 for p in planes):
        sentence = "The rescale slope is zero, so the values cannot be turned into HU."
        findings.append(Finding("bad_rescale", sentence, Effect.INPUT, "Export the series again."))
    if any(p.head.lossy for p in planes):
        findings.append(Finding("lossy", "The images were compressed with loss; HU may be off a little."))
    return findings


def _no_rescale(planes: Sequence[Plane]) -> Finding:
    if all(p.head.signed for p in planes):
        sentence = "The header has no rescale slope and intercept; the signed values were taken as HU."
        return Finding("no_rescale", sentence)
    sentence = (
        "The header has no rescale slope and intercept, and the values are unsigned, so they are not HU."
    )
    return Finding("no_rescale", sentence, Effect.INPUT, "Export the original series again, without changes.")


def _decodable(syntax: str) -> bool:
    uid = UID(syntax)
    if not syntax or (uid.is_transfer_syntax and not uid.is_compressed):
        return True
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False


def _or_inf(number: int | None) -> float:
    return inf if number is None else number

"""Which images of one series belong together, where it holds several scans of one chest.

Two breath holds, time points or cardiac phases often come in one series. Their images lie on top of each
other, or interleave where the table or the reconstruction was moved in between. Blending them would make a
chest that does not exist, so they are separated by their headers, or the series is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from hilum.core.flags import FlagCode
from hilum.io.dicom.findings import Effect, Finding, Refusal
from hilum.io.dicom.geometry import Grid, lay_out
from hilum.io.dicom.headers import PHASE_KEYS, Plane

__all__ = ["Division", "divide"]

_WORDS = {
    "temporal": "time points",
    "acquisition": "acquisitions",
    "cardiac": "cardiac phases",
    "kernel": "kernels",
    "image_type": "image types",
    "thickness": "slice thicknesses",
    "trigger": "trigger times",
    "time": "acquisition times",
}
#: What differs between scans of one stretch. Kernel, image type and thickness separate reconstructions,
#: which share their places, so that they cannot interleave.
_MOMENTS = ("temporal", "acquisition", "cardiac", "trigger", "time")
#: Times differ between the slices of one scan as well, so that every part must be a scan.
_TIMES = ("trigger", "time")
#: A part of fewer slices is not a scan: a number that differs in every image does not separate scans.
_LEAST = 3
#: Acquisitions that follow each other may share this many places, or this part of the shorter one.
_SHARED, _SHARED_PART = 2, 0.05
#: Combs are even to this part of their step; slices of two combs overlap where they are thicker than their
#: least distance by this factor.
_EVEN, _OVERLAP = 0.1, 1.25


@dataclass(frozen=True)
class Division:
    """How images were divided.

    Attributes:
        parts: Images of each part.
        reason: What separates the parts, in words; empty if there is one part.
        findings: Findings about each part.
    """

    parts: tuple[tuple[Plane, ...], ...]
    reason: str = ""
    findings: tuple[Finding, ...] = ()


def divide(planes: Sequence[Plane]) -> Division:
    """Divide the images of one kind, size and orientation into scans.

    Nothing is divided where the images form one even stack. Where several lie at one place, or the distances
    are uneven, the first of :data:`hilum.io.dicom.headers.PHASE_KEYS` decides that sets the images apart;
    where all places are taken equally often, the order of instance numbers, trigger or acquisition times
    does. Two acquisitions that follow each other and share a few places are one scan: there the image of the
    longer one is kept.

    Args:
        planes: At least one.
    """
    if _crowded(planes):
        return _joined(planes) or _by_keys(planes) or _by_ranks(planes) or Division((tuple(planes),))
    return _interleaved(planes) or Division((tuple(planes),))


def _by_keys(planes: Sequence[Plane]) -> Division | None:
    places = len({_place(p) for p in planes})
    for key in PHASE_KEYS:
        parts = _by(planes, _value(key))
        if len(parts) < 2 or any(_crowded(part) for part in parts):
            continue
        sizes = [len(part) for part in parts]
        if min(sizes) >= _LEAST if key in _TIMES else max(sizes) >= min(_LEAST, places):
            return Division(tuple(parts), _WORDS[key])
    return None


def _joined(planes: Sequence[Plane]) -> Division | None:
    """Make one stack of acquisitions that follow each other and share a few places."""
    parts = sorted(_by(planes, _value("acquisition")), key=len, reverse=True)
    if len(parts) < 2 or any(_crowded(part) or len(part) < _LEAST for part in parts):
        return None
    taken = {_place(plane): plane for plane in parts[0]}
    dropped = 0
    for part in parts[1:]:
        shared = sum(_place(plane) in taken for plane in part)
        if shared > max(_SHARED, _SHARED_PART * len(part)) or 2 * shared >= len(part):
            return None
        dropped += shared
        taken = {**{_place(plane): plane for plane in part}, **taken}
    grid, _ = lay_out(list(taken.values()))
    if grid is None or not grid.even:
        return None
    what = "1 place" if dropped == 1 else f"{dropped} places"
    sentence = (
        f"{len(parts)} acquisitions follow each other and share {what}; the image of the longer one was kept."
    )
    return Division((tuple(taken.values()),), "", (Finding(FlagCode.OVERLAP_DROPPED, sentence),))


def _interleaved(planes: Sequence[Plane]) -> Division | None:
    """Divide scans of one stretch whose slices lie between each other, each of them even by itself."""
    grid, findings = lay_out(planes)
    if grid is None or not any(f.code in (FlagCode.UNEVEN_SLICES, FlagCode.MISSING_SLICES) for f in findings):
        return None
    uneven = any(f.code == FlagCode.UNEVEN_SLICES for f in findings)
    for key in _MOMENTS:
        parts = _by(planes, _value(key))
        if len(parts) > 1 and _side_by_side(parts, may_miss=uneven):
            return Division(tuple(parts), _WORDS[key])
    count = _combs(grid)
    if not count:
        return None
    sentence = (
        f"The images form {count} even stacks that interleave, as of {count} scans of one chest, and nothing "
        "in their headers tells them apart."
    )
    hint = "Export each scan as a series of its own. Interpolation would blend them."
    return Division((tuple(planes),), "", (Finding(Refusal.INTERLEAVED, sentence, Effect.GEOMETRY, hint),))


def _side_by_side(parts: Sequence[Sequence[Plane]], *, may_miss: bool) -> bool:
    """Whether all parts are scans that cover one stretch, by half of the shorter one at least.

    Args:
        parts: Images of each part.
        may_miss: Whether slices may be missing in a part. Not where all images together form an even stack
            with gaps, since a part of that is one as well.
    """
    spans = []
    for part in parts:
        grid, findings = lay_out(part)
        odd = {f.code for f in findings if f.effect is Effect.RESAMPLE}
        odd -= {FlagCode.MISSING_SLICES} if may_miss else set()
        if grid is None or odd or len(part) < _LEAST:
            return False
        spans.append((float(grid.places[0]), float(grid.places[-1])))
    low, high = max(a for a, _ in spans), min(b for _, b in spans)
    return high - low >= 0.5 * min(b - a for a, b in spans)


def _combs(grid: Grid) -> int:
    """Return how many even combs (at most 4) an uneven stack is made of; 0 where it is not.

    Overlapping slices distinguish two scans from one protocol that takes groups of slices with gaps.
    """
    apart = np.diff(grid.places)
    thickness = grid.planes[0].thickness or 0.0
    if thickness < _OVERLAP * float(apart.min()):
        return 0
    for count in (2, 3, 4):
        steps = grid.places[count:] - grid.places[:-count]
        if len(apart) >= _LEAST * count and np.ptp(steps) < _EVEN * float(np.median(steps)):
            return count
    return 0


def _by_ranks(planes: Sequence[Plane]) -> Division | None:
    """Divide by an order where three places or more are all taken n times."""
    places = _by(planes, _place)
    times = {len(members) for members in places}
    if len(places) < _LEAST or len(times) != 1:
        return None
    for order, words in _ORDERS:
        if all(_distinct(members, order) for members in places):
            columns = [sorted(members, key=order) for members in places]
            ranks = tuple(tuple(rank) for rank in zip(*columns, strict=True))
            return Division(ranks, f"{words} at the same places")
    return None  # copies of the same images, or scans that cannot be separated


def _distinct(members: Sequence[Plane], order: Callable[[Plane], Any]) -> bool:
    values = {order(p) for p in members}
    return len(values) == len(members) and None not in values


def _value(key: str) -> Callable[[Plane], Any]:
    index = PHASE_KEYS.index(key)
    return lambda plane: plane.phase[index]


def _instance(plane: Plane) -> Any:
    return plane.instance


_ORDERS: tuple[tuple[Callable[[Plane], Any], str], ...] = (
    (_instance, "instance numbers"),
    (_value("trigger"), _WORDS["trigger"]),
    (_value("time"), _WORDS["time"]),
)


def _by(planes: Sequence[Plane], key: Callable[[Plane], Any]) -> list[tuple[Plane, ...]]:
    parts: dict[Any, list[Plane]] = {}
    for plane in planes:
        parts.setdefault(key(plane), []).append(plane)

    def order(value: Any) -> tuple[float, bool, Any]:
        # The order of the files must not matter, so equal numbers are ordered by the value itself.
        return min(_or_inf(p.instance) for p in parts[value]), value is not None, value

    return [tuple(parts[value]) for value in sorted(parts, key=order)]


def _place(plane: Plane) -> tuple[int, ...]:
    """Position to a hundredth of a millimetre, for counting what lies on top of each other."""
    return tuple(round(v * 100) for v in plane.origin or ())


def _crowded(planes: Sequence[Plane]) -> bool:
    return len({_place(p) for p in planes}) < len(planes)


def _or_inf(number: int | None) -> float:
    return inf if number is None else number

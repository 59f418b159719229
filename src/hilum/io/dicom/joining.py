"""Join single-slice series that form one scan: some anonymisers give every file its own UIDs."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.core.flags import FlagCode
from hilum.io.dicom.findings import Effect, Finding
from hilum.io.dicom.frame_types import Kind, kind_of
from hilum.io.dicom.geometry import lay_out
from hilum.io.dicom.headers import PHASE_KEYS, Plane

__all__ = ["join"]

#: Least slices to believe that they are one scan: with one frame of reference UID, and without, where the
#: slices could be of several people.
_LEAST, _LEAST_STRANGERS = 5, 10
_KERNEL = PHASE_KEYS.index("kernel")

Members = list[Plane]
Notes = tuple[Finding, ...]


def join(series: Sequence[Members]) -> list[tuple[Members, Notes]]:
    """Join series of one CT slice each that together form one even stack.

    They must be alike in size, pixel spacing, direction, kernel, thickness and place in the plane, have
    different instance numbers, lie at different places, and be even but for missing slices. Single slices of
    truly different series do not: those are taken at places of somebody's choice and all have number 1.

    Args:
        series: Images of each series, in the order in which they are wanted.

    Returns:
        Images of each series and the findings about them; a joined one takes the place of its first.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for n, members in enumerate(series):
        if len(members) == 1 and kind_of(members[0]) is Kind.VOLUME:
            alike.setdefault(_likeness(members[0]), []).append(n)
    joined: dict[int, tuple[Members, Notes]] = {}
    gone: set[int] = set()
    for group in alike.values():
        planes = [series[n][0] for n in group]
        if _fit(planes):
            joined[group[0]] = (planes, (_note(planes),))
            gone.update(group[1:])
    return [joined.get(n, (members, ())) for n, members in enumerate(series) if n not in gone]


def _likeness(plane: Plane) -> tuple[object, ...]:
    head = plane.head
    numbers = [*(plane.axes or ()), *(plane.spacing or ())]
    return (
        head.rows,
        head.columns,
        plane.phase[_KERNEL],
        plane.thickness,
        *(round(v, 3) for v in numbers),
    )


def _fit(planes: Sequence[Plane]) -> bool:
    frames = {p.head.frame_uid for p in planes}
    if len(planes) < (_LEAST if len(frames) == 1 and "" not in frames else _LEAST_STRANGERS):
        return False
    numbers = {p.instance for p in planes}
    if len(numbers) < len(planes) or None in numbers:
        return False
    grid, findings = lay_out(planes)
    odd = {f.code for f in findings if f.effect is not Effect.NOTE} - {FlagCode.MISSING_SLICES}
    return grid is not None and not odd and not grid.duplicates


def _note(planes: Sequence[Plane]) -> Finding:
    studies = len({p.head.study_uid for p in planes})
    what = "study" if studies > 1 else "series"
    sentence = (
        f"{len(planes)} slices with a {what} UID of their own each fit together as one scan and were read as "
        "one; make sure that they are of one patient."
    )
    return Finding(FlagCode.SERIES_JOINED, sentence)

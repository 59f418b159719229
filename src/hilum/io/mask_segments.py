"""Merge separate segments (files of a folder, layers, frames of a DICOM SEG) into one mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.flags import FlagCode, Note
from hilum.core.labels import Lung
from hilum.core.sentences import Sentence
from hilum.io.mask_names import lung_of, lung_of_code
from hilum.io.vocabulary import BOTH, LabelMap, listed

__all__ = ["MOST_SHARED", "LungParts", "Parts", "SegmentName", "merge", "no_lung", "note_of"]

#: Share of the smaller structure that two may share: the rounding of two outlines along one border.
MOST_SHARED = 0.01
_CANONICAL = {1: "right lung", 2: "left lung", 3: "lungs"}
Segments = Iterable[tuple[int, npt.NDArray[np.bool_]]]


@dataclass(frozen=True)
class SegmentName:
    """What a file says of one of its segments.

    Attributes:
        name: Its name or label.
        number: Its number, where the format has one that people know (DICOM SEG).
        code: SNOMED CT or SRT code of what it is, side not included; empty without one.
        modifier: Code of its side; empty without one.
    """

    name: str
    number: int | None = None
    code: str = ""
    modifier: str = ""


class Parts(Protocol):
    """What separate segments mean, and how they become one label map."""

    def value_of(self, segment: SegmentName) -> int:
        """Return the value that a segment gets in the label map; 0 for none."""

    def merge(self, segments: Segments, shape: tuple[int, ...], what: str) -> npt.NDArray[np.uint8]:
        """Merge segments, each with its value, into one label map; ``what`` names the mask in an error."""

    def nothing(self, what: str, names: Iterable[str]) -> InputError:
        """Return the error for a mask none of whose segments has a value."""

    def known_name(self, segment: SegmentName) -> str:
        """Return a name that says what a segment is where its code does and its own name does not."""

    def notes(self, parts: Mapping[str, int]) -> tuple[Note, ...]:
        """Say which segments were read as what."""

    @property
    def names(self) -> Mapping[int, str]:
        """Names of the values that were given; empty where the values speak for themselves."""


@dataclass(frozen=True)
class LungParts:
    """Segments read as lungs: 1, 2 and BOTH.

    Attributes:
        labels: What names and numbers mean, as the user says it; None for nothing.
    """

    labels: LabelMap | None = None

    def value_of(self, segment: SegmentName) -> int:
        """Return 1 (right), 2 (left), BOTH or 0: as the user says, then by the code, then by the name."""
        coded = lung_of_code(segment.code, segment.modifier) if segment.code else None
        return (self.labels or LabelMap()).of_segment(segment.name, segment.number, coded)

    def merge(self, segments: Segments, shape: tuple[int, ...], what: str) -> npt.NDArray[np.uint8]:
        """See :func:`merge`."""
        return merge(segments, shape, what)

    def nothing(self, what: str, names: Iterable[str]) -> InputError:
        """See :func:`no_lung`."""
        return no_lung(what, names)

    def known_name(self, segment: SegmentName) -> str:
        """Return the name of the lung that the code means where the name is not that of one."""
        if lung_of(segment.name) is not None:
            return segment.name
        return _CANONICAL.get(lung_of_code(segment.code, segment.modifier) or 0, segment.name)

    def notes(self, parts: Mapping[str, int]) -> tuple[Note, ...]:
        """See :func:`note_of`."""
        return (note_of(parts),)

    @property
    def names(self) -> Mapping[int, str]:
        """No names: the values are those of :mod:`hilum.io.vocabulary`."""
        return {}


def merge(segments: Segments, shape: tuple[int, ...], what: str) -> npt.NDArray[np.uint8]:
    """Merge segments into one array of 0, 1, 2 and BOTH; one with a known side takes precedence.

    Args:
        segments: What each is (1, 2 or BOTH) and its voxels.
        shape: Shape of the mask.
        what: What the mask is called in an error.

    Raises:
        InputError: Right and left lung overlap.
    """
    out = np.zeros(shape, np.uint8, order="F")
    shared = 0
    for part, voxels in segments:
        if part == BOTH:
            out[voxels & (out == 0)] = BOTH
            continue
        free = voxels & ((out == 0) | (out == BOTH))
        shared += int(np.count_nonzero(voxels & (out == (Lung.LEFT if part == Lung.RIGHT else Lung.RIGHT))))
        out[free] = part
    smaller = min(int(np.count_nonzero(out == side)) for side in (Lung.RIGHT, Lung.LEFT))
    if shared > MOST_SHARED * smaller:
        raise InputError(
            Sentence(
                "In {mask:what} {shared} voxels are marked as right and as left lung.",
                what=what,
                shared=shared,
            ),
            "Correct the segments.",
        )
    return out


def note_of(parts: Mapping[str, int]) -> Note:
    """Say which segments were read as what. A name that is not a lung's may be anything, also a patient's."""
    shown = [
        (name if lung_of(name) is not None else f"segment {number}", part)
        for number, (name, part) in enumerate(parts.items(), start=1)
        if part
    ]
    text = LabelMap(names=tuple(shown)).describe().replace(",", ", ")
    return FlagCode.LABELS_MAPPED, f"Segments of the mask were read as {text}."


def no_lung(what: str, names: Iterable[str]) -> InputError:
    """Say that no segment is a lung."""
    return InputError(
        Sentence(
            "No segment of {mask:what} is a lung by its name ({names:names}).", what=what, names=listed(names)
        ),
        Sentence("Say which are lung, such as {set:labels='NAME=right,NAME=left'}."),
    )

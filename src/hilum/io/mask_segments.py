"""Merge separate segments (files of a folder, layers, frames of a DICOM SEG) into one mask."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.flags import FlagCode, Note
from hilum.core.labels import Lung
from hilum.core.sentences import Sentence
from hilum.io.mask_names import lung_of
from hilum.io.vocabulary import BOTH, LabelMap, listed

__all__ = ["merge", "no_lung", "note_of"]

#: Share of the smaller lung that may be marked as both: the rounding of two outlines along one border.
_MOST_SHARED = 0.01


def merge(
    segments: Iterable[tuple[int, npt.NDArray[np.bool_]]], shape: tuple[int, ...], what: str
) -> npt.NDArray[np.uint8]:
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
    if shared > _MOST_SHARED * smaller:
        raise InputError(
            Sentence(
                "In {mask:what} {shared} voxels are marked as right and as left lung.",
                what=what,
                shared=shared,
            ),
            "Correct the segments.",
        )
    return out


def note_of(parts: dict[str, int]) -> Note:
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

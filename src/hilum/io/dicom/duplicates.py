"""Several images at one position: duplicates, or different scans in one series."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hilum.core.errors import GeometryError
from hilum.core.flags import FlagCode
from hilum.core.sentences import Sentence
from hilum.io.dicom.decoding import Decoder
from hilum.io.dicom.findings import Finding
from hilum.io.dicom.geometry import Grid
from hilum.io.dicom.headers import Plane
from hilum.io.dicom.pixels import read_pixels

__all__ = ["compare_duplicates"]

_AT_ONCE = 16  # pairs in memory


def compare_duplicates(grid: Grid, decoder: Decoder) -> list[Finding]:
    """Compare the images at one position.

    Args:
        grid: The stack.
        decoder: Decodes its files.

    Returns:
        A note where there are copies; they are dropped.

    Raises:
        GeometryError: Two images at one place differ.
        InputError: A file cannot be decoded.
    """
    for start in range(0, len(grid.duplicates), _AT_ONCE):
        pairs = grid.duplicates[start : start + _AT_ONCE]
        first = read_pixels([grid.planes[place] for place, _ in pairs], decoder).hu
        second = read_pixels([plane for _, plane in pairs], decoder).hu
        for n, (place, plane) in enumerate(pairs):
            if not np.array_equal(first[n], second[n]):
                raise _mixed(grid, place, plane)
    if not grid.duplicates:
        return []
    n = len(grid.duplicates)
    what = "1 image that repeats another one was" if n == 1 else f"{n} images that repeat others were"
    return [Finding(FlagCode.DUPLICATES_DROPPED, f"{what} left out; the pixels are the same.")]


def _mixed(grid: Grid, place: int, plane: Plane) -> GeometryError:
    """Describe the positions with several images; ``plane`` differs from the one at ``place``."""
    held = Counter(where for where, _ in grid.duplicates)
    names = f"{grid.planes[place].head.path.name} and {plane.head.path.name}"
    where = grid.say(grid.places[place])
    if len(grid.planes) == 1 and len(grid.duplicates) > 1:
        return GeometryError(
            f"All {len(grid.duplicates) + 1} images give one position ({where}) and differ, so the place of "
            "the slices is lost.",
            "Export the original series again, without changes.",
        )
    if len(held) == 1:
        return GeometryError(
            Sentence("Two different images lie at {where} ({names:names}).", where=where, names=names),
            "Take away what does not belong to the series.",
        )
    counts = set(held.values())
    if len(counts) == 1:
        many = f"{counts.pop() + 1} images lie at each of {len(held)} places"
    else:
        many = f"Several images lie at each of {len(held)} places"
    return GeometryError(
        Sentence(
            "{many} and differ (first {names:names} at {where}), and nothing in their headers tells "
            "them apart.",
            many=many,
            names=names,
            where=where,
        ),
        "Export each scan as a series of its own, or take away what does not belong to the series.",
    )

"""Figures of the worst cases: the slice in which the masks differ most, with both outlines.

They show patients: they are written into the requested report and nowhere else.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hilum.drawing.slices import LEVEL, WINDOW, outline, windowed
from hilum.drawing.svg import element, path, png_uri
from hilum.evaluation.cases import Case

__all__ = [
    "PREDICTION_COLOUR",
    "REFERENCE_COLOUR",
    "SliceFigure",
    "WorstCases",
    "draw",
    "draw_case",
    "worst_slice",
]

#: Blue and orange are colour-blind safe, also on grey.
REFERENCE_COLOUR = "#56b4ff"
PREDICTION_COLOUR = "#ff9d2e"
#: Number of figures in a report.
SHOWN = 6
_MARGIN = 0.12
_LEAST_PIXELS = 48


@dataclass(frozen=True)
class SliceFigure:
    """A slice of a case with its caption.

    Attributes:
        case: The case it shows.
        caption: Caption.
        svg: The figure as SVG.
        width: Width over height.
    """

    case: str
    caption: str
    svg: Markup
    width: float


class WorstCases:
    """Collects figures of the worst cases during an evaluation, so that no masks are kept in memory."""

    def __init__(self, keep: int = SHOWN) -> None:
        self._keep = keep
        self._heap: list[tuple[float, int, SliceFigure]] = []

    def add(self, number: int, badness: float | None, figure: Callable[[], SliceFigure]) -> None:
        """Keep the figure of a case if it is among the worst so far.

        Args:
            number: Place of the case; of equal cases the first is kept, whichever ends first.
            badness: How bad it is; None where it has no value, which leaves it out.
            figure: Draws it.
        """
        if badness is None:
            return
        entry = (badness, -number)  # the heap drops its smallest entry: the best of the kept cases
        if len(self._heap) >= self._keep and entry <= self._heap[0][:2]:
            return
        heapq.heappush(self._heap, (*entry, figure()))
        if len(self._heap) > self._keep:
            heapq.heappop(self._heap)

    @property
    def figures(self) -> tuple[SliceFigure, ...]:
        """The figures, worst first."""
        return tuple(figure for *_, figure in sorted(self._heap, key=lambda entry: entry[:2], reverse=True))


def draw_case(case: Case, words: str, *, classes: bool = False) -> SliceFigure:
    """Draw the slice of a case in which the masks differ most.

    Args:
        case: The case.
        words: What is said of it in the caption.
        classes: Whether each class has its outline, and voxels of the wrong class count as different.
    """
    index = worst_slice(case.prediction, case.reference, classes=classes)
    caption = f"{case.name}: {words}"
    if case.reference.shape[0] > 1:
        caption += f", slice {index + 1} of {case.reference.shape[0]}"
    return draw(case, index, caption, classes=classes)


def worst_slice(
    prediction: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8], *, classes: bool = False
) -> int:
    """Return the index of the slice in which the masks, or their classes, differ in most pixels."""
    pairs = zip(prediction, reference, strict=True)
    wrong = [int(np.count_nonzero(p != r if classes else (p > 0) != (r > 0))) for p, r in pairs]
    return int(np.argmax(wrong))


def draw(
    case: Case,
    index: int,
    caption: str,
    others: Sequence[npt.NDArray[np.uint8]] = (),
    *,
    classes: bool = False,
) -> SliceFigure:
    """Draw a slice of a case with the outlines of reference and prediction.

    Args:
        case: The case.
        index: Index of the slice in the stack.
        caption: Caption.
        others: Further masks of the slice that must fit into the shown region, so that the figures of
            several models show the same region.
        classes: Whether each class has its outline.
    """
    found, drawn = case.prediction[index], case.reference[index]
    rows, cols = _frame([labels > 0 for labels in (found, drawn, *others)])
    hu: npt.NDArray[Any] | None = None if case.hu is None else case.hu[index][rows, cols]
    grey = np.full((rows.stop - rows.start, cols.stop - cols.start), 40, np.uint8)
    if hu is not None:
        grey = windowed(hu)
    row_mm, col_mm = case.grid.pixel_mm or (1.0, 1.0)
    height, width = grey.shape[0] * row_mm, grey.shape[1] * col_mm
    children = [
        element(
            "image", href=png_uri(grey), width=float(width), height=float(height), preserveAspectRatio="none"
        )
    ]
    for labels, colour in ((drawn, REFERENCE_COLOUR), (found, PREDICTION_COLOUR)):
        shown = labels[rows, cols]
        masks = [shown == value for value in np.unique(shown) if value] if classes else [shown > 0]
        loops = [loop for mask in masks for loop in outline(mask, (col_mm, row_mm))]
        if loops:
            children.append(
                element(
                    "path",
                    d=path(loops),
                    fill="none",
                    stroke=colour,
                    stroke_width=1.5,
                    vector_effect="non-scaling-stroke",
                )
            )
    svg = element(
        "svg",
        *children,
        viewBox=f"0 0 {width:.2f} {height:.2f}",
        role="img",
        aria_label=f"{caption}; outlines of reference and prediction, W {WINDOW} / L {LEVEL} HU",
        class_="plate",
    )
    return SliceFigure(case.name, caption, svg, width / height)


def _frame(masks: Sequence[npt.NDArray[np.bool_]]) -> tuple[slice, slice]:
    """Return the region of the slice that holds all masks, with a margin."""
    union = np.logical_or.reduce(list(masks))
    spans = []
    for axis, size in enumerate(union.shape):
        inside = np.flatnonzero(union.any(axis=1 - axis))
        if not len(inside):
            spans.append(slice(0, size))
            continue
        low, high = int(inside[0]), int(inside[-1]) + 1
        margin = max(math.ceil(_MARGIN * (high - low)), (_LEAST_PIXELS - (high - low)) // 2, 1)
        spans.append(slice(max(0, low - margin), min(size, high + margin)))
    return spans[0], spans[1]

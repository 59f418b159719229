"""Figures of trees: what was found, missed and added, seen from the front."""

from __future__ import annotations

import numpy as np

from hilum.drawing.svg import element, png_uri
from hilum.evaluation.case_values import box_of
from hilum.evaluation.cases import Case
from hilum.evaluation.tree_cases import tree_mask
from hilum.evaluation.worst_cases import PREDICTION_COLOUR, REFERENCE_COLOUR, SliceFigure

__all__ = ["draw_tree"]

_GREY = (214, 219, 223)
_MARGIN = 4


def draw_tree(case: Case, task: str, words: str) -> SliceFigure:
    """Project a tree from front to back: common voxels grey, missed and added ones in colour before them.

    Args:
        case: Masks of a tree with a known voxel size.
        task: ``airways`` or ``vessels``.
        words: What is said of it in the caption.
    """
    box = box_of(case.prediction, case.reference)
    p, r = tree_mask(case.prediction[box], task), tree_mask(case.reference[box], task)
    layers = ((p & r, _GREY), (r & ~p, _rgb(REFERENCE_COLOUR)), (p & ~r, _rgb(PREDICTION_COLOUR)))
    rows, columns = p.shape[0] + 2 * _MARGIN, p.shape[2] + 2 * _MARGIN
    image = np.zeros((rows, columns, 3), np.uint8)
    inner = image[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    for mask, colour in layers:
        depth = mask.sum(axis=1)[::-1]  # the head is up
        shade = np.clip(
            0.45 + 0.55 * depth / max(1, np.percentile(depth[depth > 0], 90) if depth.any() else 1), 0, 1
        )
        inner[depth > 0] = (shade[..., None] * np.array(colour))[depth > 0].astype(np.uint8)
    slice_mm, column_mm = case.grid.slice_mm or 1.0, (case.grid.pixel_mm or (1.0, 1.0))[1]
    width, height = columns * column_mm, rows * slice_mm
    caption = f"{case.name}: {words}, from the front"
    svg = element(
        "svg",
        element("image", href=png_uri(image), width=width, height=height, preserveAspectRatio="none"),
        viewBox=f"0 0 {width:.2f} {height:.2f}",
        role="img",
        aria_label=f"{caption}; found grey, missed and added in colour",
        class_="plate",
    )
    return SliceFigure(case.name, caption, svg, width / height)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return red, green, blue

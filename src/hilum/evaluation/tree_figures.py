"""Figures of trees: what was found, missed and added, seen from the front."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.drawing.svg import element, png_uri
from hilum.evaluation.case_values import box_of
from hilum.evaluation.cases import Case
from hilum.evaluation.tree_cases import tree_mask
from hilum.evaluation.worst_cases import PREDICTION_COLOUR, REFERENCE_COLOUR, SliceFigure

__all__ = ["draw_tree"]

_GREY = (214, 219, 223)
_MARGIN = 4
#: A wrong voxel counts as much as this many right ones, so that it shows among them.
_WEIGHT = 4.0


def draw_tree(case: Case, task: str, words: str) -> SliceFigure:
    """Project a tree from front to back: common voxels grey, missed and added ones in colour.

    Args:
        case: Masks of a tree with a known voxel size.
        task: ``airways`` or ``vessels``.
        words: What is said of it in the caption.
    """
    box = box_of(case.prediction, case.reference)
    p, r = tree_mask(case.prediction[box], task), tree_mask(case.reference[box], task)
    rows, columns = p.shape[0] + 2 * _MARGIN, p.shape[2] + 2 * _MARGIN
    image = np.zeros((rows, columns, 3), np.uint8)
    image[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = _projected(p, r)[::-1]  # the head is up
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


def _projected(p: npt.NDArray[np.bool_], r: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Mix the colours of the voxels behind each pixel; more voxels are brighter."""
    masks = (p & r, r & ~p, p & ~r)
    colours = np.array((_GREY, _rgb(REFERENCE_COLOUR), _rgb(PREDICTION_COLOUR)), np.float64)
    depths = [mask.sum(axis=1).astype(np.float64) for mask in masks]
    depth = sum(depths)
    weights = np.stack([depths[0], _WEIGHT * depths[1], _WEIGHT * depths[2]], axis=-1)
    mixed = weights @ colours / np.maximum(weights.sum(axis=-1), 1)[..., None]
    full = np.percentile(depth[depth > 0], 90) if depth.any() else 1.0
    return np.asarray(
        mixed * np.where(depth > 0, np.clip(0.45 + 0.55 * depth / full, 0, 1), 0)[..., None], np.uint8
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return red, green, blue

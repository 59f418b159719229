"""The slices where the tree of the airways ends, for a look at what was missed or leaked."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hilum.core.labels import AIRWAYS, LUNGS
from hilum.core.volume import Volume
from hilum.drawing.slice_svg import Fill, plate
from hilum.drawing.slices import (
    PlacedLabels,
    Plane,
    SliceImage,
    can_show,
    oriented,
    outline,
    shown_box,
    slice_image,
)
from hilum.drawing.svg import element, number
from hilum.imaging.morphology import bounding_box
from hilum.tasks.airways.tree import AirwayTree
from hilum.tasks.lungs.report.section import Figure
from hilum.tasks.spec import TaskResult

__all__ = ["end_figures"]

#: Slices that are shown, and how near an end must lie to one of them to be marked, in mm.
_SLICES, _NEAR_MM = 4, 4.0
#: Radius and width of the ring round an end, in mm, and its colour.
_RING_MM, _RING_WIDTH_MM, _RING = 4.5, 0.9, "#ffd166"


def end_figures(volume: Volume, found: TaskResult, tree: AirwayTree) -> list[Figure]:
    """Draw the axial slices with the most ends of branches near them, the airways filled and ends ringed.

    Args:
        volume: The scan.
        found: What the task ``airways`` gave for it, with the lungs beside its label map.
        tree: The tree.

    Returns:
        Up to four figures, from the head down; none where the scan has too few voxels in the plane.
    """
    canonical, orientation = volume.canonical(), nib.io_orientation(volume.affine)
    if not can_show(canonical, Plane.AXIAL):
        return []
    labels = nib.apply_orientation(found.segmentation.labels.data, orientation)
    lungs = nib.apply_orientation(found.segmentation.beside[LUNGS.name].data, orientation)
    placed = PlacedLabels(canonical, lungs, orientation, bounding_box(lungs > 0))
    children = tree.children()
    ends = [b.points[-1] for n, b in enumerate(tree.branches) if not children[n] and b.generation > 0]
    if not ends:
        return []
    inverse = np.linalg.inv(canonical.affine)
    places = np.array(ends) @ inverse[:3, :3].T + inverse[:3, 3]
    near = _NEAR_MM / canonical.spacing[2]
    return [
        _figure(placed, labels, index, places[np.abs(places[:, 2] - index) <= near])
        for index in sorted(_chosen(places[:, 2], near, canonical.shape[2]), reverse=True)
    ]


def _chosen(heights: npt.NDArray[np.float64], near: float, count: int) -> list[int]:
    """Choose slices one after another, each with the most ends that no former one has."""
    left = heights.copy()
    out: list[int] = []
    while len(out) < _SLICES and len(left):
        counts = [int(np.count_nonzero(np.abs(left - index) <= near)) for index in range(count)]
        best = int(np.argmax(counts))
        if not counts[best]:
            break
        out.append(best)
        left = left[np.abs(left - best) > near]
    return out


def _figure(
    placed: PlacedLabels, labels: npt.NDArray[np.uint8], index: int, ends: npt.NDArray[np.float64]
) -> Figure:
    shown = slice_image(placed, Plane.AXIAL, index)
    marked = oriented(labels, Plane.AXIAL, index, shown_box(placed))
    fills = [Fill(outline(marked == value, shown.pixel_mm), info.colour) for value, info in AIRWAYS.items()]
    meta = placed.volume.meta
    position, count = shown.number
    words = f"{len(ends)} end{'s' if len(ends) != 1 else ''} within {_NEAR_MM:g} mm"
    caption = f"Axial: slice {position} of {count}, {words}"
    drawn = plate(
        shown,
        title=f"{caption}, lungs outlined, airways filled, ends of branches ringed",
        scale=meta.spacing_known,
        letters=meta.orientation_known,
        fills=fills,
    )
    width, height = shown.size_mm
    return Figure(_with_rings(drawn, shown, ends), caption, width / height)


def _with_rings(drawn: Markup, shown: SliceImage, ends: npt.NDArray[np.float64]) -> Markup:
    """Add a ring round each end; image columns and rows count down from the origin."""
    rings = Markup("")
    for x, y, _ in ends.tolist():
        column = (shown.origin[0] - x + 0.5) * shown.pixel_mm[0]
        row = (shown.origin[1] - y + 0.5) * shown.pixel_mm[1]
        rings += element(
            "circle",
            cx=number(column),
            cy=number(row),
            r=_RING_MM,
            fill="none",
            stroke=_RING,
            stroke_width=_RING_WIDTH_MM,
        )
    return drawn.replace(Markup("</svg>"), rings + Markup("</svg>"))

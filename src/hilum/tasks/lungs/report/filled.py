"""A slice with a label map filled in, as the sections of several tasks show it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt

from hilum.core.labels import LabelInfo
from hilum.drawing.slice_svg import Fill, plate
from hilum.drawing.slices import PlacedLabels, Plane, oriented, outline, shown_box, slice_image
from hilum.tasks.lungs.report.section import Figure

__all__ = ["filled_slice"]


def filled_slice(
    placed: PlacedLabels,
    labels: npt.NDArray[np.uint8],
    plane: Plane,
    index: int,
    shown_labels: Iterable[LabelInfo],
    *,
    described: str,
    where: str = "",
    dashed: Collection[int] = (),
) -> Figure:
    """Draw a slice with some labels filled.

    Args:
        placed: The scan with its lungs.
        labels: The label map in canonical orientation, shape (x, y, z).
        plane: The plane of the slice.
        index: Its index.
        shown_labels: The labels to fill, with their colours.
        described: What is outlined and filled, for the alternative text.
        where: What part of the patient it shows, for the caption.
        dashed: Values of labels with a dashed border.

    Returns:
        The figure; the caption names plane and number of the slice, the plane only where it is known.
    """
    shown = slice_image(placed, plane, index)
    marked = oriented(labels, plane, index, shown_box(placed))
    fills = [
        Fill(outline(marked == info.value, shown.pixel_mm), info.colour, dashed=info.value in dashed)
        for info in shown_labels
    ]
    meta = placed.volume.meta
    number, count = shown.number
    name = f"{plane.value.capitalize()}{where and ', '}{where}: slice" if meta.orientation_known else "Slice"
    caption = f"{name} {number} of {count}"
    drawn = plate(
        shown,
        title=f"{caption} on axis {shown.file_axis} of the file, {described}",
        scale=meta.spacing_known,
        letters=meta.orientation_known,
        fills=fills,
    )
    width, height = shown.size_mm
    return Figure(drawn, caption, width / height)

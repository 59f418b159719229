"""Thumbnail of a scan for lists of many: one coronal slice with the outlines of what was found."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from hilum.core.label_volume import LabelVolume
from hilum.core.volume import Volume
from hilum.drawing.slices import Plane, can_show, oriented, outline, shown_box, windowed
from hilum.drawing.survey import Box, bounding_box

__all__ = ["LONGEST_PIXELS", "thumbnail_png"]

#: Pixels of the longer side: twice what a list shows, for screens of high density.
LONGEST_PIXELS = 160
#: Grey levels: 47 HU each in the lung window, about the noise of a slice, so that the file stays below 10 kB.
_GREYS = 32
#: Part of the lungs in front of the slice: near the hila, as the first coronal slice of the report.
_IN_FRONT = 0.45


@dataclass(frozen=True, eq=False)
class _Found:
    """Scan and labels on the canonical grid; see :class:`hilum.drawing.slices.Placed`."""

    volume: Volume
    labels: npt.NDArray[np.uint8]
    file_orientation: npt.NDArray[np.float64]
    box: Box | None


def thumbnail_png(scan: Volume, maps: Sequence[LabelVolume]) -> bytes:
    """Draw a coronal slice in the lung window with outlines, in radiological convention.

    An axial slice is drawn where the scan has too few slices for a coronal one.

    Args:
        scan: The scan.
        maps: Label maps on its grid; the first one decides which slice and which part are shown.

    Returns:
        A PNG with a palette. The same scan gives the same bytes.
    """
    orientation = nib.io_orientation(scan.affine)
    turned = [nib.apply_orientation(one.data, orientation) for one in maps]
    volume = scan.canonical()
    found = _Found(volume, turned[0], orientation, bounding_box(turned[0]))
    plane = Plane.CORONAL if can_show(volume, Plane.CORONAL) else Plane.AXIAL
    index, box = _middle(found, plane), shown_box(found)
    columns, rows = plane.in_plane
    pixel_mm = (volume.spacing[columns], volume.spacing[rows])
    image = Image.fromarray(np.ascontiguousarray(windowed(oriented(volume.hu, plane, index, box))))
    width, height = image.width * pixel_mm[0], image.height * pixel_mm[1]
    scale = LONGEST_PIXELS / max(width, height)  # pixels of the thumbnail per mm
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grey = np.asarray(image.resize(size, Image.Resampling.BOX), np.uint16)
    drawn = Image.fromarray((grey * _GREYS // 256).astype(np.uint8), mode="L").convert("P")
    palette = [level * 255 // (_GREYS - 1) for level in range(_GREYS) for _ in range(3)]
    pen = ImageDraw.Draw(drawn)
    for one, labels in zip(maps, turned, strict=True):
        shown = oriented(labels, plane, index, box)
        for value, info in one.label_set.items():
            for loop in outline(shown == value, pixel_mm):
                pen.line([(x, y) for x, y in (loop * scale - 0.5).tolist()], fill=len(palette) // 3, width=2)
            palette += info.colour
    drawn.putpalette(palette)
    file = io.BytesIO()
    drawn.save(file, "PNG", optimize=True)
    return file.getvalue()


def _middle(found: _Found, plane: Plane) -> int:
    """Index of the slice to show on the canonical grid."""
    size = found.volume.shape[plane.axis]
    if found.box is None:
        return size // 2
    inside = found.labels[found.box]
    others = tuple(axis for axis in range(3) if axis != plane.axis)
    total = np.cumsum(np.count_nonzero(inside, axis=others))
    return int(found.box[plane.axis].start + np.searchsorted(total, max((1 - _IN_FRONT) * total[-1], 1)))

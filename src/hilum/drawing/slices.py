"""Slices through the lungs in radiological convention, as images.

The patient's right is on the image's left; the front is up in axial slices, the head is up in coronal and
sagittal ones, the front is on the left in sagittal ones. On the canonical (RAS+) grid all three need the same
operations: transpose, then flip both axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import contourpy
import numpy as np
import numpy.typing as npt

from hilum.core.labels import LUNGS
from hilum.core.volume import Volume
from hilum.drawing.survey import Box, Survey

__all__ = [
    "LEVEL",
    "WINDOW",
    "Placed",
    "PlacedLabels",
    "Plane",
    "SliceImage",
    "choose",
    "obliquity",
    "scale_bar_cm",
    "slice_image",
]

#: Width of the lung window in HU.
WINDOW = 1500
#: Middle of the lung window in HU.
LEVEL = -600
_MARGIN_MM = 22.0
_MIN_PIXELS = 8


class Plane(str, Enum):
    """The three planes of a scan."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    @property
    def axis(self) -> int:
        """Canonical axis that the plane is cut across."""
        return {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}[self]

    @property
    def in_plane(self) -> tuple[int, int]:
        """Canonical axes along the image's columns (horizontal) and rows (vertical)."""
        a, b = (axis for axis in range(3) if axis != self.axis)
        return a, b

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Directions at the left, right, top and bottom of the image."""
        horizontal = ("A", "P") if self is Plane.SAGITTAL else ("R", "L")
        vertical = ("A", "P") if self is Plane.AXIAL else ("H", "F")
        return *horizontal, *vertical


class Placed(Protocol):
    """What drawing a slice needs of a scan and its lungs; a :class:`hilum.drawing.survey.Survey` has it."""

    @property
    def volume(self) -> Volume:
        """The scan on its canonical grid."""

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """Lung labels on the same grid."""

    @property
    def file_orientation(self) -> npt.NDArray[np.float64]:
        """Where each axis of the file went."""

    @property
    def box(self) -> Box | None:
        """Bounding box of what is to be seen; None for the whole scan."""


@dataclass(frozen=True, eq=False)
class PlacedLabels:
    """Scan and lungs on the canonical grid, where there is no survey; see :class:`Placed`."""

    volume: Volume
    labels: npt.NDArray[np.uint8]
    file_orientation: npt.NDArray[np.float64]
    box: Box | None


@dataclass(frozen=True, eq=False)
class SliceImage:
    """One slice in display orientation.

    Attributes:
        plane: Its plane.
        index: Its index on the canonical grid.
        number: Its number (from 1) along the axis of the file, and how many there are.
        file_axis: Axis of the file (1, 2, 3) that it is cut across.
        grey: Pixels in the lung window, uint8, shape (rows, columns).
        pixel_mm: Width and height of a pixel.
        origin: Canonical index of the image's left and of its top pixel (both indices decrease from there).
        outlines: Closed loops round each lung in mm from the upper left corner, shape (points, 2).
    """

    plane: Plane
    index: int
    number: tuple[int, int]
    file_axis: int
    grey: npt.NDArray[np.uint8]
    pixel_mm: tuple[float, float]
    origin: tuple[int, int]
    outlines: dict[int, list[npt.NDArray[np.float64]]]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height in mm."""
        rows, columns = self.grey.shape
        return columns * self.pixel_mm[0], rows * self.pixel_mm[1]


def oriented(array: npt.NDArray[Any], plane: Plane, index: int, box: Box) -> npt.NDArray[Any]:
    """Extract a slice from a canonical array, in display orientation.

    Args:
        array: Array on the canonical grid, shape (x, y, z).
        plane: The plane.
        index: Index along the plane's axis.
        box: Part to show; its entry for the plane's own axis is not used.

    Returns:
        Array of shape (rows, columns) with the patient's right, or front, at the left.
    """
    cut: list[Any] = list(box)
    cut[plane.axis] = index
    turned: npt.NDArray[Any] = array[tuple(cut)].T[::-1, ::-1]
    return turned


def windowed(hu: npt.NDArray[Any], window: float = WINDOW, level: float = LEVEL) -> npt.NDArray[np.uint8]:
    """Map HU to grey, 0 to 255, by window width and level."""
    low = level - window / 2
    grey = (np.nan_to_num(hu.astype(np.float32), nan=low) - low) * (255.0 / window)
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)


def slice_image(found: Placed, plane: Plane, index: int) -> SliceImage:
    """Render the slice ``index`` of ``plane`` with its outlines.

    Args:
        found: The scan and its lungs.
        plane: The plane.
        index: Index on the canonical grid.
    """
    box = shown_box(found)
    columns, rows = plane.in_plane
    spacing = found.volume.spacing
    pixel = (spacing[columns], spacing[rows])
    labels = oriented(found.labels, plane, index, box)
    file_axis, number = _file_position(found, plane.axis, index)
    return SliceImage(
        plane=plane,
        index=index,
        number=(number, found.volume.shape[plane.axis]),
        file_axis=file_axis,
        grey=windowed(oriented(found.volume.hu, plane, index, box)),
        pixel_mm=pixel,
        origin=(box[columns].stop - 1, box[rows].stop - 1),
        outlines={lung: outline(labels == lung, pixel) for lung in LUNGS},
    )


def outline(mask: npt.NDArray[np.bool_], pixel_mm: tuple[float, float]) -> list[npt.NDArray[np.float64]]:
    """Trace the border of ``mask`` halfway between the last pixel inside and the first outside.

    Returns:
        Closed loops in mm from the upper left corner of the image, each of shape (points, 2).
    """
    if not mask.any():
        return []
    padded = np.pad(mask, 1).astype(np.float32)  # so that loops close at the image's edge
    lines = contourpy.contour_generator(z=padded).lines(0.5)
    # Index p of the padded array is the centre of pixel p - 1, which lies p - 0.5 pixels from the corner.
    return [(np.asarray(line) - 0.5) * np.array(pixel_mm) for line in lines]


def shown_box(found: Placed) -> Box:
    """The lungs with a margin of chest wall; the whole scan where there is no lung."""
    shape, spacing = found.volume.shape, found.volume.spacing
    if found.box is None:
        return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
    out = []
    for part, size, step in zip(found.box, shape, spacing, strict=True):
        margin = math.ceil(_MARGIN_MM / step)
        out.append(slice(max(0, part.start - margin), min(size, part.stop + margin)))
    return out[0], out[1], out[2]


def can_show(volume: Volume, plane: Plane) -> bool:
    """Whether the scan has enough voxels in the plane to be worth showing."""
    return all(volume.shape[axis] >= _MIN_PIXELS for axis in plane.in_plane)


def choose(found: Survey) -> dict[Plane, tuple[int, ...]]:
    """Choose the slices to show.

    Axial: three levels with 18, 45 and 80 % of the lung volume above them (the middle one comes to lie near
    the carina and the hila). Coronal: two, with 45 and 75 % of the volume in front. Sagittal: one through the
    middle of each lung that is there. Without lungs, the middle of the scan.

    Returns:
        Indices on the canonical grid in the order of showing; planes that cannot be shown are left out.
    """
    shape = found.volume.shape
    if not found.present:
        return {plane: (shape[plane.axis] // 2,) for plane in Plane if can_show(found.volume, plane)}
    levels = {
        Plane.AXIAL: [_quantile(found.profile(2), 1 - part) for part in (0.18, 0.45, 0.80)],
        Plane.CORONAL: [_quantile(found.profile(1), 1 - part) for part in (0.45, 0.75)],
        Plane.SAGITTAL: [_quantile(found.profiles[lung][0], 0.5) for lung in found.present],
    }
    return {
        plane: tuple(dict.fromkeys(indices))
        for plane, indices in levels.items()
        if can_show(found.volume, plane)
    }


def _quantile(profile: npt.NDArray[np.int64], part: float) -> int:
    """Index below which ``part`` of the sum of ``profile`` lies; its entry there is not zero."""
    total = np.cumsum(profile)
    return int(np.searchsorted(total, max(part * total[-1], 1)))


def _file_position(found: Placed, axis: int, index: int) -> tuple[int, int]:
    """Axis and number (both from 1) in the file of the canonical slice ``index`` across ``axis``."""
    file_axis = int(np.flatnonzero(found.file_orientation[:, 0] == axis)[0])
    flipped = found.file_orientation[file_axis, 1] < 0
    number = found.volume.shape[axis] - index if flipped else index + 1
    return file_axis + 1, number


def obliquity(volume: Volume) -> float:
    """Largest angle in degrees between an axis of the grid and the nearest axis of the body."""
    cosines = np.abs(volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0))
    return float(np.degrees(np.arccos(np.clip(cosines.max(axis=0), -1, 1))).max())


def scale_bar_cm(width_mm: float) -> float:
    """A round length in cm that takes about a quarter of an image ``width_mm`` wide."""
    steps = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    return max((step for step in steps if step * 10 <= 0.3 * width_mm), default=steps[0])

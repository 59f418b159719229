"""HU statistics of one subject: histograms of lung, body and their parts, and the calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import Side
from hilum.core.planes import Plane
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.volume import ScanMeta, Volume
from hilum.quality import Calibration, calibration

__all__ = [
    "CENTRES",
    "EDGES",
    "PERCENTILES",
    "Region",
    "Stack",
    "SubjectIntensities",
    "count_intensities",
    "percentile",
]

_LOW, _HIGH = -1100, 700
#: Lower edges of the bins of 1 HU. The first and the last bin are open-ended.
EDGES = np.arange(_LOW, _HIGH + 1, dtype=np.float64)
CENTRES = EDGES + 0.5
PERCENTILES = (1, 5, 15, 25, 50, 75, 85, 95, 99)
_RIM_MM = 10.0
_USUAL_PIXEL_MM = 0.7  # for slices of unknown pixel size
_BODY_HU = -350
_LEAST_SLICES = 6  # for statistics along the stack

Counts = npt.NDArray[np.int64]


class Region(str, Enum):
    """Region in which pixels are counted."""

    LUNGS = Side.LUNGS.value
    RIGHT = Side.RIGHT.value
    LEFT = Side.LEFT.value
    APEX = "apical"
    MIDDLE = "middle"
    BASE = "basal"
    VENTRAL = "ventral"
    CENTRAL = "central"
    DORSAL = "dorsal"
    RIM = "around_lungs"
    """Body within 10 mm of a lung."""
    BODY = "body"
    """The body without the lungs."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one subject, in display orientation.

    Attributes:
        plane: Plane of the slices.
        hu: Slices [row, column].
        labels: Their masks: 1 lung, or 1 right and 2 left lung.
        slices: Their numbers in the stack, increasing towards superior, anterior or right.
        spacing: Row and column spacing in mm; None if unknown.
        sided: Whether the labels separate right and left.
    """

    plane: Plane
    hu: list[npt.NDArray[np.int16]]
    labels: list[npt.NDArray[np.uint8]]
    slices: list[int]
    spacing: tuple[float, float] | None
    sided: bool


@dataclass
class SubjectIntensities:
    """HU statistics of a subject.

    Attributes:
        number: Number of the subject.
        histograms: Counts in the bins of :data:`EDGES`, by region; an undefined region is
            missing.
        calibration: HU of air, fat and soft tissue.
        slices: Number of sampled slices.
        flags: Codes of its quality flags, as far as known.
    """

    number: int
    histograms: dict[Region, Counts] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    slices: int = 0
    flags: tuple[str, ...] = ()

    def mean(self, region: Region) -> float | None:
        """Return the mean HU of a region; None if it is undefined or empty."""
        counts = self.histograms.get(region)
        if counts is None or not counts.sum():
            return None
        return float(counts @ CENTRES / counts.sum())

    def sd(self, region: Region) -> float | None:
        """Return the standard deviation of a region in HU; None as in :meth:`mean`."""
        mean = self.mean(region)
        if mean is None:
            return None
        counts = self.histograms[region]
        return float(np.sqrt(counts @ (CENTRES - mean) ** 2 / counts.sum()))

    def percentile(self, region: Region, percent: float) -> float | None:
        """Return a percentile of a region in HU; None as in :meth:`mean`."""
        counts = self.histograms.get(region)
        return None if counts is None else percentile(counts, percent)


def percentile(counts: npt.NDArray[np.generic], percent: float) -> float | None:
    """Return a percentile from a histogram, linear within its bin; None if it is empty."""
    total = np.cumsum(counts, dtype=np.float64)
    if not total[-1] > 0:
        return None
    wanted = total[-1] * percent / 100.0
    place = int(np.searchsorted(total, wanted))
    before = total[place - 1] if place else 0.0
    inside = total[place] - before
    return float(EDGES[place] + ((wanted - before) / inside if inside > 0 else 0.0))


def count_intensities(number: int, stack: Stack, flags: tuple[str, ...] = ()) -> SubjectIntensities:
    """Compute the HU statistics of a subject.

    Args:
        number: Number of the subject.
        stack: Its slices.
        flags: Codes of its quality flags, as far as known.

    Returns:
        Histograms and calibration. Right and left are taken from the labels, or else from the halves of the
        body in axial and coronal slices. Thirds are of equal extent between the lungs' first and last pixel.
    """
    out = SubjectIntensities(number, slices=len(stack.hu), flags=flags, calibration=_calibrate(stack))
    bodies = [_body(hu, labels) for hu, labels in zip(stack.hu, stack.labels, strict=True)]
    extents = {kind: _extent(stack, kind) for kind in _THIRDS}
    middle = _middle(stack, bodies)
    for n, (hu, labels) in enumerate(zip(stack.hu, stack.labels, strict=True)):
        lung = labels > 0
        _count(out, Region.LUNGS, hu[lung])
        body = bodies[n] & ~lung
        _count(out, Region.BODY, hu[body])
        _count(out, Region.RIM, hu[_rim(lung, stack.spacing) & body])
        if not lung.any():
            continue
        for region, part in _sides(stack, labels, middle):
            _count(out, region, hu[part])
        for kind, regions in _THIRDS.items():
            extent = extents[kind]
            if extent is None:
                continue
            place = _coordinate(stack, kind, n, lung)
            third = np.clip((3 * (place - extent[0]) / (extent[1] - extent[0] + 1)).astype(int), 0, 2)
            for index, region in enumerate(regions):
                _count(out, region, hu[lung][third == index])
    return out


#: Thirds by direction, in the order of increasing coordinate.
_THIRDS = {
    "height": (Region.APEX, Region.MIDDLE, Region.BASE),
    "depth": (Region.VENTRAL, Region.CENTRAL, Region.DORSAL),
}


def _count(out: SubjectIntensities, region: Region, values: npt.NDArray[np.int16]) -> None:
    bins = np.clip(values.astype(np.int32) - _LOW, 0, EDGES.size - 1)
    counts = np.bincount(bins, minlength=EDGES.size)
    out.histograms[region] = out.histograms.get(region, np.zeros(EDGES.size, np.int64)) + counts


def _coordinate(stack: Stack, kind: str, n: int, lung: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the coordinate of each lung pixel towards inferior (height) or posterior (depth)."""
    axis = _AXIS[stack.plane][kind]
    if axis == "slice":  # slices are numbered towards superior or anterior, coordinates in reverse
        return np.full(int(lung.sum()), -stack.slices[n], np.int64)
    return np.nonzero(lung)[0 if axis == "row" else 1]


_AXIS = {
    Plane.AXIAL: {"height": "slice", "depth": "row"},
    Plane.CORONAL: {"height": "row", "depth": "slice"},
    Plane.SAGITTAL: {"height": "row", "depth": "col"},
}


def _extent(stack: Stack, kind: str) -> tuple[int, int] | None:
    """Return first and last coordinate of the lungs; None if it cannot be determined."""
    seen = [_coordinate(stack, kind, n, labels > 0) for n, labels in enumerate(stack.labels) if labels.any()]
    if not seen or (_AXIS[stack.plane][kind] == "slice" and len(seen) < _LEAST_SLICES):
        return None
    return min(int(place.min()) for place in seen), max(int(place.max()) for place in seen)


def _sides(
    stack: Stack, labels: npt.NDArray[np.uint8], middle: float | None
) -> Iterator[tuple[Region, npt.NDArray[np.bool_]]]:
    if stack.sided:
        yield Region.RIGHT, labels == 1
        yield Region.LEFT, labels == 2
    elif middle is not None:
        left = np.arange(labels.shape[1]) > middle  # the patient's right is on the left of the slice
        yield Region.RIGHT, (labels > 0) & ~left
        yield Region.LEFT, (labels > 0) & left


def _middle(stack: Stack, bodies: list[npt.NDArray[np.bool_]]) -> float | None:
    """Return the column of the body's midline; None for sagittal slices."""
    if stack.sided or stack.plane is Plane.SAGITTAL:
        return None
    columns = np.zeros(max(body.shape[1] for body in bodies))
    for body in bodies:
        columns[: body.shape[1]] += body.sum(axis=0)
    return float(columns @ np.arange(columns.size) / columns.sum()) if columns.any() else None


def _body(hu: npt.NDArray[np.int16], labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Segment the body in a slice, at half size for speed: the largest component, holes filled."""
    small, lung = hu[::2, ::2], labels[::2, ::2] > 0
    tissue = ndimage.binary_opening(small > _BODY_HU, iterations=2)
    pieces, count = ndimage.label(tissue | lung)
    if not count:
        return np.zeros(hu.shape, bool)
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    filled = ndimage.binary_fill_holes((pieces == largest) | lung)
    return np.asarray(filled.repeat(2, axis=0).repeat(2, axis=1)[: hu.shape[0], : hu.shape[1]])


def _rim(lung: npt.NDArray[np.bool_], spacing: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
    if not lung.any():
        return np.zeros(lung.shape, bool)
    steps = spacing or (_USUAL_PIXEL_MM, _USUAL_PIXEL_MM)
    small = lung[::2, ::2]
    near = ndimage.distance_transform_edt(~small, sampling=[2 * s for s in steps]) <= _RIM_MM
    return np.asarray(near.repeat(2, axis=0).repeat(2, axis=1)[: lung.shape[0], : lung.shape[1]])


def _calibrate(stack: Stack) -> Calibration:
    """Measure air, fat and soft tissue; the plane is irrelevant, so slices are passed as axial ones."""
    shape = stack.hu[0].shape
    alike = [n for n, hu in enumerate(stack.hu) if hu.shape == shape]
    hu = np.stack([stack.hu[n] for n in alike], axis=2)
    labels = np.stack([stack.labels[n] for n in alike], axis=2)
    rows, cols = stack.spacing or (1.0, 1.0)
    affine = np.array([[0, -cols, 0, 0], [-rows, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)
    volume = Volume(hu, affine, ScanMeta(spacing_known=stack.spacing is not None))
    return calibration(volume, Segmentation(LabelVolume.on_grid_of(volume, labels), ModelInfo("given", "")))

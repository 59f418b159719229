"""Cutting a volume into slices in display orientation, and resampling them to another pixel size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.errors import GeometryError, UsageError
from hilum.core.flags import FlagCode
from hilum.core.planes import Plane
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume

__all__ = ["Frame", "Spacing", "cut_slices", "frame_of", "parse_spacing"]

#: ``keep``, ``square``, or distance of rows and of columns in mm.
Spacing = str | tuple[float, float]

#: Canonical (RAS) axes of stack, rows and columns, by plane.
_AXES = {Plane.AXIAL: (2, 1, 0), Plane.CORONAL: (1, 2, 0), Plane.SAGITTAL: (0, 2, 1)}
_BLOCK = 16
_SPACING_RANGE = (0.05, 20.0)
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Frame:
    """Size and scale of the slices of a volume.

    Attributes:
        plane: Plane of the slices.
        slices: Number of slices.
        source: Rows and columns in the volume.
        shape: Rows and columns as written.
        ratio: Size of an output pixel in pixels of the volume, along rows and columns.
        spacing: Row and column spacing in mm as written; None if unknown.
        slice_spacing: Distance between slices in mm; None if unknown.
        voxel_ml: Volume that one output pixel represents, in mL; None if unknown.
    """

    plane: Plane
    slices: int
    source: tuple[int, int]
    shape: tuple[int, int]
    ratio: tuple[float, float]
    spacing: tuple[float, float] | None
    slice_spacing: float | None
    voxel_ml: float | None

    @property
    def resampled(self) -> bool:
        """Whether slices are interpolated."""
        return self.ratio != (1.0, 1.0)


def parse_spacing(text: Spacing) -> Spacing:
    """Read ``keep``, ``square`` or ``R,C`` in mm.

    Raises:
        UsageError: The text is something else.
    """
    if isinstance(text, str) and text in ("keep", "square"):
        return text
    try:
        parts = text.split(",") if isinstance(text, str) else list(text)
        rows, cols = (float(part) for part in parts)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"spacing is {text!r}, expected keep, square, or two sizes in mm such as 0.8,0.8."
        ) from error
    low, high = _SPACING_RANGE
    if not (low <= rows <= high and low <= cols <= high):
        raise UsageError(f"spacing is {text!r}, expected sizes between {low:g} and {high:g} mm.")
    return rows, cols


def frame_of(volume: Volume, plane: Plane, spacing: Spacing) -> Frame:
    """Return the size and scale that the slices of a volume will have.

    Args:
        volume: The scan.
        plane: How to cut it.
        spacing: Pixel size; ``square`` takes the finer of the two spacings for both.

    Raises:
        GeometryError: A pixel size is requested for a scan of unknown pixel size, or a single slice is to
            be cut in another plane than its own.
    """
    canonical = volume.canonical()
    stack, row, col = _AXES[plane]
    shape = canonical.shape
    if 1 in shape and shape[stack] != 1:
        own = next(p for p, axes in _AXES.items() if shape[axes[0]] == 1)
        raise GeometryError(
            f"The image is a single {own.value} slice, which cannot be cut in the {plane.value} plane.",
            Sentence("Use {set:plane=$own}.", own=own.value),
        )
    codes = {code for code, _ in volume.meta.notes}
    source = (shape[row], shape[col])
    if not volume.meta.spacing_known:
        if spacing != "keep":
            raise GeometryError(
                "The image does not state its pixel size, so it cannot be resampled.",
                Sentence("Use {set:spacing=keep}."),
            )
        return Frame(plane, shape[stack], source, source, (1.0, 1.0), None, None, None)
    steps = [round(step, 6) for step in canonical.spacing]
    old = (steps[row], steps[col])
    new = old if spacing == "keep" else (min(old), min(old)) if isinstance(spacing, str) else spacing
    target = tuple(max(1, round(n * o / s)) for n, o, s in zip(source, old, new, strict=True))
    thick = None if FlagCode.SLICE_THICKNESS_UNKNOWN in codes else steps[stack]
    pixel = volume.voxel_volume_ml * new[0] * new[1] / (old[0] * old[1])
    return Frame(
        plane=plane,
        slices=shape[stack],
        source=source,
        shape=(target[0], target[1]),
        ratio=(new[0] / old[0], new[1] / old[1]),
        spacing=new,
        slice_spacing=thick,
        voxel_ml=None if thick is None else pixel,
    )


def cut_slices(
    volume: Volume, labels: npt.NDArray[np.uint8], frame: Frame, chosen: Sequence[int] | None = None
) -> Iterator[tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]]:
    """Cut a volume and its labels into slices, one after the other.

    Args:
        volume: The scan.
        labels: Labels of its shape.
        frame: From :func:`frame_of`.
        chosen: Numbers of the slices to cut; None for all.

    Yields:
        HU and labels, [row, column]. Slices are numbered towards superior, anterior or the patient's right.
        If the pixel size is kept, whole HU stay exact and others are rounded. Otherwise HU are
        interpolated linearly (averaged where pixels become larger), and a pixel gets the label whose share
        of it exceeds one half.
    """
    canonical = volume.canonical()
    marked = nib.apply_orientation(labels, nib.io_orientation(volume.affine))
    order = _AXES[frame.plane]
    # Rows and columns increase towards inferior, posterior and the patient's left: against RAS.
    hu, mask = (np.transpose(a, order)[:, ::-1, ::-1] for a in (canonical.hu, marked))
    if chosen is not None:
        for number in chosen:
            image, drawn = np.ascontiguousarray(hu[number]), np.ascontiguousarray(mask[number])
            yield _whole(_zoom(image, frame)), _zoom_labels(drawn, frame)
        return
    for start in range(0, frame.slices, _BLOCK):
        # Block-wise: a slice across the fastest memory axis would touch every cache line.
        block = slice(start, start + _BLOCK)
        for image, drawn in zip(
            np.ascontiguousarray(hu[block]), np.ascontiguousarray(mask[block]), strict=True
        ):
            yield _whole(_zoom(image, frame)), _zoom_labels(drawn, frame)


def _whole(image: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    if image.dtype == np.int16:
        return image
    whole: npt.NDArray[np.int16] = np.clip(np.rint(image), _INT16.min, _INT16.max).astype(np.int16)
    return whole


def _zoom(image: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    if not frame.resampled:
        return image
    rows, cols = (_weights(*size) for size in zip(frame.source, frame.shape, frame.ratio, strict=True))
    out: npt.NDArray[Any] = (cols @ (rows @ image.astype(np.float32)).T).T
    return out


def _zoom_labels(labels: npt.NDArray[np.uint8], frame: Frame) -> npt.NDArray[np.uint8]:
    if not frame.resampled:
        return labels
    out = np.zeros(frame.shape, np.uint8)
    for value in np.unique(labels[labels > 0]):
        out[_zoom((labels == value).astype(np.float32), frame) > 0.5] = value
    return out


@lru_cache(maxsize=8)
def _weights(source: int, target: int, ratio: float) -> Any:
    """Return the sparse matrix (target, source) of linear interpolation.

    The centres of both slices coincide, and the pixel size is exactly the requested one; the slice grows or
    shrinks by less than half a pixel. Where pixels become larger, the triangle kernel widens too, so that all
    source pixels count (no aliasing); at the edges the weights are normalised.
    """
    from scipy import sparse

    centres = (np.arange(target) + 0.5 - target / 2) * ratio + source / 2 - 0.5
    distance = np.abs(np.clip(centres, 0, source - 1)[:, np.newaxis] - np.arange(source))
    weights = np.maximum(0.0, 1.0 - distance / max(1.0, ratio))
    weights /= weights.sum(axis=1, keepdims=True)
    return sparse.csr_matrix(weights.astype(np.float32))

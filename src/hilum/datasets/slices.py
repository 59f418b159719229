"""Cutting a volume into pictures as people look at them, and giving them another pixel size."""

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
    """Size and scale of the pictures of a volume.

    Attributes:
        plane: How they cut the patient.
        slices: How many there are.
        source: Rows and columns in the volume.
        shape: Rows and columns as written.
        ratio: Size of a written pixel in pixels of the volume, along rows and columns.
        spacing: Distance of rows and of columns in mm as written, None where it is not known.
        slice_spacing: Distance of slices in mm, None where it is not known.
        voxel_ml: Volume that one written pixel stands for, None where it is not known.
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
        """Whether pictures are interpolated."""
        return self.ratio != (1.0, 1.0)


def parse_spacing(text: Spacing) -> Spacing:
    """Read ``keep``, ``square`` or ``R,C`` in mm.

    Raises:
        UsageError: It is none of them.
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
    """Say how the pictures of a volume will look.

    Args:
        volume: The scan.
        plane: How to cut it.
        spacing: Pixel size; ``square`` takes the finer of the two distances for both.

    Raises:
        GeometryError: A pixel size is wanted of a scan that does not tell its own, or a single picture is to
            be cut in another plane than its own.
    """
    canonical = volume.canonical()
    stack, row, col = _AXES[plane]
    shape = canonical.shape
    if 1 in shape and shape[stack] != 1:
        own = next(p for p, axes in _AXES.items() if shape[axes[0]] == 1)
        raise GeometryError(
            f"The image is a single {own.value} picture, which cannot be cut in the {plane.value} plane.",
            Sentence("Use {set:plane=$own}.", own=own.value),
        )
    codes = {code for code, _ in volume.meta.notes}
    source = (shape[row], shape[col])
    if not volume.meta.spacing_known:
        if spacing != "keep":
            raise GeometryError(
                "The image does not tell its pixel size, so it cannot be brought to another.",
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
    """Cut a volume and its labels into pictures, one after the other.

    Args:
        volume: The scan.
        labels: Labels of its shape.
        frame: What :func:`frame_of` said.
        chosen: Numbers of the slices to cut; all where None.

    Yields:
        HU and labels, [row, column]. Slices count towards the head, the front, or the patient's right.
        Without another pixel size whole HU are exact; others are rounded to whole HU. With one, HU are
        interpolated linearly (averaged where pixels become larger), and a label is where its share of a pixel
        is more than a half.
    """
    canonical = volume.canonical()
    marked = nib.apply_orientation(labels, nib.io_orientation(volume.affine))
    order = _AXES[frame.plane]
    # Rows and columns grow to the feet, the back and the patient's left: against RAS.
    hu, mask = (np.transpose(a, order)[:, ::-1, ::-1] for a in (canonical.hu, marked))
    if chosen is not None:
        for number in chosen:
            picture, drawn = np.ascontiguousarray(hu[number]), np.ascontiguousarray(mask[number])
            yield _whole(_zoom(picture, frame)), _zoom_labels(drawn, frame)
        return
    for start in range(0, frame.slices, _BLOCK):
        # A block at a time: a slice across the fast axis of the memory would touch every cache line of it.
        block = slice(start, start + _BLOCK)
        for picture, drawn in zip(
            np.ascontiguousarray(hu[block]), np.ascontiguousarray(mask[block]), strict=True
        ):
            yield _whole(_zoom(picture, frame)), _zoom_labels(drawn, frame)


def _whole(picture: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    if picture.dtype == np.int16:
        return picture
    whole: npt.NDArray[np.int16] = np.clip(np.rint(picture), _INT16.min, _INT16.max).astype(np.int16)
    return whole


def _zoom(picture: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    if not frame.resampled:
        return picture
    rows, cols = (_weights(*size) for size in zip(frame.source, frame.shape, frame.ratio, strict=True))
    out: npt.NDArray[Any] = (cols @ (rows @ picture.astype(np.float32)).T).T
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

    The middles of both pictures coincide, and the pixel size is exactly the one wanted; the picture grows or
    shrinks by less than half a pixel. Where pixels become larger, the triangle widens with them, so that all
    source pixels count (no aliasing); at the edges the weights are normalised.
    """
    from scipy import sparse

    centres = (np.arange(target) + 0.5 - target / 2) * ratio + source / 2 - 0.5
    distance = np.abs(np.clip(centres, 0, source - 1)[:, np.newaxis] - np.arange(source))
    weights = np.maximum(0.0, 1.0 - distance / max(1.0, ratio))
    weights /= weights.sum(axis=1, keepdims=True)
    return sparse.csr_matrix(weights.astype(np.float32))

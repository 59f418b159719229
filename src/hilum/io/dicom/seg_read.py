"""Masks from a DICOM Segmentation object (DICOM PS3.3 A.51), by the codes of its segments."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from hilum.core.errors import GeometryError, InputError
from hilum.core.sentences import Sentence
from hilum.core.volume import ScanMeta, check_affine
from hilum.io.checks import check_size
from hilum.io.dicom.decoding import Decoder
from hilum.io.dicom.headers import read_header
from hilum.io.mask import Mask
from hilum.io.mask_segments import Parts, SegmentName
from hilum.io.stream import readable

__all__ = ["load_dicom_seg"]

_SEG = (
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
)  # Segmentation, Label Map Segmentation
#: Codes that only say "a part of the body": the anatomic region beside them says which.
_GENERIC = ("85756007", "T-D0050", "123037004", "T-D000A", "91723000")
#: Positions are decimal text; a hundredth of a step is far more than its rounding.
_STEP_TOLERANCE = 0.1
#: More slices than any scan has (4096) by a factor of two.
_MOST_SLICES = 8192
_AGAIN = "Export the segmentation again, as DICOM SEG or as NIfTI."


@dataclass(frozen=True, eq=False)
class _Frames:
    """Where the frames of a segmentation lie.

    Attributes:
        segments: Number of the segment of each frame; 0 where the pixels hold it.
        slices: Index of the slice of each frame.
        affine: Voxel (column, row, slice) to RAS mm.
        count: Number of slices from the first to the last frame.
    """

    segments: list[int]
    slices: list[int]
    affine: npt.NDArray[np.float64]
    count: int


def load_dicom_seg(path: Path, parts: Parts) -> Mask:
    """Read the segments of a DICOM Segmentation that mean something.

    Segments are known by their codes (SNOMED CT, and the older SRT), failing that by their labels.

    Args:
        path: The file.
        parts: What the segments mean.

    Raises:
        InputError: It is not a segmentation, is fractional, or no segment means anything.
        GeometryError: Its frames do not lie on one grid.
    """
    try:
        with readable(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom quotes odd values, which may be names
            ds = pydicom.dcmread(path, force=True)
            if str(ds.get("SOPClassUID", "")) not in _SEG:
                modality = str(ds.get("Modality") or "modality unknown")[:20]
                raise InputError(
                    Sentence(
                        "{file:path} is DICOM, but no segmentation ({modality}).",
                        path=path.name,
                        modality=modality,
                    ),
                    "Give a DICOM SEG or a label map; structure sets have to be exported as one of them.",
                )
            return _load(ds, path, parts)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, NotImplementedError, RuntimeError):
        # The text of the cause may quote a header, so it is not chained.
        raise InputError(
            Sentence("The DICOM SEG {file:path} is broken or not complete.", path=path.name), _AGAIN
        ) from None


def _load(ds: Dataset, path: Path, parts: Parts) -> Mask:
    values, titles = {}, {}
    for item in ds.SegmentSequence:
        number = int(item.SegmentNumber)
        titles[number] = str(item.get("SegmentLabel", "")) or f"segment {number}"
        values[number] = parts.value_of(SegmentName(titles[number], number, *_codes_of(item)))
    if not any(values.values()):
        raise parts.nothing(path.name, titles.values())
    frames = _frames(ds)
    if int(ds.get("NumberOfFrames") or 1) != len(frames.slices):
        raise ValueError("frames and functional groups differ in number")
    rows, columns = int(ds.Rows), int(ds.Columns)
    if frames.count > _MOST_SLICES:
        raise GeometryError("The frames of the DICOM SEG lie farther apart than a body is long.", _AGAIN)
    bits = len(ds.PixelData) * 8 // int(ds.BitsAllocated)
    check_size((columns, rows, len(frames.slices)), 1, bits, compressed=_compressed(ds))
    pixels = _pixels(ds, path).reshape(-1, rows, columns)

    def segments() -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        for number, value in values.items():
            if value:
                yield value, _voxels(pixels, frames, number)

    array = parts.merge(segments(), (columns, rows, frames.count), path.name)
    notes = parts.notes({titles[number]: value for number, value in values.items()})
    meta = ScanMeta(source_format="dicom", stored_shape=array.shape)
    return Mask(array, frames.affine, meta, parts.names, cropped=True, mapped=True, notes=notes)


def _codes_of(item: Dataset) -> tuple[str, str]:
    """The codes of what a segment is and of its side; empty where it has none."""
    kind = _first(item, "SegmentedPropertyTypeCodeSequence")
    modifier = _code(_first(kind, "SegmentedPropertyTypeModifierCodeSequence"))
    code = _code(kind)
    if code in _GENERIC or not code:
        region = _first(item, "AnatomicRegionSequence")
        side = _code(_first(region, "AnatomicRegionModifierSequence"))
        return _code(region), side or modifier
    return code, modifier


def _pixels(ds: Dataset, path: Path) -> npt.NDArray[Any]:
    """The frames as they are stored; a fractional segmentation only where every fraction is 0 or 1."""
    pixels = _decoded(path, int(ds.get("NumberOfFrames") or 1)) if _compressed(ds) else ds.pixel_array
    if ds.get("SegmentationType") == "FRACTIONAL":
        most = int(ds.MaximumFractionalValue)
        if not ((pixels == 0) | (pixels == most)).all():
            raise InputError(
                Sentence(
                    "{file:path} is a fractional segmentation: it holds probabilities, not labels.",
                    path=path.name,
                ),
                "Export it as a binary segmentation.",
            )
    return pixels


def _compressed(ds: Dataset) -> bool:
    return bool(ds.file_meta.TransferSyntaxUID.is_compressed)


def _decoded(path: Path, frames: int) -> npt.NDArray[Any]:
    """Decode compressed frames in a process of their own, which damaged ones may end."""
    head, _ = read_header(path)
    with Decoder() as decoder:
        return np.stack(list(decoder.frames(head, range(frames))))


def _voxels(pixels: npt.NDArray[Any], frames: _Frames, number: int) -> npt.NDArray[np.bool_]:
    """Voxels of a segment, axes (column, row, slice)."""
    out = np.zeros((pixels.shape[2], pixels.shape[1], frames.count), bool, order="F")
    for frame, (segment, k) in enumerate(zip(frames.segments, frames.slices, strict=True)):
        if segment == number:
            out[:, :, k] |= pixels[frame].T != 0
        elif not segment:
            out[:, :, k] |= number == pixels[frame].T
    return out


def _frames(ds: Dataset) -> _Frames:
    shared = _first(ds, "SharedFunctionalGroupsSequence")
    segments, places = [], []
    axes, spacing, steps = set(), set(), set()
    for item in ds.PerFrameFunctionalGroupsSequence:
        segments.append(
            int(_group(item, shared, "SegmentIdentificationSequence").get("ReferencedSegmentNumber", 0))
        )
        places.append([float(v) for v in _group(item, shared, "PlanePositionSequence").ImagePositionPatient])
        orientation = _group(item, shared, "PlaneOrientationSequence").ImageOrientationPatient
        axes.add(tuple(round(float(v), 4) for v in orientation))
        measures = _group(item, shared, "PixelMeasuresSequence")
        spacing.add(tuple(float(v) for v in measures.PixelSpacing))
        steps.add(float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0))
        last = [float(v) for v in orientation]
    if len(axes) != 1 or len(spacing) != 1 or len(steps) != 1:
        raise GeometryError("The frames of the DICOM SEG do not lie on one grid.", _AGAIN)
    row, column = np.array(last[:3]), np.array(last[3:])
    normal = np.cross(row, column)
    heights = np.array(places) @ normal
    step = _step(heights, steps.pop())
    slices = (heights - heights.min()) / step
    off = np.abs(slices - np.rint(slices)).max()
    across = np.array(places) - np.outer(heights, normal)
    if off > _STEP_TOLERANCE:
        raise GeometryError("The frames of the DICOM SEG are not evenly spaced.", _AGAIN)
    first = int(np.argmin(heights))
    shift = _shift(across, slices)
    (between_rows, between_columns) = spacing.pop()
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * between_columns, column * between_rows
    affine[:3, 2] = normal * step + shift
    affine[:3, 3] = places[first]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    check_affine(affine)
    whole = np.rint(slices).astype(int)
    return _Frames(segments, whole.tolist(), affine, int(whole.max()) + 1)


def _step(heights: npt.NDArray[np.float64], stated: float) -> float:
    """Distance of slices: the least distance of two frames, or the stated one if it divides that."""
    places = np.unique(np.round(heights, 3))
    least = float(np.diff(places).min()) if places.size > 1 else 0.0
    if stated > 0 and (least == 0.0 or (least / stated > 1 - _STEP_TOLERANCE and _is_whole(least / stated))):
        return stated if least == 0.0 else least / round(least / stated)
    return least or 1.0


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < _STEP_TOLERANCE


def _shift(across: npt.NDArray[np.float64], slices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far the frames move sideways a slice: 0 unless the grid is sheared, as with a tilted gantry."""
    low, high = int(np.argmin(slices)), int(np.argmax(slices))
    if slices[high] == slices[low]:
        return np.zeros(3)
    shift = (across[high] - across[low]) / (slices[high] - slices[low])
    expected = across[low] + np.outer(slices - slices[low], shift)
    if np.abs(across - expected).max() > _STEP_TOLERANCE:
        raise GeometryError("The frames of the DICOM SEG do not lie on one grid.", _AGAIN)
    return np.asarray(shift)


def _first(ds: Dataset, keyword: str) -> Dataset:
    sequence = ds.get(keyword)
    return sequence[0] if sequence else Dataset()


def _group(item: Dataset, shared: Dataset, keyword: str) -> Dataset:
    own = _first(item, keyword)
    return own if len(own) else _first(shared, keyword)


def _code(item: Dataset) -> str:
    return str(item.get("CodeValue", "")).strip()

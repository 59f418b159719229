"""The attributes that hilum reads from the header of a DICOM file, and no others.

Only the attributes in :data:`_KEYWORDS` are asked for, so names, numbers and dates of the patient never enter
the program. Of the times, that of day of an acquisition is read, to separate the scans of one series. The
sole exception is the series description, which people type and which can hold anything: it is read only on
request and never shown by ``repr``.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from hilum.io.dicom.meta import as_uid, inflates_beyond_reason, odd_encoding

__all__ = ["DIRECTORY", "Broken", "FileHeader", "Plane", "read_header"]

Vector = tuple[float, ...]

_KEYWORDS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "StudyInstanceUID",
    "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "AcquisitionNumber",
    "TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase",
    "TriggerTime", "AcquisitionTime", "FrameOfReferenceUID",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "PatientPosition", "KVP", "ConvolutionKernel", "Manufacturer", "ManufacturerModelName",
    "BodyPartExamined", "ContrastBolusAgent", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "LossyImageCompression", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip

#: Media Storage Directory Storage: a DICOMDIR, which lists files and holds no image.
DIRECTORY = "1.2.840.10008.1.3.10"

#: JPEG Baseline and Extended are always lossy, even if the header denies it.
_LOSSY = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})

#: Least bytes of a frame in a file (the item header of an encapsulated one), and most frames of a file: more
#: than the longest gated scan by far. Above both a header is broken, and would take memory without end.
_FRAME_BYTES, _MAX_FRAMES = 8, 2**20

#: What separates the phases of a 4-D series, in the order in which they are tried.
PHASE_KEYS = ("temporal", "acquisition", "cardiac", "kernel", "image_type", "thickness", "trigger", "time")


class Broken(Exception):
    """A file that is DICOM by its mark but cannot be understood. The text names no patient."""


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The attributes that all images of one file share.

    Attributes:
        path: The file.
        transfer_syntax: UID of the encoding of the pixels; empty where the file does not say.
        rows: Rows of an image, 0 where the file holds no image.
        bits: Bits allocated and stored per pixel.
        frame_uid: Frame of reference UID: files that share it have positions of one coordinate system.
        padding: Least and greatest stored value that means "outside the scanned circle", or None.
        phase: Values of :data:`PHASE_KEYS` that the file as a whole has.
        description: Series description; empty unless asked for.
    """

    path: Path
    sop_class: str
    study_uid: str
    series_uid: str
    frame_uid: str
    transfer_syntax: str
    modality: str
    image_type: tuple[str, ...]
    number: int | None
    rows: int
    columns: int
    samples: int
    bits: tuple[int, int]
    signed: bool
    padding: tuple[int, int] | None
    rescale_type: str
    lossy: bool
    kernel: str
    kvp: float | None
    thickness: float | None
    position: str
    manufacturer: str
    body_part: str
    contrast: bool | None
    truncated: bool = False
    description: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Plane:
    """One image plane: a classic file, or one frame of an enhanced one.

    Attributes:
        head: The file.
        frame: Index of the frame, None for a file that holds one image.
        origin: Centre of the first pixel in LPS mm (ImagePositionPatient).
        axes: Direction of a row and of a column in LPS (ImageOrientationPatient).
        spacing: Distance between rows and between columns in mm (PixelSpacing).
        slope: Rescale slope, None if unknown.
        intercept: Rescale intercept, None if unknown.
        instance: Instance number, or the place of the frame.
        phase: Values of :data:`PHASE_KEYS`.
        thickness: Slice thickness in mm.
    """

    head: FileHeader
    frame: int | None
    origin: Vector | None
    axes: Vector | None
    spacing: Vector | None
    slope: float | None
    intercept: float | None
    instance: int | None
    phase: tuple[object, ...]
    thickness: float | None


def read_header(path: Path, *, descriptions: bool = False) -> tuple[FileHeader, list[Plane]]:
    """Read the header of a DICOM file without its pixels.

    Args:
        path: A file for which :func:`hilum.io.dicom.files.starts_as_dicom` holds.
        descriptions: Also read the series description, which may identify the patient.

    Returns:
        The header of the file and its image planes; no plane where the file holds no image.

    Raises:
        Broken: The file cannot be understood.
        OSError: The file cannot be read.
    """
    tags: list[Any] = [*_KEYWORDS, "SeriesDescription"] if descriptions else [*_KEYWORDS]
    cut = False
    try:
        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("always")
            with path.open("rb") as stream:
                if inflates_beyond_reason(stream):
                    raise Broken("it unpacks to far more than an image, as a bomb does")
                stream.seek(0)
                ds = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=tags, force=True)
            head = _file_header(path, ds, descriptions)
            planes = _planes(head, ds)
        cut = any("end of file" in str(w.message).lower() for w in met)
    except Broken:
        raise
    except Exception as error:  # a broken element makes pydicom raise errors of any kind
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system; those that pydicom raises for what it cannot parse have no number
        raise Broken(odd_encoding(path) or f"its header is broken ({type(error).__name__})") from None
    if cut or not (head.sop_class or head.modality):
        raise Broken(odd_encoding(path) or "its header is cut off or empty")
    return head, planes


def _file_header(path: Path, ds: Dataset, descriptions: bool) -> FileHeader:
    meta = getattr(ds, "file_meta", Dataset())
    syntax = str(meta.get("TransferSyntaxUID", "") or "")
    if syntax and not as_uid(syntax).is_valid:
        raise ValueError("transfer syntax")
    sop_class = _text(ds, "SOPClassUID")
    if not sop_class and _text(meta, "MediaStorageSOPClassUID") == DIRECTORY:
        sop_class = DIRECTORY  # a DICOMDIR names its class in the file meta information only
    shared = _first(ds, "SharedFunctionalGroupsSequence")
    frame = _first(ds, "PerFrameFunctionalGroupsSequence")
    transform = _group(frame, shared, "PixelValueTransformationSequence")
    reconstruction = _group(frame, shared, "CTReconstructionSequence")
    exposure = _group(frame, shared, "CTXRayDetailsSequence")
    anatomy = _group(frame, shared, "FrameAnatomySequence")
    rows, columns = _int(ds, "Rows") or 0, _int(ds, "Columns") or 0
    bits = (_int(ds, "BitsAllocated") or 0, _int(ds, "BitsStored") or 0)
    return FileHeader(
        path=path,
        sop_class=sop_class,
        study_uid=_text(ds, "StudyInstanceUID"),
        series_uid=_text(ds, "SeriesInstanceUID"),
        frame_uid=_text(ds, "FrameOfReferenceUID"),
        transfer_syntax=syntax,
        modality=_text(ds, "Modality"),
        image_type=tuple(str(v).upper() for v in _values(ds, "ImageType")),
        number=_int(ds, "SeriesNumber"),
        rows=rows,
        columns=columns,
        samples=_int(ds, "SamplesPerPixel") or 1,
        bits=bits,
        signed=_int(ds, "PixelRepresentation") == 1,
        padding=_padding(ds),
        rescale_type=(_text(transform, "RescaleType") or _text(ds, "RescaleType")).upper(),
        lossy=_text(ds, "LossyImageCompression") == "01" or syntax in _LOSSY,
        kernel=_text(reconstruction, "ConvolutionKernel") or _text(ds, "ConvolutionKernel"),
        kvp=_number(exposure, "KVP") or _number(ds, "KVP"),
        thickness=_number(ds, "SliceThickness"),
        position=_text(ds, "PatientPosition"),
        manufacturer=" ".join(filter(None, (_text(ds, "Manufacturer"), _text(ds, "ManufacturerModelName")))),
        body_part=_text(ds, "BodyPartExamined")
        or _text(_first(anatomy, "AnatomicRegionSequence"), "CodeMeaning"),
        contrast=bool(_text(ds, "ContrastBolusAgent")) if "ContrastBolusAgent" in ds else None,
        truncated=_is_short(path, syntax, rows * columns * bits[0] // 8 * (_int(ds, "NumberOfFrames") or 1)),
        description=_text(ds, "SeriesDescription") if descriptions else "",
    )


def _planes(head: FileHeader, ds: Dataset) -> list[Plane]:
    if not (head.rows and head.columns):
        return []
    frames = _int(ds, "NumberOfFrames") or 1
    if frames < 0 or frames > max(1, min(head.path.stat().st_size // _FRAME_BYTES, _MAX_FRAMES)):
        raise Broken(f"its header asks for {frames} images, more than the file can hold")
    per_frame = list(ds.get("PerFrameFunctionalGroupsSequence") or [])
    if per_frame:
        if len(per_frame) != frames:
            raise ValueError("frames and functional groups differ in number")
        shared = _first(ds, "SharedFunctionalGroupsSequence")
        return [_enhanced_plane(head, ds, shared, item, n) for n, item in enumerate(per_frame)]
    phase = (
        _int(ds, "TemporalPositionIndex") or _int(ds, "TemporalPositionIdentifier"),
        _int(ds, "AcquisitionNumber"),
        _number(ds, "NominalPercentageOfCardiacPhase"),
        head.kernel,
        head.image_type,
        head.thickness,
        _number(ds, "TriggerTime"),
        _number(ds, "AcquisitionTime"),
    )
    one = Plane(
        head=head,
        frame=None,
        origin=_vector(ds, "ImagePositionPatient", 3),
        axes=_vector(ds, "ImageOrientationPatient", 6),
        spacing=_vector(ds, "PixelSpacing", 2),
        slope=_number(ds, "RescaleSlope"),
        intercept=_number(ds, "RescaleIntercept"),
        instance=_int(ds, "InstanceNumber"),
        phase=phase,
        thickness=head.thickness,
    )
    if frames == 1:
        return [one]
    # Many frames without a place each (a screen capture, an ultrasound clip): listed, never stacked.
    return [Plane(head, n, None, None, None, one.slope, one.intercept, n, phase, None) for n in range(frames)]


def _enhanced_plane(head: FileHeader, ds: Dataset, shared: Dataset, item: Dataset, n: int) -> Plane:
    """Read one frame of an enhanced multi-frame image (DICOM PS3.3 C.7.6.16)."""
    content = _group(item, shared, "FrameContentSequence")
    measures = _group(item, shared, "PixelMeasuresSequence")
    transform = _group(item, shared, "PixelValueTransformationSequence")
    kind = _group(item, shared, "CTImageFrameTypeSequence")
    recon = _group(item, shared, "CTReconstructionSequence")
    cardiac = _group(item, shared, "CardiacSynchronizationSequence")
    thickness = _number(measures, "SliceThickness") or head.thickness
    return Plane(
        head=head,
        frame=n,
        origin=_vector(_group(item, shared, "PlanePositionSequence"), "ImagePositionPatient", 3),
        axes=_vector(_group(item, shared, "PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing=_vector(measures, "PixelSpacing", 2),
        slope=_number(transform, "RescaleSlope"),
        intercept=_number(transform, "RescaleIntercept"),
        instance=n,
        phase=(
            _int(content, "TemporalPositionIndex"),
            _int(content, "FrameAcquisitionNumber"),
            _number(cardiac, "NominalPercentageOfCardiacPhase"),
            _text(recon, "ConvolutionKernel"),
            tuple(str(v).upper() for v in _values(kind, "FrameType")),
            thickness,
            _number(cardiac, "NominalCardiacTriggerDelayTime"),
            _time_of_day(content, "FrameAcquisitionDateTime"),
        ),
        thickness=thickness,
    )


def _is_short(path: Path, syntax: str, pixel_bytes: int) -> bool:
    """Whether an uncompressed file is smaller than its pixels, which means that it was cut off."""
    uid = as_uid(syntax)
    if syntax and (not uid.is_transfer_syntax or uid.is_compressed or uid.is_deflated):
        return False
    return path.stat().st_size < pixel_bytes


def _padding(ds: Dataset) -> tuple[int, int] | None:
    low = _int(ds, "PixelPaddingValue")
    if low is None:
        return None
    high = _int(ds, "PixelPaddingRangeLimit")
    return (low, low) if high is None else (min(low, high), max(low, high))


def _group(item: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """Return a functional group of a frame, from the frame itself or from what all frames share."""
    own = _first(item, keyword)
    return own if len(own) else _first(shared, keyword)


def _first(ds: Dataset, keyword: str) -> Dataset:
    sequence = ds.get(keyword)
    return sequence[0] if sequence else Dataset()


def _values(ds: Dataset, keyword: str) -> list[Any]:
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)) else [value]


def _text(ds: Dataset, keyword: str) -> str:
    """Return the first value; nothing where a broken length made it swallow its neighbours (names, say)."""
    values = _values(ds, keyword)
    text = str(values[0]).strip() if values else ""
    return text if text.isprintable() and len(text) <= 64 else ""


def _number(ds: Dataset, keyword: str) -> float | None:
    values = _values(ds, keyword)
    try:
        number = float(values[0]) if values else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _int(ds: Dataset, keyword: str) -> int | None:
    number = _number(ds, keyword)
    return None if number is None else int(number)


def _time_of_day(ds: Dataset, keyword: str) -> float | None:
    """Return the time of day of a date with time, as the number HHMMSS.ffffff."""
    digits = _text(ds, keyword)[8:].split("+")[0].split("-")[0]
    return float(digits) if digits.replace(".", "", 1).isdigit() else None


def _vector(ds: Dataset, keyword: str, length: int) -> Vector | None:
    try:
        values = tuple(float(v) for v in _values(ds, keyword))
    except (TypeError, ValueError):
        return None
    return values if len(values) == length and all(map(math.isfinite, values)) else None

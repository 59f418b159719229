"""Label maps as a DICOM Segmentation object (DICOM PS3.3 A.51) that points to its source series."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pydicom
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from hilum.core.errors import InputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LabelInfo, LabelSet
from hilum.core.sentences import Sentence
from hilum.core.version import __version__
from hilum.core.volume import ScanMeta, Volume
from hilum.io.archive import unpacked
from hilum.io.atomic import atomic_file

__all__ = ["CARRIED", "write_dicom_seg"]

#: Category of a finding (PS3.16 CID 7150).
_FINDING = codes.SCT.MorphologicallyAbnormalStructure
_PREFIX = "2.25."  # UIDs from hashes, PS3.5 B.2
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
#: Of type 2 in PS3.3 C.7.1.1 and C.7.2.1: they must be there and may be empty.
_OF_PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
)
#: All that a SEG takes over from the headers of its source, besides the UIDs of each image that it points to.
CARRIED = (
    *_OF_PATIENT_AND_STUDY,
    "IssuerOfPatientID",  # an archive files by patient ID and issuer
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "SpecificCharacterSet",  # of the names
    "LossyImageCompression",  # once lossy, always lossy
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
#: Further attributes that highdicom reads but does not copy.
_LOOKED_AT = (
    "SeriesInstanceUID",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


def write_dicom_seg(
    path: Path | str,
    labels: LabelVolume,
    volume: Volume,
    *,
    series_number: int = 900,
    algorithm: str = "hilum",
) -> Path:
    """Write a label map as a binary DICOM SEG with one segment per label.

    **The file carries the identifying tags of the source** that are in :data:`CARRIED` (name, patient ID,
    birth date, sex, study), and no other: DICOM demands them, so that an archive can file it with the scan.
    It is the only output of hilum that holds any, it is only written when asked for, and only its owner may
    read it.

    The UIDs are made from the source series, the labels and the version of hilum, so that the same result has
    the same identity; only the dates of creation differ between two runs. Frames without label are left out.

    Args:
        path: File to make; it appears whole or not at all.
        labels: The label map, on the grid of the scan.
        volume: The scan, read from DICOM files, or a zip of them, that are still there.
        series_number: Series number of the new series.
        algorithm: Name of the algorithm to write, in ASCII and at most 64 characters; others become ``?``.

    Returns:
        The path.

    Raises:
        UsageError: The scan was not read from DICOM files, or the labels do not fit it or are empty.
        InputError: A source file cannot be read any more, or its header lacks what a SEG needs.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    if volume.meta.source_format != "dicom":
        raise UsageError(
            "A DICOM SEG needs a scan read from DICOM.", Sentence("Choose nifti or nrrd{with:format}.")
        )
    if not volume.meta.series_uid:
        raise UsageError(
            "A DICOM SEG needs a series instance UID, which this scan lacks.",
            Sentence("Choose nifti or nrrd{with:format}."),
        )
    labels.require_grid_of(volume)
    frames = np.ascontiguousarray(labels.data.transpose(2, 1, 0))
    if not frames.any():
        raise UsageError("The labels are empty, so there is no segment to write.")
    sources = _sources(volume.meta)
    try:
        with warnings.catch_warnings():
            # highdicom warns of unusual patient names and quotes them; no name may reach a log.
            warnings.simplefilter("ignore", UserWarning)
            seg = _segmentation(sources, frames, volume, labels.label_set, series_number, _plain(algorithm))
    except (AttributeError, KeyError, TypeError, ValueError):
        # The text of the cause may quote a header, so it is not chained.
        lacking = [keyword for keyword in _NEEDED if keyword not in sources[0]]
        what = f"its headers lack {', '.join(lacking)}" if lacking else "its headers are not complete"
        sentence = f"No DICOM SEG can be made of this series: {what}."
        raise InputError(sentence, Sentence("Choose nifti or nrrd{with:format}.")) from None
    with atomic_file(path, private=True) as part:
        seg.save_as(part)
    return path


def _sources(meta: ScanMeta) -> list[pydicom.Dataset]:
    """Read the headers of the source, and of them only what the SEG may hold or is made with.

    highdicom copies all that it finds of the modules of patient, study and equipment, so what must not be
    passed on is not even read.
    """
    out = []
    with _files(meta) as files:
        for file in files:
            try:
                ds = pydicom.dcmread(
                    file, stop_before_pixels=True, force=True, specific_tags=[*CARRIED, *_LOOKED_AT]
                )
            except OSError as error:
                sentence = Sentence("{file:file} cannot be read any more.", file=file.name)
                raise InputError(sentence, "Keep the DICOM files in place.") from error
            for keyword in _OF_PATIENT_AND_STUDY:
                if keyword not in ds:
                    setattr(ds, keyword, "")
            out.append(ds)
    return out


@contextmanager
def _files(meta: ScanMeta) -> Iterator[list[Path]]:
    """Give the files that were read; those of a zip are unpacked again."""
    if not meta.archive:
        yield [Path(file) for file in meta.files]
        return
    with unpacked(meta.archive) as folder:
        yield [folder / file for file in meta.files]


def _segmentation(
    sources: list[pydicom.Dataset],
    frames: npt.NDArray[np.uint8],
    volume: Volume,
    label_set: LabelSet,
    series_number: int,
    algorithm: str,
) -> Segmentation:
    """Build the object; geometry is the volume's affine, so resampled and sheared grids are right too."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    spacing = volume.spacing
    row, column = lps[:3, 0] / spacing[0], lps[:3, 1] / spacing[1]
    places = [lps[:3, 3] + k * lps[:3, 2] for k in range(volume.shape[2])]
    step = abs(float(np.cross(row, column) @ lps[:3, 2]))
    identity = [volume.meta.series_uid, __version__, sha256(frames.tobytes()).hexdigest(), str(series_number)]
    seg = Segmentation(
        source_images=sources,
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(label_set, algorithm),
        series_instance_uid=_uid("series", identity),
        series_number=series_number,
        sop_instance_uid=_uid("instance", identity),
        instance_number=1,
        manufacturer="hilum",
        manufacturer_model_name="hilum",
        software_versions=__version__,
        device_serial_number="0",
        content_description=f"{label_set.name.capitalize()}, hilum label contract {label_set.version}"[:64],
        content_label=label_set.name.upper()[:16],
        series_description=f"hilum {label_set.name}"[:64],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=(spacing[1], spacing[0]),
            slice_thickness=volume.meta.slice_thickness or step,
            spacing_between_slices=step,
        ),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", [*row, *column]),
        plane_positions=[hd.PlanePositionSequence("PATIENT", tuple(p)) for p in places],
    )
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = _uid("dimensions", identity)  # highdicom takes a random one
    return seg


def _descriptions(label_set: LabelSet, algorithm: str) -> list[SegmentDescription]:
    identification = hd.AlgorithmIdentificationSequence(
        name=algorithm, family=codes.cid7162.MorphologicalOperations, version=__version__
    )
    return [
        SegmentDescription(
            segment_number=info.value,
            segment_label=info.title,
            segmented_property_category=_FINDING if info.terms.finding else codes.SCT.AnatomicalStructure,
            segmented_property_type=Code(info.snomed, "SCT", info.title),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=identification,
            anatomic_regions=_regions(info),
            display_color=hd.color.CIELabColor.from_rgb(*info.colour),
        )
        for info in label_set.labels
    ]


def _regions(info: LabelInfo) -> list[Code] | None:
    """Return where a finding lies; anatomy is its own region."""
    region = info.terms.region
    return None if region is None else [Code(region.code, "SCT", region.meaning)]


def _plain(name: str, most: int = 64) -> str:
    """Return a name as a DICOM string that every character set holds; a backslash would part it in two."""
    return name.encode("ascii", "replace").decode().replace("\\", "?")[:most]


def _uid(what: str, identity: Sequence[str]) -> str:
    """Return a UID that is the same for the same content."""
    digest = sha256("\n".join((what, *identity)).encode()).digest()
    return _PREFIX + str(int.from_bytes(digest[:16], "big"))

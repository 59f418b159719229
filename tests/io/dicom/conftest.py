"""Small DICOM series, written with pydicom, with any defect one asks for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

CANARY = "Zzcanary"
SIZE = 32


def chest(k: int) -> npt.NDArray[np.int16]:
    """HU of slice ``k``, shape (rows, columns): air, soft tissue, two lungs of different size, a mark."""
    hu = np.full((SIZE, SIZE), -1000, np.int16)
    hu[6:26, 3:29] = 40
    hu[10:22, 6:14] = -850
    hu[10:20, 18:26] = -820
    hu[8, 4 + k % 20] = 300 + k
    return hu


def base(**tags: Any) -> Dataset:
    """A CT slice with the canary in every identifying tag."""
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = generate_uid()
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword in ("PatientID", "StudyDescription", "SeriesDescription", "AccessionNumber", "StudyID",
                    "InstitutionName", "ProtocolName", "StationName"):  # fmt: skip
        setattr(ds, keyword, CANARY)
    for keyword in ("PatientName", "ReferringPhysicianName", "OperatorsName"):
        setattr(ds, keyword, f"{CANARY}^Anna")
    ds.PatientBirthDate, ds.PatientSex = "19501231", "F"
    ds.StudyDate, ds.StudyTime = "20200101", "120000"
    ds.StudyInstanceUID = "1.2.3.4"
    ds.SeriesInstanceUID = "1.2.3.4.5"
    ds.FrameOfReferenceUID = "1.2.3.4.6"
    ds.PositionReferenceIndicator = ""
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 3, 1, 1
    ds.PatientPosition, ds.KVP, ds.ConvolutionKernel = "HFS", "120", "B40f"
    ds.Manufacturer, ds.ManufacturerModelName, ds.BodyPartExamined = "ACME", "One", "CHEST"
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [-20.0, -30.0, 0.0]
    ds.PixelSpacing, ds.SliceThickness = [0.75, 0.5], "2.0"  # rows lie 0.75 mm apart, columns 0.5 mm
    ds.Rows = ds.Columns = SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    put_hu(ds, chest(0))
    for keyword, value in tags.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def put_hu(ds: Dataset, hu: npt.NDArray[Any], slope: float = 1.0, intercept: float = 0.0) -> Dataset:
    """Store HU with a rescale."""
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    raw = np.rint((hu.astype(float) - intercept) / slope)
    ds.PixelData = raw.astype(np.int16 if ds.PixelRepresentation else np.uint16).tobytes()
    return ds


def series(
    count: int = 8,
    *,
    step: Sequence[float] = (0.0, 0.0, 2.0),
    origin: Sequence[float] = (-20.0, -30.0, -100.0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    **tags: Any,
) -> list[Dataset]:
    """Slices at ``origin + k * step`` (LPS mm), with HU of :func:`chest`."""
    out = []
    for k in range(count):
        place = [float(o + k * s) for o, s in zip(origin, step, strict=True)]
        ds = base(
            ImagePositionPatient=place,
            ImageOrientationPatient=[float(v) for v in orientation],
            InstanceNumber=k + 1,
            **tags,
        )
        out.append(put_hu(ds, chest(k)) if "RescaleSlope" not in tags else ds)
    return out


def tilted(degrees: float, count: int = 12) -> list[Dataset]:
    """Slices of a tilted gantry: each is displaced along y."""
    return series(count, step=(0.0, 2.0 * np.tan(np.radians(degrees)), 2.0))


def codes(volume: Any) -> set[str]:
    """Codes of a volume's notes."""
    return {code for code, _ in volume.meta.notes}


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a dataset as a DICOM file."""
    ds = pydicom.Dataset(ds)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def save_all(slices: Sequence[Dataset], folder: Path, seed: int = 1) -> list[Path]:
    """Write slices under names in random order; paths are in the order of ``slices``."""
    names = [f"{n:04d}.dcm" for n in range(len(slices))]
    random.Random(seed).shuffle(names)
    return [save(ds, folder / name) for ds, name in zip(slices, names, strict=True)]


def enhanced(slices: Sequence[Dataset], order: Sequence[int] | None = None) -> Dataset:
    """An enhanced multi-frame CT of classic slices, frames in any order."""
    order = list(range(len(slices))) if order is None else list(order)
    ds = Dataset(slices[0])
    ds.SOPClassUID = EnhancedCTImageStorage
    shared, measures, axes = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ds.PixelSpacing, ds.SliceThickness
    axes.ImageOrientationPatient = ds.ImageOrientationPatient
    recon = Dataset()
    recon.ConvolutionKernel = "B30f"
    shared.PixelMeasuresSequence = DicomSequence([measures])
    shared.PlaneOrientationSequence = DicomSequence([axes])
    shared.CTReconstructionSequence = DicomSequence([recon])
    frames = []
    for n in order:
        item, place, transform = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = slices[n].ImagePositionPatient
        transform.RescaleSlope, transform.RescaleIntercept = (
            slices[n].RescaleSlope,
            slices[n].RescaleIntercept,
        )
        transform.RescaleType = "HU"
        item.PlanePositionSequence = DicomSequence([place])
        if "TemporalPositionIndex" in slices[n]:
            content = Dataset()
            content.TemporalPositionIndex = slices[n].TemporalPositionIndex
            item.FrameContentSequence = DicomSequence([content])
        item.PixelValueTransformationSequence = DicomSequence([transform])
        frames.append(item)
    ds.SharedFunctionalGroupsSequence = DicomSequence([shared])
    ds.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    ds.NumberOfFrames = len(order)
    ds.PixelData = b"".join(slices[n].PixelData for n in order)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
                    "RescaleSlope", "RescaleIntercept", "ConvolutionKernel", "KVP"):  # fmt: skip
        delattr(ds, keyword)
    return ds


def truth(slices: Sequence[int]) -> npt.NDArray[np.int16]:
    """HU of a volume of slices in (i, j, k)."""
    return np.stack([chest(k).T for k in slices], axis=2)


class Factory:
    """The functions of this file, for tests."""

    canary = CANARY
    base = staticmethod(base)
    chest = staticmethod(chest)
    codes = staticmethod(codes)
    enhanced = staticmethod(enhanced)
    put_hu = staticmethod(put_hu)
    save = staticmethod(save)
    save_all = staticmethod(save_all)
    series = staticmethod(series)
    tilted = staticmethod(tilted)
    truth = staticmethod(truth)


@pytest.fixture(scope="session")
def dicom() -> type[Factory]:
    """Make DICOM datasets and files."""
    return Factory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder named ``case``."""
    (tmp_path / "case").mkdir()
    return tmp_path / "case"


@pytest.fixture
def has_no_canary() -> Callable[[object], None]:
    """Check that no text about an object holds what stands in the identifying tags."""

    def check(thing: object) -> None:
        for text in (str(thing), repr(thing), str(getattr(thing, "hint", ""))):
            assert CANARY.lower() not in text.lower()
            assert "19501231" not in text

    return check

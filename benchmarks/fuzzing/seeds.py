"""Sound inputs of every kind, small and the same bytes each time: what the mutations begin with.

Each kind is a folder; its file ``.kind`` names what reads it (see :mod:`fuzzing.targets`), the others are
the input. What cannot be encoded with the packages that are installed is left out, and said.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from fuzzing.chest import SHAPE, STEPS, chest
from fuzzing.text_seeds import TEXTS, Maker
from hilum.io.tiff import write_hu_tiff

FAMILIES = ("dicom", "itk", "nifti", "pair", "tiff", "zip", "text", "masks")
_GDCM = {"jpeg": "JPEGLosslessProcess14_1", "jpegls": "JPEGLSLossless", "j2k": "JPEG2000Lossless"}


def make_seeds(root: Path) -> list[str]:
    """Write all sound inputs below ``root``/FAMILY/KIND; return what could not be made here."""
    missing = []
    for family, makers in _MAKERS.items():
        for kind, (target, make) in makers.items():
            folder = root / family / kind
            folder.mkdir(parents=True)
            (folder / ".kind").write_text(f"{target} {kind}")
            if make(folder) is False:
                for file in folder.rglob("*"):
                    file.unlink()
                folder.rmdir()
                missing.append(kind)
    return missing


# -- DICOM ------------------------------------------------------------------------------------------------


def _uid(*parts: object) -> str:
    return str(pydicom.uid.generate_uid(entropy_srcs=[str(part) for part in parts]))


def _slice(k: int, syntax: str) -> FileDataset:
    hu, _ = chest()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, _uid("slice", k)
    meta.TransferSyntaxUID = syntax
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID = "Fuzz^Case", "FUZZ"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid("study"), _uid("series")
    ds.FrameOfReferenceUID, ds.StudyDate, ds.StudyTime = _uid("frame"), "20200101", "120000"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, k + 1
    ds.ImageType, ds.PatientPosition = ["ORIGINAL", "PRIMARY", "AXIAL"], "HFS"
    ds.ConvolutionKernel, ds.KVP, ds.SliceThickness = "B40f", 120, STEPS[2]
    ds.Rows, ds.Columns, ds.SamplesPerPixel = SHAPE[1], SHAPE[0], 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
    ds.PixelSpacing, ds.ImageOrientationPatient = [STEPS[1], STEPS[0]], [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [-114.0, -102.0, k * STEPS[2]]
    plane = (hu[::-1, ::-1, k].T.astype(np.int32) + 1024).clip(0, 4095)
    ds.PixelData = plane.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def _series(syntax: str) -> Callable[[Path], bool | None]:
    def make(folder: Path) -> bool | None:
        for k in range(SHAPE[2]):
            ds = _slice(k, ExplicitVRLittleEndian if syntax == RLELossless else syntax)
            if syntax == RLELossless:
                ds.compress(RLELossless, generate_instance_uid=False)
            pydicom.dcmwrite(folder / f"im{k}.dcm", ds, enforce_file_format=True)
        return None

    return make


def _by_gdcm(name: str) -> Callable[[Path], bool | None]:
    def make(folder: Path) -> bool | None:
        try:
            import gdcm
        except ImportError:
            return False
        for k in range(SHAPE[2]):
            path = folder / f"im{k}.dcm"
            pydicom.dcmwrite(path, _slice(k, ExplicitVRLittleEndian), enforce_file_format=True)
            reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
            reader.SetFileName(str(path))
            if not reader.Read():
                return False
            change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, _GDCM[name])))
            change.SetInput(reader.GetImage())
            if not change.Change():
                return False
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            writer.SetFileName(str(path))
            if not writer.Write():
                return False
        return None

    return make


def _frames(folder: Path) -> None:
    ds = _slice(0, ExplicitVRLittleEndian)
    ds.NumberOfFrames = 1
    pydicom.dcmwrite(folder / "im.dcm", ds, enforce_file_format=True)


# -- volumes and masks --------------------------------------------------------------------------------


def _image(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing(STEPS)
    return image


def _by_itk(name: str, *, compressed: bool = False, labels: bool = False) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        sitk.WriteImage(_image(chest()[int(labels)]), str(folder / name), useCompression=compressed)

    return make


def _seg_nrrd(folder: Path) -> None:
    image = _image(chest()[1])
    for key, value in (
        ("Segment0_ID", "right"), ("Segment0_LabelValue", "1"), ("Segment0_Layer", "0"),
        ("Segment1_ID", "left"), ("Segment1_LabelValue", "2"), ("Segment1_Layer", "0"),
    ):  # fmt: skip
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(folder / "mask.seg.nrrd"), useCompression=True)


def _nifti(name: str, kind: type = nib.Nifti1Image, *, labels: bool = False) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        image = kind(chest()[int(labels)], np.diag([-STEPS[0], -STEPS[1], STEPS[2], 1.0]))
        image.header.set_xyzt_units("mm")
        if name.endswith(".gz"):
            (folder / name).write_bytes(gzip.compress(image.to_bytes(), 6, mtime=0))
        else:
            nib.save(image, folder / name)

    return make


def _hu_tiff(folder: Path) -> None:
    write_hu_tiff(folder / "slice.tif", np.ascontiguousarray(chest()[0][:, :, 4].T), STEPS[:2])


def _other_tiff(imagej: bool) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        hu = np.ascontiguousarray(chest()[0][:, :, 4].T)
        about: dict[str, Any] = {"unit": "mm", "spacing": 10.0} if imagej else {"hu": True}
        kind = {"imagej": True} if imagej else {"compression": "zlib"}
        tifffile.imwrite(folder / "slice.tif", hu, metadata=about, resolution=(1 / 12, 1 / 12), **kind)

    return make


def _png_mask(folder: Path) -> None:
    Image.fromarray(np.ascontiguousarray(chest()[1][:, :, 4].T)).save(folder / "mask.png")


def _zipped(maker: Callable[[Path], Any], method: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        inner = folder / "inner"
        inner.mkdir()
        maker(inner)
        with zipfile.ZipFile(folder / "scan.zip", "w", method) as archive:
            for file in sorted(inner.iterdir()):
                info = zipfile.ZipInfo(f"scan/{file.name}")  # dated 1980: the same bytes each time
                info.compress_type = method
                archive.writestr(info, file.read_bytes())
                file.unlink()
        inner.rmdir()

    return make


_RAW = _series(ExplicitVRLittleEndian)
_MAKERS: dict[str, dict[str, Maker]] = {
    "dicom": {
        "raw": ("scan", _RAW),
        "implicit": ("scan", _series(ImplicitVRLittleEndian)),
        "bigendian": ("scan", _series(ExplicitVRBigEndian)),
        "deflated": ("scan", _series(DeflatedExplicitVRLittleEndian)),
        "rle": ("scan", _series(RLELossless)),
        "frames": ("scan", _frames),
        **{name: ("scan", _by_gdcm(name)) for name in _GDCM},
    },
    "itk": {
        "nrrd": ("scan", _by_itk("scan.nrrd")),
        "nrrd-gzip": ("scan", _by_itk("scan.nrrd", compressed=True)),
        "nhdr": ("scan", _by_itk("scan.nhdr")),
        "mha": ("scan", _by_itk("scan.mha")),
        "mha-zlib": ("scan", _by_itk("scan.mha", compressed=True)),
        "mhd": ("scan", _by_itk("scan.mhd")),
    },
    "nifti": {
        "nii": ("scan", _nifti("scan.nii")),
        "nii-gz": ("scan", _nifti("scan.nii.gz")),
        "nii2": ("scan", _nifti("scan.nii", nib.Nifti2Image)),
        "nii2-gz": ("scan", _nifti("scan.nii.gz", nib.Nifti2Image)),
    },
    "pair": {
        "hdr": ("scan", _nifti("scan.hdr", nib.Nifti1Pair)),
        "img": ("scan", _nifti("scan.img", nib.Nifti2Pair)),
    },
    "tiff": {
        "hilum": ("scan", _hu_tiff),
        "imagej": ("scan", _other_tiff(True)),
        "shaped": ("scan", _other_tiff(False)),
    },
    "zip": {
        "nii-stored": ("scan", _zipped(_nifti("scan.nii"), zipfile.ZIP_STORED)),
        "dicom-deflated": ("scan", _zipped(_RAW, zipfile.ZIP_DEFLATED)),
        "nii-bzip2": ("scan", _zipped(_nifti("scan.nii"), zipfile.ZIP_BZIP2)),
        "nii-lzma": ("scan", _zipped(_nifti("scan.nii"), zipfile.ZIP_LZMA)),
    },
    "text": TEXTS,
    "masks": {
        "nii-gz": ("mask", _nifti("mask.nii.gz", labels=True)),
        "nrrd": ("mask", _by_itk("mask.nrrd", labels=True)),
        "seg-nrrd": ("mask", _seg_nrrd),
        "mha": ("mask", _by_itk("mask.mha", labels=True)),
        "png": ("mask", _png_mask),
    },
}  # fmt: skip

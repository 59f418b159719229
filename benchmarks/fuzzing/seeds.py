"""Sound inputs of every kind, small and the same bytes each time: what the mutations begin with.

Each kind is a folder; its file ``.kind`` names what reads it (see :mod:`fuzzing.targets`), the other files are the
input. What cannot be encoded with the packages that are installed is left out, and said.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
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

from hilum.evaluation.cases import Case, Grid, SideChoice, evaluate_case
from hilum.evaluation.result import Evaluation
from hilum.io import write_json
from hilum.io.tiff import write_hu_tiff
from hilum.learn.config import load_config, to_toml
from hilum.learn.dataset_index import COLUMNS, DATASET_SCHEMA
from hilum.segmentation.card import SLICES_SCHEMA
from hilum.segmentation.weights import FOLDER

FAMILIES = ("dicom", "itk", "nifti", "pair", "tiff", "zip", "text", "masks")
#: (x, y, z) voxels of 12 x 12 x 10 mm.
SHAPE, STEPS = (20, 18, 8), (12.0, 12.0, 10.0)
_GDCM = {"jpeg": "JPEGLosslessProcess14_1", "jpegls": "JPEGLSLossless", "j2k": "JPEG2000Lossless"}


def chest() -> tuple[np.ndarray, np.ndarray]:
    """HU and lung labels of a coarse chest, (x, y, z)."""
    x, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    hu = np.full(SHAPE, -1000, np.int16)
    hu[((x - 9.5) / 9) ** 2 + ((y - 8.5) / 7) ** 2 < 1] = 40
    labels = np.zeros(SHAPE, np.uint8)
    for value, middle in ((1, 14.5), (2, 4.5)):
        labels[((x - middle) / 3.5) ** 2 + ((y - 8.5) / 5) ** 2 < 1] = value
    hu[labels > 0] = -850
    hu += np.random.default_rng(0).integers(-20, 21, SHAPE).astype(np.int16)
    return hu, labels


def make_seeds(root: Path) -> list[str]:
    """Write all sound inputs below ``root``/FAMILY/KIND; return what could not be made here."""
    missing = []
    for family, makers in _MAKERS.items():
        for kind, (target, make) in makers.items():
            folder = root / family / kind
            folder.mkdir(parents=True)
            (folder / ".kind").write_text(target)
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


# -- volumes and masks ----------------------------------------------------------------------------------------


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


# -- texts ------------------------------------------------------------------------------------------------------


def _pairs_csv(folder: Path) -> None:
    rows = [["image", "mask", "subject"], *([f"s{n}_ct.nii.gz", f"s{n}_lungs.nii.gz", f"s{n}"] for n in range(4))]
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _decathlon(folder: Path) -> None:
    entries = [{"image": f"./imagesTr/s{n}.nii.gz", "label": f"./labelsTr/s{n}.nii.gz"} for n in range(4)]
    write_json(folder / "dataset.json", {"name": "lungs", "labels": {"0": "no", "1": "lung"}, "training": entries})


def _subjects(folder: Path) -> None:
    write_json(folder / "data.subjects.json", {"0": "anna-2", "1": "anna-10", "2": "berta"})


def _dataset(folder: Path) -> None:
    rows = [
        [subject, number, "axial", 18, 20, 12.0, 12.0, 10.0, 0.2, f"images/{subject}_{number}.tiff",
         f"masks/{subject}_{number}.png", "a" * 64, "b" * 64]
        for subject in range(3) for number in range(2)
    ]  # fmt: skip
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    (folder / "index.csv").write_text(text.getvalue())
    subjects = [
        {"id": n, "slices": 2, "rows": 18, "cols": 20, "spacing_mm": [12.0, 12.0], "slice_spacing_mm": 10.0,
         "volume_voxel_ml": 1.44, "flags": ["cut_top"], "notes": [["hu_rounded", "HU were rounded."]]}
        for n in range(3)
    ]  # fmt: skip
    about = {
        "schema": DATASET_SCHEMA, "hilum": "0.1.0", "plane": "axial", "spacing": "keep",
        "parameters": {"plane": "axial", "spacing": "keep", "sides": False},
        "index_sha256": hashlib.sha256(text.getvalue().encode()).hexdigest(),
        "subjects": subjects, "refused": [{"id": 3, "reason": "The mask is empty."}],
    }  # fmt: skip
    write_json(folder / "dataset.json", about)


def _record(folder: Path) -> None:
    (folder / "records").mkdir()
    subject = {"id": 0, "slices": 1, "rows": 18, "cols": 20, "spacing_mm": [12.0, 12.0], "slice_spacing_mm": 10.0}
    row = {
        "slice": 0, "rows": 18, "cols": 20, "spacing_mm": [12.0, 12.0], "slice_spacing_mm": 10.0,
        "lung_fraction": 0.2, "image": "0_0.tiff", "mask": "0_0.png", "sha256": ["a" * 64, "b" * 64],
        "bytes": [800, 120],
    }  # fmt: skip
    record = {"id": 0, "refused": None, "key": "c" * 64, "sources": [["d" * 64, "e" * 64]]}
    write_json(folder / "records" / "0.json", {**record, "subject": subject, "slices": [row]})


def _evaluation(folder: Path) -> None:
    _, labels = chest()
    grid = Grid(pixel_mm=STEPS[:2], slice_mm=STEPS[2], voxel_ml=1.44)
    cases = [
        evaluate_case(Case(f"s{n}", f"s{n}", np.roll(labels, n, 0), labels, grid, None, SideChoice.YES))
        for n in range(2)
    ]
    write_json(folder / "evaluation.json", Evaluation("masks", {"kind": "masks", "cases": 2}, tuple(cases)).as_dict())


def _config(folder: Path) -> None:
    (folder / "config.toml").write_text(to_toml(load_config(None, {"model": "unet", "fold": "1/5", "steps": 10})))


def _lines(name: str, *lines: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).write_text("\n".join(lines) + "\n")

    return make


def tiny_card(onnx: bytes) -> dict[str, Any]:
    """The card of a network of one node."""
    return {
        "schema": SLICES_SCHEMA, "name": "net", "kind": "unet", "hilum": "0.1.0",
        "input": {"name": "image", "size": [32, 32], "hu_window": [-1024.0, 400.0], "plane": "axial"},
        "output": {"name": "lung", "meaning": "probability that a pixel is lung"},
        "threshold": 0.5, "onnx_sha256": hashlib.sha256(onnx).hexdigest(), "parameters": 0,
        "training_minutes": 0.1, "data": {"index_sha256": "a" * 64},
        "figures": {"validation_dice": {"mean": 0.9, "worst": 0.5}, "loader_overhead": None},
        "confidence": {"bias": 1.0, "weights": {"soft": 1.0, "apart": 0.5}},
    }  # fmt: skip


def _run(folder: Path) -> bool | None:
    try:
        from onnx import TensorProto, helper
    except ImportError:
        return False
    shape = ["n", 1, 32, 32]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "lung")]
    node = helper.make_node("Sigmoid", ["image"], ["lung"])
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    write_json(folder / "card.json", tiny_card(content))
    write_json(folder / "split.json", {"train": [0], "validation": [1], "test": [2], "seed": 0, "fold": None})
    return None


def _volume_card(folder: Path) -> None:
    (folder / "lungs.json").write_bytes((FOLDER / "lungs.json").read_bytes())


def _result(folder: Path) -> None:
    with suppress(FileExistsError):
        (folder / "out").mkdir()
    write_json(folder / "out" / "run.json", {"hilum": "0.1.0", "files": ["run.json", "lungs.nii.gz"]})


_Maker = tuple[str, Callable[[Path], Any]]
_RAW = _series(ExplicitVRLittleEndian)
_MAKERS: dict[str, dict[str, _Maker]] = {
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
    "pair": {"hdr": ("scan", _nifti("scan.hdr", nib.Nifti1Pair)), "img": ("scan", _nifti("scan.img", nib.Nifti2Pair))},
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
    "text": {
        "pairs": ("pairs", _pairs_csv),
        "decathlon": ("pairs", _decathlon),
        "subjects": ("subjects", _subjects),
        "dataset": ("dataset", _dataset),
        "record": ("record", _record),
        "evaluation": ("evaluation", _evaluation),
        "config": ("config", _config),
        "settings": ("settings", _lines("settings.txt", "augment.noise=0.5", "size=[64, 64]", "fold=1/5")),
        "labels": ("labels", _lines("labels.txt", "3=1,5=1,*=0")),
        "run": ("run", _run),
        "volume-card": ("volume-card", _volume_card),
        "result": ("result", _result),
    },
    "masks": {
        "nii-gz": ("mask", _nifti("mask.nii.gz", labels=True)),
        "nrrd": ("mask", _by_itk("mask.nrrd", labels=True)),
        "seg-nrrd": ("mask", _seg_nrrd),
        "mha": ("mask", _by_itk("mask.mha", labels=True)),
        "png": ("mask", _png_mask),
    },
}  # fmt: skip

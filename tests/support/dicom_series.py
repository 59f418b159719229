"""A CT series on disk, with the faults that hospitals' series have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from hilum.core.volume import Volume

CANARY = "Canary^Patient"


def write_series(
    folder: Path,
    volume: Volume,
    *,
    leave_out: tuple[int, ...] = (),
    repeat: tuple[int, ...] = (),
    tilt_deg: float = 0.0,
    series_uid: str | None = None,
    kernel: str = "B40f",
) -> str:
    """Write ``volume`` (RAS axes) as axial slices and return the series UID; the patient is a canary."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = series_uid or generate_uid()
    study, frame = generate_uid(), generate_uid()
    sx, sy, sz = volume.spacing
    nx, ny, nz = volume.shape
    number = 0
    for k in range(nz):
        if k in leave_out:
            continue
        for copy in range(2 if k in repeat else 1):
            number += 1
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID = CTImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
            ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            ds.PatientName, ds.PatientID = CANARY, "CANARY-ID"
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, uid, frame
            ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.StudyID = ds.PatientBirthDate = ""
            ds.PatientSex = ds.ReferringPhysicianName = ""
            ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, number
            ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            ds.ConvolutionKernel, ds.KVP, ds.SliceThickness = kernel, 120, sz
            ds.PatientPosition = "HFS"
            ds.Rows, ds.Columns = ny, nx
            ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
            ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
            ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
            ds.PixelSpacing = [sy, sx]
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            # RAS to LPS: first pixel at the patient's right front, rows to the back, columns to the left.
            y = -(volume.affine[1, 3] + (ny - 1) * sy) + np.tan(np.deg2rad(tilt_deg)) * k * sz
            ds.ImagePositionPatient = [
                float(-(volume.affine[0, 3] + (nx - 1) * sx)),
                float(y),
                float(volume.affine[2, 3] + k * sz),
            ]
            plane = volume.hu[::-1, ::-1, k].T.astype(np.int32) + 1024 + copy * 50
            ds.PixelData = plane.clip(-32768, 32767).astype("<i2").tobytes()
            pydicom.dcmwrite(folder / f"im{number:04d}.dcm", ds, enforce_file_format=True)
    return uid

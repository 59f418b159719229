"""Training samples of the orientation check: planes of scans and single slices, with the patient of each."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

import hilum
from hilum.core.errors import NotAChestError
from hilum.quality.orientation import Planes, look
from hilum.quality.plausibility import Sampled

#: Scans to learn from. All others are test scans.
SCANS = (
    "acrin-flt-013_half",
    "cmb-crc-01068_half",
    "covidctmd-P002_third",
    "covidctmd-cap002_third",
    "covidctmd-normal002_third",
    "cptac-c3n-00247_third",
    "lidc-0001_low",
    "lidc-0002_low",
    "lidc-0003_low",
    "lidc-0004",
    "lidc-0063_half",
    "nsclc-r01-001",
    "nsclc-r01-001_low",
    "tcga-de-a4ma",
    "tcga-de-a4ma_body_low",
)
#: Two files of one patient.
SAME = {"nsclc-r01-001_low": "nsclc-r01-001", "tcga-de-a4ma_body_low": "tcga-de-a4ma"}
#: Values of slices/ are squeezed: HU = (value + offset) / slope, by its histograms; pixels of about 0.7 mm.
_OFFSET, _SLOPE, _BLOCK, _PIXEL_MM = 9.0, 0.80, 4, 0.7
#: Slices with less lung than this are tips and bases, whose height in the lungs is not the middle, cm2.
_LEAST_CM2 = 60.0


@dataclass(frozen=True, eq=False)
class Sample:
    """Planes of one scan or slice.

    Attributes:
        patient: Whose it is.
        planes: On the grid of :func:`hilum.quality.orientation.look`.
        whole: Whether it is a scan, not a slice.
    """

    patient: str
    planes: Planes
    whole: bool


def patient_of(name: str) -> str:
    """Return the patient of a scan of volumes/."""
    return SAME.get(name, name)


def planes_of(volume: hilum.Volume, labels: npt.NDArray[Any]) -> Planes | None:
    """Look at a scan as the quality gate does; labels have its shape."""
    few = Sampled.of(volume, labels)
    return look(few.hu, few.labels > 0, few.spacing)


def gather(data: Path, work: Path) -> list[Sample]:
    """Return all there is to learn from.

    Args:
        data: The folder of real scans.
        work: Where masks are kept, which the model ``lungs`` makes once.
    """
    work.mkdir(parents=True, exist_ok=True)
    return [*_squeezed(data), *_slices(data, work), *_scans(data, work)]


def mask(volume: hilum.Volume, file: Path) -> npt.NDArray[np.uint8] | None:
    """Return the lungs by the model ``lungs`` where it does not doubt them, in RAS order."""
    if not file.exists():
        try:
            result = hilum.segment(volume)
            sure = all(flag.code != "segmentation_uncertain" for flag in result.flags)
            labels = result.segmentations["lungs"].labels.data if sure else np.zeros(volume.shape, np.uint8)
        except NotAChestError:
            labels = np.zeros(volume.shape, np.uint8)
        np.savez_compressed(file, labels=labels)
    with np.load(file) as stored:
        return stored["labels"] if stored["labels"].any() else None


def _squeezed(data: Path) -> Iterator[Sample]:
    """Single slices with masks drawn by hand, as they are displayed."""
    for file in sorted((data / "slices" / "images").glob("*.tif")):
        hu = (tifffile.imread(file).astype(np.float32) + _OFFSET) / _SLOPE
        drawn = np.asarray(Image.open(data / "slices" / "masks" / f"{file.stem}.png"))
        small = [_blocks(a)[::-1, ::-1].T[:, :, None] for a in (hu, drawn > 0)]  # displayed to RAS
        spacing = (_BLOCK * _PIXEL_MM,) * 2 + (1.0,)
        planes = look(small[0], small[1] >= 0.5, spacing)
        if planes is not None:
            yield Sample(file.stem, planes, False)


def _blocks(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return block means of a slice."""
    values = values[..., 0] if values.ndim == 3 else values
    a, b = (n // _BLOCK for n in values.shape)
    whole = values[: a * _BLOCK, : b * _BLOCK].astype(np.float32)
    return np.asarray(whole.reshape(a, _BLOCK, b, _BLOCK).mean((1, 3)), np.float32)


def _slices(data: Path, work: Path) -> Iterator[Sample]:
    folder = data / "slices_hu"
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        volume = canonical(hilum.read(folder / f"{row['name']}.nii.gz"))
        labels = mask(volume, work / f"{row['name']}.npz")
        if labels is None:
            continue
        area = np.count_nonzero(labels) * volume.spacing[0] * volume.spacing[1] / 100
        planes = planes_of(volume, labels)
        if planes is not None and area >= _LEAST_CM2:
            yield Sample(row["patient"], planes, False)


def _scans(data: Path, work: Path) -> Iterator[Sample]:
    for name in SCANS:
        volume = canonical(hilum.read(data / "volumes" / f"{name}.nii.gz"))
        labels = mask(volume, work / f"{name}.npz")
        planes = None if labels is None else planes_of(volume, labels)
        if planes is not None:
            yield Sample(patient_of(name), planes, True)


def canonical(volume: hilum.Volume) -> hilum.Volume:
    """Return a scan in RAS order, its voxels in a row."""
    turned = volume.canonical()
    return hilum.Volume(np.ascontiguousarray(turned.hu), turned.affine, turned.meta)


def turned(sample: Sample) -> Sample:
    """Return a sample turned round by half a turn, as one that lay prone is displayed."""
    cells = np.ascontiguousarray(sample.planes.cells[:, :, ::-1, ::-1])
    return replace(sample, planes=replace(sample.planes, cells=cells))

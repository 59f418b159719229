"""The model of single slices: a U-Net on hand-made masks, made-up injuries and domes, and slices of scans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cases import SCANS

import hilum
from hilum.learn.config import load_config
from hilum.learn.fit import train
from hilum.learn.injury.hook import SliceInjury
from hilum.learn.prepare import prepare
from hilum.learn.preprocess import fit_picture, resize, to_input
from hilum.learn.volumes.cases import own_labels
from hilum.learn.volumes.fit import computes_half

WINDOW, SIZE = (-1024.0, 400.0), (256, 256)
#: Distance of the slices taken from a scan, mm.
EVERY_MM = 2.5


def scan_slices(data: Path, out: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Axial slices of the scans with our own labels, as training pictures: above, in and below the lungs."""
    if not out.is_file():
        pictures, masks = [], []
        for name in SCANS:
            volume = hilum.read(data / "volumes" / f"{name}.nii.gz")
            labels = own_labels(volume)
            canonical = volume.canonical()
            own = hilum.Volume((labels > 0).astype(np.int16), volume.affine, volume.meta).canonical().hu
            fit = fit_picture(canonical.shape[1::-1], SIZE, canonical.spacing[1::-1])
            for z in range(0, canonical.shape[2], max(1, round(EVERY_MM / canonical.spacing[2]))):
                turn = (slice(None, None, -1), slice(None, None, -1))
                picture = canonical.hu[:, :, z].T[turn]
                pictures.append(np.rint(to_input(picture[None], fit, WINDOW)[0]).astype(np.int16))
                share = np.zeros(SIZE, np.float32)
                rows, cols = (slice(o, o + n) for o, n in zip(fit.offset, fit.inner, strict=True))
                share[rows, cols] = resize(own[:, :, z].T[turn].astype(np.float32), fit.inner)
                masks.append(np.rint(255 * share).astype(np.uint8))
        np.savez(out, hu=np.stack(pictures), lung=np.stack(masks))
    with np.load(out) as file:
        return file["hu"], file["lung"]


def prepare_slices(data: Path, work: Path) -> Path:
    """Bring slices/ into the form that training takes."""
    dataset = work / "slices"
    prepare(data / "slices" / "images", dataset, masks=data / "slices" / "masks", plane="axial")
    return dataset


def train_slices(data: Path, dataset: Path, work: Path, steps: int, tell: Callable[[str], None]) -> Path:
    """Train on slices/ and the slices of scans; the test part of the study stays untouched."""
    choices = {"model": "unet", "steps": steps, "threads": 2, "seed": 0}
    half = "precision=bf16-mixed" if computes_half() else "precision=auto"  # twice as quick where it can be
    plain = train(
        dataset,
        work / "unet",
        load_config(None, choices, ["validate_every=200", half]),
        report=lambda s: tell(f"unet {s.step}/{s.steps}") if s.validated else None,
    )
    more = scan_slices(data, work / "scan_slices.npz")
    config = load_config(
        None,
        {**choices, "steps": max(1, round(0.5 * steps))},
        ["validate_every=200", half, "learning_rate=0.0015", "robust=0.0"],
    )
    return train(
        dataset,
        work / "lungs-slices",
        config,
        injury=SliceInjury(0.6, more, 0.35, domes=0.2),
        initial=plain,
        report=lambda s: tell(f"lungs-slices {s.step}/{s.steps}") if s.validated else None,
    )

"""Training data from scans without masks: axial slices with labels by threshold, and abdomen slices."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.planes import Plane
from hilum.core.volume import Volume
from hilum.io import read
from hilum.models.preprocess import fit_slice, resize, to_input
from hilum.synthesis.lesions import abdomen_slices
from hilum.tasks.lungs.learned import slices_from
from hilum.training.recipes.lungs.labels import own_labels

#: Scans without masks, of aerated lungs, which are labelled by threshold. None of them is a test scan.
SCANS = (
    "lidc-0001_low",
    "lidc-0002_low",
    "lidc-0003_low",
    "lidc-0004",
    "nsclc-r01-001",
    "nsclc-r01-001_low",
    "tcga-de-a4ma",
    "tcga-de-a4ma_body_low",
)
#: Scans without lung.
NEGATIVE = ("lungfcp-0006_half",)
#: Second files of one patient: name to the name of the first.
SAME = {"nsclc-r01-001_low": "nsclc-r01-001", "tcga-de-a4ma_body_low": "tcga-de-a4ma"}
WINDOW, SIZE = (-1024.0, 400.0), (256, 256)
#: Distance of the slices taken from a scan, mm, and of the abdomen slices.
EVERY_MM, ABDOMEN_MM = 2.5, 10.0
ABDOMEN_SLICES = "bellies.npz"
SlicesAndMasks = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@lru_cache(maxsize=1)
def load_abdomen_slices(work: Path) -> list[npt.NDArray[np.float32]]:
    """Return abdomen slices, (x, y) in RAS order, that :func:`extract_training_slices` wrote."""
    with np.load(work / ABDOMEN_SLICES) as file:
        return [file[name].astype(np.float32) for name in file.files]


def extract_training_slices(data: Path, work: Path) -> SlicesAndMasks:
    """Return slices and lungs as 0 to 255, (n, *SIZE); they and the abdomen slices are made once."""
    out, under = work / "scan_slices.npz", work / ABDOMEN_SLICES
    if not (out.is_file() and under.is_file()):
        slices, masks, abdomens = [], [], []
        for name in SCANS:
            volume = read(data / "volumes" / f"{name}.nii.gz")
            labels = own_labels(volume)
            canonical = volume.canonical()
            own = Volume((labels > 0).astype(np.int16), volume.affine, volume.meta).canonical().hu
            fit = fit_slice(canonical.shape[1::-1], SIZE, canonical.spacing[1::-1])
            planes, lungs = (slices_from(a, Plane.AXIAL) for a in (canonical.hu, own))
            for z in range(0, canonical.shape[2], max(1, round(EVERY_MM / canonical.spacing[2]))):
                slices.append(np.rint(to_input(planes[z : z + 1], fit, WINDOW)[0]).astype(np.int16))
                share = np.zeros(SIZE, np.float32)
                rows, cols = (slice(o, o + n) for o, n in zip(fit.offset, fit.inner, strict=True))
                share[rows, cols] = resize(lungs[z].astype(np.float32), fit.inner)
                masks.append(np.rint(255 * share).astype(np.uint8))
            step = max(1, round(ABDOMEN_MM / canonical.spacing[2]))
            thin = (slice(None), slice(None), slice(None, None, step))
            abdomens += abdomen_slices(canonical.hu[thin], own[thin], step * canonical.spacing[2])
        np.savez(out, hu=np.stack(slices), lung=np.stack(masks))
        np.savez(under, *[np.rint(abdomen).astype(np.int16) for abdomen in abdomens])
    with np.load(out) as file:
        return file["hu"], file["lung"]

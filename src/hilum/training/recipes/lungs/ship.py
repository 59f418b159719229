"""From runs to what ships: the networks in ONNX and their cards, with sources, licence and limits."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from hilum.io import write_json
from hilum.models.card import DiceFigures, HalfPrecision, Licence, ModelCard
from hilum.models.engine import open_session
from hilum.models.registry import Model, find_model
from hilum.models.slices import SliceModel
from hilum.training.recipes.lungs.extrude import slices_of
from hilum.training.volumes.export import round_file_to_float16

__all__ = ["round_slices_to_float16", "ship_slices", "ship_volumes"]

LICENCE = Licence(code="Apache-2.0", weights="Apache-2.0")
_SCANS = (
    "LIDC-IDRI (CC BY 3.0, Armato 2011), from TCIA (Clark 2013)",
    "NSCLC-Radiogenomics (CC BY 3.0, Bakr 2018), from TCIA (Clark 2013)",
    "TCGA-THCA (CC BY 3.0), from TCIA (Clark 2013)",
)
_SLICES = "slices of 'Finding and Measuring Lungs in CT Data' (CC BY 4.0 as republished in UMIE)"
#: What the network of volumes learns from beside them.
_MORE_SCANS = (
    "CPTAC and ACRIN-FLT-Breast (CC BY 3.0), CMB-CRC (CC BY 4.0), from TCIA (Clark 2013)",
    "Lung-Fused-CT-Pathology (CC BY 3.0), from TCIA (Clark 2013), as negatives",
    "COVID-CT-MD (CC BY 4.0, Afshar 2021)",
    "slices of TCGA-LUAD and TCGA-LUSC (CC BY 3.0), from TCIA (Clark 2013), own labels",
)
#: Data sets of the network of volumes, and of that of slices, with their licences.
VOLUME_SOURCES = (*_SCANS, *_MORE_SCANS, _SLICES, "digital chests made by hilum")
SLICE_SOURCES = (_SLICES, *_SCANS)
VOLUME_LIMITS = (
    "Sixteen patients gave the scans that it and its first weights were trained on. Children, large patients "
    "and other scanners rest on augmentation.",
    "Thin pleural fluid beside dense lung is found in part; some of it is taken for lung.",
    "Fluid and collapsed lung differ by a few HU without contrast medium: either may be taken for the other.",
    "Two lungs without any air are outlined roughly.",
    "Dense lung is outlined on voxels of 3.5 mm.",
    "Not a medical device, not for diagnosis.",
)


def ship_volumes(run: Path, out: Path, version: str, name: str = "lungs") -> None:
    """Copy the network of a run and its card under the name of the shipped model.

    Args:
        run: What ``python -m hilum.training.recipes.lungs`` left.
        out: Folder of the shipped models.
        version: Of the model.
        name: What the model is called.
    """
    found = find_model(run).check()
    shutil.copyfile(found.path, out / f"{name}.onnx")
    card = found.card
    about = {
        "name": name,
        "version": version,
        "licence": LICENCE,
        "limits": VOLUME_LIMITS,
        "data": card.data.model_copy(update={"sources": VOLUME_SOURCES}),
    }
    write_json(out / f"{name}.json", card.model_copy(update=about).as_dict())


def ship_slices(run: Path, dataset: Path, out: Path, version: str) -> None:
    """Copy the run's network, its weights in 16 bits, and its card under the names of the shipped model."""
    path = out / "lungs-slices.onnx"
    shutil.copyfile(run / "model.onnx", path)
    card = round_slices_to_float16(path, find_model(run).card, slices_of(dataset, "validation"))
    about = {
        "name": path.stem,
        "version": version,
        "licence": LICENCE,
        "data": card.data.model_copy(update={"sources": SLICE_SOURCES}),
    }
    write_json(out / "lungs-slices.json", card.model_copy(update=about).as_dict())


def round_slices_to_float16(path: Path, card: ModelCard, slices: list[Path]) -> ModelCard:
    """Round the weights to 16 bits; return the card with the differences on some slices."""

    def probabilities() -> list[npt.NDArray[np.float32]]:
        model = SliceModel(Model(card, path, open_session(path)))
        return [model.probabilities(tifffile.imread(file)[None]) for file in slices]

    before = probabilities()
    round_file_to_float16(path)
    after = probabilities()
    difference = max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))
    masks = [(a >= 0.5, b >= 0.5) for a, b in zip(before, after, strict=True)]
    dice = [2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in masks]
    rounded = HalfPrecision(
        max_probability_difference=difference,
        dice=DiceFigures(mean=float(np.mean(dice)), worst=float(min(dice)), cases=len(slices)),
    )
    about = {
        "onnx_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "onnx_bytes": path.stat().st_size,
        "figures": card.figures.model_copy(update={"half_precision": rounded}),
    }
    return card.model_copy(update=about)

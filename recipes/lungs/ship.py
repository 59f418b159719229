"""From trained weights to what is shipped: ONNX, checked against torch, and the card."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from slabs import slices_of

from hilum.io import write_json
from hilum.models.card import (
    DataCard,
    DiceFigures,
    Figures,
    HalfPrecision,
    Licence,
    ModelCard,
    Parity,
    TrainingCard,
    VolumeInput,
)
from hilum.models.engine import open_session
from hilum.models.registry import Model, find_model
from hilum.models.slices import SliceModel
from hilum.training.cards import make_card
from hilum.training.volumes.augment import AIR, Variation
from hilum.training.volumes.cases import STEP_MM
from hilum.training.volumes.export import export_volumes, halve, halve_file
from hilum.training.volumes.fit import HIGH_HU, VolumeConfig, new_network
from hilum.training.volumes.networks import LungNet3d

LABELS = {"right_lung": 1, "left_lung": 2}
LICENCE = Licence(code="Apache-2.0", weights="Apache-2.0")
_SCANS = (
    "LIDC-IDRI (CC BY 3.0, Armato 2011), from TCIA (Clark 2013)",
    "NSCLC-Radiogenomics (CC BY 3.0, Bakr 2018), from TCIA (Clark 2013)",
    "TCGA-THCA (CC BY 3.0), from TCIA (Clark 2013)",
)
_SLICES = "slices of 'Finding and Measuring Lungs in CT Data' (CC BY 4.0 as republished in UMIE)"
VOLUME_SOURCES = (*_SCANS, _SLICES, "digital chests made by hilum")
SLICE_SOURCES = (_SLICES, *_SCANS)
VOLUME_LIMITS = (
    "Six patients gave the scans it was trained on. Children, large patients and other scanners rest on "
    "augmentation.",
    "Fluid and collapsed lung differ by a few HU without contrast medium: either may be taken for the other.",
    "Mediastinum and fat at hilum, apex and base are taken in on hard chests, up to 50 mL; the result is "
    "flagged.",
    "Two lungs without any air are outlined roughly.",
    "Dense lung is outlined on voxels of 3.5 mm.",
    "Not a medical device, not for diagnosis.",
)

#: Fields of view are cut often.
NARROW = Variation(crop=0.4, side_cut=0.5)
#: How often each group of cases is drawn.
SHARES = {"real": 0.10, "injured": 0.42, "slab": 0.18, "phantom": 0.08, "negative": 0.10, "abdomen": 0.12}
DENSE_SHARES = {
    "real": 0.07,
    "injured": 0.52,
    "slab": 0.18,
    "phantom": 0.05,
    "negative": 0.09,
    "abdomen": 0.09,
}
DOME_SHARES = {
    "real": 0.06,
    "injured": 0.46,
    "slab": 0.14,
    "dome": 0.12,
    "phantom": 0.05,
    "negative": 0.09,
    "abdomen": 0.08,
}
#: Channels of the third and fourth stage, and of those after them.
WIDE, WIDER = (16, 48, 128, 192), (24, 64, 128, 192)
DETAIL = 48
#: Fluid, muscle and collapsed lung, told apart closer.
SOFT_HU = (-160.0, 240.0)


def stages(steps: int) -> list[VolumeConfig]:
    """Return the stages of the training, each from the weights of the one before.

    The second looks closer at soft tissue; the third is wider where it sees far, and draws dense lung more
    often, since that is what is left to learn; the fourth is a short one of smaller steps; the fifth is wider
    where it sees fine, and looks at the voxels once more when it answers; the sixth also sees slices with the
    dome of a diaphragm drawn out, as single slices are when it is asked about them.
    """
    first = VolumeConfig(steps=steps, shares=SHARES)
    second = VolumeConfig(
        steps=max(1, round(0.47 * steps)), learning_rate=1.2e-3, seed=1, shares=SHARES, soft_hu=SOFT_HU
    )
    third = VolumeConfig(
        steps=max(1, round(0.88235 * steps)),
        widths=WIDE,
        learning_rate=1.5e-3,
        seed=2,
        shares=DENSE_SHARES,
        soft_hu=SOFT_HU,
        prefer_dense=8.0,
    )
    fourth = replace(third, steps=max(1, round(0.14 * steps)), learning_rate=7e-4, seed=3)
    fifth = replace(
        third,
        steps=max(1, round(0.47 * steps)),
        widths=WIDER,
        detail=DETAIL,
        learning_rate=1.2e-3,
        seed=4,
    )
    sixth = replace(fifth, steps=max(1, round(0.27 * steps)), learning_rate=8e-4, seed=5, shares=DOME_SHARES)
    return [first, second, third, fourth, fifth, sixth]


def load_mean(checkpoint: Path, config: VolumeConfig) -> tuple[LungNet3d, int]:
    """Return the running mean in a checkpoint, and the number of its step."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network = new_network(config)
    state = {k.removeprefix("mean."): v for k, v in saved["state_dict"].items() if k.startswith("mean.")}
    network.load_state_dict(state)
    return network.eval(), int(saved["global_step"])


def ship_volumes(checkpoint: Path, config: VolumeConfig, cases: Path, out: Path, version: str) -> None:
    """Write ``lungs.onnx`` and ``lungs.json``; raise where torch and the engine disagree."""
    network, step = load_mean(checkpoint, config)
    network = halve(network)
    path = export_volumes(network, out / "lungs.onnx")
    rng = torch.Generator().manual_seed(0)
    x = torch.rand((1, 1, 96, 80, 64), generator=rng) * 2 - 1
    with torch.no_grad():
        ours = torch.softmax(network(x), 1).numpy()
    theirs = open_session(path).run(x.numpy())
    difference = float(np.abs(ours - theirs).max())
    if difference > 1e-3:
        raise SystemExit(f"torch and the exported network differ by {difference:.2g}")
    hashes = (cases / "cases.json").read_bytes()
    groups: dict[str, int] = {}
    for name in json.loads(hashes):
        groups[name.split("-")[0]] = groups.get(name.split("-")[0], 0) + 1
    card = make_card(
        name="lungs",
        kind="volume",
        takes=VolumeInput(step_mm=STEP_MM, hu_window=(AIR, HIGH_HU), multiple=network.multiple),
        labels=LABELS,
        threshold=None,
        onnx=path,
        parameters=sum(p.numel() for p in network.parameters()),
        data=DataCard(sha256=hashlib.sha256(hashes).hexdigest(), cases=groups, sources=VOLUME_SOURCES),
        training=TrainingCard(
            settings={"last_stage_steps": step, "widths": list(config.widths), "detail": config.detail}
        ),
        figures=Figures(parity=Parity(max_probability_difference=difference)),
    )
    about = {"version": version, "licence": LICENCE, "limits": VOLUME_LIMITS}
    write_json(out / "lungs.json", card.model_copy(update=about).as_dict())


def ship_slices(run: Path, dataset: Path, out: Path, version: str) -> None:
    """Copy the run's network, its weights in 16 bits, and its card under the names of the shipped model."""
    path = out / "lungs-slices.onnx"
    shutil.copyfile(run / "model.onnx", path)
    card = halve_slices(path, find_model(run).card, slices_of(dataset, "validation"))
    about = {
        "name": path.stem,
        "version": version,
        "licence": LICENCE,
        "data": card.data.model_copy(update={"sources": SLICE_SOURCES}),
    }
    write_json(out / "lungs-slices.json", card.model_copy(update=about).as_dict())


def halve_slices(path: Path, card: ModelCard, pictures: list[Path]) -> ModelCard:
    """Round the weights to 16 bits; return the card with what that changes, looked up on some pictures."""

    def probabilities() -> list[np.ndarray]:
        model = SliceModel(Model(card, path, open_session(path)))
        return [model.probabilities(tifffile.imread(picture)[None]) for picture in pictures]

    before = probabilities()
    halve_file(path)
    after = probabilities()
    difference = max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))
    masks = [(a >= 0.5, b >= 0.5) for a, b in zip(before, after, strict=True)]
    dice = [2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in masks]
    rounded = HalfPrecision(
        max_probability_difference=difference,
        dice=DiceFigures(mean=float(np.mean(dice)), worst=float(min(dice)), cases=len(pictures)),
    )
    about = {
        "onnx_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "onnx_bytes": path.stat().st_size,
        "figures": card.figures.model_copy(update={"half_precision": rounded}),
    }
    return card.model_copy(update=about)

"""The model of single slices: a U-Net on hand-made masks, synthetic injury and domes, and slices of scans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hilum.datasets.prepare import prepare
from hilum.training.config import load_config
from hilum.training.recipes.lungs.scans import extract_training_slices, load_abdomen_slices
from hilum.training.run import computes_bfloat16
from hilum.training.slices.fit import train
from hilum.training.slices.lesions import SliceInjury


def prepare_slices(data: Path, work: Path) -> Path:
    """Convert slices/ into a training dataset."""
    dataset = work / "slices"
    prepare(data / "slices" / "images", dataset, masks=data / "slices" / "masks", plane="axial")
    return dataset


def train_slices(data: Path, dataset: Path, work: Path, steps: int, report: Callable[[str], None]) -> Path:
    """Train on slices/ and the slices of scans; the test part of the study stays untouched."""
    choices = {"model": "unet", "steps": steps, "threads": 2, "seed": 0}
    half = (
        "precision=bf16-mixed" if computes_bfloat16() else "precision=auto"
    )  # twice as fast where the hardware supports it
    plain = train(
        dataset,
        work / "unet",
        load_config(None, choices, ["validate_every=200", half]),
        report=lambda s: report(f"unet {s.step}/{s.steps}") if s.validated else None,
    )
    more, organs = extract_training_slices(data, work), load_abdomen_slices(work)
    # Validated once, at the end: the best weights on healthy slices would not be the best on disease.
    last = max(1, round(0.5 * steps))
    config = load_config(
        None,
        {**choices, "steps": last},
        [f"validate_every={last}", half, "learning_rate=0.0015", "robust=0.0"],
    )
    return train(
        dataset,
        work / "lungs-slices",
        config,
        injury=SliceInjury(0.6, more, 0.35, diaphragm=0.25, organs=organs),
        initial=plain,
        report=lambda s: report(f"lungs-slices {s.step}/{s.steps}") if s.validated else None,
    )

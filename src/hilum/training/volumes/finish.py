"""The end of a training of volumes: best weights to ONNX, parity, and the model card."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from hilum.core.errors import ModelError
from hilum.datasets.split import Split
from hilum.datasets.volumes import LABELS, VolumeDataset
from hilum.io import write_json, write_text
from hilum.models.card import (
    DataCard,
    DiceFigures,
    Figures,
    ModelCard,
    Parity,
    Parts,
    TrainingCard,
    VolumeInput,
)
from hilum.models.card_text import card_text
from hilum.models.engine import open_session
from hilum.training.cards import first_weights, make_card, package_versions
from hilum.training.checkpoint import load_weights_into, read_checkpoint, steps_done
from hilum.training.config import TrainConfig
from hilum.training.monitor import TrainingMonitor
from hilum.training.run import Plan, precision_of
from hilum.training.volumes.export import export_volumes, round_to_float16
from hilum.training.volumes.module import new_network, predict, scale_hu
from hilum.training.volumes.networks import LungNet3d

__all__ = ["best_network", "check_parity", "finish_run"]

#: A model whose probabilities differ more than this from torch's is not released.
MOST_DIFFERENCE = 1e-3


def best_network(folder: Path, config: TrainConfig, classes: int) -> tuple[LungNet3d, int]:
    """Return the best weights of a run, rounded to 16 bits, and their step.

    Raises:
        ModelError: The checkpoint is damaged.
    """
    file = folder / "checkpoints" / "best.ckpt"
    best = read_checkpoint(file, folder.name)
    state = {
        key.removeprefix("mean."): value
        for key, value in best["state_dict"].items()
        if key.startswith("mean.")
    }
    network = new_network(config, classes)
    load_weights_into(network, state, folder.name)
    return round_to_float16(network).eval(), steps_done(best, file, folder.name)


def finish_run(
    folder: Path,
    data: VolumeDataset,
    config: TrainConfig,
    split: Split,
    plan: Plan,
    labels: dict[str, int],
    monitor: TrainingMonitor,
    cases: int,
    initial: str | os.PathLike[str] | None = None,
) -> None:
    """Export the best weights of a run, check them and write the card, last of all.

    Args:
        folder: The run.
        data: The data set.
        config: All choices.
        split: Subjects by part.
        plan: What was decided at the start.
        labels: Value of each label by its name.
        monitor: Holds the time that the training took.
        cases: How many cases were made.
        initial: What the first weights were read from, for the card.

    Raises:
        ModelError: The checkpoint is damaged, or the exported model does not agree with the trained one.
        OutputError: Something cannot be written.
    """
    network, best_step = best_network(folder, config, len(labels) + 1)
    onnx = export_volumes(network, folder / "model.onnx")
    records = data.of_subjects(split.validation)
    dice = []
    for record in records:
        hu = torch.from_numpy(np.array(data.image(record)))
        found = predict(network, hu, config.hu_window).numpy()
        truth = np.asarray(data.mask(record))
        lungs = (truth >= 1) & (truth <= LABELS["left_lung"])
        mask = found[1 : 1 + LABELS["left_lung"]].sum(0) >= 0.5
        both = int(mask.sum()) + int(lungs.sum())
        dice.append(2 * int((mask & lungs).sum()) / both if both else 1.0)
    first = torch.from_numpy(np.array(data.image(records[0]))).float()
    figures = Figures(
        validation_dice=DiceFigures(
            mean=round(float(np.mean(dice)), 5),
            median=round(float(np.median(dice)), 5),
            worst=round(float(np.min(dice)), 5),
            cases=len(dice),
            grid=f"of {data.step_mm:g} mm, both lungs together",
        ),
        best_step=best_step,
        inputs_per_s=round(monitor.throughput, 2) or None,
        loader_overhead=round(monitor.loader_overhead, 4) if monitor.throughput else None,
        parity=check_parity(network, onnx, scale_hu(first, config.hu_window)),
    )
    card = _card(folder, data, config, split, plan, labels, network, figures, monitor.seconds / 60.0, cases)
    began = {**card.training.settings, **first_weights(initial)}
    card = card.model_copy(update={"training": card.training.model_copy(update={"settings": began})})
    write_text(folder / "card.md", card_text(card))
    write_json(folder / "card.json", card.as_dict())  # with it the run is complete


def check_parity(network: LungNet3d, path: Path, x: torch.Tensor) -> Parity:
    """Compare torch with the exported model on one volume.

    Args:
        network: What was exported.
        path: The ONNX file.
        x: A volume scaled to -1 to 1, (x, y, z); it is cut or padded to sizes that the network takes.

    Raises:
        ModelError: They differ by more than 0.001 in a probability.
    """
    sizes = [max(network.multiple, n // network.multiple * network.multiple) for n in x.shape]
    pad = [
        side for n, m in zip(reversed(x.shape), reversed(sizes), strict=True) for side in (0, max(0, m - n))
    ]
    full = torch.nn.functional.pad(x, pad, value=-1.0)[: sizes[0], : sizes[1], : sizes[2]][None, None]
    with torch.no_grad():
        ours = torch.softmax(network(full), 1).numpy()
    theirs = open_session(path).run(np.ascontiguousarray(full.numpy()))
    difference = float(np.abs(ours - theirs).max())
    a, b = (p[0, 1:].sum(0) >= 0.5 for p in (ours, theirs))
    total = int(a.sum()) + int(b.sum())
    if difference > MOST_DIFFERENCE:
        raise ModelError(
            f"The exported model differs from the trained one by {difference:.2g} in a probability.",
            "Please report it with the versions of torch and OpenVINO; the checkpoints are kept.",
        )
    return Parity(
        engine="OpenVINO",
        max_probability_difference=difference,
        dice=2 * int((a & b).sum()) / total if total else 1.0,
        cases=1,
    )


def _card(
    folder: Path,
    data: VolumeDataset,
    config: TrainConfig,
    split: Split,
    plan: Plan,
    labels: dict[str, int],
    network: LungNet3d,
    figures: Figures,
    minutes: float,
    cases: int,
) -> ModelCard:
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    made = {"scans": len(data.of_subjects(split.train)), "made": cases}
    return make_card(
        name=folder.resolve().name,
        kind=config.model.value,
        takes=VolumeInput(hu_window=config.hu_window, step_mm=data.step_mm, multiple=network.multiple),
        labels=labels,
        threshold=None,
        onnx=folder / "model.onnx",
        parameters=sum(p.numel() for p in network.parameters()),
        data=DataCard(
            sha256=data.index_sha256,
            subjects=Parts(**{part: len(ids) for part, ids in parts.items()}),
            cases=made,
        ),
        training=TrainingCard(
            steps=plan.steps,
            minutes=round(minutes, 2),
            processes=plan.world,
            seed=config.seed,
            fold=config.fold,
            versions=package_versions(),
            settings={
                "bare_step_s": plan.bare_step_s,
                "precision": precision_of(config),
                "widths": list(config.volumes.widths),
                "refinement": config.volumes.refinement,
                "soft_tissue_hu": list(config.volumes.soft_tissue_hu),
                "case_workers": config.cases.workers,
                "injury": config.cases.injury,
            },
        ),
        figures=figures,
    )

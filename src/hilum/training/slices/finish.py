"""End of a training: export of the best weights to ONNX, parity check, and model card."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hilum.datasets.index import Dataset
from hilum.datasets.split import Split
from hilum.io import write_json, write_text
from hilum.models.card import DiceFigures, Figures, Parity
from hilum.models.card_text import card_text
from hilum.models.preprocess import normalise
from hilum.training.cards import slice_card
from hilum.training.checkpoint import load_weights_into, read_checkpoint, steps_done
from hilum.training.config import TrainConfig
from hilum.training.monitor import TrainingMonitor
from hilum.training.slices.data import SliceCache, ValidationBatches, as_float
from hilum.training.slices.export import check_parity, export_onnx
from hilum.training.slices.module import LungModule, dice_of
from hilum.training.slices.networks import count_parameters

__all__ = ["finish_run"]


def finish_run(
    folder: Path,
    dataset: Dataset,
    config: TrainConfig,
    split: Split,
    plan: dict[str, Any],
    monitor: TrainingMonitor,
    cache: SliceCache,
    initial: str | os.PathLike[str] | None = None,
) -> None:
    """Export the best weights of a run, check them and write the card, last of all.

    Raises:
        ModelError: The checkpoint is damaged, or the exported model does not agree with the trained one.
        OutputError: Something cannot be written.
    """
    file = folder / "checkpoints" / "best.ckpt"
    best = read_checkpoint(file, folder.name)
    module = LungModule(config, plan["steps"])
    load_weights_into(module, best["state_dict"], folder.name)
    network = module.mean.eval()
    onnx = export_onnx(network, folder / "model.onnx", config.slices.size)
    batches = ValidationBatches(cache, split.validation, config.batch, config.slices.validation_slices)
    inputs: list[Any] = []
    dice: list[Any] = []
    for index in range(len(batches)):
        hu, lung = as_float(batches[index])
        x = torch.from_numpy(normalise(hu.numpy(), config.hu_window))
        with torch.no_grad():
            dice.append(dice_of(torch.sigmoid(network(x)), lung, config.slices.threshold).numpy())
        if len(inputs) * config.batch < 32:
            inputs.append(x.numpy())
    parity = check_parity(network, onnx, np.concatenate(inputs), config.slices.threshold)
    figures = _figures(np.concatenate(dice), steps_done(best, file, folder.name), monitor, parity)
    card = slice_card(
        name=folder.resolve().name,
        dataset=dataset,
        config=config,
        split=split,
        plan=plan,
        parameters=count_parameters(network),
        onnx=onnx,
        figures=figures,
        minutes=monitor.seconds / 60.0,
        initial=initial,
    )
    write_text(folder / "card.md", card_text(card))
    write_json(folder / "card.json", card.as_dict())  # with it the run is complete
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)


def _figures(dice: Any, best_step: int, monitor: TrainingMonitor, parity: Parity) -> Figures:
    return Figures(
        validation_dice=DiceFigures(
            mean=round(float(dice.mean()), 5),
            median=round(float(np.median(dice)), 5),
            worst=round(float(dice.min()), 5),
            cases=len(dice),
            grid="of the input",
        ),
        best_step=int(best_step),
        inputs_per_s=round(monitor.throughput, 2) or None,
        loader_overhead=round(monitor.loader_overhead, 4) if monitor.throughput else None,
        parity=parity,
    )

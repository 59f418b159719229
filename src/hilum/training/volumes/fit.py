"""Training from a data set of volumes to a run: setting up, resuming, fitting, and handing over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from hilum.datasets.split import Split
from hilum.datasets.volumes import LABELS, VolumeDataset, load_volumes
from hilum.training.checkpoint import load_weights_into, read_checkpoint, steps_done, taking_up
from hilum.training.common import StepSampler
from hilum.training.config import TrainConfig
from hilum.training.monitor import Report, TrainingMonitor
from hilum.training.run import (
    Plan,
    checkpoints,
    make_trainer,
    on_full_disk,
    precision_of,
    quiet,
    require_same,
    set_up,
    split_of,
)
from hilum.training.run_folder import alone, begin, setting_up, tidy
from hilum.training.volumes.data import Examples, ValidationVolumes
from hilum.training.volumes.finish import finish_run
from hilum.training.volumes.initial import load_initial
from hilum.training.volumes.module import VolumeModule, scaled_range
from hilum.training.volumes.net2net import init_from_narrower
from hilum.training.volumes.pool import CasePool, open_pool
from hilum.training.volumes.sources import CaseSource, DatasetSource, VolumeCase

__all__ = ["SourceMaker", "ValidationMaker", "labels_of", "train_volumes"]

#: Makes the source of cases of a training from the data set and the split.
SourceMaker = Callable[[VolumeDataset, Split], CaseSource]
#: Makes the cases that validate from the same.
ValidationMaker = Callable[[VolumeDataset, Split], Sequence[VolumeCase]]
#: A training whose length is given in minutes ends after this many times them, where steps became slower
#: than they were when they were measured.
_OVERTIME = 1.15
#: Steps, and cases, that are timed at the start.
_TIMED_STEPS, _TIMED_CASES = 4, 3
#: Indices of cases that a resumed training skips for each step that was done.
_INDICES_A_STEP = 64


def train_volumes(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: TrainConfig,
    *,
    devices: int = 1,
    nodes: int = 1,
    source: SourceMaker | None = None,
    validation: ValidationMaker | None = None,
    initial: str | os.PathLike[str] | None = None,
    report: Report | None = None,
    callbacks: Sequence[Callback] = (),
) -> Path:
    """Train the network of volumes and leave a run: weights, ONNX, model card, curves.

    A run that was killed resumes from its last checkpoint when the same call is made again; on a CPU and with
    ``cases.workers`` of 0 it ends with the same weights to the bit. A run that is complete is returned as it
    is.

    Args:
        dataset: Folder made by ``hilum prepare --volumes``.
        out: Folder of the run: new, empty, or of the run to resume.
        config: All choices; its model is ``volume``.
        devices: Processes on this machine: GPUs where there are some, else CPU processes.
        nodes: Machines; each runs the same command under torchrun or Slurm and sees the same folders.
        source: Makes the source of the cases; None for the training subjects with the share of synthetic
            injury that ``cases.injury`` says.
        validation: Makes cases that validate beside the scans of the validation part; None for none.
        initial: First weights; see :func:`hilum.training.volumes.initial.load_initial`. They may be those
            of a narrower network, or of one with fewer labels.
        report: Called with the progress of the training.
        callbacks: More callbacks for Lightning.

    Returns:
        The run's folder.

    Raises:
        UsageError: The data set has too few subjects, the run was begun with other choices, or the first
            weights do not fit.
        InputError: The data set cannot be read, or holds slices.
        OutputError: The run cannot be written, or another process is writing it.
    """
    data, folder = load_volumes(Path(dataset)), Path(out)
    if (folder / "card.json").is_file():
        require_same(folder, config, data.index_sha256)
        tidy(folder)  # a run that was killed after its last file
        return folder
    split = split_of(config, [subject.id for subject in data.subjects])
    if config.threads:
        torch.set_num_threads(config.threads)
    cases = _default_source(data, split, config) if source is None else source(data, split)
    labels = labels_of(data, config, source is not None)
    with quiet(), on_full_disk(folder):
        begin(folder)
        with setting_up(folder):
            time_step = partial(_time_step, classes=len(labels) + 1, step_mm=data.step_mm, source=cases)
            plan = set_up(folder, data.index_sha256, config, split, devices * nodes, time_step)
        with alone(folder):
            module = VolumeModule(config, plan.steps, len(labels) + 1, data.step_mm)
            if initial is not None:
                _start_from(module, initial, config)
            monitor = TrainingMonitor(folder, plan.steps, config.batch * devices * nodes, report)
            more = [] if config.steps is not None else [_EndByClock(monitor, config.minutes)]
            found = [monitor, *checkpoints(folder), *more, *callbacks]
            trainer = make_trainer(folder, config, plan, found, devices, nodes)
            more_cases = [] if validation is None else validation(data, split)
            made = _fit(trainer, module, data, split, plan, config, folder, cases, more_cases)
            if trainer.is_global_zero:
                finish_run(folder, data, config, split, plan, labels, monitor, made, initial)
            if devices * nodes > 1:
                trainer.strategy.barrier("hilum-finished")
    return folder


def _start_from(module: VolumeModule, initial: str | os.PathLike[str], config: TrainConfig) -> None:
    """Take over given weights; what a checkpoint of this run holds replaces them."""
    first = load_initial(initial if isinstance(initial, str) else Path(initial), scaled_range(config))
    for network in (module.network, module.mean):
        init_from_narrower(first, network)


def labels_of(data: VolumeDataset, config: TrainConfig, own_source: bool = False) -> dict[str, int]:
    """Return the labels that a network learns: those of the data set, and those that injury makes.

    Args:
        data: The data set.
        config: All choices.
        own_source: Whether cases come from a source of their own, which may hold every label.
    """
    if own_source or config.cases.injury > 0:
        return dict(LABELS)
    most = max(data.labels.values())  # a label between two others stays, so that values have no gap
    return {name: value for name, value in LABELS.items() if value <= most}


def _default_source(data: VolumeDataset, split: Split, config: TrainConfig) -> CaseSource:
    return DatasetSource(data, split.train, config.cases.injury, config.seed)


def _time_step(config: TrainConfig, classes: int, step_mm: float, source: CaseSource) -> float:
    """Return the seconds of a step: variation and network, and making cases where this process does it."""
    begin = time.perf_counter()
    cases = [source.make(index) for index in range(_TIMED_CASES)]
    case_s = (time.perf_counter() - begin) / _TIMED_CASES
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = VolumeModule(config, 1000, classes, step_mm).to(device)
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=1e-6)
    times = []
    pool = [cases[k % _TIMED_CASES] for k in range(config.batch)]
    half = precision_of(config) == "bf16-mixed"
    for step in range(_TIMED_STEPS):
        start = time.perf_counter()
        batch = module.on_after_batch_transfer({"cases": pool, "step": step}, 0)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = module.loss(batch["hu"], batch["target"])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    own = 0.0 if config.cases.workers else case_s * config.batch / config.cases.reuse
    return sorted(times[1:])[len(times[1:]) // 2] + own


class _EndByClock(Callback):
    """Ends a training whose length is given in minutes where its steps became slower than measured."""

    def __init__(self, monitor: TrainingMonitor, minutes: float) -> None:
        self.monitor, self.most_s = monitor, 60.0 * minutes * _OVERTIME

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop after this step; a validation follows, and the weights are kept."""
        if self.monitor.seconds > self.most_s:
            trainer.should_stop = True


def _fit(
    trainer: Trainer,
    module: VolumeModule,
    data: VolumeDataset,
    split: Split,
    plan: Plan,
    config: TrainConfig,
    folder: Path,
    source: CaseSource,
    held_out: Sequence[VolumeCase],
) -> int:
    """Run the training and return how many cases were made."""
    rank, world = trainer.global_rank, trainer.world_size
    sampler = StepSampler(plan.steps, plan.every)
    last = folder / "checkpoints" / "last.ckpt"
    resumed, done = last.is_file(), 0
    if resumed:  # Lightning sets the epoch of a sampler from the second one on only
        found = read_checkpoint(last, folder.name)
        done = steps_done(found, last, folder.name)
        sampler.set_epoch(done // plan.every)
        load_weights_into(module, found["state_dict"], folder.name)
    pool: CasePool = open_pool(
        source, config.cases.pool, config.cases.reuse, config.cases.workers, done * _INDICES_A_STEP
    )
    batches = DataLoader(Examples(pool, config, rank, world), batch_size=None, sampler=sampler)
    records = data.of_subjects(split.validation)
    validation = DataLoader(ValidationVolumes(data, records, rank, world, held_out), batch_size=None)
    try:
        with taking_up(trainer, last, folder.name):
            trainer.fit(module, batches, validation, ckpt_path=str(last) if resumed else None)
    finally:
        pool.close()
    if trainer.interrupted:
        raise KeyboardInterrupt
    return pool.made

"""Training from a data set to a run: setting up, resuming, fitting, and handing over to the export."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.util import get_temp_dir
from pathlib import Path
from types import TracebackType

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from hilum.core.errors import ModelError
from hilum.core.segmentation import Progress
from hilum.core.sentences import Sentence
from hilum.datasets.index import load_dataset
from hilum.datasets.sockets import check_socket_paths
from hilum.datasets.split import Split
from hilum.training.checkpoint import load_weights_into, read_checkpoint, steps_done, taking_up
from hilum.training.common import StepSampler
from hilum.training.config import TrainConfig
from hilum.training.monitor import Report, TrainingMonitor
from hilum.training.run import (
    Plan,
    checkpoints,
    make_trainer,
    on_full_disk,
    quiet,
    require_same,
    set_up,
    split_of,
)
from hilum.training.run_folder import alone, begin, setting_up, tidy
from hilum.training.slices.augment import Injury
from hilum.training.slices.data import (
    SliceCache,
    TrainingBatches,
    ValidationBatches,
    build_cache,
)
from hilum.training.slices.finish import finish_run
from hilum.training.slices.module import LungModule
from hilum.training.slices.step_timer import time_step

__all__ = ["train"]


def train(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: TrainConfig,
    *,
    devices: int = 1,
    nodes: int = 1,
    injury: Injury | None = None,
    initial: str | os.PathLike[str] | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
) -> Path:
    """Train a network and leave a run: weights, ONNX, model card, curves.

    A run that was killed resumes from its last checkpoint when the same call is made again, and on a CPU ends
    with the same weights to the bit. A run that is complete is returned as it is.

    Args:
        dataset: Folder made by ``hilum prepare``.
        out: Folder of the run: new, empty, or of the run to resume.
        config: All choices.
        devices: Processes on this machine: GPUs where there are some, else CPU processes.
        nodes: Machines; each runs the same command under torchrun or Slurm and sees the same folders.
        injury: Puts synthetic disease into training slices.
        initial: Run of the same kind and sizes whose weights are the first ones.
        report: Called with the progress of the training.
        progress: Called with the progress of reading the slices.
        callbacks: More callbacks for Lightning.

    Returns:
        The run's folder.

    Raises:
        UsageError: The data set has too few subjects, the run was begun with other choices, or the path of
            the temporary folder is too long for processes that load slices.
        InputError: The data set cannot be read.
        OutputError: The run cannot be written, or another process is writing it.
    """
    if config.workers:
        check_socket_paths()
    data, folder = load_dataset(Path(dataset)), Path(out)
    if (folder / "card.json").is_file():
        require_same(folder, config, data.index_sha256)
        tidy(folder)  # a run that was killed after its last file
        return folder
    split = split_of(config, [subject.id for subject in data.subjects])
    if config.threads:
        torch.set_num_threads(config.threads)
    world = devices * nodes
    with quiet(), on_full_disk(folder):
        begin(folder)
        with setting_up(folder):
            plan = set_up(folder, data.index_sha256, config, split, world, time_step)
            records = data.of_subjects([*split.train, *split.validation])
            cache = build_cache(data, records, config, folder / "cache", progress)
        with alone(folder):
            module = LungModule(config, plan.steps, injury)
            if initial is not None:
                _start_from(module, Path(initial))
            monitor = TrainingMonitor(folder, plan.steps, config.batch * world, report)
            all_callbacks = [monitor, *checkpoints(folder), *callbacks]
            trainer = make_trainer(folder, config, plan, all_callbacks, devices, nodes)
            _fit(trainer, module, cache, split, plan, config, folder)
            if trainer.is_global_zero:
                finish_run(folder, data, config, split, asdict(plan), monitor, cache, initial)
                shutil.rmtree(folder / "cache", ignore_errors=True)
            if world > 1:
                trainer.strategy.barrier("hilum-finished")
    return folder


def _start_from(module: LungModule, run: Path) -> None:
    """Take over the weights of another run; what a checkpoint of this run holds replaces them."""
    file = run / "checkpoints" / "best.ckpt"
    if not file.is_file():
        raise ModelError(f"The run {run.name} has no checkpoint to start from.", "Give a complete run.")
    state = read_checkpoint(file, run.name, Sentence("Give another run, or none{with:init}."))["state_dict"]
    mean = {k.removeprefix("mean."): v for k, v in state.items() if str(k).startswith("mean.")}
    for network in (module.network, module.mean):
        load_weights_into(network, mean, run.name, "Give a run of the same model and the same [networks].")


def _end_quietly(worker: int) -> None:
    """Let a loader process print nothing when its parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    known = sys.excepthook

    def ignore_lost_parent(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, (ConnectionError, EOFError)):
            known(kind, error, trace)

    sys.excepthook = ignore_lost_parent


def _fit(
    trainer: Trainer,
    module: LungModule,
    cache: SliceCache,
    split: Split,
    plan: Plan,
    config: TrainConfig,
    folder: Path,
) -> None:
    rank, world = trainer.global_rank, trainer.world_size
    sampler = StepSampler(plan.steps, plan.every)
    last = folder / "checkpoints" / "last.ckpt"
    resumed = last.is_file()
    if resumed:  # Lightning sets the epoch of a sampler from the second one on only
        found = read_checkpoint(last, folder.name)
        sampler.set_epoch(steps_done(found, last, folder.name) // plan.every)
        load_weights_into(module, found["state_dict"], folder.name)
    batches = DataLoader(
        TrainingBatches(cache, split.train, config, rank),
        batch_size=None,
        sampler=sampler,
        num_workers=config.workers,
        persistent_workers=False,
        worker_init_fn=_end_quietly if config.workers else None,
    )
    if config.workers:
        get_temp_dir()  # of this process, which removes it; each worker would make one of its own
    validation = DataLoader(
        ValidationBatches(
            cache, split.validation, config.batch, config.slices.validation_slices, rank, world
        ),
        batch_size=None,
    )
    with taking_up(trainer, last, folder.name):
        trainer.fit(module, batches, validation, ckpt_path=str(last) if resumed else None)
    if trainer.interrupted:
        raise KeyboardInterrupt

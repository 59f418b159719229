"""Training from a data set to a run: setting up, resuming, fitting, and handing over to the export."""

from __future__ import annotations

import io
import logging
import math
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.util import get_temp_dir
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from hilum.core.disk import DISK_FULL
from hilum.core.errors import ModelError, OutputError, UsageError
from hilum.core.segmentation import Progress
from hilum.core.sentences import Sentence
from hilum.datasets.index import Dataset, load_dataset
from hilum.datasets.processes import check_socket_paths
from hilum.datasets.split import Split, split_subjects
from hilum.io import atomic_file, write_json, write_text
from hilum.io.atomic import writable
from hilum.io.schema import Length, Positive, Sha256, check
from hilum.io.text import read_json
from hilum.training.checkpoint import WeightsOnly, load_weights_into, read_checkpoint, steps_done, taking_up
from hilum.training.slices.augment import Injury
from hilum.training.slices.bare_step import time_bare_step
from hilum.training.slices.config import TrainConfig, load_config, to_toml
from hilum.training.slices.data import (
    SliceCache,
    StepSampler,
    TrainingBatches,
    ValidationBatches,
    build_cache,
)
from hilum.training.slices.module import LungModule
from hilum.training.slices.run_folder import alone, begin, setting_up, tidy
from hilum.training.slices.watch import Report, Watch

__all__ = ["Plan", "train"]

#: Warnings of Lightning on what is meant to be so.
_ADVICE = (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*is deprecated.*",
    ".*sync_dist=True.*",  # the Dice of all processes is brought together before it is logged
)
_MOST_BETWEEN = 2000  # steps between two validations


@dataclass(frozen=True)
class Plan:
    """What was measured and decided at the start; a resumed run keeps it.

    Attributes:
        steps: Length of the training.
        every: Steps between validations and checkpoints.
        bare_step_s: Median seconds of the network's step alone on one batch, None where it was not needed.
        index_sha256: Of the data set.
        world: Number of processes.
    """

    steps: Positive
    every: Positive
    bare_step_s: Length | None
    index_sha256: Sha256
    world: Positive


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

    A run that was killed goes on from its last checkpoint when the same call is made again, and on a CPU ends
    with the same weights to the bit. A run that is complete is returned as it is.

    Args:
        dataset: Folder made by ``hilum prepare``.
        out: Folder of the run: new, empty, or the one to go on with.
        config: All choices.
        devices: Processes on this machine: GPUs where there are some, else CPU processes.
        nodes: Machines; each runs the same command under torchrun or Slurm and sees the same folders.
        injury: Puts synthetic disease into training pictures.
        initial: Run of the same kind and sizes whose weights are the first ones.
        report: Told how the training stands.
        progress: Told how reading the slices stands.
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
        _require_same(folder, config, data)
        tidy(folder)  # a run that was killed after its last file
        return folder
    split = split_subjects(
        [subject.id for subject in data.subjects],
        seed=config.seed,
        test_share=config.test_share,
        validation_share=config.validation_share,
        fold=config.fold,
    )
    if config.threads:
        torch.set_num_threads(config.threads)
    world = devices * nodes
    with _quiet(), _on_full_disk(folder):
        begin(folder)
        with setting_up(folder):
            plan = _set_up(folder, data, config, split, world)
            records = data.of_subjects([*split.train, *split.validation])
            cache = build_cache(data, records, config, folder / "cache", progress)
        with alone(folder):
            module = LungModule(config, plan.steps, injury)
            if initial is not None:
                _start_from(module, Path(initial))
            watch = Watch(folder, plan.steps, config.batch * world, report)
            all_callbacks = [watch, *_checkpoints(folder), _EndHelpers(), *callbacks]
            trainer = _trainer(folder, config, plan, all_callbacks, devices, nodes)
            _fit(trainer, module, cache, split, plan, config, folder)
            if trainer.is_global_zero:
                from hilum.training.slices.finish import finish_run

                finish_run(folder, data, config, split, asdict(plan), watch, cache)
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


@contextmanager
def _on_full_disk(folder: Path) -> Iterator[None]:
    """Say that the disk is full, and what stays; other errors of writing as everywhere."""
    try:
        with writable(folder):
            yield
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in DISK_FULL:
            begun = (folder / "checkpoints" / "last.ckpt").is_file()
            raise OutputError(
                f"The disk of {folder} is full; "
                + ("the last checkpoint is kept." if begun else "nothing was trained yet."),
                "Free some space and run the same command again: it goes on.",
            ) from error
        raise


def _require_same(folder: Path, config: TrainConfig, data: Dataset) -> None:
    """Raise unless the run in ``folder`` was begun with this configuration and data set."""
    if load_config(folder / "config.toml") != config:
        raise UsageError(
            f"The run {folder.name} was begun with another configuration.",
            Sentence("Give another folder{with:out}, or the same arguments as before."),
        )
    if _load_plan(folder).index_sha256 != data.index_sha256:
        raise UsageError(
            f"The run {folder.name} was begun on another data set.",
            Sentence("Give another folder{with:out}."),
        )


def _set_up(folder: Path, data: Dataset, config: TrainConfig, split: Split, world: int) -> Plan:
    """Decide what the run will be, or read what was decided."""
    if (folder / "plan.json").is_file():
        _require_same(folder, config, data)
        plan = _load_plan(folder)
        if plan.world != world:
            raise UsageError(
                f"The run {folder.name} was begun with {plan.world} processes, now there are {world}.",
                Sentence("Give the same {option:devices} and {option:nodes}."),
            )
        return plan
    plan = _make_plan(config, data.index_sha256, world)
    write_text(folder / "config.toml", to_toml(config))
    write_json(folder / "split.json", split.as_dict())
    write_json(folder / "plan.json", plan)
    return plan


def _load_plan(folder: Path) -> Plan:
    name, hint = (
        f"plan.json of the run {folder.name}",
        Sentence("Give another folder{with:out}, to begin anew."),
    )
    return check(Plan, read_json(folder / "plan.json", name=name, hint=hint), name=name, hint=hint)


def _make_plan(config: TrainConfig, index_sha256: str, world: int) -> Plan:
    bare = None
    if config.steps is None or not config.validate_every:
        bare = time_bare_step(config)
    steps = config.steps
    if steps is None:
        # A twelfth for loading, augmentation, validation and export.
        steps = max(10, int(config.minutes * 60 * 0.92 / (bare or 1.0)))
    every = config.validate_every
    if not every:
        every = int(60 * config.checkpoint_minutes / (bare or 1.0))
        every = max(1, min(every, _MOST_BETWEEN, math.ceil(steps / 4)))
    return Plan(steps, min(every, steps), bare, index_sha256, world)


class _AtomicCheckpoints(WeightsOnly):
    """Writes checkpoints whole or not at all, so that a kill leaves the one before; reads weights only."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        checkpoint["rng"] = {"torch": torch.get_rng_state()}
        whole = io.BytesIO()  # torch's own writer says of a full disk only that a position is unexpected
        torch.save(checkpoint, whole)
        with atomic_file(Path(path)) as part:
            part.write_bytes(whole.getbuffer())


def _checkpoints(folder: Path) -> list[Callback]:
    """The best weights, and in ``last.ckpt`` where to go on, after each validation.

    Two callbacks, because one with ``save_last`` writes ``last.ckpt`` only when there is a new best.
    """
    best = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="best",
        monitor="val_dice",
        mode="max",
        enable_version_counter=False,
        save_on_train_epoch_end=True,
        auto_insert_metric_name=False,
    )
    last = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="last",
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    return [best, last]


class _EndHelpers(Callback):
    """Ends the processes of other ranks with this one; Lightning does so only after a KeyboardInterrupt."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Kill them before this process waits for them, and before Lightning's observer sees one gone."""
        helpers = getattr(trainer.strategy.launcher, "procs", [])
        for helper in helpers:
            helper.kill()
            helper.wait()
        helpers.clear()


def _end_quietly(worker: int) -> None:
    """Let a process that loads slices say nothing where the one it loads for goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    known = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, (ConnectionError, EOFError)):
            known(kind, error, trace)

    sys.excepthook = hook


def _precision(config: TrainConfig) -> str:
    if config.precision != "auto":
        return config.precision
    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"


def _trainer(
    folder: Path, config: TrainConfig, plan: Plan, callbacks: list[Callback], devices: int, nodes: int
) -> Trainer:
    if config.patience:
        callbacks = [
            *callbacks,
            EarlyStopping("val_dice", patience=config.patience, mode="max", min_delta=2e-4),
        ]
    precision: Any = _precision(config)
    return Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=precision,
        max_epochs=math.ceil(plan.steps / plan.every),
        gradient_clip_val=config.clip,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder, name="logs", version=""),
        plugins=[_AtomicCheckpoints(folder.name)],
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


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
    if resumed:  # Lightning tells a sampler its epoch from the second one on only
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
        ValidationBatches(cache, split.validation, config.batch, config.validation_slices, rank, world),
        batch_size=None,
    )
    with taking_up(trainer, last, folder.name):
        trainer.fit(module, batches, validation, ckpt_path=str(last) if resumed else None)
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice out of the output; real warnings stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _ADVICE:
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

"""What trainings of slices and of volumes share: the plan of a run, its checkpoints and its trainer."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from hilum.core.disk import DISK_FULL
from hilum.core.errors import OutputError, UsageError
from hilum.core.sentences import Sentence
from hilum.datasets.split import Split, split_subjects
from hilum.io import atomic_file, write_json, write_text
from hilum.io.atomic import writable
from hilum.io.schema import Length, Positive, Sha256, check
from hilum.io.text import read_json
from hilum.training.checkpoint import WeightsOnly
from hilum.training.config import TrainConfig, load_config, to_toml

__all__ = [
    "Plan",
    "checkpoints",
    "computes_bfloat16",
    "make_trainer",
    "on_full_disk",
    "precision_of",
    "quiet",
    "require_same",
    "set_up",
    "split_of",
]

#: Warnings of Lightning about intended settings.
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
        bare_step_s: Median seconds of a step of the network alone on one batch; None if not needed.
        index_sha256: Of the data set.
        world: Number of processes.
    """

    steps: Positive
    every: Positive
    bare_step_s: Length | None
    index_sha256: Sha256
    world: Positive


@contextmanager
def on_full_disk(folder: Path) -> Iterator[None]:
    """Say that the disk is full, and what is kept; other errors of writing are passed on."""
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
                "Free some space and run the same command again: it resumes.",
            ) from error
        raise


def split_of(config: TrainConfig, subjects: Sequence[int]) -> Split:
    """Split the subjects of a dataset as a configuration states."""
    return split_subjects(
        subjects,
        seed=config.seed,
        test_share=config.test_share,
        validation_share=config.validation_share,
        fold=config.fold,
    )


def require_same(folder: Path, config: TrainConfig, index_sha256: str) -> None:
    """Raise unless the run in ``folder`` was begun with this configuration and data set."""
    if load_config(folder / "config.toml") != config:
        raise UsageError(
            f"The run {folder.name} was begun with another configuration.",
            Sentence("Give another folder{with:out}, or the same arguments as before."),
        )
    if _load_plan(folder).index_sha256 != index_sha256:
        raise UsageError(
            f"The run {folder.name} was begun on another data set.",
            Sentence("Give another folder{with:out}."),
        )


def set_up(
    folder: Path,
    index_sha256: str,
    config: TrainConfig,
    split: Split,
    world: int,
    time_step: Callable[[TrainConfig], float],
) -> Plan:
    """Plan a run, or read the plan of a run that is resumed.

    Args:
        folder: The run.
        index_sha256: Of the data set.
        config: All choices.
        split: Subjects by part.
        world: Number of processes.
        time_step: Returns the seconds of a step of the network alone.

    Raises:
        UsageError: The run was begun with other choices, on another data set, or with more or fewer
            processes.
    """
    if (folder / "plan.json").is_file():
        require_same(folder, config, index_sha256)
        plan = _load_plan(folder)
        if plan.world != world:
            raise UsageError(
                f"The run {folder.name} was begun with {plan.world} processes, now there are {world}.",
                Sentence("Give the same {option:devices} and {option:nodes}."),
            )
        return plan
    plan = _make_plan(config, index_sha256, world, time_step)
    write_text(folder / "config.toml", to_toml(config))
    write_json(folder / "split.json", split.as_dict())
    write_json(folder / "plan.json", plan)
    return plan


def _load_plan(folder: Path) -> Plan:
    name = f"plan.json of the run {folder.name}"
    hint = Sentence("Give another folder{with:out}, to begin anew.")
    return check(Plan, read_json(folder / "plan.json", name=name, hint=hint), name=name, hint=hint)


def _make_plan(
    config: TrainConfig, index_sha256: str, world: int, time_step: Callable[[TrainConfig], float]
) -> Plan:
    bare = None
    if config.steps is None or not config.validate_every:
        bare = time_step(config)
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
    """Writes checkpoints atomically, so that a kill leaves the previous one; reads weights only."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        checkpoint["rng"] = {"torch": torch.get_rng_state()}
        whole = io.BytesIO()  # torch's own writer says of a full disk only that a position is unexpected
        torch.save(checkpoint, whole)
        with atomic_file(Path(path)) as part:
            part.write_bytes(whole.getbuffer())


def checkpoints(folder: Path) -> list[Callback]:
    """Return the callbacks that write best weights and ``last.ckpt`` (to resume) after each validation.

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
    return [best, last, _EndHelpers()]


class _EndHelpers(Callback):
    """Ends the processes of other ranks with this one; Lightning does so only after a KeyboardInterrupt."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Kill them before this process waits for them, and before Lightning's observer sees one gone."""
        helpers = getattr(trainer.strategy.launcher, "procs", [])
        for helper in helpers:
            helper.kill()
            helper.wait()
        helpers.clear()


def computes_bfloat16() -> bool:
    """Whether there is hardware for bfloat16; in software it would be slower than 32 bits."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def precision_of(config: TrainConfig) -> str:
    """Return the precision that a training computes with here, in the words of Lightning.

    Convolutions of volumes gain by bfloat16 on a processor too; those of slices do not.
    """
    if config.precision != "auto":
        return config.precision
    there = computes_bfloat16() and (torch.cuda.is_available() or config.model.takes_volumes)
    return "bf16-mixed" if there else "32-true"


def make_trainer(
    folder: Path, config: TrainConfig, plan: Plan, callbacks: list[Callback], devices: int, nodes: int
) -> Trainer:
    """Return Lightning's trainer for a run: epochs from validation to validation, whole checkpoints."""
    if config.patience:
        callbacks = [
            *callbacks,
            EarlyStopping("val_dice", patience=config.patience, mode="max", min_delta=2e-4),
        ]
    precision: Any = precision_of(config)
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


@contextmanager
def quiet() -> Iterator[None]:
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

"""Monitoring a training: progress reports, the table of metrics, and the cost of each step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from hilum.io import atomic_file, write_csv

__all__ = ["MetricsRow", "Report", "TrainState", "TrainingMonitor", "draw_curves"]


@dataclass(frozen=True)
class TrainState:
    """Progress of a training.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Running mean of the loss.
        val_dice: Mean Dice of the last validation, None before it.
        inputs_per_s: Slices, or volumes, a second over all devices.
        seconds_left: Expected, without validation.
        validated: Whether a validation has just ended.
    """

    step: int
    steps: int
    loss: float
    val_dice: float | None
    inputs_per_s: float
    seconds_left: float
    validated: bool = False


Report = Callable[[TrainState], None]


@dataclass(frozen=True)
class MetricsRow:
    """One row of ``metrics.csv``, one a validation. Seconds count over all parts of a resumed run."""

    step: int
    seconds: float
    loss: float
    val_dice: float
    learning_rate: float
    inputs_per_s: float
    loader_overhead: float


class TrainingMonitor(Callback):
    """Measures, reports and records. Its rows are stored in the checkpoint, so a resumed run keeps them all.

    Args:
        folder: The run's folder.
        steps: Length of the training.
        slices: Slices a step over all devices.
        report: Called with the progress after some of the steps; None reports nothing.
    """

    def __init__(self, folder: Path, steps: int, slices: int, report: Report | None = None) -> None:
        self.folder, self.steps, self.slices, self.report = folder, steps, slices, report
        self.rows: list[MetricsRow] = []
        self._before = 0.0
        self._begin = time.perf_counter()
        self._loss: list[float] = []
        self._whole: list[float] = []
        self._bare: list[float] = []
        self._step_began: float | None = None
        self._step_ended: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all parts."""
        return self._before + time.perf_counter() - self._begin

    @property
    def throughput(self) -> float:
        """Slices a second over the last steps."""
        recent = self._whole[-50:]
        return self.slices / statistics.median(recent) if recent else 0.0

    @property
    def loader_overhead(self) -> float:
        """Share of the loop's time that is not the network's step: loading, augmentation, bookkeeping."""
        whole, bare = sum(self._whole), sum(self._bare)
        return 1.0 - bare / whole if whole else 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._begin = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the validation between two steps out of the count."""
        self._step_ended = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """The batch is ready: what follows is the network's."""
        _synchronise(pl_module)
        self._step_began = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Count the step."""
        _synchronise(pl_module)
        now = time.perf_counter()
        if self._step_ended is not None and self._step_began is not None:
            self._whole.append(now - self._step_ended)
            self._bare.append(now - self._step_began)
        self._step_ended = now
        self._loss.append(float(outputs["loss"] if isinstance(outputs, dict) else outputs))
        self._report(trainer, validated=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a row after each validation."""
        value = trainer.callback_metrics.get("val_dice")
        if value is None or not self._loss:
            return
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        row = MetricsRow(
            trainer.global_step,
            round(self.seconds, 1),
            statistics.fmean(self._loss),
            float(value),
            rate,
            round(self.throughput, 2),
            round(self.loader_overhead, 4),
        )
        self._loss.clear()
        self.rows.append(row)
        if trainer.is_global_zero:
            header = [field.name for field in fields(MetricsRow)]
            write_csv(self.folder / "metrics.csv", header, [list(asdict(r).values()) for r in self.rows])
            draw_curves(self.rows, self.folder / "curves.png")
        self._report(trainer, validated=True)

    def state_dict(self) -> dict[str, Any]:
        """Rows and time for the checkpoint."""
        return {"rows": [asdict(row) for row in self.rows], "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume from the checkpoint."""
        self.rows = [MetricsRow(**row) for row in state_dict["rows"]]
        self._before = float(state_dict["seconds"])

    def _report(self, trainer: Trainer, *, validated: bool) -> None:
        if self.report is None or not trainer.is_global_zero:
            return
        step = trainer.global_step
        speed = self.throughput
        loss = statistics.fmean(self._loss[-50:]) if self._loss else self.rows[-1].loss
        left = (self.steps - step) * self.slices / speed if speed else 0.0
        dice = self.rows[-1].val_dice if self.rows else None
        self.report(TrainState(step, self.steps, loss, dice, speed, left, validated))


def _synchronise(module: LightningModule) -> None:
    """Wait for the GPU; otherwise its work would be counted for another step."""
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)


def draw_curves(rows: list[MetricsRow], path: Path) -> None:
    """Draw loss and validation Dice over the steps as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [row.step for row in rows]
    left.plot(steps, [row.loss for row in rows], marker=".", color="#40688c")
    left.set(title="Training loss", xlabel="step", ylabel="loss")
    dice = [row.val_dice for row in rows]
    right.plot(steps, dice, marker=".", color="#b5651d")
    right.set(title=f"Validation Dice, best {max(dice):.4f}", xlabel="step", ylabel="Dice")
    right.set_ylim(max(0.0, min(sorted(dice)[len(dice) // 3 :]) - 0.02), 1.0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_file(path) as part:
        figure.savefig(part, dpi=120)

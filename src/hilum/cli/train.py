"""``hilum train``: from a dataset of slices or volumes to a model."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import hilum
from hilum import models
from hilum.cli import signals
from hilum.cli.console import on_terminal, say
from hilum.cli.options import Quiet

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    from hilum.training.config import TrainConfig
    from hilum.training.monitor import Report, TrainState

__all__ = ["command"]

_LINE_EVERY_S = 15.0


def command(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder made by hilum prepare.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="fcnn, unet, resnet or volume.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML with settings, such as the config.toml of a run.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be repeated.")
    ] = None,
    fold: Annotated[str | None, typer.Option(help="k/n: validate on the k-th of n folds.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the training in minutes.")] = None,
    steps: Annotated[int | None, typer.Option(help="Length of the training in steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of split, weights and augmentation.")] = None,
    injury: Annotated[
        float, typer.Option(min=0, max=1, help="Share of training examples that get synthetic disease.")
    ] = 0.0,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Run to initialise the weights from; for volumes also a .pt or .onnx file, or the name of "
            "a shipped model.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        int, typer.Option(min=1, help="Processes on this machine: one per GPU, or CPU processes.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines, under torchrun or Slurm.")] = 1,
    quiet: Quiet = False,
) -> int:
    """Train a network on slices or volumes; the same command resumes it after an interruption.

    fcnn, unet and resnet take a dataset of hilum prepare; volume takes one of hilum prepare --volumes.

    Writes model.onnx, card.json and card.md, checkpoints, metrics.csv, curves.png and TensorBoard logs.
    """
    # hilum.training cannot be imported where the extra is not installed; the help can.
    from hilum.training.config import load_config

    if signals.is_program():
        models.redirect_matplotlib_config()
    chosen = {"model": model, "fold": fold, "minutes": minutes, "steps": steps, "seed": seed}
    settings = list(set_ or ())
    choices = load_config(config, chosen, settings)
    if injury and choices.model.takes_volumes:
        choices = load_config(config, chosen, [*settings, f"cases.injury={injury}"])
    helper = signals.is_helper()
    quiet = quiet or helper
    with _reporter(quiet) as report:
        run = partial(_train, dataset, out, choices, injury)
        folder = run(devices=devices, nodes=nodes, initial=init, report=report, callbacks=[_keep_signals()])
    if not helper:
        for line in _result(folder).splitlines():
            say(line, quiet=quiet)
    return 0


def _train(dataset: Path, out: Path, choices: TrainConfig, injury: float, **more: Any) -> Path:
    """Train the kind of network that was chosen."""
    # torch, lightning and monai take seconds to load.
    if choices.model.takes_volumes:
        from hilum.training.volumes.fit import train_volumes

        return train_volumes(dataset, out, choices, **more)
    from hilum.training.slices.lesions import SliceInjury

    return hilum.train(dataset, out, choices, injury=SliceInjury(injury) if injury else None, **more)


def _keep_signals() -> Callback:
    """Reinstall the signal handlers that Lightning replaces when a training starts."""
    from lightning.pytorch.callbacks import LambdaCallback

    return LambdaCallback(on_train_start=lambda trainer, module: signals.reinstall())


@contextmanager
def _reporter(quiet: bool) -> Iterator[Report | None]:
    """A bar on a terminal, lines in a pipe, nothing in ``--quiet``."""
    if quiet:
        yield None
        return
    if not on_terminal(sys.stderr):
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[what]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("training", total=1.0, what="")

        def draw(state: TrainState) -> None:
            bar.update(row, completed=state.step / state.steps, what=_words(state))
            if state.validated:
                bar.console.print(f"step {state.step}: {_words(state)}", highlight=False)

        yield draw


class _Lines:
    """One line per validation, and one every few seconds between."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, state: TrainState) -> None:
        now = time.monotonic()
        if state.validated or now - self._last >= _LINE_EVERY_S:
            self._last = now
            minutes, seconds = divmod(round(state.seconds_left), 60)
            say(f"step {state.step} of {state.steps}, {_words(state)}, {minutes}:{seconds:02d} left")


def _words(state: TrainState) -> str:
    dice = "" if state.val_dice is None else f", validation Dice {state.val_dice:.4f}"
    return f"loss {state.loss:.4f}{dice}, {state.inputs_per_s:.1f} inputs/s"


def _result(folder: Path) -> str:
    card = models.find_model(folder).card
    dice, overhead = card.figures.validation_dice, card.figures.loader_overhead
    figures = [
        *([f"validation Dice {dice.mean:.4f} (worst {dice.worst:.4f})"] if dice is not None else []),
        *([f"{card.training.minutes:.1f} minutes"] if card.training.minutes is not None else []),
    ]
    lines = [f"{card.kind}: {', '.join(figures)} -> {folder}"]
    if overhead is not None:
        lines.append(f"{100 * overhead:.1f} % of the time went to something else than steps of the network")
    return "\n".join(lines)

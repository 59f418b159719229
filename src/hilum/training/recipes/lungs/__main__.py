"""Train the network of volumes by the recipe; the same command resumes it after a stop.

    python -m hilum.training.recipes.lungs --scans DATA --out RUN [--init START] [--minutes 60 | --steps 3000]

DATA is what ``python -m hilum.training.recipes.lungs.prepare`` wrote. RUN is a run as ``hilum train`` leaves
it: ``hilum segment --model RUN`` uses it, ``hilum evaluate RUN DATA/scans`` evaluates it. With --workers 0
the cases are made in the training process, and one seed gives one set of weights, to the bit, on one machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path

from hilum.core.cores import thread_count
from hilum.datasets.split import Split
from hilum.datasets.volumes import VolumeDataset
from hilum.training.config import TrainConfig, load_config
from hilum.training.monitor import TrainState
from hilum.training.recipes.lungs.source import RecipeSource
from hilum.training.volumes.fit import train_volumes
from hilum.training.volumes.sources import CaseSource, VolumeCase

__all__ = ["main", "recipe_config"]

#: Seconds between two printed lines.
_PRINT_EVERY_S = 15.0
#: Cases with fluid, gas and injury that validate beside the scans as they are. With 8, the weights that were
#: chosen for 6.1 were worse on 36 cases than the final ones.
_VALIDATION_CASES = 36


def recipe_config(
    minutes: float | None, steps: int | None, workers: int, seed: int, settings: list[str]
) -> TrainConfig:
    """Return the configuration of the recipe.

    Args:
        minutes: Length in minutes.
        steps: Length in steps, which overrides it.
        workers: Processes that make cases.
        seed: Of the split, the cases and the variation.
        settings: More choices, ``key=value``.
    """
    chosen = {"model": "volume", "minutes": minutes, "steps": steps, "seed": seed}
    recipe = [
        "test_share=0",
        "learning_rate=0.001",
        "ema=0.999",
        f"cases.workers={workers}",
        "cases.pool=256",
        "checkpoint_minutes=10",
        "variation.small=0.1",
        "variation.half=0.06",
        "variation.upside_down=0.05",
        "variation.metal=0.05",
        "variation.noise_hu=80.0",
    ]
    return load_config(None, chosen, [*recipe, *settings])


class _PrintProgress:
    """Prints the progress of the training."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, state: TrainState) -> None:
        now = time.monotonic()
        if not state.validated and now - self._last < _PRINT_EVERY_S and state.step < state.steps:
            return
        self._last = now
        dice = "" if state.val_dice is None else f", validation Dice {state.val_dice:.4f}"
        print(
            f"{time.strftime('%H:%M:%S')} step {state.step} of {state.steps}, loss {state.loss:.4f}{dice}, "
            f"{state.inputs_per_s:.2f} examples/s",
            flush=True,
        )


def main(words: list[str] | None = None) -> Path:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scans", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--init", help="run, .pt, .onnx or name of a shipped model to begin with")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--workers", type=int, default=1, help="processes that make cases; 0: none")
    parser.add_argument("--threads", type=int, default=thread_count(64))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args(words)
    settings = [f"threads={given.threads}", *given.settings]
    config = recipe_config(given.minutes, given.steps, given.workers, given.seed, settings)

    def source(data: VolumeDataset, split: Split) -> CaseSource:
        return RecipeSource(given.scans, split.train, config.seed)

    def validation(data: VolumeDataset, split: Split) -> list[VolumeCase]:
        return RecipeSource(given.scans, split.validation, config.seed).validation_cases(_VALIDATION_CASES)

    run = train_volumes(
        given.scans / "scans",
        given.out,
        config,
        source=source,
        validation=validation,
        initial=given.init,
        report=_PrintProgress(),
    )
    print(f"run: {run}")
    return run


if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()

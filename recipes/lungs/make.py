"""The shipped lung model from data to weights and card, in one command that can be stopped and run again.

    python recipes/lungs/make.py --data DATA --work WORK [--out src/hilum/models/shipped]

DATA holds ``slices/`` and ``volumes/``; see docs/models/lungs.md for what they are. Needs hilum[train].
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from calibration import tell_confidence
from cases import make_cases
from ship import NARROW, load_mean, ship_slices, ship_volumes, stages
from slices import prepare_slices, train_slices

from hilum.models.registry import SHIPPED, find_model
from hilum.training.volumes.export import load_exported
from hilum.training.volumes.fit import VolumeConfig, fit_volumes, new_network

VERSION = "5.1"


def say(text: str) -> None:
    """Print with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def progress(stage: int, steps: int) -> Callable[[int, float], None]:
    """Return what prints every hundredth step."""

    def report(step: int, loss: float) -> None:
        if step % 100 == 0:
            say(f"stage {stage}: {step}/{steps} loss {loss:.4f}")

    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--steps", type=int, default=VolumeConfig.steps)
    parser.add_argument("--slice-steps", type=int, default=3600)
    parser.add_argument("--injured", type=int, default=160, help="made of each scan")
    parser.add_argument("--slabs", type=int, default=6, help="made of each training slice")
    parser.add_argument("--phantoms", type=int, default=48)
    parser.add_argument("--go-on", action="store_true", help="last stage only, from the weights that ship")
    arguments = parser.parse_args()
    cases, out = arguments.work / "cases", arguments.out
    out.mkdir(parents=True, exist_ok=True)
    dataset = prepare_slices(arguments.data, arguments.work)
    counts = (arguments.injured, arguments.slabs, arguments.phantoms)
    make_cases(arguments.data, dataset, cases, counts, say)
    todo = list(enumerate(stages(arguments.steps), 1))
    network = None
    if arguments.go_on:
        todo = todo[-1:]
        shape = find_model("lungs").card.training.settings
        as_shipped = replace(todo[0][1], widths=tuple(shape["widths"]), detail=shape["detail"])
        network = load_exported(new_network(as_shipped), SHIPPED / "lungs.onnx")
    for number, config in todo:
        run = arguments.work / f"lungs-{number}"
        fit_volumes(cases, run, config, NARROW, network, report=progress(number, config.steps))
        network, _ = load_mean(run / "last.ckpt", config)
    ship_volumes(run / "last.ckpt", config, cases, out, VERSION)
    run = train_slices(arguments.data, dataset, arguments.work, arguments.slice_steps, say)
    ship_slices(run, dataset, out, VERSION)
    say("calibrating the confidence")
    tell_confidence(out, dataset, arguments.work)
    say("done")


if __name__ == "__main__":
    main()

"""One process against two on one machine: does ``--devices 2`` end at the same Dice?

Both see as many slices a step: two processes take half a batch each. They draw other slices and other
augmentations, so their weights differ as those of two seeds do; the spread over seeds is the noise to compare
with. Lightning's DDP does the rest, over gloo on CPUs and NCCL on GPUs.

    python benchmarks/ddp.py DATASET [--model unet] [--steps 250] [--seeds 0,1,2]

The seed also draws the split, so each seed is compared with itself. Prints a table and writes
``benchmarks/out/ddp.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import hilum
from hilum.models.registry import find_model

HERE = Path(__file__).parent


def dice_of(
    dataset: Path, run: Path, processes: int, seed: int, arguments: argparse.Namespace
) -> dict[str, float]:
    """Train by the program and return the validation Dice of the best weights, and minutes."""
    choices = (
        f"batch={arguments.batch // processes}",
        f"size=[{arguments.size}, {arguments.size}]",
        f"validate_every={max(1, arguments.steps // 5)}",
        f"threads={arguments.threads}",
    )
    command = [
        "train",
        str(dataset),
        "-o",
        str(run),
        "--model",
        arguments.model,
        "--seed",
        str(seed),
        "--quiet",
    ]
    command += ["--steps", str(arguments.steps), "--devices", str(processes)]
    command += [word for choice in choices for word in ("--set", choice)]
    # A file, and not -c: Lightning starts the other processes with the same words.
    script = run.with_suffix(".py")
    script.write_text(
        "from hilum.cli import main\nif __name__ == '__main__':\n    main()\n", encoding="utf-8"
    )
    subprocess.run([sys.executable, str(script), *command], check=True)
    card = find_model(run).card
    dice, minutes = card.figures.validation_dice, card.training.minutes
    if card.training.processes != processes or dice is None or minutes is None:
        raise SystemExit(f"{card.training.processes} processes trained, not {processes}")
    return {"dice": dice.mean, "minutes": minutes}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="unet")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8, help="slices a step over all processes")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--seeds", default="0,1,2")
    arguments = parser.parse_args()
    rows = []
    print(f"{'seed':>4} {'one process':>12} {'two':>8} {'difference':>11} {'minutes':>12}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for seed in (int(part) for part in arguments.seeds.split(",")):
            one, two = (
                dice_of(arguments.dataset, Path(name) / f"{n}-{seed}", n, seed, arguments) for n in (1, 2)
            )
            rows.append({"seed": seed, "one": one, "two": two, "difference": two["dice"] - one["dice"]})
            print(
                f"{seed:4d} {one['dice']:12.4f} {two['dice']:8.4f} {rows[-1]['difference']:+11.4f} "
                f"{one['minutes']:6.1f}{two['minutes']:6.1f}",
                flush=True,
            )
    if len(rows) > 1:
        noise = statistics.stdev(row["one"]["dice"] for row in rows)
        mean = statistics.fmean(row["difference"] for row in rows)
        print(f"mean difference {mean:+.4f}; spread of one process over seeds (SD) {noise:.4f}")
    (HERE / "out").mkdir(exist_ok=True)
    about = {"hilum": hilum.__version__, "model": arguments.model, "steps": arguments.steps}
    (HERE / "out" / "ddp.json").write_text(json.dumps({**about, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()

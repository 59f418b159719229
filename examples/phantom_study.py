"""The study from end to end on digital chests: pairs, data set, intensities, three networks, comparison.

Each step is a command of the program and is printed before it runs; what is here only calls them. Steps that
are done are skipped, so a study that was stopped resumes with the same command.

    python examples/phantom_study.py -o study             # 18 chests, about a quarter of an hour on two cores
    python examples/phantom_study.py -o smoke --quick     # 5 small chests, few steps: does it run at all?

Needs ``pip install 'hilum[train]'``. Digital chests are far easier than patients: the figures show that the
chain works and how the networks differ, not what they would reach on real scans.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

#: A third of the chests have disease that thresholds miss.
DISEASE = "consolidation:0.5,ground_glass:0.4"
HILUM = (sys.executable, "-c", "import sys; from hilum.cli import main; sys.exit(main())")


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    subjects: int = 18
    spacing: str = "2,2,2"
    size: str = "[192, 192]"
    #: Length of each training in steps: two to four minutes each on two cores.
    steps: tuple[tuple[str, int], ...] = (("fcnn", 2000), ("resnet", 600), ("unet", 600))
    #: Number of validations of a training; it can resume from each.
    validations: int = 6


QUICK = Plan(5, "6,6,6", "[64, 64]", (("fcnn", 30), ("resnet", 30), ("unet", 30)), 2)


def hilum(*arguments: str | Path) -> None:
    """Run one command of the program, and stop the study where it fails."""
    words = [str(a) for a in arguments]
    print(f"\n$ hilum {shlex.join(words)}", flush=True)
    begin = time.monotonic()
    code = subprocess.run([*HILUM, *words], check=False).returncode
    if code:
        sys.exit(code)
    print(f"  [{time.monotonic() - begin:.0f} s]", flush=True)


def write_table(folders: list[Path], file: Path) -> None:
    """List the pairs of several folders in one table that ``hilum prepare`` reads."""
    rows = []
    for folder in folders:
        for image in sorted(folder.glob("*_ct.nii.gz")):
            mask = image.with_name(image.name.replace("_ct.", "_lungs."))
            rows.append([str(p.relative_to(file.parent)) for p in (image, mask)])
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["image", "mask"], *rows])


def study(out: Path, plan: Plan) -> None:
    """Run all steps, or those that are not done yet."""
    out.mkdir(parents=True, exist_ok=True)
    diseased = plan.subjects // 3
    healthy, ill, dataset = out / "healthy", out / "diseased", out / "dataset"
    common = ("--spacing", plan.spacing, "--noise", "20")
    if not (healthy / "run.json").exists():
        hilum("phantom", "-o", healthy, "--subjects", str(plan.subjects - diseased), *common)
    if not (ill / "run.json").exists():
        first = ("--seed", str(plan.subjects - diseased))
        hilum("phantom", "-o", ill, "--subjects", str(diseased), "--injury", DISEASE, *first, *common)
    write_table([healthy, ill], out / "pairs.csv")
    hilum("prepare", out / "pairs.csv", "-o", dataset, "--plane", "coronal")
    hilum("explore", dataset, "-o", out / "explore")
    runs = []
    for model, steps in plan.steps:
        run = out / "runs" / model
        every = -(-steps // plan.validations)
        choices = (f"size={plan.size}", f"validate_every={every}", "validation_slices=128")
        settings = [word for choice in choices for word in ("--set", choice)]
        hilum("train", dataset, "--model", model, "--steps", str(steps), *settings, "-o", run)
        runs.append(run)
    hilum("compare", *runs, "--dataset", dataset, "-o", out / "comparison")
    print(f"\nLook at {out / 'explore' / 'explore.html'} and {out / 'comparison' / 'report.html'}.")


def main() -> None:
    """Read the command line and run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("phantom-study"), help="folder of the study")
    parser.add_argument("--quick", action="store_true", help="small and short: a smoke run")
    arguments = parser.parse_args()
    begin = time.monotonic()
    study(arguments.out, QUICK if arguments.quick else Plan())
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes in all.")


if __name__ == "__main__":
    main()

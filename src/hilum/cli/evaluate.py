"""``hilum evaluate``: masks against masks, or a trained network against a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import hilum
from hilum import evaluation
from hilum.cli.console import progress_bar, say, say_json
from hilum.cli.options import Json, Labels, Quiet
from hilum.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from hilum.evaluation import Evaluation
    from hilum.evaluation.metrics import Metric
    from hilum.evaluation.summary import SummaryRow

__all__ = ["command", "say_summary"]

_SHOWN = ("dice", "hd95", "surface_dice_2", "dense_recall", "volume_error_percent", "mass_error_percent")


def command(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="PRED|RUN",
            help="Masks to evaluate (file or folder), or a folder made by hilum train.",
            show_default=False,
        ),
    ],
    second: Annotated[
        Path,
        typer.Argument(
            metavar="REF|DATASET",
            help="Reference masks (file or folder), or a dataset made by hilum prepare.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for the results; RUN/evaluation for a trained network."),
    ] = None,
    part: Annotated[str, typer.Option(help="Part of the dataset: test, validation, train or all.")] = "test",
    ct: Annotated[
        Path | None, typer.Option("--ct", help="Scan, or folder of scans: for dense recall and mass.")
    ] = None,
    labels: Labels = None,
    ref_labels: Annotated[
        str | None,
        typer.Option("--ref-labels", help="As --labels, for the reference masks.", show_default=False),
    ] = None,
    sides: Annotated[str, typer.Option(help="Evaluate right and left separately: auto, yes or no.")] = "auto",
    matched_only: Annotated[
        bool, typer.Option("--matched-only", help="Skip masks without a partner.")
    ] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Compare masks with reference masks, or evaluate a trained network on a dataset.

    Dice, IoU, sensitivity, precision, HD95, ASSD, surface Dice, dense recall, error of volume and mass, per
    case and in summary.
    """
    if not first.exists():
        raise InputError(f"There is no {first.name}.", "Check the path.")
    if out is None and evaluation.is_run(first):
        out = first / evaluation.EVALUATION_FOLDER
    if out is None and not as_json:
        raise UsageError("No folder for the results was given.", "Add -o FOLDER, or --json to print only.")
    with progress_bar("evaluate", quiet) as progress:
        found = hilum.evaluate(
            first,
            second,
            ct=ct,
            part=part,
            labels=labels,
            ref_labels=ref_labels,
            sides=sides,
            matched_only=matched_only,
            progress=progress,
        )
        if out is not None:
            evaluation.write_evaluation(found, out, report=report)
    say_summary(found, quiet=quiet, to_stderr=as_json)
    if out is not None:
        say(f"-> {out}", quiet=quiet, to_stderr=as_json)
    if as_json:
        say_json(found.as_dict())
    return 0


def say_summary(found: Evaluation, *, quiet: bool, to_stderr: bool) -> None:
    """Print the metrics that matter most, one per line."""
    cases = len(found.cases)
    say(f"{found.title}: {cases} case{'s' if cases != 1 else ''}", quiet=quiet, to_stderr=to_stderr)
    for side in found.sides:
        for id_ in _SHOWN:
            row, metric = found.row(id_, side), evaluation.METRICS[id_]
            say(
                f"  {side.words:<11} {metric.title.removesuffix(' %'):<15} {_words(row, metric)}",
                quiet=quiet,
                to_stderr=to_stderr,
            )


def _words(row: SummaryRow, metric: Metric) -> str:
    if row.mean is None or row.median is None or row.worst is None:
        return f"unknown: {row.reason}"
    unit = f" {row.unit}" if row.unit and not row.unit.startswith("at ") else ""
    if row.n == 1:
        return f"{row.mean:.{metric.digits}f}{unit}"
    spread = "" if row.sd is None else f" (SD {row.sd:.{metric.digits}f})"
    return (
        f"mean {row.mean:.{metric.digits}f}{unit}{spread}, median {row.median:.{metric.digits}f}, "
        f"worst {row.worst:.{metric.digits}f} in {row.worst_case}"
    )

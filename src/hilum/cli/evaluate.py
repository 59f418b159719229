"""``hilum evaluate``: masks against masks, or a trained network against a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import hilum
from hilum import evaluation
from hilum.cli.console import COMMAND_LINE, progress_bar, say, say_error, say_json
from hilum.cli.options import Json, Quiet
from hilum.core.errors import InputError, UsageError
from hilum.core.sentences import worded

if TYPE_CHECKING:
    from hilum.evaluation import Evaluation
    from hilum.evaluation.metrics import Metric
    from hilum.evaluation.summary import SummaryRow

__all__ = ["command", "say_summary"]


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
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="What the masks show: lungs, pleura, lobes, airways, vessels, injury, or labels for label "
            "maps of any classes.",
        ),
    ] = "lungs",
    within: Annotated[
        Path | None,
        typer.Option(
            "--within",
            help="Other tasks: masks of the lungs, file or folder; what lies outside does not count.",
        ),
    ] = None,
    part: Annotated[str, typer.Option(help="Part of the dataset: test, validation, train or all.")] = "test",
    ct: Annotated[
        Path | None,
        typer.Option("--ct", help="Scan, or folder of scans: for dense recall, mass and figures."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="What the values of the masks mean: a vocabulary such as totalsegmentator, or pairs such as "
            "10=left,12=right,*=0; for other tasks 3=right_upper_lobe,*=0.",
            show_default="by the names in the file, else the label contract",
        ),
    ] = None,
    ref_labels: Annotated[
        str | None,
        typer.Option("--ref-labels", help="As --labels, for the reference masks.", show_default=False),
    ] = None,
    sides: Annotated[str, typer.Option(help="Lungs: right and left separately: auto, yes or no.")] = "auto",
    matched_only: Annotated[
        bool, typer.Option("--matched-only", help="Skip masks without a partner.")
    ] = False,
    jobs: Annotated[
        str, typer.Option("--jobs", help="Cases at a time, each in its own process, or auto.")
    ] = "1",
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Compare masks with reference masks, or evaluate a trained network on a dataset.

    Dice, surface distances and errors of volume and mass, per case and in summary; for airways and vessels
    tree length and branches detected, leakage and clDice, also by diameter; for other tasks the same of each
    class, with lesions found, missed and false, and distances of fissures.
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
            task=task,
            within=within,
            part=part,
            labels=labels,
            ref_labels=ref_labels,
            sides=sides,
            matched_only=matched_only,
            jobs=jobs,
            progress=progress,
        )
        if out is not None:
            evaluation.write_evaluation(found, out, report=report)
    say_summary(found, quiet=quiet, to_stderr=as_json)
    for failure in found.failed:
        say_error(f"error: {failure.case}: {worded(failure.reason, COMMAND_LINE)}", failure.hint)
    if out is not None:
        say(f"-> {out}", quiet=quiet, to_stderr=as_json)
    if as_json:
        say_json(found.as_dict())
    return found.failed[0].code if found.failed else 0


def say_summary(found: Evaluation, *, quiet: bool, to_stderr: bool) -> None:
    """Print the metrics that matter most, one per line, and what has to be known of the comparison."""
    cases = len(found.cases)
    failed = f", {len(found.failed)} failed" if found.failed else ""
    say(f"{found.title}: {cases} case{'s' if cases != 1 else ''}{failed}", quiet=quiet, to_stderr=to_stderr)
    view = evaluation.view_of(found.task)
    rows = list(view.rows(found))
    wide = max((len(found.regions[region]) for region, _ in rows), default=0)
    titles = [found.metrics[metric].title.removesuffix(" %") for _, metrics in rows for metric in metrics]
    tall = max(map(len, titles), default=0)
    for region, metrics in rows:
        lines = [_line(found, region, metrics)] if view.by_line else _lines(found, region, metrics, tall)
        for line in lines:
            say(f"  {found.regions[region]:<{wide}}  {line}", quiet=quiet, to_stderr=to_stderr)
    for note in found.notes:
        say(f"  {note}", quiet=quiet, to_stderr=to_stderr)


def _lines(found: Evaluation, region: str, metrics: list[str], width: int) -> list[str]:
    """Say the metrics of a region, one a line."""
    return [
        f"{metric.title.removesuffix(' %'):<{width}}  {_words(found.row(metric.id, region), metric)}"
        for metric in map(found.metrics.__getitem__, metrics)
    ]


def _line(found: Evaluation, region: str, metrics: list[str]) -> str:
    """Say the metrics of a region in one line: medians, sums of counts, and the worst of the first."""
    parts: list[str] = []
    for id_ in metrics:
        row, metric = found.row(id_, region), found.metrics[id_]
        title = metric.title.removesuffix(" %")
        title = title[0].lower() + title[1:] if parts else title
        if metric.counts and row.total is not None:
            parts.append(f"{title} {row.total:.0f}")
            continue
        if row.median is None:
            parts.append(f"{title} unknown: {row.reason}")
            continue
        worst = f" (worst {row.worst:.{metric.digits}f})" if row.n > 1 and row.worst is not None else ""
        parts.append(f"{title} {row.median:.{metric.digits}f} {row.unit}".rstrip() + ("" if parts else worst))
    return ", ".join(parts)


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

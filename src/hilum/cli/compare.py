"""``hilum compare``: trained networks side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import hilum
from hilum import evaluation
from hilum.cli.console import progress_bar, say, say_json
from hilum.cli.options import Json, Quiet
from hilum.core.errors import UsageError

if TYPE_CHECKING:
    from hilum.evaluation import Comparison

__all__ = ["command"]


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Folders made by hilum train or hilum evaluate.", show_default=False
        ),
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the results.")] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="Dataset to evaluate them on; needed for models that have not been evaluated yet."),
    ] = None,
    part: Annotated[str, typer.Option(help="Part of the dataset: test, validation, train or all.")] = "test",
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Measure times.")] = True,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Compare models on the same cases: all metrics, paired tests, size, training time and speed."""
    if out is None and not as_json:
        raise UsageError("No folder for the results was given.", "Add -o FOLDER, or --json to print only.")
    with progress_bar("compare", quiet) as progress:
        comparison = hilum.compare(runs, dataset=dataset, part=part, speed=speed, progress=progress)
        if out is not None:
            evaluation.write_comparison(comparison, out, report=report)
    _say(comparison, quiet=quiet, to_stderr=as_json)
    if out is not None:
        say(f"-> {out}", quiet=quiet, to_stderr=as_json)
    if as_json:
        say_json(comparison.as_dict())
    return 0


def _say(comparison: Comparison, *, quiet: bool, to_stderr: bool) -> None:
    width = max(len(model.name) for model in comparison.models)
    view = evaluation.view_of(comparison.task)
    for model in comparison.models:
        evaluated = comparison.evaluations[model.name]
        parts = []
        for id_ in view.compared:
            row, metric = evaluated.row(id_, view.region), evaluated.metrics[id_]
            value = "unknown" if row.mean is None else f"{row.mean:.{metric.digits}f} {row.unit}".rstrip()
            parts.append(f"{metric.title.removesuffix(' %')} {value}")
        if model.speed is not None:
            parts.append(f"{model.speed.ms_slice:.1f} ms per slice")
        say(f"{model.name:<{width}}  {', '.join(parts)}", quiet=quiet, to_stderr=to_stderr)
    for test in comparison.tests:
        if (test.region, test.metric) == (view.region, view.metric):
            certain = "no test" if test.p_holm is None else f"corrected p {test.p_holm:.2g}"
            pair = f"{comparison.metrics[test.metric].title}, {test.first} - {test.second}"
            say(f"{pair}: {test.difference:+.4f} ({certain})", quiet=quiet, to_stderr=to_stderr)

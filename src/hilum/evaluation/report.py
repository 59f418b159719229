"""The reports of ``evaluate`` and ``compare``: self-contained HTML files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from hilum.drawing.numbers import MINUS, format_number
from hilum.drawing.slices import LEVEL, WINDOW
from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.charts import strip_chart
from hilum.evaluation.compare import Comparison, ModelRow
from hilum.evaluation.metrics import Better, Metric
from hilum.evaluation.paired import PairedTest
from hilum.evaluation.result import Evaluation
from hilum.evaluation.summary import DRAWS, SummaryRow
from hilum.evaluation.tree_cases import TREES
from hilum.evaluation.views import View, badness, view_of
from hilum.evaluation.worst_cases import PREDICTION_COLOUR, REFERENCE_COLOUR
from hilum.measures import Value
from hilum.report.page import render_page

__all__ = ["render_comparison", "render_evaluation"]

_MOST_CASES = 100
_UNKNOWN = "unknown"


class Cell(NamedTuple):
    """A table cell; ``note`` is its tooltip."""

    text: str
    note: str = ""
    best: bool = False


def render_evaluation(evaluation: Evaluation) -> str:
    """Render an evaluation as an HTML document; equal evaluations give equal bytes."""
    view = view_of(evaluation.task)
    charts = [_region_chart(evaluation, metric) for metric in view.charts]
    cells = view.cells(evaluation)
    cases = sorted(evaluation.cases, key=lambda case: _rank(case, evaluation.task))
    main = view.main_regions(evaluation)
    return _render(
        "evaluation.html.j2",
        evaluation.task,
        evaluation.metrics,
        title=evaluation.title,
        source=_source(evaluation.source),
        count=len(evaluation.cases),
        subjects=len({case.subject for case in evaluation.cases}),
        notes=evaluation.notes,
        failed=evaluation.failed,
        tables=[(evaluation.regions[name], _summary_table(evaluation.summary, name)) for name in main],
        overview=_overview(evaluation, main, view.overview) if view.overview else ([], []),
        parts=_overview(
            evaluation, [name for name in evaluation.regions if name not in main], list(ALL_METRICS)
        ),
        by_generation=any(name.startswith("generation_") for name in evaluation.regions),
        charts=[chart for chart in charts if chart is not None],
        figures=[evaluation.figures] if evaluation.figures else [],
        case_region=evaluation.regions.get(view.region, ""),
        case_titles=[_column(evaluation, view, cell) for cell in cells],
        cases=[
            (
                case.name,
                [_value_cell(case.values.get(region, {}).get(metric), metric) for region, metric in cells],
            )
            for case in cases[:_MOST_CASES]
        ],
        left_out=max(0, len(cases) - _MOST_CASES),
    )


def render_comparison(comparison: Comparison) -> str:
    """Render a comparison as an HTML document; equal comparisons give equal bytes."""
    rows = {name: evaluation.cases for name, evaluation in comparison.evaluations.items()}
    first = next(iter(comparison.evaluations.values()))
    regions = {
        name: title
        for name, title in first.regions.items()
        if all(name in evaluation.regions for evaluation in comparison.evaluations.values())
    }
    view = view_of(comparison.task)
    charts = [
        chart for metric in view.charts if (chart := strip_chart(rows, metric, view.region)) is not None
    ]
    return _render(
        "comparison.html.j2",
        comparison.task,
        comparison.metrics,
        title=" · ".join(rows),
        names=list(rows),
        source=_source(first.source),
        count=len(first.cases),
        subjects=len({case.subject for case in first.cases}),
        tables=[(title, _model_table(comparison.evaluations, name)) for name, title in regions.items()],
        models=[(model.name, _model_cells(model), model.reason) for model in comparison.models],
        machine=comparison.machine,
        tests=[_test_section(name, title, comparison.tests) for name, title in regions.items()],
        charts=charts,
        figures=comparison.figures,
        notes=comparison.notes,
    )


def _render(template: str, task: str, metrics: Mapping[str, Metric], **values: Any) -> str:
    ranking = ALL_METRICS[view_of(task).metric]
    return render_page(
        template,
        "hilum.evaluation",
        metrics=list(metrics.values()),
        task=task,
        tree=task in TREES,
        ranking=ranking.title,
        draws=DRAWS,
        window=WINDOW,
        level=format_number(LEVEL),
        reference_colour=REFERENCE_COLOUR,
        prediction_colour=PREDICTION_COLOUR,
        **values,
    )


def _region_chart(evaluation: Evaluation, metric: str) -> Markup | None:
    """Draw a chart with a row per region that has the metric."""
    view = view_of(evaluation.task)
    rows = {
        evaluation.regions[name]: [
            CaseResult(case.name, case.subject, {view.region: case.values[name]})
            for case in evaluation.cases
            if metric in case.values.get(name, {})
        ]
        for name in view.main_regions(evaluation)
    }
    return strip_chart({title: cases for title, cases in rows.items() if cases}, metric, view.region)


def _column(evaluation: Evaluation, view: View, cell: tuple[str, str]) -> str:
    """Title of a column of the table of cases."""
    region, metric = cell
    title = ALL_METRICS[metric].title
    if region == view.region and len(view.columns) > 1:
        return title
    return f"{evaluation.regions[region]}: {title}"


_Overview = tuple[list[str], list[tuple[str, list[Cell]]]]


def _overview(evaluation: Evaluation, regions: Sequence[str], metrics: Sequence[str]) -> _Overview:
    """Return titles and rows of a table of medians over cases, or sums of what is counted, a row a region.

    Worst values are tooltips.
    """
    by_cell = {(row.region, row.metric): row for row in evaluation.summary}
    there = [metric for metric in metrics if any((name, metric) in by_cell for name in regions)]
    units = {row.metric: row.unit for row in evaluation.summary if row.unit and row.region in regions}
    rows = [
        (evaluation.regions[name], [_median(by_cell.get((name, id_))) for id_ in there]) for name in regions
    ]
    titles = []
    for id_ in there:
        title = ALL_METRICS[id_].title
        shown = id_ in units and not title.endswith(("%", "mm")) and not units[id_].startswith("at ")
        titles.append(f"{title}, {units[id_]}" if shown else title)
    return titles, rows


def _median(row: SummaryRow | None) -> Cell:
    if row is None:
        return Cell("")
    digits = ALL_METRICS[row.metric].digits
    worst = (
        "" if row.worst is None or row.n < 2 else f"worst {_number(row.worst, digits)} in {row.worst_case}"
    )
    value = row.total if ALL_METRICS[row.metric].counts else row.median
    return Cell(_number(value, digits), "; ".join(part for part in (worst, row.reason) if part))


def _summary_table(summary: Sequence[SummaryRow], region: str) -> list[tuple[str, str, list[Cell], str]]:
    """Return the rows (title, unit, cells, reason) of the table of one region."""
    out = []
    for row in summary:
        if row.region != region:
            continue
        digits = ALL_METRICS[row.metric].digits
        cells = [
            Cell(str(row.n), row.reason),
            Cell(_number(row.mean, digits)),
            Cell(_interval(row.low, row.high, digits)),
            Cell(_number(row.sd, digits)),
            Cell(_number(row.median, digits)),
            Cell(_number(row.mean_absolute, digits) if row.mean_absolute is not None else ""),
            Cell("" if row.worst is None and row.n else _number(row.worst, digits)),
            Cell(row.worst_case),
        ]
        out.append((ALL_METRICS[row.metric].title, row.unit, cells, row.reason))
    return out


def _model_table(
    evaluations: Mapping[str, Evaluation], region: str
) -> list[tuple[str, str, list[tuple[Cell, str]]]]:
    """Return rows (title, unit, a cell and a small line per model); the best mean of a row is marked."""
    out = []
    for id_, metric in ALL_METRICS.items():
        there = [any(r.region == region and r.metric == id_ for r in e.summary) for e in evaluations.values()]
        if not all(there):
            continue
        rows = [evaluation.row(id_, region) for evaluation in evaluations.values()]
        means = [row.mean if row.mean_absolute is None else row.mean_absolute for row in rows]
        known = [metric.better.badness(mean) for mean in means if mean is not None]
        cells = []
        for row, mean in zip(rows, means, strict=True):
            ranked = metric.better is not Better.NONE
            best = (
                mean is not None and ranked and len(known) > 1 and metric.better.badness(mean) == min(known)
            )
            words = _number(row.mean, metric.digits)
            if row.sd is not None:
                words += f" ± {_number(row.sd, metric.digits)}"
            note = "; ".join(
                part
                for part in (
                    f"n {row.n}",
                    f"median {_number(row.median, metric.digits)}",
                    f"95 % interval of the mean {_interval(row.low, row.high, metric.digits)}",
                    f"worst {_number(row.worst, metric.digits)} (case {row.worst_case})",
                    row.reason,
                )
                if part
            )
            worst = "" if row.worst is None else f"worst {_number(row.worst, metric.digits)}"
            absolute = (
                ""
                if row.mean_absolute is None
                else f"mean absolute {_number(row.mean_absolute, metric.digits)}, "
            )
            cells.append((Cell(words, note, best), absolute + worst))
        out.append((metric.title, rows[0].unit, cells))
    return out


def _model_cells(model: ModelRow) -> list[Cell]:
    speed = model.speed
    return [
        Cell(model.kind or _UNKNOWN),
        Cell(_number(model.parameters, 0)),
        Cell(_number(model.file_mb, 2)),
        Cell(_number(model.training_minutes, 1)),
        Cell(_number(None if speed is None else speed.ms_slice, 1)),
        Cell(_number(None if speed is None else speed.s_volume, 1)),
        Cell("" if speed is None else f"{speed.slices} of {speed.size[0]} x {speed.size[1]}"),
    ]


def _test_section(region: str, title: str, tests: Sequence[PairedTest]) -> tuple[str, list[list[Cell]], str]:
    """Return the title of a region, the rows of its table, and a note on the limits of the tests."""
    of_region = [test for test in tests if test.region == region]
    subjects = max((test.subjects for test in of_region), default=0)
    if of_region and all(test.p is None for test in of_region):
        return title, [], f"No test is possible: {of_region[0].reason}"
    note = ""
    least = 2.0 ** (1 - subjects)
    if least >= 0.05:
        note = (
            f"With {subjects} subjects this test cannot give p < {least:.3g}, even for a large difference: "
            "do not interpret it without more subjects."
        )
    return title, [_test_cells(test) for test in of_region], note


def _test_cells(test: PairedTest) -> list[Cell]:
    digits = ALL_METRICS[test.metric].digits + 1
    certain = test.p_holm is not None and test.p_holm < 0.05
    return [
        Cell(ALL_METRICS[test.metric].title),
        Cell(test.unit),
        Cell(f"{test.first} {MINUS} {test.second}"),
        Cell(str(test.subjects), f"{test.left_out} cases left out" if test.left_out else ""),
        Cell(_number(test.difference, digits)),
        Cell(_interval(test.low, test.high, digits)),
        Cell(_p(test.p), test.reason),
        Cell(_p(test.p_holm), test.reason, certain),
        Cell(test.better or "equal", best=certain),
    ]


def _value_cell(value: Value | None, metric: str) -> Cell:
    if value is None:
        return Cell("")
    return Cell(_number(value.value, ALL_METRICS[metric].digits), value.reason or "")


def _rank(case: CaseResult, task: str) -> float:
    """Worst first; cases without a value last."""
    bad = badness(case, task)
    return math.inf if bad is None else -bad


def _number(value: float | None, digits: int) -> str:
    return _UNKNOWN if value is None else format_number(value, digits)


def _interval(low: float | None, high: float | None, digits: int) -> str:
    if low is None or high is None:
        return _UNKNOWN
    return f"{format_number(low, digits)} to {format_number(high, digits)}"


def _p(value: float | None) -> str:
    if value is None:
        return "no test"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _source(source: Mapping[str, Any]) -> list[tuple[str, str]]:
    titles = {
        "kind": "Kind",
        "prediction": "Prediction",
        "reference": "Reference",
        "ct": "CT",
        "task": "Task",
        "within": "Within the lungs of",
        "labels": "Labels",
        "ref_labels": "Labels of the reference",
        "sides": "Sides",
        "run": "Network",
        "onnx_sha256": "SHA-256 of the weights",
        "threshold": "Threshold",
        "dataset": "Dataset",
        "index_sha256": "SHA-256 of its index",
        "plane": "Plane",
        "part": "Part",
        "subjects": "Subjects",
    }
    return [
        (title, ", ".join(map(str, source[key])) if isinstance(source[key], list) else str(source[key]))
        for key, title in titles.items()
        if source.get(key) is not None
    ]

"""The reports of ``evaluate`` and ``compare``: self-contained HTML files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from hilum.core.labels import Side
from hilum.drawing.numbers import MINUS, format_number
from hilum.drawing.slices import LEVEL, WINDOW
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.charts import strip_chart
from hilum.evaluation.compare import Comparison, ModelRow
from hilum.evaluation.metrics import METRICS
from hilum.evaluation.paired import PairedTest
from hilum.evaluation.result import Evaluation
from hilum.evaluation.summary import DRAWS, SummaryRow
from hilum.evaluation.worst_cases import PREDICTION_COLOUR, REFERENCE_COLOUR
from hilum.measures import Value
from hilum.report.page import render_page

__all__ = ["render_comparison", "render_evaluation"]

_CHARTS = ("dice", "surface_dice_2", "hd95", "volume_error_percent", "mass_error_percent", "dense_recall")
_CASE_METRICS = (
    "dice",
    "sensitivity",
    "precision",
    "hd95",
    "assd",
    "surface_dice_2",
    "dense_recall",
    "volume_error",
    "volume_error_percent",
    "mass_error",
    "mass_error_percent",
)
_MOST_CASES = 100
_UNKNOWN = "unknown"


class Cell(NamedTuple):
    """A table cell; ``note`` is its tooltip."""

    text: str
    note: str = ""
    best: bool = False


def render_evaluation(evaluation: Evaluation) -> str:
    """Render an evaluation as an HTML document; equal evaluations give equal bytes."""
    sides = evaluation.sides
    by_side = {side.words: evaluation.cases for side in sides}
    charts = [
        chart
        for metric in _CHARTS
        if (chart := _side_chart(evaluation.cases, by_side, metric, sides)) is not None
    ]
    cases = sorted(evaluation.cases, key=_dice)
    return _render(
        "evaluation.html.j2",
        title=evaluation.title,
        source=_source(evaluation.source),
        count=len(evaluation.cases),
        subjects=len({case.subject for case in evaluation.cases}),
        tables=[(side.words, _summary_table(evaluation.summary, side)) for side in sides],
        charts=charts,
        figures=[evaluation.figures] if evaluation.figures else [],
        case_titles=[METRICS[metric].title for metric in _CASE_METRICS],
        cases=[
            (case.name, [_value_cell(case.values[Side.LUNGS][metric], metric) for metric in _CASE_METRICS])
            for case in cases[:_MOST_CASES]
        ],
        left_out=max(0, len(cases) - _MOST_CASES),
    )


def render_comparison(comparison: Comparison) -> str:
    """Render a comparison as an HTML document; equal comparisons give equal bytes."""
    rows = {name: evaluation.cases for name, evaluation in comparison.evaluations.items()}
    sides = [
        side
        for side in Side
        if all(side in evaluation.sides for evaluation in comparison.evaluations.values())
    ]
    charts = [chart for metric in _CHARTS if (chart := strip_chart(rows, metric, Side.LUNGS)) is not None]
    first = next(iter(comparison.evaluations.values()))
    return _render(
        "comparison.html.j2",
        title=" · ".join(rows),
        names=list(rows),
        source=_source(first.source),
        count=len(first.cases),
        subjects=len({case.subject for case in first.cases}),
        tables=[(side.words, _model_table(comparison.evaluations, side)) for side in sides],
        models=[(model.name, _model_cells(model), model.reason) for model in comparison.models],
        machine=comparison.machine,
        tests=[_test_section(side, comparison.tests) for side in sides],
        charts=charts,
        figures=comparison.figures,
        notes=comparison.notes,
    )


def _render(template: str, **values: Any) -> str:
    return render_page(
        template,
        "hilum.evaluation",
        metrics=list(METRICS.values()),
        draws=DRAWS,
        window=WINDOW,
        level=format_number(LEVEL),
        reference_colour=REFERENCE_COLOUR,
        prediction_colour=PREDICTION_COLOUR,
        **values,
    )


def _side_chart(
    cases: Sequence[CaseResult],
    by_side: Mapping[str, Sequence[CaseResult]],
    metric: str,
    sides: Iterable[Side],
) -> Markup | None:
    """Draw a chart with a row per side; rows are chosen by name, so each side is passed as lungs."""
    rows = {
        side.words: [
            CaseResult(case.name, case.subject, {Side.LUNGS: case.values[side]})
            for case in cases
            if side in case.values
        ]
        for side in sides
    }
    return strip_chart(rows, metric, Side.LUNGS) if by_side else None


def _summary_table(summary: Sequence[SummaryRow], side: Side) -> list[tuple[str, str, list[Cell], str]]:
    """Return the rows (title, unit, cells, reason) of the table of one side."""
    out = []
    for row in summary:
        if row.side != side.value:
            continue
        digits = METRICS[row.metric].digits
        cells = [
            Cell(str(row.n), row.reason),
            Cell(_number(row.mean, digits)),
            Cell(_interval(row.low, row.high, digits)),
            Cell(_number(row.sd, digits)),
            Cell(_number(row.median, digits)),
            Cell(_number(row.mean_absolute, digits) if row.mean_absolute is not None else ""),
            Cell(_number(row.worst, digits)),
            Cell(row.worst_case),
        ]
        out.append((METRICS[row.metric].title, row.unit, cells, row.reason))
    return out


def _model_table(
    evaluations: Mapping[str, Evaluation], side: Side
) -> list[tuple[str, str, list[tuple[Cell, str]]]]:
    """Return rows (title, unit, a cell and a small line per model); the best mean of a row is marked."""
    out = []
    for id_, metric in METRICS.items():
        rows = [evaluation.row(id_, side) for evaluation in evaluations.values()]
        means = [row.mean if row.mean_absolute is None else row.mean_absolute for row in rows]
        known = [metric.better.badness(mean) for mean in means if mean is not None]
        cells = []
        for row, mean in zip(rows, means, strict=True):
            best = mean is not None and len(known) > 1 and metric.better.badness(mean) == min(known)
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


def _test_section(side: Side, tests: Sequence[PairedTest]) -> tuple[str, list[list[Cell]], str]:
    """Return the title of a side, the rows of its table, and a note on the limits of the tests."""
    of_side = [test for test in tests if test.side == side.value]
    subjects = max((test.subjects for test in of_side), default=0)
    if of_side and all(test.p is None for test in of_side):
        return side.words, [], f"No test is possible: {of_side[0].reason}"
    note = ""
    least = 2.0 ** (1 - subjects)
    if least >= 0.05:
        note = (
            f"With {subjects} subjects this test cannot give p < {least:.3g}, even for a large difference: "
            "do not interpret it without more subjects."
        )
    return side.words, [_test_cells(test) for test in of_side], note


def _test_cells(test: PairedTest) -> list[Cell]:
    digits = METRICS[test.metric].digits + 1
    certain = test.p_holm is not None and test.p_holm < 0.05
    return [
        Cell(METRICS[test.metric].title),
        Cell(test.unit),
        Cell(f"{test.first} {MINUS} {test.second}"),
        Cell(str(test.subjects), f"{test.left_out} cases left out" if test.left_out else ""),
        Cell(_number(test.difference, digits)),
        Cell(_interval(test.low, test.high, digits)),
        Cell(_p(test.p), test.reason),
        Cell(_p(test.p_holm), test.reason, certain),
        Cell(test.better or "equal", best=certain),
    ]


def _value_cell(value: Value, metric: str) -> Cell:
    return Cell(_number(value.value, METRICS[metric].digits), value.reason or "")


def _dice(case: CaseResult) -> float:
    value = case.values[Side.LUNGS]["dice"].value
    return 2.0 if value is None else value


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
        "labels": "Labels",
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

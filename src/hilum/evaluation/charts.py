"""Strip charts of the reports, as SVG: every case is a dot, so that a mean cannot hide outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from markupsafe import Markup

from hilum.drawing.chart import ticks
from hilum.drawing.numbers import MINUS
from hilum.drawing.svg import element, text
from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.cases import CaseResult

__all__ = ["COLOURS", "strip_chart"]

#: Okabe and Ito 2008: colour-blind safe.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_WIDTH, _LABEL, _ROW, _TOP, _FOOT = 520.0, 110.0, 34.0, 22.0, 26.0
_RIGHT = 14.0
#: Width of a letter of a name, and how many of them are shown.
_LETTER, _MOST_LETTERS = 6.0, 26
#: Vertical offsets of the dots of a row in turn, so that equal values stay visible.
_JITTER = (0.0, -5.0, 5.0, -9.0, 9.0, -2.5, 2.5, -7.0, 7.0)
_MOST_DOTS = 1500


def strip_chart(rows: Mapping[str, Sequence[CaseResult]], metric: str, region: str) -> Markup | None:
    """Draw the values of a metric, one row per model (or any other name), one dot per case.

    Args:
        rows: Name to cases.
        metric: Id of the metric.
        region: The region.

    Returns:
        An ``<svg>``, or None if no case has a value or units are mixed.
    """
    data = {name: _values(cases, metric, region) for name, cases in rows.items()}
    units = {unit for values in data.values() for _, _, unit in values}
    if len(units) != 1:
        return None
    everything = [value for values in data.values() for _, value, _ in values]
    marks = ticks(min(everything), max(everything))
    low, high = min(marks[0], min(everything)), max(marks[-1], max(everything))
    span = (high - low) or 1.0
    height = _TOP + _ROW * len(data) + _FOOT

    label = max(_LABEL, _LETTER * min(_MOST_LETTERS, max(map(len, data))))

    def x(value: float) -> float:
        return label + (value - low) / span * (_WIDTH - label - _RIGHT)

    title = _title(metric, units.pop())
    parts = [text(0, 13, title, font_size=13, font_weight="600", fill="#15202b")]
    bottom = _TOP + _ROW * len(data)
    for mark in marks:
        zero = mark == 0 and low < 0 < high
        parts.append(
            element(
                "path",
                d=f"M{x(mark):.1f} {_TOP:.0f}V{bottom:.0f}",
                stroke="#8fa0ab" if zero else "#d5dce1",
                stroke_width=1,
            )
        )
        parts.append(
            text(x(mark), bottom + 15, _short(mark), font_size=11, text_anchor="middle", fill="#55636f")
        )
    for number, (name, values) in enumerate(data.items()):
        y = _TOP + _ROW * (number + 0.5)
        colour = COLOURS[number % len(COLOURS)]
        parts.append(text(0, y + 4, name[:_MOST_LETTERS], font_size=12, fill="#15202b"))
        step = max(1, len(values) // _MOST_DOTS)
        for place, (case, value, _) in enumerate(sorted(values, key=lambda entry: entry[1])[::step]):
            parts.append(
                element(
                    "circle",
                    element("title", f"{case}: {_short(value)}"),
                    cx=x(value),
                    cy=y + _JITTER[place % len(_JITTER)],
                    r=2.6,
                    fill=colour,
                    fill_opacity=0.55,
                )
            )
        if values:
            middle = x(median(value for _, value, _ in values))
            parts.append(
                element("path", d=f"M{middle:.1f} {y - 13:.1f}v26", stroke="#15202b", stroke_width=2)
            )
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        role="img",
        aria_label=f"{title}, one dot per case, the bar is the median",
    )


def _title(metric: str, unit: str) -> str:
    title = ALL_METRICS[metric].title
    if unit.startswith("at "):
        return f"{title.rpartition(' ')[0]} {unit}"
    return title if unit in ("", "%") else f"{title}, {unit}"


def _values(cases: Sequence[CaseResult], metric: str, region: str) -> list[tuple[str, float, str]]:
    found = [(case.name, entry) for case in cases if (entry := case.values.get(region, {}).get(metric))]
    return [(name, entry.value, entry.unit) for name, entry in found if entry.value is not None]


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", MINUS)

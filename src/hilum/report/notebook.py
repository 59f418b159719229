"""A result as shown in a notebook: flags and the main measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from hilum.drawing.numbers import format_number
from hilum.drawing.svg import element
from hilum.tasks.registry import TASKS
from hilum.tasks.spec import Task, TaskResult

if TYPE_CHECKING:
    from hilum.result import Result

__all__ = ["notebook_html"]


def notebook_html(result: Result) -> str:
    """Return HTML with a table of the main measures for each task, and the quality flags.

    Args:
        result: The result of ``hilum.segment`` or ``hilum.measure``.
    """
    parts = [element("strong", result.volume.meta.name)]
    parts += [_table(TASKS[name], outcome) for name, outcome in result.outcomes.items() if outcome.asked]
    flags = [
        element("li", element("strong", flag.severity.value), f" {flag.message} ", element("code", flag.code))
        for flag in result.flags
    ]
    parts.append(element("ul", *flags) if flags else element("p", "No quality flag."))
    return str(element("div", *parts))


def _table(task: Task, found: TaskResult) -> Markup:
    """One row per region of the label set, one column per headline measure; the reason if unknown."""
    entries = found.measures.formulae
    heads = [f"{entries[id_]['title']} [{entries[id_]['unit']}]".removesuffix(" []") for id_ in task.headline]
    head = element("tr", *(element("th", words) for words in (task.title, *heads)))
    rows = [
        element(
            "tr",
            element("th", region.title),
            *(_cell(found, region.name, id_) for id_ in task.headline),
        )
        for region in task.label_set.regions
        if region.name in found.measures
    ]
    return element("table", element("thead", head), element("tbody", *rows))


def _cell(found: TaskResult, region: str, measure: str) -> Markup:
    entry = found.measures[region][measure]
    if entry.value is None:
        return element("td", "\N{EM DASH}", title=entry.reason or "")
    return element("td", format_number(entry.value, 2 if abs(entry.value) < 10 else 0))

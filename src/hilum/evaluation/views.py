"""What is shown first of an evaluation: the metric that ranks cases, and those of short tables, by task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hilum.core.labels import LUNGS
from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.class_cases import MEAN
from hilum.evaluation.tree_cases import TREES

if TYPE_CHECKING:
    from hilum.evaluation.result import Evaluation

__all__ = ["View", "badness", "view_of"]


@dataclass(frozen=True)
class View:
    """What is shown first.

    Attributes:
        region: The region that stands for a case.
        metric: The metric of it that ranks cases.
        short: Metrics on a terminal.
        charts: Metrics that are drawn.
        columns: Metrics of the region in the table of cases.
        compared: Metrics of the region on a terminal where models are compared.
        others: Metrics of all other regions in the table of cases; the first that there is where a region is
            a line.
        by_line: Whether a region is one line on a terminal; else each metric is.
        overview: Metrics of all regions in one table at the top of the report; none for no such table.
    """

    region: str
    metric: str
    short: tuple[str, ...]
    charts: tuple[str, ...]
    columns: tuple[str, ...]
    compared: tuple[str, ...]
    others: tuple[str, ...] = ()
    by_line: bool = False
    overview: tuple[str, ...] = ()

    def main_regions(self, evaluation: Evaluation) -> list[str]:
        """Return the regions that are shown first: not the parts of a tree."""
        return [name for name in evaluation.regions if not is_part(name)]

    def rows(self, evaluation: Evaluation) -> Iterator[tuple[str, list[str]]]:
        """Yield each region and its metrics on a terminal; where a region is a line, those with a value."""
        there = {(row.region, row.metric): row.n for row in evaluation.summary}
        for region in self.main_regions(evaluation):
            wanted = [metric for metric in self.short if (region, metric) in there]
            if self.by_line and region != self.region:
                wanted = [metric for metric in wanted if there[region, metric]]
            yield region, wanted or ["assd"]  # a fissure has distances alone

    def cells(self, evaluation: Evaluation) -> list[tuple[str, str]]:
        """Return region and metric of the columns of the table of cases."""
        own = [(self.region, metric) for metric in self.columns]
        there = {(row.region, row.metric) for row in evaluation.summary}
        rest = []
        for region in self.main_regions(evaluation):
            cells = [(region, metric) for metric in self.others if (region, metric) in there]
            if region != self.region:
                rest += cells[:1] if self.by_line else cells
        return [cell for cell in own if cell in there] + rest


_LUNGS = View(
    region=LUNGS.name,
    metric="dice",
    short=("dice", "hd95", "surface_dice_2", "dense_recall", "volume_error_percent", "mass_error_percent"),
    charts=("dice", "surface_dice_2", "hd95", "volume_error_percent", "mass_error_percent", "dense_recall"),
    columns=(
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
    ),
    compared=("dice", "hd95", "volume_error_percent", "mass_error_percent"),
)
_TREE = View(
    region="",
    metric="cl_dice",
    short=("td", "bd", "tree_precision", "leakage", "centreline_leakage", "cl_dice", "table_bd", "dice"),
    charts=("td", "bd", "tree_precision", "centreline_leakage", "cl_dice", "leakage"),
    columns=(
        "td",
        "bd",
        "tree_precision",
        "leakage",
        "centreline_leakage",
        "cl_dice",
        "dice",
    ),
    compared=("td", "bd", "tree_precision", "cl_dice"),
    others=("td", "bd"),
)
_CLASSES = View(
    region=MEAN.name,
    metric="dice",
    short=(
        "dice",
        "volume_error_percent",
        "mass_error_percent",
        "lesions_found",
        "lesions_missed",
        "lesions_false",
    ),
    charts=(
        "dice",
        "assd",
        "volume_error_percent",
        "mass_error_percent",
        "lesion_sensitivity",
        "lesions_false",
    ),
    columns=("dice",),
    compared=("dice",),
    others=("dice", "assd"),
    by_line=True,
    overview=(
        "dice",
        "assd",
        "volume_reference",
        "volume_error_percent",
        "mass_reference",
        "mass_error_percent",
        "lesions",
        "lesions_found",
        "lesions_false",
    ),
)


def is_part(region: str) -> bool:
    """Whether a region is a part of a tree: a bin of diameter, or a generation."""
    return region.startswith("generation_") or any(region.startswith(f"{task}_bin_") for task in TREES)


def view_of(task: str) -> View:
    """Return what is shown first of a task."""
    if task == LUNGS.name:
        return _LUNGS
    return replace(_TREE, region=task) if task in TREES else _CLASSES


def badness(result: CaseResult, task: str) -> float | None:
    """Return how bad a case is, to rank cases; None where it has no value."""
    view = view_of(task)
    value = result.values[view.region][view.metric].value
    return None if value is None else ALL_METRICS[view.metric].better.badness(value)

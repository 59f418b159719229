"""The metrics of all tasks by their ids."""

from __future__ import annotations

from hilum.evaluation.class_metrics import CLASS_METRICS
from hilum.evaluation.metrics import METRICS, Metric
from hilum.evaluation.tree_metrics import TABLE_METRICS, TREE_METRICS

__all__ = ["ALL_METRICS"]

#: Every metric by id, in the order of tables. What a task has of them, its cases say.
ALL_METRICS: dict[str, Metric] = {**TREE_METRICS, **TABLE_METRICS, **METRICS, **CLASS_METRICS}

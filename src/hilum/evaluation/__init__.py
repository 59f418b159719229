"""How good masks are: overlap, surfaces, millilitres and grams; models compared. No torch here.

Names load on first use, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Case": "hilum.evaluation.cases",
    "CaseResult": "hilum.evaluation.cases",
    "Comparison": "hilum.evaluation.compare",
    "Evaluation": "hilum.evaluation.result",
    "Grid": "hilum.evaluation.cases",
    "METRICS": "hilum.evaluation.metrics",
    "Side": "hilum.evaluation.metrics",
    "SideChoice": "hilum.evaluation.cases",
    "evaluate_case": "hilum.evaluation.cases",
    "evaluate_masks": "hilum.evaluation.evaluate",
    "evaluate_run": "hilum.evaluation.evaluate",
    "write_comparison": "hilum.evaluation.output",
    "write_evaluation": "hilum.evaluation.output",
}

__all__ = [
    "METRICS",
    "Case",
    "CaseResult",
    "Comparison",
    "Evaluation",
    "Grid",
    "Side",
    "SideChoice",
    "evaluate_case",
    "evaluate_masks",
    "evaluate_run",
    "write_comparison",
    "write_evaluation",
]

if TYPE_CHECKING:
    from hilum.evaluation.cases import Case, CaseResult, Grid, SideChoice, evaluate_case
    from hilum.evaluation.compare import Comparison
    from hilum.evaluation.evaluate import evaluate_masks, evaluate_run
    from hilum.evaluation.metrics import METRICS, Side
    from hilum.evaluation.output import write_comparison, write_evaluation
    from hilum.evaluation.result import Evaluation


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hilum.evaluation' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

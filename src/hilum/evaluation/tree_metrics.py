"""The metrics of trees as rows of tables: name, definition, direction of improvement, and value or reason."""

from __future__ import annotations

from hilum.evaluation.metrics import Better, Metric
from hilum.evaluation.tree_parts import TreePart
from hilum.evaluation.trees import TreeScores
from hilum.measures import Value

__all__ = ["TABLE_METRICS", "TREE_METRICS", "cl_dice_values", "part_values", "tree_values"]

_ATM = "ATM'22, evaluation_atm_22.py"
_BRONCHINET = "bronchinet (Garcia-Uceda 2021)"
_ALL = (
    Metric("td", "Tree length detected", Better.HIGHER, "|P and S(R)| / |S(R)| in voxels", _ATM, 4),
    Metric("td_mm", "Tree length detected, mm", Better.HIGHER, "the same, lengths in mm", "hilum", 4),
    Metric(
        "bd",
        "Branches detected",
        Better.HIGHER,
        "share of the branches of S(R), of 5 voxels or more, with at least 80 % of their voxels in P",
        _ATM,
        4,
    ),
    Metric("branches", "Branches of the reference", Better.NONE, "number of branches of S(R)", _ATM, 0),
    Metric("branches_found", "Branches found", Better.HIGHER, "number of branches of S(R) detected", _ATM, 0),
    Metric("length", "Tree length of the reference", Better.NONE, "length of S(R)", "hilum", 0),
    Metric("length_found", "Tree length found", Better.HIGHER, "length of P and S(R)", "hilum", 0),
    Metric("tree_precision", "Precision", Better.HIGHER, "|P and R| / |P|", _ATM, 4),
    Metric("leakage", "Leakage", Better.LOWER, "|P without R| / |R|", _BRONCHINET, 4),
    Metric("leakage_volume", "Leakage, volume", Better.LOWER, "volume of P without R", "hilum", 2),
    Metric(
        "centreline_leakage",
        "Centreline leakage",
        Better.LOWER,
        "|S(P) without R| / |S(R)| in voxels",
        _BRONCHINET,
        4,
    ),
    Metric(
        "centreline_leakage_mm",
        "Centreline leakage, mm",
        Better.LOWER,
        "the same, lengths in mm",
        "hilum",
        4,
    ),
    Metric(
        "cl_dice",
        "clDice",
        Better.HIGHER,
        "2 Tp Ts / (Tp + Ts), Tp = |S(P) and R| / |S(P)|, Ts = |P and S(R)| / |S(R)|; from a diameter on, of "
        "what is so wide in each",
        "Shit 2021 (arXiv:2003.07311)",
        4,
    ),
)

#: Metrics of trees by id, in the order of tables. S is the skeleton; see :mod:`hilum.evaluation.trees`.
TREE_METRICS: dict[str, Metric] = {metric.id: metric for metric in _ALL}

_TABLE = (
    Metric(
        "table_branches",
        "Branches of the table",
        Better.NONE,
        "branches of the table of a phantom with a voxel of S(R) nearest to their axis",
        "hilum",
        0,
    ),
    Metric(
        "table_bd",
        "Branches of the table detected",
        Better.HIGHER,
        "share of these with at least 80 % of their voxels of S(R) in P",
        "hilum, the share as in ATM'22",
        4,
    ),
)

#: Metrics where the reference comes with a table of its branches.
TABLE_METRICS: dict[str, Metric] = {metric.id: metric for metric in _TABLE}

_NO_LINE = "the reference has no skeleton"
_NO_PREDICTION = "the prediction holds no tree"
_NOTHING = "the reference holds nothing of this diameter or generation"
_NO_BRANCH = "the reference holds no branch of 5 voxels or more"


def tree_values(scores: TreeScores, from_mm: float = 0.0) -> dict[str, Value]:
    """Return each metric of :data:`TREE_METRICS`, or the reason why it is unknown.

    Args:
        scores: From :func:`hilum.evaluation.trees.score_tree`.
        from_mm: Tree length and branches detected count diameters from here on; the lower border of a bin.
            The other metrics are those of the whole tree.

    Raises:
        UsageError: ``from_mm`` is not the border of a bin.
    """
    return {
        **part_values(scores.from_diameter(from_mm)),
        "tree_precision": _known(scores.precision, "", _NO_PREDICTION),
        "leakage": _known(scores.leakage, ""),
        "leakage_volume": _known(scores.leakage_ml, "mL"),
        "centreline_leakage": _known(scores.centreline_leakage, ""),
        "centreline_leakage_mm": _known(scores.centreline_leakage_mm, ""),
        "cl_dice": _known(scores.cl_dice, "", _NO_PREDICTION),
    }


def part_values(part: TreePart) -> dict[str, Value]:
    """Return the metrics that a part of the tree has: what was found of it."""
    empty = None if part.voxels else _NOTHING
    return {
        "td": _known(part.td, "", empty),
        "td_mm": _known(part.td_mm, "", empty),
        "bd": _known(part.bd, "", empty or _NO_BRANCH),
        "branches": Value(float(part.branches), ""),
        "branches_found": Value(float(part.branches_found), ""),
        "length": Value(part.length_mm, "mm"),
        "length_found": Value(part.length_found_mm, "mm"),
    }


def cl_dice_values(scores: TreeScores, from_mm: float) -> dict[str, Value]:
    """Return clDice of what is as wide as that and wider, in P and in R."""
    return {"cl_dice": _known(scores.cl_dice_from(from_mm), "", "one of the masks holds nothing so wide")}


def _known(value: float | None, unit: str, reason: str | None = _NO_LINE) -> Value:
    return Value(None, unit, reason) if value is None else Value(value, unit)

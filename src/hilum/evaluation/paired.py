"""Paired tests: is one model better than another on the same cases?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.metrics import Better
from hilum.evaluation.summary import bootstrap_mean

__all__ = ["TEST_COLUMNS", "PairedTest", "holm", "paired_tests"]

#: Smaller differences are attributed to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class PairedTest:
    """A paired test of two models by one metric on the same subjects.

    Attributes:
        region: The compared region.
        metric: Id of the metric.
        unit: Its unit.
        first: Name of the first model.
        second: Name of the second model.
        subjects: Subjects on which both have a value; several cases of a subject are averaged.
        left_out: Number of cases on which one of them has no value.
        difference: Mean of first - second over subjects. Signed errors are compared by size, so that
            an error of -3 % is worse than one of 1 %.
        low: Lower end of the bootstrap 95 % interval of the difference, drawn by subject.
        high: Upper end.
        better: Name of the model with the better mean; None if equal.
        p: Two-sided p of the Wilcoxon signed-rank test (Wilcoxon 1945); None if undefined.
        p_holm: p corrected for all tests of the region (Holm 1979).
        reason: Why there is no p; empty if there is one.
    """

    region: str
    metric: str
    unit: str
    first: str
    second: str
    subjects: int
    left_out: int
    difference: float | None
    low: float | None
    high: float | None
    better: str | None
    p: float | None
    p_holm: float | None
    reason: str

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return asdict(self)


TEST_COLUMNS = tuple(PairedTest.__dataclass_fields__)


def paired_tests(models: Mapping[str, Sequence[CaseResult]], *, seed: int = 0) -> list[PairedTest]:
    """Compare each pair of models by each metric.

    Args:
        models: Name to cases; all models have the same cases.
        seed: Seed of the bootstrap.

    Returns:
        The tests by region, metric and pair.
    """
    names = list(models)
    out: list[PairedTest] = []
    every = [case for cases in models.values() for case in cases]
    for region in dict.fromkeys(region for case in every for region in case.values):
        metrics = dict.fromkeys(metric for case in every for metric in case.values.get(region, {}))
        tests = [
            _test(region, metric, (names[a], models[names[a]]), (names[b], models[names[b]]), seed)
            for metric in metrics
            if ALL_METRICS[metric].better is not Better.NONE
            for a in range(len(names))
            for b in range(a + 1, len(names))
        ]
        known = [test for test in tests if test.subjects]
        corrected = iter(holm([test.p for test in known if test.p is not None]))
        out += [test if test.p is None else replace(test, p_holm=next(corrected)) for test in known]
    return out


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by the step-down method of Holm (1979).

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    out = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        out[index] = largest
    return out


def _test(
    region: str,
    metric: str,
    first: tuple[str, Sequence[CaseResult]],
    second: tuple[str, Sequence[CaseResult]],
    seed: int,
) -> PairedTest:
    better = ALL_METRICS[metric].better
    others = {case.name: case for case in second[1]}
    by_subject: dict[str, list[float]] = {}
    unit, left_out = "", 0
    for case in first[1]:
        other = others.get(case.name)
        if other is None:
            continue
        a, b = (one.values.get(region, {}).get(metric) for one in (case, other))
        if a is None or b is None:
            continue
        unit = unit or a.unit
        if a.value is None or b.value is None or a.unit != unit or b.unit != unit:
            left_out += 1
            continue
        pair = (abs(a.value), abs(b.value)) if better is Better.ZERO else (a.value, b.value)
        by_subject.setdefault(case.subject, []).append(pair[0] - pair[1])
    subjects = sorted(by_subject)
    values = np.array([np.mean(by_subject[subject]) for subject in subjects], np.float64)
    values[np.abs(values) < _ROUNDING] = 0.0
    difference = float(values.mean()) if len(values) else None
    interval = bootstrap_mean(values, subjects, seed=seed)
    p, reason = _wilcoxon(values)
    winner = None
    if difference:
        winner = first[0] if (difference > 0) == (better is Better.HIGHER) else second[0]
    return PairedTest(
        region=region,
        metric=metric,
        unit=unit,
        first=first[0],
        second=second[0],
        subjects=len(values),
        left_out=left_out,
        difference=difference,
        low=None if interval is None else interval[0],
        high=None if interval is None else interval[1],
        better=winner,
        p=p,
        p_holm=None,
        reason=reason,
    )


def _wilcoxon(differences: npt.NDArray[np.float64]) -> tuple[float | None, str]:
    if len(differences) < 2:
        return None, "a test needs two subjects"
    if not differences.any():
        return None, "no subject differs"
    return float(stats.wilcoxon(differences).pvalue), ""

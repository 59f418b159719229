"""Summaries over cases, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.metrics import Better

__all__ = ["DRAWS", "SUMMARY_COLUMNS", "SummaryRow", "bootstrap_mean", "joined_order", "summarise"]

#: Bootstrap draws: the ends of a 95 % interval then vary by about 1 % of its width.
DRAWS = 10_000
_CHUNK = 1000


@dataclass(frozen=True)
class SummaryRow:
    """Summary of one metric of one region over all cases.

    Attributes:
        region: Such as ``lungs``, ``right_lung``, or a class of a label map.
        metric: Id of the metric.
        unit: Its unit; cases in another unit have a separate row.
        n: Number of cases with a value.
        subjects: Number of subjects with a value.
        unknown: Number of cases without a value.
        mean: Mean over cases.
        sd: Standard deviation over cases (n - 1); None for one case.
        median: Median over cases.
        mean_absolute: Mean absolute value of a signed error; None for other metrics.
        worst: The worst value; None for a size, which is neither good nor bad.
        worst_case: Name of the case with the worst value.
        low: Lower end of the bootstrap 95 % interval of the mean; None for one subject.
        high: Upper end.
        reason: Why values are missing, with counts; empty if no value is missing.
    """

    region: str
    metric: str
    unit: str
    n: int
    subjects: int
    unknown: int
    mean: float | None
    sd: float | None
    median: float | None
    mean_absolute: float | None
    worst: float | None
    worst_case: str
    low: float | None
    high: float | None
    reason: str

    @property
    def total(self) -> float | None:
        """Sum over cases; None where no case has a value."""
        return None if self.mean is None else self.mean * self.n

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON, rounded to seven digits."""
        return {
            key: float(f"{value:.7g}") if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }


SUMMARY_COLUMNS = tuple(SummaryRow.__dataclass_fields__)


def summarise(cases: Sequence[CaseResult], *, seed: int = 0) -> list[SummaryRow]:
    """Summarise cases by region, metric and unit.

    Args:
        cases: The cases.
        seed: Seed of the bootstrap.
    """
    rows = []
    for region in joined_order([list(case.values) for case in cases]):
        having = [case for case in cases if region in case.values]
        for metric in joined_order([list(case.values[region]) for case in having]):
            mine = [case for case in having if metric in case.values[region]]
            units = dict.fromkeys(case.values[region][metric].unit for case in mine)
            for unit in units:
                rows.append(_row(mine, region, metric, unit, seed))
    return rows


def joined_order(lists: Iterable[Sequence[str]]) -> list[str]:
    """Join lists of names, each once, so that a name that one list lacks keeps its place.

    Examples:
        >>> joined_order([["a", "c"], ["a", "b", "c", "d"]])
        ['a', 'b', 'c', 'd']
    """
    out: list[str] = []
    for names in lists:
        place = 0
        for name in names:
            if name in out:
                place = out.index(name) + 1
            else:
                out.insert(place, name)
                place += 1
    return out


def _row(cases: Iterable[CaseResult], region: str, metric: str, unit: str, seed: int) -> SummaryRow:
    values, names, subjects = [], [], []
    reasons: dict[str, int] = {}
    for case in cases:
        entry = case.values[region][metric]
        if entry.unit != unit:
            continue
        if entry.value is None:
            reasons[entry.reason or "unknown"] = reasons.get(entry.reason or "unknown", 0) + 1
            continue
        values.append(entry.value)
        names.append(case.name)
        subjects.append(case.subject)
    missing = sum(reasons.values())
    reason = "; ".join(f"{text} ({count})" for text, count in sorted(reasons.items()))
    if not values:
        nothing = (None,) * 5
        return SummaryRow(region, metric, unit, 0, 0, missing, *nothing, "", None, None, reason)
    better = ALL_METRICS[metric].better
    array = np.array(values, np.float64)
    worst = max(range(len(values)), key=lambda n: better.badness(values[n]))
    ranked = better is not Better.NONE
    interval = bootstrap_mean(array, subjects, seed=seed)
    return SummaryRow(
        region=region,
        metric=metric,
        unit=unit,
        n=len(values),
        subjects=len(set(subjects)),
        unknown=missing,
        mean=float(array.mean()),
        sd=float(array.std(ddof=1)) if len(values) > 1 else None,
        median=float(np.median(array)),
        mean_absolute=float(np.abs(array).mean()) if better is Better.ZERO else None,
        worst=values[worst] if ranked else None,
        worst_case=names[worst] if ranked else "",
        low=None if interval is None else interval[0],
        high=None if interval is None else interval[1],
        reason=reason,
    )


def bootstrap_mean(
    values: npt.NDArray[np.float64], subjects: Sequence[str], *, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of the mean, drawing whole subjects (Efron and Tibshirani 1993).

    All cases of a subject are drawn together, since slices of one patient are correlated; drawing
    slices would give a far too narrow interval.

    Args:
        values: One value per case.
        subjects: The subject of each case.
        seed: Seed of the draws; the same seed gives the same interval.
        draws: Number of draws.

    Returns:
        Lower and upper end, or None if there are fewer than two subjects.
    """
    _, group = np.unique(np.asarray(subjects), return_inverse=True)
    count = int(group.max()) + 1 if len(group) else 0
    if count < 2:
        return None
    sums = np.bincount(group, weights=values, minlength=count)
    sizes = np.bincount(group, minlength=count).astype(np.float64)
    random = np.random.default_rng(seed)
    means = []
    for start in range(0, draws, _CHUNK):
        times = random.multinomial(count, np.full(count, 1 / count), size=min(_CHUNK, draws - start))
        means.append((times @ sums) / (times @ sizes))
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return float(low), float(high)

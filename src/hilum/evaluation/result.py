"""What an evaluation returns, and its plain-data forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import hilum
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.metrics import METRICS, Side
from hilum.evaluation.summary import DRAWS, SummaryRow, summarise
from hilum.measures import Value

if TYPE_CHECKING:
    from hilum.evaluation.pictures import Plate

__all__ = ["CASE_COLUMNS", "SCHEMA", "Evaluation"]

SCHEMA = "hilum.evaluation/1"
CASE_COLUMNS = ("case", "subject", "side", "metric", "value", "unit", "reason")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions compared with references.

    Attributes:
        title: What was judged.
        source: Where the masks come from, as plain data.
        cases: The metrics of each case.
        plates: Pictures of the worst cases, worst first. They show patients: they go into the report of the
            user and nowhere else.
        seed: Of the bootstrap.
    """

    title: str
    source: Mapping[str, Any]
    cases: tuple[CaseResult, ...]
    plates: tuple[Plate, ...] = ()
    seed: int = 0

    @cached_property
    def summary(self) -> tuple[SummaryRow, ...]:
        """All metrics summed up by side."""
        return tuple(summarise(self.cases, seed=self.seed))

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that any case was compared on."""
        return tuple(side for side in Side if any(side in case.values for case in self.cases))

    def row(self, metric: str, side: Side = Side.LUNGS) -> SummaryRow:
        """Return the summary of a metric; where cases have several units, of the unit that most have.

        Raises:
            KeyError: No case was compared so.
        """
        rows = [row for row in self.summary if row.side == side.value and row.metric == metric]
        if not rows:
            raise KeyError(metric)
        return max(rows, key=lambda row: (row.n, row.unknown))

    def as_dict(self) -> dict[str, object]:
        """Return the content of ``evaluation.json`` as plain data."""
        return {
            "schema": SCHEMA,
            "hilum": hilum.__version__,
            "title": self.title,
            "source": dict(self.source),
            "metrics": {id_: metric.as_dict() for id_, metric in METRICS.items()},
            "bootstrap": {
                "draws": DRAWS,
                "seed": self.seed,
                "unit": "subject",
                "interval": "percentile 95 %",
            },
            "summary": [row.as_dict() for row in self.summary],
            "cases": [
                {
                    "case": case.name,
                    "subject": case.subject,
                    "sides": {
                        side.value: {metric: _plain(value) for metric, value in values.items()}
                        for side, values in case.values.items()
                    },
                }
                for case in self.cases
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """Make it again from :meth:`as_dict`; the pictures are not in it.

        Raises:
            KeyError, TypeError, ValueError: The data are not of this form.
        """
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema is {data['schema']!r}, expected {SCHEMA!r}")
        cases = tuple(
            CaseResult(
                name=str(case["case"]),
                subject=str(case["subject"]),
                values={
                    Side(side): {metric: _value(values[metric]) for metric in METRICS}
                    for side, values in case["sides"].items()
                },
            )
            for case in data["cases"]
        )
        return cls(str(data["title"]), dict(data["source"]), cases, seed=int(data["bootstrap"]["seed"]))

    def rows(self) -> Iterator[tuple[str, str, str, str, float | None, str, str | None]]:
        """Give the rows of the long table of cases; the header is :data:`CASE_COLUMNS`."""
        for case in self.cases:
            for side, values in case.values.items():
                for metric, entry in values.items():
                    value = None if entry.value is None else _round(entry.value)
                    yield case.name, case.subject, side.value, metric, value, entry.unit, entry.reason

    def summary_rows(self) -> Iterator[tuple[object, ...]]:
        """Give the rows of the summary; the header is :data:`hilum.evaluation.summary.SUMMARY_COLUMNS`."""
        for row in self.summary:
            yield tuple(row.as_dict().values())


def _plain(value: Value) -> dict[str, object]:
    out: dict[str, object] = {"value": None if value.value is None else _round(value.value)}
    out["unit"] = value.unit
    if value.reason:
        out["reason"] = value.reason
    return out


def _value(data: Mapping[str, Any]) -> Value:
    value = data["value"]
    return Value(None if value is None else float(value), str(data["unit"]), data.get("reason"))


def _round(value: float) -> float:
    return float(f"{value:.7g}")

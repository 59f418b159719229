"""The result of an evaluation, with conversion to plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from hilum.core.errors import InputError
from hilum.core.labels import Side
from hilum.core.sentences import Sentence
from hilum.core.version import __version__
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.metrics import METRICS
from hilum.evaluation.summary import DRAWS, SummaryRow, summarise
from hilum.io.schema import Count, Record, check
from hilum.io.text import read_json
from hilum.measures import Value

if TYPE_CHECKING:
    from hilum.evaluation.worst_cases import SliceFigure

__all__ = ["CASE_COLUMNS", "SCHEMA", "Evaluation", "read_evaluation"]

SCHEMA = "hilum.evaluation/1"
#: Largest evaluation file in bytes: a case takes 5 kB, so this allows 50 000 cases.
_MOST_BYTES = 2**28
CASE_COLUMNS = ("case", "subject", "side", "metric", "value", "unit", "reason")


_Plain = str | int | float | bool | None
#: Largest plausible value of a metric in pixels, mm, mL, g or percent.
_Metric = Annotated[float, Field(strict=True, ge=-1e12, le=1e12)]


class _StoredValue(Record):
    value: _Metric | None
    unit: str = Field(max_length=50)
    reason: str | None = None


class _StoredCase(Record):
    case: str = Field(max_length=500)
    subject: str = Field(max_length=500)
    sides: dict[Side, dict[str, _StoredValue]]

    @field_validator("sides")
    @classmethod
    def _whole(cls, sides: dict[Side, dict[str, _StoredValue]]) -> dict[Side, dict[str, _StoredValue]]:
        if Side.LUNGS not in sides or any(METRICS.keys() - values.keys() for values in sides.values()):
            raise ValueError("should hold all metrics of both lungs")
        return sides


class _Bootstrap(Record):
    seed: Count


class Stored(Record):
    """The content of ``evaluation.json``, as read by :meth:`Evaluation.from_stored`."""

    title: str = Field(max_length=500)
    source: dict[str, _Plain | list[_Plain]]
    bootstrap: _Bootstrap
    cases: list[_StoredCase] = Field(min_length=1)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions compared with references.

    Attributes:
        title: What was evaluated.
        source: Origin of the masks, as plain data.
        cases: The metrics of each case.
        figures: Figures of the worst cases, worst first. They show patients: they are written into the report
            and nowhere else.
        seed: Seed of the bootstrap.
    """

    title: str
    source: Mapping[str, Any]
    cases: tuple[CaseResult, ...]
    figures: tuple[SliceFigure, ...] = ()
    seed: int = 0

    @cached_property
    def summary(self) -> tuple[SummaryRow, ...]:
        """Summary of all metrics by side."""
        return tuple(summarise(self.cases, seed=self.seed))

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that at least one case was compared on."""
        return tuple(side for side in Side if any(side in case.values for case in self.cases))

    def row(self, metric: str, side: Side = Side.LUNGS) -> SummaryRow:
        """Return the summary of a metric; if cases have several units, for the most frequent one.

        Raises:
            KeyError: No case has this side and metric.
        """
        rows = [row for row in self.summary if row.side == side.value and row.metric == metric]
        if not rows:
            raise KeyError(metric)
        return max(rows, key=lambda row: (row.n, row.unknown))

    def as_dict(self) -> dict[str, object]:
        """Return the content of ``evaluation.json`` as plain data."""
        return {
            "schema": SCHEMA,
            "hilum": __version__,
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
    def from_stored(cls, stored: Stored) -> Evaluation:
        """Restore an evaluation from the stored :meth:`as_dict`; figures are not included."""
        cases = tuple(
            CaseResult(
                name=case.case,
                subject=case.subject,
                values={
                    side: {metric: Value(**dict(values[metric])) for metric in METRICS}
                    for side, values in case.sides.items()
                },
            )
            for case in stored.cases
        )
        return cls(stored.title, stored.source, cases, seed=stored.bootstrap.seed)

    def rows(self) -> Iterator[tuple[str, str, str, str, float | None, str, str | None]]:
        """Yield the rows of the long table of cases; the header is :data:`CASE_COLUMNS`."""
        for case in self.cases:
            for side, values in case.values.items():
                for metric, entry in values.items():
                    value = None if entry.value is None else _round(entry.value)
                    yield case.name, case.subject, side.value, metric, value, entry.unit, entry.reason

    def summary_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the rows of the summary; the header is :data:`hilum.evaluation.summary.SUMMARY_COLUMNS`."""
        for row in self.summary:
            yield tuple(row.as_dict().values())


def _plain(value: Value) -> dict[str, object]:
    out: dict[str, object] = {"value": None if value.value is None else _round(value.value)}
    out["unit"] = value.unit
    if value.reason:
        out["reason"] = value.reason
    return out


def _round(value: float) -> float:
    return float(f"{value:.7g}")


def read_evaluation(folder: Path) -> Evaluation:
    """Read the output of :func:`write_evaluation`; figures are not included.

    Raises:
        InputError: It is missing or corrupted.
    """
    name, hint = f"evaluation.json in {folder.name or folder}", Sentence("Run {verb:evaluate} again.")
    data = read_json(folder / "evaluation.json", most=_MOST_BYTES, name=name, hint=hint)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise InputError(f"{name} was written by another version of hilum: its schema is not {SCHEMA}.", hint)
    return Evaluation.from_stored(check(Stored, data, name=name, hint=hint))

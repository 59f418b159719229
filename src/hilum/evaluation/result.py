"""The result of an evaluation, with conversion to plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from hilum.core.errors import HilumError, InputError
from hilum.core.labels import LUNGS
from hilum.core.sentences import Sentence
from hilum.core.version import __version__
from hilum.evaluation.all_metrics import ALL_METRICS
from hilum.evaluation.cases import CaseResult
from hilum.evaluation.class_sets import EVALUATED
from hilum.evaluation.metrics import Metric
from hilum.evaluation.summary import DRAWS, SummaryRow, joined_order, summarise
from hilum.evaluation.views import view_of
from hilum.io.schema import Count, Record, check
from hilum.io.text import read_json
from hilum.measures import Value

if TYPE_CHECKING:
    from hilum.evaluation.worst_cases import SliceFigure

__all__ = ["CASE_COLUMNS", "FAILED_COLUMNS", "SCHEMA", "Evaluation", "Failure", "read_evaluation"]

SCHEMA = "hilum.evaluation/2"
#: Largest evaluation file in bytes: a case takes 5 kB, so this allows 50 000 cases.
_MOST_BYTES = 2**28
CASE_COLUMNS = ("case", "subject", "region", "metric", "value", "unit", "reason")
FAILED_COLUMNS = ("case", "code", "reason", "hint")


_Plain = str | int | float | bool | None
#: Largest plausible value of a metric in pixels, mm, mL, g or percent.
_Metric = Annotated[float, Field(strict=True, ge=-1e12, le=1e12)]


class _StoredValue(Record):
    value: _Metric | None
    unit: str = Field(max_length=50)
    reason: str | None = None


_Name = Annotated[str, Field(max_length=500)]


class _StoredCase(Record):
    case: _Name
    subject: _Name
    regions: dict[_Name, dict[_Name, _StoredValue]] = Field(min_length=1)

    @field_validator("regions")
    @classmethod
    def _known(cls, regions: dict[str, dict[str, _StoredValue]]) -> dict[str, dict[str, _StoredValue]]:
        if any(values.keys() - ALL_METRICS.keys() for values in regions.values()):
            raise ValueError("should hold metrics that this version knows")
        return regions


class _StoredFailure(Record):
    case: _Name
    code: Count
    reason: str
    hint: str


class _Bootstrap(Record):
    seed: Count


class Stored(Record):
    """The content of ``evaluation.json``, as read by :meth:`Evaluation.from_stored`."""

    title: _Name
    task: _Name
    regions: dict[_Name, _Name]
    notes: list[str]
    failed: list[_StoredFailure]
    source: dict[str, _Plain | list[_Plain]]
    bootstrap: _Bootstrap
    cases: list[_StoredCase] = Field(min_length=1)

    @field_validator("task")
    @classmethod
    def _is_evaluated(cls, task: str) -> str:
        if task not in EVALUATED:
            raise ValueError(f"should be one of {', '.join(EVALUATED)}")
        return task

    @field_validator("cases")
    @classmethod
    def _whole(cls, cases: list[_StoredCase], info: ValidationInfo) -> list[_StoredCase]:
        view = view_of(info.data.get("task", LUNGS.name))
        wanted = {view.metric, *view.compared}
        if any(wanted - case.regions.get(view.region, {}).keys() for case in cases):
            raise ValueError(f"should hold the metrics of {view.region}")
        return cases


@dataclass(frozen=True)
class Failure:
    """A case that could not be evaluated.

    Attributes:
        case: Its name.
        code: Kind of the failure: the exit code of the command line for it alone.
        reason: One sentence on what is wrong.
        hint: One sentence on what to do about it; may be empty.
    """

    case: str
    code: int
    reason: str
    hint: str

    @classmethod
    def of(cls, case: str, error: HilumError) -> Failure:
        """Return the failure of a case by an error."""
        return cls(case, error.exit_code, error.message, error.hint)

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return {"case": self.case, "code": self.code, "reason": str(self.reason), "hint": str(self.hint)}


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
        task: What the masks show: a task such as ``lungs`` or ``airways``, or ``labels``.
        notes: Sentences on what has to be known of the comparison.
        failed: Cases that could not be evaluated.
    """

    title: str
    source: Mapping[str, Any]
    cases: tuple[CaseResult, ...]
    figures: tuple[SliceFigure, ...] = ()
    seed: int = 0
    task: str = LUNGS.name
    notes: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()

    @cached_property
    def summary(self) -> tuple[SummaryRow, ...]:
        """Summary of all metrics by region."""
        return tuple(summarise(self.cases, seed=self.seed))

    @cached_property
    def regions(self) -> dict[str, str]:
        """Title of each region by its name, in the order of tables."""
        titles = {name: title for case in self.cases for name, title in case.titles.items()}
        return {name: titles.get(name, name) for name in joined_order([list(c.values) for c in self.cases])}

    def row(self, metric: str, region: str = LUNGS.name) -> SummaryRow:
        """Return the summary of a metric; if cases have several units, for the most frequent one.

        Raises:
            KeyError: No case has this region and metric.
        """
        rows = [row for row in self.summary if row.region == region and row.metric == metric]
        if not rows:
            raise KeyError(metric)
        return max(rows, key=lambda row: (row.n, row.unknown))

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that at least one case has, by id, in the order of tables."""
        every = (values for case in self.cases for values in case.values.values())
        found = {metric for values in every for metric in values}
        return {id_: metric for id_, metric in ALL_METRICS.items() if id_ in found}

    def as_dict(self) -> dict[str, object]:
        """Return the content of ``evaluation.json`` as plain data."""
        return {
            "schema": SCHEMA,
            "hilum": __version__,
            "title": self.title,
            "task": self.task,
            "regions": self.regions,
            "notes": list(self.notes),
            "failed": [failure.as_dict() for failure in self.failed],
            "source": dict(self.source),
            "metrics": {id_: metric.as_dict() for id_, metric in self.metrics.items()},
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
                    "regions": {
                        region: {metric: _plain(value) for metric, value in values.items()}
                        for region, values in case.values.items()
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
                    region: {metric: Value(**dict(value)) for metric, value in values.items()}
                    for region, values in case.regions.items()
                },
                titles=stored.regions,
            )
            for case in stored.cases
        )
        return cls(
            stored.title,
            stored.source,
            cases,
            seed=stored.bootstrap.seed,
            task=stored.task,
            notes=tuple(stored.notes),
            failed=tuple(Failure(**dict(failure)) for failure in stored.failed),
        )

    def rows(self) -> Iterator[tuple[str, str, str, str, float | None, str, str | None]]:
        """Yield the rows of the long table of cases; the header is :data:`CASE_COLUMNS`."""
        for case in self.cases:
            for region, values in case.values.items():
                for metric, entry in values.items():
                    value = None if entry.value is None else _round(entry.value)
                    yield case.name, case.subject, region, metric, value, entry.unit, entry.reason

    def failed_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the rows of the table of failures; the header is :data:`FAILED_COLUMNS`."""
        for failure in self.failed:
            yield failure.case, failure.code, failure.reason, failure.hint

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

"""The table of scans: one row each, with typed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hilum.core.errors import UsageError
from hilum.measures.schema import FormulaEntry, MeasuresFile, TaskEntry
from hilum.tables.columns import (
    AFTER,
    BEFORE,
    RESULTS,
    SCAN,
    Column,
    Kind,
    confidence_column,
    is_whole,
    measure_column,
    model_columns,
)
from hilum.tables.folders import ScanFiles, ScanFolder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LONG_COLUMNS", "Failure", "FoundFlag", "ScanTable", "TableMaker", "long_rows"]

#: Columns of ``measures_long.csv``: those of ``measures.csv`` of one scan, after the name of the scan.
LONG_COLUMNS = ("scan", "task", "region", "measure", "value", "unit", "formula_id", "reason")
_SEVERITIES = ("error", "warning", "info")

Cell = str | int | float | None
LongRow = tuple[str, str, str, str, float | None, str, str, str | None]


@dataclass(frozen=True)
class FoundFlag:
    """A quality flag of a scan."""

    scan: str
    severity: str
    code: str
    regions: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Failure:
    """A scan that failed: its exit code, why, and what to do."""

    scan: str
    code: int
    message: str
    hint: str


@dataclass(frozen=True, eq=False)
class ScanTable:
    """The scans of one or several folders of results.

    Attributes:
        columns: What each column holds.
        rows: One tuple a scan, as long as ``columns``; None where a value is unknown or was not asked for.
        places: The folder of each scan and the names of its files, in the order of the rows.
        flags: All quality flags, scan by scan, worst first.
        failures: The scans that failed, from ``failed.csv``.
        problems: One sentence on each thing that was left out or does not fit.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    places: tuple[ScanFolder, ...] = ()
    flags: tuple[FoundFlag, ...] = ()
    failures: tuple[Failure, ...] = ()
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> list[Cell]:
        """Return the values of a column.

        Raises:
            KeyError: There is none of this name.
        """
        if name not in self.names:
            raise KeyError(name)
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a pandas data frame, one row a scan.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError("A data frame needs pandas.", "Run: pip install pandas") from error
        types = {Kind.TEXT: object, Kind.INTEGER: "Int64", Kind.NUMBER: float}
        frame = pandas.DataFrame(list(self.rows), columns=self.names, dtype=object)
        return frame.astype({column.name: types[column.kind] for column in self.columns})


def long_rows(scan: str, measures: MeasuresFile) -> Iterator[LongRow]:
    """Give one row per region and measure of a scan; the header is :data:`LONG_COLUMNS`."""
    for task, entry in measures.tasks.items():
        for region, values in entry.regions.items():
            for measure, found in values.items():
                about = measures.formulae[measure]
                reason = found.reason if found.value is None else None  # type: ignore[union-attr]
                yield scan, task, region, measure, found.value, about.unit, about.formula_id, reason


@dataclass(eq=False)
class TableMaker:
    """Gathers scans; which columns there are is known when all were read."""

    merged: bool = False
    rows: list[dict[str, Cell]] = field(default_factory=list)
    places: list[ScanFolder] = field(default_factory=list)
    flags: list[FoundFlag] = field(default_factory=list)
    measures: dict[str, Column] = field(default_factory=dict)
    confidences: dict[str, Column] = field(default_factory=dict)
    models: dict[str, Column] = field(default_factory=dict)

    def add(self, scan: ScanFiles) -> None:
        """Add a scan."""
        name, measures = scan.place.scan, scan.measures
        flags = [
            FoundFlag(name, f.severity, f.code, tuple(f.regions or ()), f.message) for f in measures.quality
        ]
        flags.sort(key=lambda flag: _SEVERITIES.index(flag.severity))
        row: dict[str, Cell] = {"scan": name, "results": scan.place.results, **_acquisition(scan)}
        row |= {f"flags_{kind}": sum(flag.severity == kind for flag in flags) for kind in _SEVERITIES}
        row["flags"] = ";".join(dict.fromkeys(flag.code for flag in flags))
        for task, entry in measures.tasks.items():
            row |= self._task(task, entry, measures.formulae)
        row["seconds"] = round(sum(scan.run.timings_s.values()), 3)
        row["hilum_version"] = scan.run.hilum
        row["fingerprint"] = scan.run.fingerprint
        self.rows.append(row)
        self.places.append(scan.place)
        self.flags += flags

    def _task(self, task: str, entry: TaskEntry, formulae: Mapping[str, FormulaEntry]) -> dict[str, Cell]:
        """Return the values of a task, and note their columns."""
        row: dict[str, Cell] = {}
        model, version = model_columns(task)
        self.models |= {model.name: model, version.name: version}
        row |= {model.name: entry.model.name, version.name: entry.model.version}
        if entry.confidence.failure is not None:
            column = confidence_column(task)
            self.confidences[column.name] = column
            row[column.name] = entry.confidence.failure
        wholes = [region for region in entry.regions if is_whole(region)]
        titles = {label.name: label.title for label in entry.label_contract.labels.values()}
        for measure in dict.fromkeys(id_ for region in wholes for id_ in entry.regions[region]):
            about = formulae[measure].model_dump()
            for region in wholes:
                if measure in entry.regions[region]:
                    column = measure_column(task, region, _title(region, titles), measure, about)
                    self.measures.setdefault(column.name, column)
                    row[column.name] = entry.regions[region][measure].value
        return row

    def table(self, failures: Iterable[Failure] = (), problems: Iterable[str] = ()) -> ScanTable:
        """Return the table."""
        columns = (
            *((SCAN, RESULTS) if self.merged else (SCAN,)),
            *BEFORE,
            *self.confidences.values(),
            *self.measures.values(),
            *self.models.values(),
            *AFTER,
        )
        rows = tuple(tuple(row.get(column.name) for column in columns) for row in self.rows)
        return ScanTable(
            columns, rows, tuple(self.places), tuple(self.flags), tuple(failures), tuple(problems)
        )


def _title(region: str, titles: Mapping[str, str]) -> str:
    words = region.replace("_", " ")
    return titles.get(region, words[:1].upper() + words[1:]) if region != "lungs" else "Both lungs"


def _acquisition(scan: ScanFiles) -> dict[str, Cell]:
    about = scan.run.input
    return {
        "format": about.format,
        **dict(zip(("size_x_voxels", "size_y_voxels", "size_z_voxels"), about.shape, strict=False)),
        **dict(zip(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), about.spacing_mm or (), strict=False)),
        "axes": about.axes,
        "slice_thickness_mm": about.slice_thickness_mm,
        "kernel": about.kernel,
        "tube_voltage_kv": about.kvp,
        "contrast": {True: "yes", False: "no", None: None}[about.contrast],
        "patient_position": about.patient_position,
        "manufacturer": about.manufacturer,
    }

"""What the verbs return: a plain object that shows itself, and writes itself when asked to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.core.errors import UsageError
from hilum.core.flags import Flag
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.measures import Measures
from hilum.report.notebook import notebook_html
from hilum.results import COLUMNS, Format, measure_rows, write_result
from hilum.tasks.spec import TaskResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "RunInfo"]


@dataclass(frozen=True)
class RunInfo:
    """Provenance of a result; written to ``run.json``.

    Attributes:
        hilum: Version of hilum.
        started: Start, ISO 8601 in UTC.
        arguments: Arguments of the verb as plain data.
        timings_s: Seconds per stage, in order of the stages.
        platform: Python version, operating system, versions of the libraries that change numbers.
        fingerprint: SHA-256 of the scan as it was read; see :meth:`hilum.Volume.fingerprint`.
    """

    hilum: str
    started: str
    arguments: dict[str, object] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)
    platform: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """Label maps, measures and quality of one scan.

    Attributes:
        volume: The scan as it was read (native grid, HU as measured on).
        outcomes: What each task gave, by its name, in the order in which they were done.
        flags: All findings of the quality gate, worst first.
        run: Provenance.
    """

    volume: Volume
    outcomes: Mapping[str, TaskResult]
    flags: tuple[Flag, ...]
    run: RunInfo

    def __repr__(self) -> str:
        tasks = ", ".join(self.outcomes)
        flags = f"{len(self.flags)} flag{'s' if len(self.flags) != 1 else ''}"
        return f"<Result of {self.volume.meta.name!r}: {tasks}; {len(self.measures)} regions, {flags}>"

    def _repr_html_(self) -> str:
        return notebook_html(self)

    @property
    def segmentations(self) -> Mapping[str, Segmentation]:
        """The label maps, each with its model and confidence, by task."""
        return {name: outcome.segmentation for name, outcome in self.outcomes.items()}

    @cached_property
    def measures(self) -> Measures:
        """The measures of all tasks by region, with units, formulae and reasons where a value is unknown."""
        return Measures.joined(outcome.measures for outcome in self.outcomes.values())

    def save(
        self,
        folder: str | PathLike[str],
        *,
        formats: Iterable[Format | str] = (Format.NIFTI,),
        report: bool = True,
        overwrite: bool = False,
    ) -> Path:
        """Write label maps, measures, report and manifest into ``folder``; see :func:`hilum.write_result`.

        Raises:
            OutputError: It cannot be written, or holds the results of another scan; then nothing is changed.
            UsageError: A DICOM SEG is wanted of a scan that was not read from DICOM.
        """
        return write_result(self, folder, formats=formats, report=report, overwrite=overwrite)

    def to_frame(self) -> pd.DataFrame:
        """Return the measures as a long table: one row per region and measure, as in ``measures.csv``.

        Returns:
            A pandas data frame with the columns :data:`hilum.results.COLUMNS`. ``value`` is NaN where a
            value is unknown; ``reason`` then says why.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError("A data frame needs pandas.", "Run: pip install pandas") from error
        rows: list[tuple[Any, ...]] = list(measure_rows(self))
        return pandas.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float})

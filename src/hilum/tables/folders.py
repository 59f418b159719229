"""The folders of results of many scans: found, named and read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hilum.core.errors import HilumError, InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.core.version import RUN_SCHEMA
from hilum.io.names import absolute, natural_key, scan_name, without_collisions
from hilum.io.schema import Record, check
from hilum.io.text import read_json, shown
from hilum.measures.schema import MeasuresFile
from hilum.results import MEASURES_SCHEMA

__all__ = [
    "BIDS_MEASURES",
    "BIDS_RUN",
    "InputEntry",
    "ResultsFolder",
    "RunFile",
    "ScanFiles",
    "ScanFolder",
    "read_scan",
    "results_folders",
    "scan_folders",
    "tell_damage",
]

_MEASURES, _RUN = "measures.json", "run.json"
#: What stands in their place in a BIDS derivative, where the name of the scan comes before it.
BIDS_MEASURES, BIDS_RUN = "_desc-hilum_result.json", "_desc-hilum_provenance.json"
#: What the names of all files of a scan in a BIDS derivative have between its name and their own.
_BIDS_INFIX = "_desc-hilum_"


@dataclass(frozen=True)
class ResultsFolder:
    """A folder of results.

    Attributes:
        path: Where it is.
        label: Its name among those that are put together.
    """

    path: Path
    label: str


@dataclass(frozen=True)
class ScanFolder:
    """The folder of one scan.

    Attributes:
        scan: Its name in the tables.
        path: Where it is.
        results: Label of the folder of results that it lies in.
        measures: Name of the file with its measures.
        run: Name of the file that says how they came to be.
        before: What the name of its report begins with.
    """

    scan: str
    path: Path
    results: str
    measures: str = _MEASURES
    run: str = _RUN
    before: str = ""


class InputEntry(Record):
    """What ``run.json`` says of the scan that was read."""

    format: str | None = None
    shape: list[int]
    spacing_mm: list[float] | None = None
    axes: str | None = None
    kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    patient_position: str | None = None
    contrast: bool | None = None
    manufacturer: str | None = None


class RunFile(Record):
    """What the tables take from ``run.json``."""

    hilum: str
    timings_s: dict[str, float]
    fingerprint: str
    input: InputEntry


@dataclass(frozen=True)
class ScanFiles:
    """A scan as its files tell it."""

    place: ScanFolder
    measures: MeasuresFile
    run: RunFile


def results_folders(paths: Sequence[Path]) -> tuple[ResultsFolder, ...]:
    """Check folders of results and give each a name of its own.

    Raises:
        UsageError: One is no folder, or is named twice.
    """
    whole = [absolute(path) for path in paths]
    for path, given in zip(whole, paths, strict=True):
        if not path.is_dir():
            raise UsageError(f"{given} is not a folder.", "Give a folder of results.")
        if whole.count(path) > 1:
            raise UsageError(f"{given} is named twice.", "Name each folder of results once.")
    labels = without_collisions([scan_name(path.name or "results", suffix=True) for path in whole])
    return tuple(map(ResultsFolder, whole, labels))


def scan_folders(results: Sequence[ResultsFolder]) -> tuple[tuple[ScanFolder, ...], bool]:
    """Find the folders of scans.

    Where two folders of results hold scans of the same name, all names get that of their folder of results as
    their first part.

    Returns:
        The folders in order of their names, and whether the names were lengthened so.
    """
    found = [scan for folder in results for scan in _walk(folder)]
    often = Counter(scan.scan.lower() for scan in found)
    prefixed = any(count > 1 for count in often.values())
    if prefixed:
        found = [replace(scan, scan=f"{scan.results}/{scan.scan}") for scan in found]
    return tuple(sorted(found, key=lambda scan: natural_key(scan.scan))), prefixed


def read_scan(place: ScanFolder) -> ScanFiles:
    """Read the files of a scan.

    Raises:
        UsageError: They were written by a version of hilum whose files have another layout.
        InputError: They are damaged, or one is missing.
    """
    measures, run = (read_json(place.path / name) for name in (place.measures, place.run))
    for name, data, schema in ((place.measures, measures, MEASURES_SCHEMA), (place.run, run, RUN_SCHEMA)):
        other = data.get("schema") if isinstance(data, dict) else None
        kind = schema.partition("/")[0]
        if isinstance(other, str) and other.startswith(f"{kind}/") and other != schema:
            raise UsageError(
                f"{name} of {place.scan} has the layout {shown(other)}; this hilum reads {schema}.",
                Sentence("Make its results again with {verb:segment}, or take its folder away."),
            )
    again = Sentence("Make it again with {verb:segment}.")
    checked = check(MeasuresFile, measures, name=place.measures, hint=again)
    _check_formulae(checked, place.measures, again)
    return ScanFiles(place, checked, check(RunFile, run, name=place.run, hint=again))


def _check_formulae(measures: MeasuresFile, name: str, hint: str) -> None:
    """Refuse measures whose formula, and so whose unit, is not stated."""
    every = {id_ for task in measures.tasks.values() for values in task.regions.values() for id_ in values}
    untold = sorted(every - set(measures.formulae))
    if untold:
        raise InputError(f"{name} is damaged: it has no formula of {shown(untold[0])}.", hint)


def tell_damage(place: ScanFolder, error: HilumError) -> str:
    """Say in one sentence why a folder is left out."""
    return f"{place.scan} was left out: {str(error.message).removesuffix('.')}."


def _walk(results: ResultsFolder) -> Iterator[ScanFolder]:
    """Give the scans below a folder, or of the folder itself; hidden folders are passed over."""
    for place, below, names in os.walk(results.path):
        folder = Path(place)
        if _MEASURES in names or (_RUN in names and _of_a_scan(folder / _RUN)):
            below.clear()
            yield ScanFolder(_name(results.path, folder), folder, results.label)
        for stem in sorted({stem for name in names if (stem := _bids_stem(name))}):
            yield ScanFolder(
                stem,
                folder,
                results.label,
                measures=f"{stem}{BIDS_MEASURES}",
                run=f"{stem}{BIDS_RUN}",
                before=f"{stem}{_BIDS_INFIX}",
            )
        below[:] = sorted(name for name in below if not name.startswith("."))


def _bids_stem(name: str) -> str:
    """Return the name of the scan in that of a file of a BIDS derivative; empty if it is none."""
    ends = [end for end in (BIDS_MEASURES, BIDS_RUN) if name.endswith(end) and name.startswith("sub-")]
    return name.removesuffix(ends[0]) if ends else ""


def _of_a_scan(run: Path) -> bool:
    """Whether a ``run.json`` without measures beside it is that of a scan, not of a training."""
    try:
        data = read_json(run)
    except InputError:
        return True  # damaged: worth a line
    return isinstance(data, dict) and "fingerprint" in data and "input" in data


def _name(root: Path, folder: Path) -> str:
    return folder.name if folder == root else folder.relative_to(root).as_posix()

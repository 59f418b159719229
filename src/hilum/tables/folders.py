"""The folders of results of many scans: found, named and read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    """

    scan: str
    path: Path
    results: str


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
    found = [(folder, path, _name(folder.path, path)) for folder in results for path in _walk(folder.path)]
    often = Counter(name.lower() for _, _, name in found)
    prefixed = any(count > 1 for count in often.values())
    scans = [
        ScanFolder(f"{folder.label}/{name}" if prefixed else name, path, folder.label)
        for folder, path, name in found
    ]
    return tuple(sorted(scans, key=lambda scan: natural_key(scan.scan))), prefixed


def read_scan(place: ScanFolder) -> ScanFiles:
    """Read the files of a scan.

    Raises:
        UsageError: They were written by a version of hilum whose files have another layout.
        InputError: They are damaged, or one is missing.
    """
    measures, run = (read_json(place.path / name) for name in (_MEASURES, _RUN))
    for name, data, schema in ((_MEASURES, measures, MEASURES_SCHEMA), (_RUN, run, RUN_SCHEMA)):
        other = data.get("schema") if isinstance(data, dict) else None
        kind = schema.partition("/")[0]
        if isinstance(other, str) and other.startswith(f"{kind}/") and other != schema:
            raise UsageError(
                f"{name} of {place.scan} has the layout {shown(other)}; this hilum reads {schema}.",
                Sentence("Make its results again with {verb:segment}, or take its folder away."),
            )
    again = Sentence("Make it again with {verb:segment}.")
    checked = check(MeasuresFile, measures, name=_MEASURES, hint=again)
    _check_formulae(checked, again)
    return ScanFiles(place, checked, check(RunFile, run, name=_RUN, hint=again))


def _check_formulae(measures: MeasuresFile, hint: str) -> None:
    """Refuse measures whose formula, and so whose unit, is not stated."""
    every = {id_ for task in measures.tasks.values() for values in task.regions.values() for id_ in values}
    untold = sorted(every - set(measures.formulae))
    if untold:
        raise InputError(f"{_MEASURES} is damaged: it has no formula of {shown(untold[0])}.", hint)


def tell_damage(place: ScanFolder, error: HilumError) -> str:
    """Say in one sentence why a folder is left out."""
    return f"{place.scan} was left out: {str(error.message).removesuffix('.')}."


def _walk(root: Path) -> Iterator[Path]:
    """Give the folders of scans below a folder, or the folder itself; hidden folders are passed over."""
    for folder, below, names in os.walk(root):
        if _MEASURES in names or (_RUN in names and _of_a_scan(Path(folder) / _RUN)):
            below.clear()
            yield Path(folder)
        below[:] = sorted(name for name in below if not name.startswith("."))


def _of_a_scan(run: Path) -> bool:
    """Whether a ``run.json`` without measures beside it is that of a scan, not of a training."""
    try:
        data = read_json(run)
    except InputError:
        return True  # damaged: worth a line
    return isinstance(data, dict) and "fingerprint" in data and "input" in data


def _name(root: Path, folder: Path) -> str:
    return folder.name if folder == root else folder.relative_to(root).as_posix()

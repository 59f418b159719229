"""Folders of results at URLs: copied as far as tables need them, and tables that go to a URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from hilum.core.errors import OutputError, UsageError
from hilum.core.sentences import Sentence
from hilum.io.names import scan_name
from hilum.io.partial_files import HIDDEN
from hilum.io.remote import Remote, is_url
from hilum.io.temporary import temporary_folder
from hilum.tables.covariates import COVARIATES
from hilum.tables.excel import WORKBOOK
from hilum.tables.failures import FAILED
from hilum.tables.files import LONG, PARQUET, SCANS
from hilum.tables.folders import BIDS_MEASURES, BIDS_RUN, ResultsFolder, results_folders
from hilum.tables.page import INDEX

__all__ = ["TABLES", "WRITING", "copy_scans", "finished", "named_for", "naming", "results_here", "tables_at"]

#: Stands beside results that are being sent to a URL, and lists them.
WRITING = f"{HIDDEN}writing"
#: The tables that are made of results.
TABLES = (SCANS, LONG, PARQUET, WORKBOOK, INDEX)
#: What they are made of beside the folders of the scans.
_BESIDE = (FAILED, COVARIATES)
_NEEDED = ("run.json", "measures.json", BIDS_RUN, BIDS_MEASURES)


def named_for(url: str, folder: Path) -> Path:
    """Return a path below a folder whose last part is the name of a URL; the page of results shows it."""
    return folder / scan_name(PurePosixPath(Remote(url).path).name or "results", suffix=True)


def copy_scans(remote: Remote, names: Iterable[str], folder: Path, *, linked: bool = True) -> None:
    """Copy manifests and measures; of other files only the names matter, so they are made empty.

    Args:
        remote: The results.
        names: Files in it.
        folder: Where to.
        linked: Whether other files are made at all; without them a page has no links to reports.

    Raises:
        HilumError: They cannot be read.
    """
    wanted: dict[str, Path] = {}
    for name in names:
        place, last = folder / name, PurePosixPath(name).name
        if last.endswith(_NEEDED):
            wanted[name] = place
        elif linked and not last.startswith(HIDDEN):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    remote.get(wanted)


def finished(names: Iterable[str]) -> list[str]:
    """Return the files of scans that are not being sent at the moment."""
    listed = [PurePosixPath(name) for name in names if "/" in name]
    unfinished = {name.parent for name in listed if name.name == WRITING}
    return [str(name) for name in listed if name.parent not in unfinished]


@contextmanager
def results_here(results: list[str]) -> Iterator[tuple[ResultsFolder, ...]]:
    """Give folders of results, those at URLs as copies in a temporary folder.

    Args:
        results: Folders and URLs.

    Raises:
        UsageError: One is no folder, holds no results, or is named twice.
        InputError: A URL cannot be read.
    """
    with ExitStack() as stack:
        places = []
        for number, given in enumerate(results):
            if not is_url(given):
                places.append(Path(given))
                continue
            if given.rstrip("/") in [other.rstrip("/") for other in results[:number]]:
                raise UsageError(f"{given} is named twice.", "Name each folder of results once.")
            places.append(named_for(given, stack.enter_context(temporary_folder())))
            _copy(given, places[-1], linked=False)
        yield results_folders(places)


@contextmanager
def tables_at(url: str, *, with_results: bool) -> Iterator[Path]:
    """Give a temporary folder for tables that go to a URL when the block ends well.

    Args:
        url: Where to.
        with_results: Whether the results that lie there are copied, too.

    Raises:
        HilumError: They cannot be read or written.
    """
    with temporary_folder() as work:
        remote, place = Remote(url, OutputError), named_for(url, work)
        place.mkdir()
        if with_results:
            _copy(url, place, linked=True)
        there = remote.listed(depth=1)
        remote.get({name: place / name for name in TABLES if name in there})
        with naming(url, place):
            yield place
        remote.put({name: place / name for name in TABLES if (place / name).exists()})
        remote.remove([name for name in TABLES if not (place / name).exists()])


@contextmanager
def naming(url: str, folder: Path) -> Iterator[None]:
    """Let errors of an output name its URL, not the temporary folder that stands for it."""
    try:
        yield
    except OutputError as error:
        said = str(error.message).replace(str(folder), url.rstrip("/"))
        raise OutputError(said, error.hint) from error


def _copy(url: str, place: Path, *, linked: bool) -> None:
    remote = Remote(url)
    listed = remote.listed()
    scans, beside = finished(listed), [name for name in _BESIDE if name in listed]
    if FAILED not in beside and not any(name.endswith(_NEEDED) for name in scans):
        raise UsageError(f"No results were found in {url}.", Sentence("Make some with {verb:segment}."))
    place.mkdir(exist_ok=True)
    copy_scans(remote, scans, place, linked=linked)
    remote.get({name: place / name for name in beside})

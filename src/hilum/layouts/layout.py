"""What a layout is, and the one that gives each scan a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from hilum.io.atomic import recover
from hilum.io.sources import Input, Label, Scans, Source, find_scans
from hilum.result import Result
from hilum.results import NO_ENTRIES, Format, check_owner, write_result

__all__ = ["FolderLayout", "Layout"]


class Layout(Protocol):
    """How the scans of a batch are found and named, and where the results of each are written.

    A layout is small plain data: each job carries it to another process, and several processes may write
    with one.
    """

    #: Whether the tables and the page of :mod:`hilum.tables` are made of the results.
    has_tables: ClassVar[bool]

    @property
    def root(self) -> Path:
        """Folder that holds the results of all scans, and the tables of the batch."""
        ...

    def scans(
        self,
        inputs: Sequence[Input],
        *,
        series: str | None,
        label: Label,
        notify: Callable[[str], None],
    ) -> Scans:
        """Find the scans; see :func:`hilum.io.sources.find_scans`.

        Raises:
            HilumError: There is no scan, or results must not be written where the layout puts them.
        """
        ...

    def prepare(self) -> None:
        """Write what has to stand before the first result, and before a table of the batch.

        Raises:
            OutputError: It cannot be written.
        """
        ...

    def folder(self, source: Source) -> Path:
        """Folder that holds the results of a scan."""
        ...

    def manifest(self, source: Source) -> Path:
        """File that says how the results of a scan came to be; it is there where the scan is done."""
        ...

    def measures(self, source: Source) -> Path:
        """File with the measures of a scan, see :func:`hilum.results.measures_dict`."""
        ...

    def check_owner(self, source: Source, fingerprint: str) -> None:
        """Refuse to replace the results of another scan.

        Raises:
            OutputError: They lie where those of this scan would be written.
        """
        ...

    def recover(self, source: Source) -> None:
        """Put right what a killed process left of the results of a scan.

        Raises:
            OutputError: Another process is writing them, or they cannot be written.
        """
        ...

    def write(
        self,
        result: Result,
        source: Source,
        *,
        formats: Iterable[Format] = (Format.NIFTI,),
        report: bool = True,
        overwrite: bool = False,
        series: Mapping[str, str] = NO_ENTRIES,
        keys: Mapping[str, str] = NO_ENTRIES,
    ) -> Path:
        """Write the results of a scan whole or not at all; see :func:`hilum.results.write_result`.

        Returns:
            :meth:`folder`.

        Raises:
            OutputError: They cannot be written, or would replace those of another scan.
        """
        ...

    def finish(self) -> None:
        """Write what has to describe all results together, also where a batch was stopped.

        Raises:
            OutputError: It cannot be written.
        """
        ...


@dataclass(frozen=True)
class FolderLayout:
    """One folder for each scan below a folder for all; see :class:`Layout`.

    Attributes:
        root: Folder for the results.
    """

    root: Path
    has_tables: ClassVar[bool] = True

    def scans(
        self,
        inputs: Sequence[Input],
        *,
        series: str | None,
        label: Label,
        notify: Callable[[str], None],
    ) -> Scans:
        """Find the scans in files, folders and zips; see :func:`hilum.io.sources.find_scans`."""
        return find_scans(inputs, series=series, label=label, notify=notify)

    def prepare(self) -> None:
        """Nothing has to stand before the first result."""

    def folder(self, source: Source) -> Path:
        """Folder of a scan, by its name."""
        return self.root / source.name

    def manifest(self, source: Source) -> Path:
        """``run.json`` of a scan."""
        return self.folder(source) / "run.json"

    def measures(self, source: Source) -> Path:
        """``measures.json`` of a scan."""
        return self.folder(source) / "measures.json"

    def check_owner(self, source: Source, fingerprint: str) -> None:
        """Refuse to replace the results of another scan; see :func:`hilum.results.check_owner`."""
        check_owner(self.folder(source), fingerprint)

    def recover(self, source: Source) -> None:
        """Put right the folder of a scan; see :func:`hilum.io.atomic.recover`."""
        recover(self.folder(source))

    def write(
        self,
        result: Result,
        source: Source,
        *,
        formats: Iterable[Format] = (Format.NIFTI,),
        report: bool = True,
        overwrite: bool = False,
        series: Mapping[str, str] = NO_ENTRIES,
        keys: Mapping[str, str] = NO_ENTRIES,
    ) -> Path:
        """Write the folder of a scan; see :func:`hilum.results.write_result`."""
        folder = self.folder(source)
        return write_result(
            result, folder, formats=formats, report=report, overwrite=overwrite, series=series, keys=keys
        )

    def finish(self) -> None:
        """Nothing has to describe all results together."""

"""What a layout is, and the one that gives each scan a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from hilum.io.sources import Label, Source, find_scans
from hilum.result import Result
from hilum.results import Format, check_owner, write_result

__all__ = ["NO_SERIES", "FolderLayout", "Layout"]

#: What a manifest says of the DICOM series of a scan that has none.
NO_SERIES: Mapping[str, str] = MappingProxyType({})


class Layout(Protocol):
    """How the scans of a batch are found and named, and where the results of each are written.

    A layout is plain data. It can be sent to another process, and several processes may write with one.
    """

    def sources(self, notify: Callable[[str], None]) -> Iterator[Source]:
        """Give the scans; ``notify`` is called with one sentence on each thing that was left out.

        Raises:
            HilumError: There is no scan, or results must not be written where the layout puts them.
        """
        ...

    def folder(self, source: Source) -> Path:
        """Folder that holds the results of a scan."""
        ...

    def manifest(self, source: Source) -> Path:
        """File that says how the results of a scan came to be; it is there where the scan is done."""
        ...

    def check_formats(self, formats: Iterable[Format]) -> None:
        """Refuse formats of label maps that the scans of this layout cannot have.

        Raises:
            UsageError: There is such a format.
        """
        ...

    def check_owner(self, source: Source, fingerprint: str) -> None:
        """Refuse to replace the results of another scan.

        Raises:
            OutputError: They lie where those of this scan would be written.
        """
        ...

    def prepare(self) -> None:
        """Write what has to stand before the first result, or before a table of the batch.

        Raises:
            OutputError: It cannot be written.
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
        series: Mapping[str, str] = NO_SERIES,
    ) -> Path:
        """Write the results of a scan whole or not at all; see :func:`hilum.results.write_result`.

        Returns:
            :meth:`folder`.

        Raises:
            OutputError: They cannot be written, or would replace those of another scan.
        """
        ...

    def finish(self) -> None:
        """Write what describes all results together.

        Raises:
            OutputError: It cannot be written.
        """
        ...


@dataclass(frozen=True)
class FolderLayout:
    """One folder for each scan below a folder for all; see :class:`Layout`.

    Attributes:
        inputs: Files, folders, zips and patterns of them.
        out: Folder for the results.
        label: Makes the name of a study out of its UID.
        series: DICOM series to take.
    """

    inputs: Sequence[str]
    out: Path
    label: Label
    series: str | None = None

    def sources(self, notify: Callable[[str], None]) -> Iterator[Source]:
        """Give the scans; see :func:`hilum.io.sources.find_scans`."""
        scans = find_scans(self.inputs, series=self.series, label=self.label, notify=notify)
        with closing(iter(scans)) as found:
            yield from found

    def folder(self, source: Source) -> Path:
        """Folder of a scan, by its name."""
        return self.out / source.name

    def manifest(self, source: Source) -> Path:
        """``run.json`` of a scan."""
        return self.folder(source) / "run.json"

    def check_formats(self, formats: Iterable[Format]) -> None:
        """Take all: whether a scan is DICOM shows when it is read."""

    def check_owner(self, source: Source, fingerprint: str) -> None:
        """Refuse to replace the results of another scan; see :func:`hilum.results.check_owner`."""
        check_owner(self.folder(source), fingerprint)

    def prepare(self) -> None:
        """Nothing has to stand before the first result."""

    def write(
        self,
        result: Result,
        source: Source,
        *,
        formats: Iterable[Format] = (Format.NIFTI,),
        report: bool = True,
        overwrite: bool = False,
        series: Mapping[str, str] = NO_SERIES,
    ) -> Path:
        """Write the folder of a scan; see :func:`hilum.results.write_result`."""
        folder = self.folder(source)
        return write_result(
            result, folder, formats=formats, report=report, overwrite=overwrite, series=series
        )

    def finish(self) -> None:
        """Nothing describes all results together."""

"""The scans of a layout, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

from hilum.core.errors import HilumError
from hilum.core.segmentation import Progress
from hilum.core.volume import Volume
from hilum.io.sources import Source
from hilum.layouts.bids import BidsLayout
from hilum.layouts.layout import Layout
from hilum.pipeline import SegmentOptions, run
from hilum.result import Result
from hilum.results import Format

__all__ = ["LayoutOutcome", "run_layout", "segment_bids"]


@dataclass(frozen=True, eq=False)
class LayoutOutcome:
    """The outcome of one scan: a result and its folder, or an error."""

    source: Source
    result: Result | None = None
    folder: Path | None = None
    error: HilumError | None = None


def segment_bids(
    dataset: str | PathLike[str],
    options: SegmentOptions | None = None,
    out: str | PathLike[str] | None = None,
    *,
    formats: Iterable[Format | str] = (Format.NIFTI,),
    report: bool = True,
    overwrite: bool = False,
    notify: Callable[[str], None] = lambda sentence: None,
) -> Iterator[LayoutOutcome]:
    """Segment and measure the CT scans of a BIDS dataset, and write a derivative of it.

    Args:
        dataset: Folder of the dataset.
        options: What is done with each scan; the defaults without it.
        out: Folder of the derivative; ``derivatives/hilum`` in the dataset without it.
        formats: Formats of the label maps, ``nifti`` and ``nrrd``; none for no label map.
        report: Whether to write reports.
        overwrite: Replace results of another scan of the same name.
        notify: Called with one sentence on each file that was left out.

    Yields:
        One outcome per scan. A scan that fails does not stop the others.

    Raises:
        UsageError: The dataset is not a folder, or a DICOM SEG is asked for.
        InputError: It holds no CT.
        OutputError: The folder of the derivative holds something else.
    """
    layout = BidsLayout(Path(dataset), None if out is None else Path(out))
    return run_layout(layout, options, formats=formats, report=report, overwrite=overwrite, notify=notify)


def run_layout(
    layout: Layout,
    options: SegmentOptions | None = None,
    *,
    formats: Iterable[Format | str] = (Format.NIFTI,),
    report: bool = True,
    overwrite: bool = False,
    notify: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[str], AbstractContextManager[Progress | None]] = lambda name: nullcontext(),
) -> Iterator[LayoutOutcome]:
    """Segment and measure the scans of a layout, and write their results; see :func:`segment_bids`.

    What describes all results is written at the end, also where the caller stops before.
    """
    kinds = [Format(one) for one in formats]
    layout.check_formats(kinds)
    try:
        for source in layout.sources(notify):
            try:
                with progress(source.name) as callback:
                    admit = None if overwrite else partial(_admit, layout, source)
                    result = run(source, options, progress=callback, admit=admit)
                    folder = layout.write(result, source, formats=kinds, report=report, overwrite=overwrite)
            except HilumError as error:
                yield LayoutOutcome(source, error=error)
            else:
                yield LayoutOutcome(source, result, folder)
    finally:
        layout.finish()


def _admit(layout: Layout, source: Source, volume: Volume, fingerprint: str) -> None:
    del volume
    layout.check_owner(source, fingerprint)

"""Many scans, one after the other: one folder per scan, and every failure is reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from hilum.core.errors import HilumError, InternalError
from hilum.core.flags import Flag
from hilum.core.segmentation import Progress
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.io.sources import Source, only, sources
from hilum.ledger import Ledger
from hilum.pipeline import SegmentOptions, run
from hilum.result import Result
from hilum.results import Format, check_owner, write_result

__all__ = ["Outcome", "WriteOptions", "run_batch"]


@dataclass(frozen=True)
class WriteOptions:
    """What is written for each scan.

    Attributes:
        formats: Formats of the label map.
        report: Whether to write ``report.html``.
        overwrite: Replace results of another scan.
        keep_uids: Write the DICOM series UID into ``run.json`` as it is, not as a salted hash.
        code_ids: Name the folders 0, 1, 2 ... by a private dictionary beside the folder of results.
    """

    formats: tuple[Format, ...] = (Format.NIFTI,)
    report: bool = True
    overwrite: bool = False
    keep_uids: bool = False
    code_ids: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of one scan: a result, or an error.

    Attributes:
        source: The scan.
        result: Its result; None where it failed.
        folder: Where the result was written; None where nothing was.
        error: Why it failed; None where it succeeded.
    """

    source: Source
    result: Result | None = None
    folder: Path | None = None
    error: HilumError | None = None


def run_batch(
    inputs: Sequence[str],
    options: SegmentOptions,
    out: Path | None,
    write: WriteOptions = WriteOptions(),
    *,
    one: bool = False,
    notify: Callable[[str], None] = lambda sentence: None,
    progress: Callable[[str], AbstractContextManager[Progress | None]] = lambda name: nullcontext(),
) -> Iterator[Outcome]:
    """Segment and measure all scans behind ``inputs``.

    Args:
        inputs: Files, folders, zips and patterns of them; see :func:`hilum.io.sources.sources`.
        options: What is done with each scan.
        out: Folder for the results, with one folder per scan and the private tables ``sources.csv`` and
            ``failed.csv``; None writes nothing.
        write: What is written.
        one: Refuse inputs that hold more than one scan.
        notify: Called with one sentence on each thing that was left out.
        progress: Gives a callback for the scan of a name.

    Yields:
        One outcome per scan, in order. A scan that fails does not stop the others.

    Raises:
        UsageError: ``one`` is set and there are several scans; the hint lists them.
        OutputError: The tables cannot be written.
    """
    with Ledger(out, code_ids=write.code_ids) as ledger:
        look = partial(sources, inputs, series=options.series, label=ledger.label)
        if one:
            only(inputs[0] if len(inputs) == 1 else "The input", list(look(notify=lambda sentence: None)))
        with closing(look(notify=notify)) as found:
            with progress("looking for scans"):  # reads all headers below a folder before the first scan
                first = list(islice(found, 1))
            for source in chain(first, found):
                yield _one(ledger.coded(source), options, out, write, ledger, progress)


def _one(
    source: Source,
    options: SegmentOptions,
    out: Path | None,
    write: WriteOptions,
    ledger: Ledger,
    progress: Callable[[str], AbstractContextManager[Progress | None]],
) -> Outcome:
    folder = None if out is None else out / source.name

    def admit(volume: Volume, fingerprint: str) -> None:
        if folder is not None and not write.overwrite:
            check_owner(folder, fingerprint)

    try:
        with progress(source.name) as callback:
            result = run(source, options, progress=callback, admit=admit)
            if source.coded:
                result = replace(result, flags=tuple(map(_without_names, result.flags)))
            if folder is not None:
                uid = result.volume.meta.series_uid
                write_result(
                    result,
                    folder,
                    formats=write.formats,
                    report=write.report,
                    overwrite=write.overwrite,
                    series=ledger.series(uid, clear=write.keep_uids),
                )
    except HilumError as error:
        ledger.failed(source, error)
        return Outcome(source, error=error)
    except Exception as error:
        if os.environ.get("HILUM_DEBUG"):
            raise
        bug = InternalError.of(error)
        ledger.failed(source, bug)
        return Outcome(source, error=bug)
    ledger.done(source, result)
    return Outcome(source, result, folder)


def _without_names(flag: Flag) -> Flag:
    """Files of a folder are often named after the patient; numbered results must not show those names."""
    message = flag.message
    return replace(flag, message=message.without_names()) if isinstance(message, Sentence) else flag

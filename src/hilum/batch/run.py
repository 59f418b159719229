"""All scans behind some inputs: found, done by an executor, noted in the tables."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from hilum.batch.inputs import read_inputs
from hilum.batch.jobs import Job, Outcome, WriteOptions, segment_job, segment_staged
from hilum.batch.keys import versions
from hilum.batch.ledger import Ledger
from hilum.batch.remote import RemoteResults
from hilum.batch.spread import Spread, choose_executor, parse_jobs, parse_part
from hilum.core.errors import HilumError, UsageError
from hilum.core.segmentation import Progress
from hilum.executors import Ended, Executor, Here, Limits
from hilum.io.remote import is_url
from hilum.io.remote_sources import find_remote_scans
from hilum.io.sources import Scans, Source, find_scans, only
from hilum.io.temporary import sweep, temporary_folder
from hilum.layouts.choose import FOLDERS, choose_layout, choose_remote
from hilum.layouts.layout import FolderLayout, Layout
from hilum.pipeline import SegmentOptions
from hilum.results import Format
from hilum.tables import read_results, write_tables
from hilum.tables.remote import named_for
from hilum.tasks.registry import DEFAULT_MODEL, parse_tasks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Batch", "Counts", "run_batch"]

_GB = 2**30
#: Gives a callback for the progress of a scan, or of the search for scans, by its name.
Bars = Callable[[str], AbstractContextManager[Progress | None]]
Work = Callable[[Job], Outcome]


@dataclass
class Counts:
    """How far a batch is.

    Attributes:
        total: Number of scans; None until they are found. It grows where a zip holds several.
        measured: Scans that were measured.
        before: Scans that a former run had done.
        failed: Scans that failed.
    """

    total: int | None = None
    measured: int = 0
    before: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """Scans that need nothing more."""
        return self.measured + self.before + self.failed


class Batch(Iterator[Outcome]):
    """The outcomes of many scans, each as soon as it is there.

    Nothing is done before the first one is asked for. Close it, or use it as a context manager, to stop
    before the end: scans that are running are stopped and leave nothing, and the tables are written.

    Attributes:
        counts: How far it is.
        out: Folder or URL of the results; None where nothing is written.
    """

    def __init__(self, plan: _Plan) -> None:
        self.counts = Counts()
        self.out = plan.remote.url if plan.remote is not None else plan.out
        self._steps = _steps(plan, self.counts)

    def __next__(self) -> Outcome:
        return next(self._steps)

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what is running and write the tables."""
        self._steps.close()

    def to_frame(self) -> pd.DataFrame:
        """Do the scans that are left, and return the table of all results in the folder, one row a scan.

        Raises:
            UsageError: The results are not written to a folder, there is none, or pandas is not installed.
            InputError: When it goes on: a list of scans cannot be read.
            OutputError: When it goes on: the tables cannot be written.
        """
        if self.out is None:
            raise UsageError("The results were not written, so there is no table.", "Give a folder for them.")
        for _ in self:
            pass
        return read_results(self.out).to_frame()


@dataclass(frozen=True)
class _Plan:
    """What :func:`run_batch` was asked for."""

    inputs: Sequence[str | PathLike[str]]
    layout: Layout | None
    remote: RemoteResults | None
    options: SegmentOptions
    write: WriteOptions
    spread: Spread
    resume: bool
    part: tuple[int, int] | None
    one: bool
    notify: Callable[[str], None]
    bars: Bars
    executor: Executor | None
    work: Work | None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path | None:
        """Folder of the results; None where nothing is written."""
        return None if self.layout is None else self.layout.root


def run_batch(
    inputs: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None,
    *,
    layout: str = FOLDERS,
    task: str = "lungs",
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    series: str | None = None,
    resample: bool = False,
    calibrate: bool = False,
    predicted_weight_g: float | None = None,
    formats: Iterable[Format | str] = (Format.NIFTI,),
    report: bool = True,
    overwrite: bool = False,
    code_ids: bool = False,
    keep_uids: bool = False,
    jobs: int | str = 1,
    resume: bool = False,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    part: str | None = None,
    on: str | None = None,
    one: bool = False,
    notify: Callable[[str], None] = lambda sentence: None,
    progress: Bars = lambda name: nullcontext(),
    executor: Executor | None = None,
    work: Work | None = None,
) -> Batch:
    """Segment and measure all scans behind ``inputs``, and write the results of each.

    Args:
        inputs: Files, folders, zips, patterns, ``@list.txt`` and tables with a column ``scan``; see
            :func:`hilum.batch.read_inputs`. Or URLs of these, such as ``s3://bucket/scans`` (extra
            ``remote``), from which each scan is copied to a temporary folder.
        out: Folder for the results, with one folder per scan, the private tables ``sources.csv``,
            ``failed.csv`` and ``covariates.csv``, and the tables and the page of
            :func:`hilum.tables.write_tables` where there are several scans; None writes nothing. Or the URL
            of such a folder, where each result appears when it is finished.
        layout: ``"bids"`` takes the CT scans of a BIDS dataset, whose folder is the only input, and writes a
            derivative of it to ``out``; without ``out`` to ``derivatives/hilum`` in the dataset.
        task: As in :func:`hilum.segment`.
        model: As in :func:`hilum.segment`.
        device: As in :func:`hilum.segment`.
        series: As in :func:`hilum.segment`, in each study that has it.
        resample: As in :func:`hilum.segment`.
        calibrate: As in :func:`hilum.segment`.
        predicted_weight_g: As in :func:`hilum.segment`; the same for all scans.
        formats: Formats of the label maps.
        report: Whether to write ``report.html``.
        overwrite: Replace results of other scans.
        code_ids: Name the folders 0, 1, 2 ...; ``OUT.subjects.json`` says which is which.
        keep_uids: Write the DICOM series UID into ``run.json`` instead of a salted hash.
        jobs: Scans at a time, each in a process of its own; ``"auto"`` for one a core, as far as the free
            memory goes. One scan at a time without limits is done in this process.
        resume: Leave alone what was done before with the same files, options, models and version.
        time_limit: Seconds that one scan may take.
        memory_limit: Memory in GB that one scan may take; without it its part of what is free.
        part: ``"3/50"`` for the third of 50 parts of the sorted scans; the folders are named as without it.
        on: ``"ray"`` for workers of Ray on this machine, or on the cluster that ``RAY_ADDRESS`` names;
            ``"ray://HOST:PORT"`` for those of a cluster. All its machines must see the same paths.
        one: Refuse inputs that hold more than one scan.
        notify: Called with one sentence on each thing that was left out, and on how the work is shared out.
        progress: Gives a callback for the scan of a name, where scans are done in this process.
        executor: Where the scans are done; by ``jobs`` and the limits without it.
        work: What is done with each scan; for programs that do more than :func:`hilum.batch.segment_job`.

    Returns:
        An iterator of outcomes. A scan that fails does not stop the others.

    Raises:
        MissingExtraError: A URL or a cluster needs a package that is not installed.
        UsageError: An argument is not allowed; or, when it is iterated, ``one`` is set and there are several.
        ModelError: The model is unknown or damaged.
        InputError: When it is iterated: a list of scans cannot be read.
        OutputError: When it is iterated: the tables cannot be written.

    Examples:
        >>> if __name__ == "__main__":  # doctest: +SKIP
        ...     for outcome in hilum.run_batch("scans", "results", jobs="auto", resume=True):
        ...         print(outcome.name, outcome.error or "done")
        ...     table = hilum.run_batch("scans", "results", resume=True).to_frame()
    """
    options = SegmentOptions(
        tasks=parse_tasks(task),
        model=model,
        device=device,
        series=series,
        resample=resample,
        calibrate=calibrate,
        predicted_weight_g=predicted_weight_g,
    )
    kinds = tuple(dict.fromkeys(Format(kind) for kind in formats))
    memory = None if memory_limit is None else int(memory_limit * _GB)
    given = [inputs] if isinstance(inputs, (str, PathLike)) else list(inputs)
    remote = choose_remote(layout, given, out, code_ids=code_ids)
    place = out if remote is None else None
    chosen = choose_layout(layout, given, place, series=series, formats=kinds, code_ids=code_ids)
    root = None if chosen is None else chosen.root
    return Batch(
        _Plan(
            inputs=given,
            layout=chosen,
            remote=None if remote is None else RemoteResults(remote),
            options=options,
            write=WriteOptions(kinds, report, overwrite, keep_uids, code_ids),
            spread=Spread(parse_jobs(jobs), Limits(time_limit, memory), on, device, root),
            resume=resume,
            part=None if part is None else parse_part(part),
            one=one,
            notify=notify,
            bars=progress,
            executor=executor,
            work=work,
            versions={} if chosen is None and remote is None else versions(options.model),
        )
    )


def _steps(plan: _Plan, counts: Counts) -> Generator[Outcome, None, None]:
    """Do the scans; where results go to a URL, with a temporary folder for their tables."""
    if plan.remote is None:
        yield from _steps_here(plan, counts)
        return
    with temporary_folder() as work:
        folder = named_for(plan.remote.url, work)
        made_salt = plan.remote.fetch_tables(folder)
        try:
            yield from _steps_here(replace(plan, layout=FolderLayout(folder)), counts)
        finally:
            plan.remote.send_tables(folder, made_salt=made_salt)


def _steps_here(plan: _Plan, counts: Counts) -> Generator[Outcome, None, None]:
    with Ledger(plan.out, code_ids=plan.write.code_ids) as ledger:
        layout = plan.layout
        find = partial(
            layout.scans if layout else find_scans, series=plan.options.series, label=ledger.salt.label
        )
        with plan.bars("looking for scans"):  # reads all headers below a folder before the first scan
            inputs = read_inputs(plan.inputs)
            if any(is_url(entry.text) for entry in inputs):
                find = partial(find_remote_scans, series=plan.options.series)
            scans = find(inputs, notify=plan.notify)
        if plan.one:
            quiet = find(inputs, notify=lambda sentence: None)
            only(str(plan.inputs[0]) if len(plan.inputs) == 1 else "The input", list(quiet))
        ledger.coded(scans.known)  # all at once, so that the parts of a batch number them alike
        if plan.part is not None:
            scans = scans.part(*plan.part)
        counts.total = len(scans)
        if layout is not None:
            layout.prepare()
        try:
            yield from _Run(plan, counts, ledger, scans).outcomes()
        finally:
            if layout is not None:
                layout.finish()
            if (
                plan.remote is not None and plan.out is not None
            ):  # other parts may have written them meanwhile
                plan.remote.fetch_tables(plan.out)
    if layout is not None and layout.has_tables and plan.part is None and counts.ended > 1:
        if plan.remote is not None:
            plan.remote.fetch_all(layout.root)
        write_tables(layout.root, notify=plan.notify)  # those of a part would lack the other parts


class _Run:
    """The scans that are done now."""

    def __init__(self, plan: _Plan, counts: Counts, ledger: Ledger, scans: Scans) -> None:
        self._plan, self._counts, self._ledger, self._scans = plan, counts, ledger, scans
        self._held: dict[int, Source] = {}
        self._made_out = plan.out is not None and not plan.out.exists()
        self._staged = plan.remote is not None or any(source.url for source in scans.known)
        self._executor = plan.executor or choose_executor(plan.spread, scans.known, plan.notify)

    def outcomes(self) -> Iterator[Outcome]:
        here = isinstance(self._executor, Here)
        do = segment_staged if self._staged else segment_job
        work = self._plan.work or (partial(_shown, bars=self._plan.bars, do=do) if here else do)
        running: dict[int, Job] = {}
        try:
            with (
                closing(iter(self._scans)) as found,
                closing(self._executor.run(work, self._jobs(found, running, here))) as ended,
            ):
                for one in ended:
                    running.pop(one.job.index)
                    self._held.pop(one.job.index).release()
                    yield self._noted(one)
        finally:
            for job in running.values():  # they were stopped
                self._tidy(job)
            for source in self._held.values():
                source.release()

    def _jobs(self, found: Iterable[Source], running: dict[int, Job], here: bool) -> Iterator[Job]:
        plan = self._plan
        for index, source in enumerate(found):
            self._counts.total = len(self._scans)
            source.hold()
            self._held[index] = source
            (named,) = self._ledger.coded([source])
            job = Job(
                index=index,
                source=named if here else named.portable(),
                options=plan.options,
                write=plan.write,
                layout=plan.layout,
                salt=self._ledger.salt if plan.remote is None else self._ledger.salt.portable(),
                remote=plan.remote,
                versions=plan.versions,
                resume=plan.resume,
                moved_on=plan.resume and self._ledger.knows_path(named),
                noted=self._ledger.knows(named),
            )
            running[index] = job
            yield job

    def _noted(self, ended: Ended[Job, Outcome]) -> Outcome:
        """Note what became of a scan in the tables and the counts."""
        source, outcome = ended.job.source.portable(), ended.value
        if ended.lost:
            self._tidy(ended.job)
        if outcome is None:
            error = ended.error or HilumError("It gave no result.")
            self._ledger.failed(source, error)
            self._counts.failed += 1
            return Outcome(source, ended.job.index, error=error)
        if outcome.before and ended.job.noted:
            self._ledger.kept(source)
        else:
            self._ledger.done(source, series_uid=outcome.series_uid, fingerprint=outcome.fingerprint)
        self._counts.before += outcome.before
        self._counts.measured += not outcome.before
        return replace(outcome, source=source)

    def _tidy(self, job: Job) -> None:
        """Remove what a process that was killed left of a scan."""
        sweep()
        layout = job.layout
        if layout is None:
            return
        with suppress(HilumError):
            layout.recover(job.source)
            if job.remote is not None:
                job.remote.recover(job.source.name)
        above = [place for place in layout.folder(job.source).parents if place.is_relative_to(layout.root)]
        for place in above if self._made_out else above[:-1]:
            with suppress(OSError):  # not empty
                place.rmdir()


def _shown(job: Job, bars: Bars, do: Callable[[Job, Progress | None], Outcome]) -> Outcome:
    with bars(job.source.name) as progress:
        return do(job, progress)

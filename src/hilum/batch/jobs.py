"""One scan of a batch: the job, what is done with it, and what came of it; all can be pickled."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hilum.batch.keys import content_digest, job_key
from hilum.batch.ledger import Salt
from hilum.batch.remote import RemoteResults
from hilum.core.errors import HilumError, InputError
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.segmentation import Progress
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.io.remote import RemoteScan
from hilum.io.sources import Source
from hilum.io.temporary import temporary_folder
from hilum.io.text import read_json
from hilum.layouts.layout import FolderLayout, Layout
from hilum.pipeline import SegmentOptions, run
from hilum.results import NO_ENTRIES, Format, measures_dict, summary_line
from hilum.tables.remote import naming

__all__ = ["Job", "Outcome", "WriteOptions", "segment_job", "segment_staged"]


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


@dataclass(frozen=True)
class Job:
    """A scan and what is to be done with it.

    Attributes:
        index: Its place in the list of all scans.
        source: The scan.
        options: What is done with it.
        write: What is written.
        layout: Where its results go; None writes nothing.
        salt: Hashes DICOM UIDs.
        versions: Versions of code and models, as they decide what the scan gives.
        resume: Leave it as it is where it was done before with the same key.
        moved_on: A former result in the folder is of the same path, so that a new content replaces it.
        noted: Whether the table of sources has it.
        remote: Where its results go in the end, if that is a URL.
        stamp: What changes with its files at a URL; empty where the file system has nothing of the kind.
    """

    index: int
    source: Source
    options: SegmentOptions
    write: WriteOptions
    layout: Layout | None
    salt: Salt
    versions: Mapping[str, str]
    resume: bool = False
    moved_on: bool = False
    noted: bool = False
    remote: RemoteResults | None = None
    stamp: str = ""

    @property
    def folder(self) -> Path | str | None:
        """Folder or URL of its results; None where nothing is written."""
        if self.remote is not None:
            return self.remote.address(self.source.name)
        return None if self.layout is None else self.layout.folder(self.source)

    def key(self) -> str:
        """Return the key, which changes with each file, option and version that changes bytes.

        Raises:
            HilumError: The scan cannot be read.
        """
        content = content_digest(self.source, resample=self.options.resample)
        return job_key(content, self.source, self._choices())

    def url_key(self) -> str:
        """Return a key that is known before a scan at a URL is copied; empty where there is no stamp."""
        return job_key(self.stamp, self.source, self._choices()) if self.stamp else ""

    def _choices(self) -> dict[str, object]:
        return {
            "options": self.options.named(),
            "formats": [one.value for one in self.write.formats],
            "report": self.write.report,
            "keep_uids": self.write.keep_uids,
            "versions": dict(self.versions),
        }


@dataclass(frozen=True)
class Outcome:
    """What came of one scan: its measures, or an error. Voxels are not kept; they are in the folder.

    Attributes:
        source: The scan.
        index: Its place in the list of all scans.
        folder: Where the result is, a folder or a URL; None where nothing was written.
        error: Why it failed; None where it succeeded.
        before: Whether a former run had done it already.
        measures: Content of ``measures.json``; empty where it failed.
        summary: One line on it for people.
        flags: The quality flags, worst first.
        fingerprint: SHA-256 of the voxels and their place; empty where it failed.
        series_uid: DICOM series; empty where there is none.
        seconds: How long it took.
    """

    source: Source
    index: int = 0
    folder: Path | str | None = None
    error: HilumError | None = None
    before: bool = False
    measures: Mapping[str, object] = field(default_factory=dict, repr=False)
    summary: str = ""
    flags: tuple[Flag, ...] = field(default=(), repr=False)
    fingerprint: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Folder of the scan below the folder of results."""
        return self.source.name


def segment_job(job: Job, progress: Progress | None = None) -> Outcome:
    """Segment and measure a scan and write its results, unless a former run did.

    Raises:
        HilumError: The scan cannot be read or segmented, or its results cannot be written.
    """
    begin, layout, folder, keys = time.perf_counter(), job.layout, job.folder, NO_ENTRIES
    if job.source.error is not None:
        raise job.source.error
    if layout is not None:
        key = job.key()  # before the scan is read: where a file changes in between, the key is that of before
        keys = {"key": key, "url_key": job.url_key()} if job.stamp else {"key": key}
        if job.resume:
            layout.recover(job.source)
            former = _done_before(job, layout, "key", key)
            if former is not None:
                return former
    overwrite = job.write.overwrite or job.moved_on

    def admit(volume: Volume, fingerprint: str) -> None:
        if layout is not None and not overwrite:
            layout.check_owner(job.source, fingerprint)

    result = run(job.source, job.options, progress=progress, admit=admit)
    if job.source.coded:
        result = replace(result, flags=tuple(map(_without_names, result.flags)))
    uid = result.volume.meta.series_uid
    if layout is not None:
        layout.write(
            result,
            job.source,
            formats=job.write.formats,
            report=job.write.report,
            overwrite=overwrite,
            series=job.salt.series(uid, clear=job.write.keep_uids),
            keys=keys,
        )
    return Outcome(
        source=job.source,
        index=job.index,
        folder=folder,
        measures=measures_dict(result),
        summary=summary_line(job.source.name, result, folder),
        flags=result.flags,
        fingerprint=result.run.fingerprint,
        series_uid=uid,
        seconds=round(time.perf_counter() - begin, 3),
    )


def segment_staged(job: Job, progress: Progress | None = None) -> Outcome:
    """Do the same for a scan at a URL or results that go to one, in a temporary folder.

    Raises:
        HilumError: As :func:`segment_job`, or the URL cannot be reached.
    """
    source, remote = job.source, job.remote
    if source.error is not None:
        raise source.error
    with temporary_folder() as work:
        scan = RemoteScan.at(source.url) if source.url else None
        if remote is not None:
            job = replace(job, layout=FolderLayout(work / "results"))
            remote.fetch(source.name, work / "results")
        with nullcontext() if remote is None else naming(remote.url, work / "results"):
            if scan is not None:
                job = replace(job, stamp=scan.stamp())  # before it is copied, as the key is before it is read
                former = _done_at_url(job)
                if former is not None:
                    return former
                (work / "scan").mkdir()
                job = replace(job, source=source.fetched_to(scan.fetch(work / "scan")))
            outcome = segment_job(job, progress)
        if remote is not None and not outcome.before:
            remote.send(source.name, work / "results")
    return replace(outcome, source=source)


def _done_at_url(job: Job) -> Outcome | None:
    """Return the outcome of a former run, if the file system of a scan's URL tells that it is the same."""
    if job.layout is None or not (job.resume and job.stamp):
        return None
    job.layout.recover(job.source)
    return _done_before(job, job.layout, "url_key", job.url_key())


def _done_before(job: Job, layout: Layout, name: str, key: str) -> Outcome | None:
    """Return the outcome of a former run whose key of a name is the same, if all its files are there."""
    folder = layout.folder(job.source)
    manifest, measures = _plain(layout.manifest(job.source)), _plain(layout.measures(job.source))
    files = manifest.get("files")
    whole = isinstance(files, list) and all((folder / str(name)).is_file() for name in files)
    if manifest.get(name) != key or not measures or not whole:
        return None
    about = manifest.get("input")
    uid = str(about.get("series_uid", "")) if isinstance(about, dict) else ""
    if not uid and not job.noted and isinstance(about, dict) and about.get("format") == "dicom":
        if name == "url_key":
            return None  # it has to be copied to be read
        uid = job.source.read(resample=job.options.resample).meta.series_uid
    return Outcome(
        source=job.source,
        index=job.index,
        folder=job.folder,
        before=True,
        measures=measures,
        summary=f"{job.source.name}: done before -> {job.folder}",
        flags=tuple(_flags(manifest.get("quality"))),
        fingerprint=str(manifest.get("fingerprint", "")),
        series_uid=uid,
    )


def _plain(file: Path) -> dict[str, object]:
    with suppress(InputError):
        content = read_json(file)
        if isinstance(content, dict):
            return content
    return {}


def _flags(quality: object) -> list[Flag]:
    out = []
    for entry in quality if isinstance(quality, list) else ():
        regions = tuple(map(str, entry.get("regions", ())))
        out.append(Flag(FlagCode.of(entry["code"]), Severity(entry["severity"]), entry["message"], regions))
    return out


def _without_names(flag: Flag) -> Flag:
    """Files of a folder are often named after the patient; numbered results must not show those names."""
    message = flag.message
    return replace(flag, message=message.without_names()) if isinstance(message, Sentence) else flag

"""BIDS: scans of a dataset, and results as a derivative of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hilum.core.errors import InputError, OutputError, UsageError
from hilum.core.sentences import Sentence
from hilum.io import write_json, write_text
from hilum.io.file_group import finish_moves, output_files, recover
from hilum.io.names import absolute, natural_key
from hilum.io.sources import Input, Label, Scans, Source
from hilum.io.text import read_json
from hilum.layouts import bids_files
from hilum.report import render_report
from hilum.result import Result
from hilum.results import (
    COLUMNS,
    NO_ENTRIES,
    Format,
    LabelFileNames,
    fingerprint_in,
    measure_rows,
    measures_dict,
    run_manifest,
    write_label_maps,
)
from hilum.tables.folders import BIDS_MEASURES, BIDS_RUN
from hilum.tasks.registry import TASKS
from hilum.tasks.spec import Task

__all__ = ["BidsLayout"]

_LABEL = r"[0-9A-Za-z+]+"
#: Name of a CT: its entities, then the suffix.
_CT = re.compile(
    rf"(?P<stem>(?P<sub>sub-{_LABEL})(?:_(?P<ses>ses-{_LABEL}))?(?:_[a-z]+-{_LABEL})*)_ct\.nii(\.gz)?"
)
_PLACES = ("sub-*/ct/*_ct.nii*", "sub-*/ses-*/ct/*_ct.nii*")
_ELSEWHERE = Sentence("Give another folder{with:out}.")


@dataclass(frozen=True)
class _Names(LabelFileNames):
    """Names of label maps as discrete segmentations of BIDS."""

    stem: str

    def label_map(self, task: Task, suffix: str) -> str:
        """Name of a label map, of its sidecar or of its lookup table."""
        return f"{self.stem}_desc-{task.name}_dseg{suffix}"

    def label_names(self, task: Task) -> str:
        """Name of the file that names its values for ITK-SNAP."""
        return f"{self.stem}_desc-{task.name}_labels.txt"

    def uncertainty(self, task: Task, suffix: str) -> str:
        """Name of its uncertainty map."""
        return f"{self.stem}_desc-{task.name}_uncertainty{suffix}"

    def further(self, task: Task, name: str) -> str:
        """Name of a file of its own; a suffix of BIDS is letters and digits."""
        return f"{self.stem}_desc-{task.name}_{name.replace('_', '')}"


@dataclass(frozen=True)
class BidsLayout:
    """The CT scans of a BIDS dataset, and a derivative for their results; see :class:`~.layout.Layout`.

    Attributes:
        dataset: Folder of the dataset, with ``sub-LABEL/[ses-LABEL/]ct/*_ct.nii.gz``.
        out: Folder of the derivative; ``derivatives/hilum`` in the dataset without it.
    """

    dataset: Path
    out: Path | None = None
    has_tables: ClassVar[bool] = False  # each scan has a table of measures of its own

    @property
    def root(self) -> Path:
        """Folder of the derivative."""
        return self.dataset / "derivatives" / "hilum" if self.out is None else self.out

    def scans(
        self,
        inputs: Sequence[Input],
        *,
        series: str | None,
        label: Label,
        notify: Callable[[str], None],
    ) -> Scans:
        """Find the scans, in the order of their names, each named by its entities.

        Args:
            inputs: Nothing but the dataset, which the layout knows.
            series: None, as there is no DICOM in BIDS.
            label: Names nothing here.
            notify: Called with one sentence on each file that was left out.

        Raises:
            UsageError: The dataset is not a folder.
            InputError: It holds no CT.
            OutputError: The folder of the derivative holds something else.
        """
        del inputs, series
        if not self.dataset.is_dir():
            raise UsageError(
                Sentence("{folder:path} is not a folder, so not a BIDS dataset.", path=self.dataset.name)
            )
        self._check_root()
        if self.root.is_dir():
            finish_moves(self.root)  # before anybody asks what is done
        found: dict[str, Source] = {}
        for path in sorted(
            (path for place in _PLACES for path in self.dataset.glob(place)),
            key=lambda path: natural_key(path.relative_to(self.dataset).as_posix()),
        ):
            stem = _stem_of(path)
            if stem is None or stem in found:
                why = "its name is not one of BIDS" if stem is None else "another file has its entities"
                notify(f"{path.name} was left out: {why}.")
                continue
            found[stem] = Source(stem, path, alone=False)
        if not found:
            raise InputError(
                Sentence("{folder:path} holds no CT that is named as in BIDS.", path=self.dataset.name),
                "A CT is sub-LABEL/[ses-LABEL/]ct/sub-LABEL[_ses-LABEL]_ct.nii.gz.",
            )
        return Scans(list(found.values()), label, notify)

    def folder(self, source: Source) -> Path:
        """Folder of the derivative in which the results of a scan lie, with those of others."""
        return self.root / self._below(source).parent

    def manifest(self, source: Source) -> Path:
        """File that says how the results of a scan came to be."""
        return self.folder(source) / f"{self._stem(source)}{BIDS_RUN}"

    def measures(self, source: Source) -> Path:
        """File with the measures of a scan."""
        return self.folder(source) / f"{self._stem(source)}{BIDS_MEASURES}"

    def check_owner(self, source: Source, fingerprint: str) -> None:
        """Refuse to replace the results of another scan that has, or had, the same name.

        Raises:
            OutputError: They are there.
        """
        former = fingerprint_in(self.manifest(source))
        if former is not None and former != fingerprint:
            raise OutputError(
                Sentence(
                    "The results of {scan:name} in {where} belong to another scan, so they are not replaced.",
                    name=self._stem(source),
                    where=str(self.root),
                ),
                Sentence("Give another folder{with:out}, or {set:overwrite} to replace them."),
            )

    def recover(self, source: Source) -> None:
        """Put right the files of a scan; see :func:`hilum.io.file_group.recover`."""
        recover(self.folder(source), self._stem(source))

    def prepare(self) -> None:
        """Write what makes the folder of the derivative a dataset, unless it stands there already.

        Raises:
            OutputError: The folder holds something else, or cannot be written.
        """
        self._check_root()
        root = self.root
        description = bids_files.dataset_description(self.dataset, root)
        if _json_in(root / "dataset_description.json") != description:
            write_json(root / "dataset_description.json", description)
            write_json(root / "desc-hilum_measures.json", bids_files.MEASURES_COLUMNS)
            write_text(root / "README", bids_files.README)
            write_text(root / ".bidsignore", bids_files.IGNORED)

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
        """Write label maps, sidecars, lookup tables, measures, report and provenance of a scan.

        Raises:
            OutputError: They cannot be written, or would replace those of another scan; nothing is changed.
        """
        formats = list(formats)
        if not overwrite:
            self.check_owner(source, result.run.fingerprint)
        folder, stem = self.folder(source), self._stem(source)
        with output_files(folder, stem, _files_of(self.manifest(source))) as out:
            if formats:
                write_label_maps(result, out, formats, _Names(stem))
                self._write_sidecars(result, source, out)
            hilum = f"{stem}_desc-hilum"
            write_json(out / self.measures(source).name, measures_dict(result))
            write_text(out / f"{hilum}_measures.tsv", bids_files.tsv([COLUMNS, *measure_rows(result)]))
            if report:
                write_text(out / f"{hilum}_report.html", render_report(result))
            name = f"{stem}{BIDS_RUN}"
            files = sorted([*(path.name for path in out.iterdir()), name])
            write_json(out / name, {**run_manifest(result, series, keys), "files": files})
        return folder

    def finish(self) -> None:
        """Write ``participants.tsv`` with its data dictionary, of all scans that are done.

        Raises:
            OutputError: They cannot be written.
        """
        done = self._done()
        while done:
            rows = [
                ("participant_id", "ct_scans"),
                *((name, done[name]) for name in sorted(done, key=natural_key)),
            ]
            write_json(self.root / "participants.json", bids_files.PARTICIPANTS_COLUMNS)
            write_text(self.root / "participants.tsv", bids_files.tsv(rows))
            before, done = done, self._done()
            if before == done:  # else another part of the batch ended a scan in between
                return

    def _done(self) -> Counter[str]:
        """Count the scans that are done by participant."""
        return Counter(path.name.split("_")[0] for path in self.root.glob(f"sub-*/**/*{BIDS_RUN}"))

    def _write_sidecars(self, result: Result, source: Source, out: Path) -> None:
        names = _Names(self._stem(source))
        for name, outcome in result.outcomes.items():
            if not outcome.asked:
                continue
            task, found = TASKS[name], outcome.segmentation
            about = bids_files.sidecar(
                found.labels.label_set,
                raw=self._below(source).as_posix(),
                fingerprint=result.run.fingerprint,
                model=found.model.as_dict(),
            )
            write_json(out / names.label_map(task, ".json"), about)
            rows = bids_files.label_rows(found.labels.label_set)
            write_text(out / names.label_map(task, ".tsv"), bids_files.tsv(rows))

    def _check_root(self) -> None:
        """Refuse a folder that holds something else, such as the scans."""
        root = self.root
        if root.exists() and not root.is_dir():
            raise OutputError(f"{root} is a file, not a folder.", _ELSEWHERE)
        if root.is_dir() and any(root.iterdir()) and not bids_files.is_ours(root):
            raise OutputError(
                f"{root} is not empty and holds no derivative of hilum, so nothing is written into it.",
                _ELSEWHERE,
            )

    def _below(self, source: Source) -> Path:
        return absolute(source.path).relative_to(absolute(self.dataset))

    def _stem(self, source: Source) -> str:
        stem = _stem_of(source.path)
        if stem is None:
            raise UsageError(Sentence("{scan:name} is not named as a CT in BIDS.", name=source.name))
        return stem


def _stem_of(path: Path) -> str | None:
    """Return the entities of a CT; None where its name does not fit BIDS, or not its folders."""
    found = _CT.fullmatch(path.name)
    if found is None:
        return None
    folders = [part for part in path.parts[-4:-2] if part.startswith(("sub-", "ses-"))]
    return found["stem"] if folders == [one for one in (found["sub"], found["ses"]) if one] else None


def _files_of(manifest: Path) -> list[str]:
    """Return the names of the files of a former result."""
    run = _json_in(manifest)
    files = run.get("files") if isinstance(run, dict) else None
    return [str(name) for name in files] if isinstance(files, list) else []


def _json_in(path: Path) -> object:
    try:
        return read_json(path)
    except InputError:
        return None

"""Expand URLs into sources, one per scan, by what is listed there: nothing is opened."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hilum.core.errors import HilumError, InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.io.folders import masks_left_out, sort_files
from hilum.io.names import without_collisions
from hilum.io.remote import Remote, is_url
from hilum.io.sources import Input, Scans, Source, common_root, name_below

__all__ = ["find_remote_scans"]

_DICOM = (".dcm", ".ima", "")
#: Here ``?`` begins a query, not a pattern.
_WEB = ("http://", "https://")


def find_remote_scans(
    inputs: Sequence[Input], *, series: str | None = None, notify: Callable[[str], None]
) -> Scans:
    """Find the scans behind URLs.

    A file is a scan; a zip must hold one. A folder of any depth holds its NIfTI, NRRD and MetaImage files,
    and one scan in each folder with DICOM files, of which nothing is known yet but their names. Scans are
    named as those of files are.

    Args:
        inputs: URLs, or patterns of them.
        series: DICOM series to take.
        notify: Called with one sentence on each thing that was left out.

    Raises:
        UsageError: Paths are among the URLs, or their kind is not known.
    """
    named: dict[str, Input] = {}
    for entry in inputs:
        if not is_url(entry.text):
            raise UsageError("URLs and paths were named together.", "Work on them in two calls.")
        for url in _expanded(entry.text):
            named.setdefault(url, entry)
    root = common_root([_path(Remote(url)) for url in named])
    out = [
        replace(source, series=series, covariates=entry.covariates)
        for url, entry in named.items()
        for source in _sources(url, root, notify)
    ]
    names = without_collisions([source.name for source in out])
    alone = len(out) == 1
    known = [replace(one, name=name, alone=alone) for one, name in zip(out, names, strict=True)]
    return Scans(known, lambda uid: uid, notify)


def _expanded(url: str) -> list[str]:
    if url.lower().startswith(_WEB) or not glob.has_magic(url):
        return [url.rstrip("/")]
    return Remote(url).matching() or [url]


def _path(remote: Remote) -> Path:
    """Return a path with the names of a URL; there is no such file."""
    return Path("/" + remote.path.lstrip("/"))


def _sources(url: str, root: Path | None, notify: Callable[[str], None]) -> list[Source]:
    remote = Remote(url)
    base = _path(remote)
    own = name_below(root, base)
    try:
        if not remote.is_folder():
            return [Source(own, base, url=url)]
        found = _scans_in(remote, base, notify)
    except HilumError as error:
        return [Source(own, base, url=url, error=error)]
    if len(found) == 1:
        return [Source(own, found[0], url=_url(remote, base, found[0]))]
    prefix = "" if root is None else f"{own}/"
    return [
        Source(prefix + name_below(base if path != base else None, path), path, url=_url(remote, base, path))
        for path in found
    ]


def _scans_in(remote: Remote, base: Path, notify: Callable[[str], None]) -> list[Path]:
    """Return the volume files and the folders with DICOM files."""
    files = [base / name for name in remote.listed() if not any(p.startswith(".") for p in name.split("/"))]
    found = sort_files(files)
    for sentence in masks_left_out(found.masks):
        notify(f"{base.name}: {sentence}")
    folders = sorted({file.parent for file in found.rest if _may_be_dicom(file)})
    if not (found.volumes or folders):
        raise InputError(
            Sentence("{file:path} holds no NIfTI, NRRD, MHA or DICOM files.", path=remote.url),
            "Name a folder with scans, or the files themselves.",
        )
    return [*found.volumes, *folders]


def _may_be_dicom(file: Path) -> bool:
    """Whether a name is one that DICOM files have: without an ending, or with a UID as name."""
    ending = file.suffix.lower()
    return ending in _DICOM or ending[1:].isdigit()


def _url(remote: Remote, base: Path, path: Path) -> str:
    return remote.url if path == base else f"{remote.url}/{path.relative_to(base).as_posix()}"

"""The key of a job: equal where the same files, options and versions give the same result.

The files count by their bytes. Size and time of a file would be cheaper, but are kept by programs that copy
or restore files, so that another scan could pass for the one that was done. SHA-256 reads about 2 GB/s on a
processor of today, and the scan has to be read from the disk anyway.

A scan at a URL has a second key where its file system keeps a checksum or an entity tag of each file. It
spares the copy of a scan that is done, and no result depends on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.version import __version__
from hilum.io.dicom.files import looks_like_dicom, regular_files
from hilum.io.dicom.scan import scan
from hilum.io.sources import Source
from hilum.io.text import sha256_of
from hilum.models.registry import find_model, shipped_models
from hilum.tasks.registry import TASKS, available_models

__all__ = ["content_digest", "job_key", "versions"]

#: Headers whose voxels lie in a file that the header names.
_NAMES_ITS_DATA = (".mhd", ".nhdr")
#: Analyze and NIfTI pairs: the other file has the same name with another ending.
_PAIR = (".hdr", ".img", ".hdr.gz", ".img.gz")


def versions(model: str) -> dict[str, str]:
    """Return the versions of all that decides what a scan gives: hilum, its models, and the model asked for.

    Versions of libraries are left out: hilum gives the same masks on all that it allows, and a study of many
    scans must not begin again with each update. They stand in ``run.json``.

    Raises:
        ModelError: The model is unknown or damaged.
    """
    out = {"hilum": __version__} | {f"model {one.name}": one.version for one in available_models()}
    own = {name for task in TASKS.values() for name in task.models}
    for name in {*shipped_models(), *(() if model in own else (model,))}:
        card = find_model(name).card
        out[f"card of {name}"] = hashlib.sha256(card.model_dump_json().encode()).hexdigest()
    return out


def job_key(content: str, source: Source, choices: Mapping[str, object]) -> str:
    """Return the key of a scan.

    Args:
        content: What changes with the scan's files: :func:`content_digest`, or the
            :meth:`hilum.io.remote.RemoteScan.stamp` of a scan at a URL.
        source: The scan.
        choices: Options and versions as plain data.
    """
    parts = [content, source.name, source.title, source.study_uid, choices]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def content_digest(source: Source, *, resample: bool = False) -> str:
    """Return the SHA-256 of the names and bytes of all files that a scan is read from.

    Raises:
        HilumError: The scan cannot be read.
    """
    if source.error is not None:
        raise source.error
    place = source.place
    files = list(source.files) or _files(place)
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(place) if file.is_relative_to(place) else Path(file.name)
        digest.update(f"{name.as_posix()!r} {_sha256(file)}\n".encode("utf-8", "backslashreplace"))
    if any(file.name.lower().endswith(_NAMES_ITS_DATA) for file in files):
        digest.update(source.read(resample=resample).fingerprint().encode())
    return digest.hexdigest()


def _files(place: Path) -> list[Path]:
    """Return the files of a scan: a file, what belongs to it, or all files of a folder."""
    if place.is_dir():
        return list(regular_files(place, lambda path, error: None))
    stem = place.name
    ending = next((end for end in sorted(_PAIR, key=len, reverse=True) if stem.lower().endswith(end)), "")
    if ending:
        stem = stem[: -len(ending)]
        beside = sorted(place.parent.iterdir())
        return [f for f in beside if f.name.startswith(stem) and f.name[len(stem) :].lower() in _PAIR]
    if looks_like_dicom(place) and scan(place).index:  # an index stands for its folder
        return list(regular_files(place.parent, lambda path, error: None))
    return [place]


def _sha256(file: Path) -> str:
    try:
        return sha256_of(file)
    except InputError as error:  # one file of a study; the reader decides whether that matters
        return str(error.message)

"""The record of a subject in a dataset: it marks the subject as complete, or states why it was refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.datasets.index import SubjectRecord
from hilum.datasets.volumes import VolumeSubject
from hilum.io.schema import Count, Length, Record, Sha256, Share, check
from hilum.io.text import read_json

__all__ = ["RECORDS", "read_record", "record_path"]

RECORDS = "records"


class _Slice(Record):
    """A row of the index."""

    slice: Count
    rows: Count
    cols: Count
    spacing_mm: tuple[Length, Length] | None
    slice_spacing_mm: Length | None
    lung_fraction: Share
    image: str
    mask: str
    sha256: tuple[Sha256, Sha256]
    bytes: tuple[Count, Count]


class _Made(Record):
    """A subject with slices."""

    key: str
    sources: tuple[tuple[str, ...], ...]
    subject: SubjectRecord
    slices: tuple[_Slice, ...]


class _Volume(Record):
    """A row of the index of a dataset of volumes."""

    volume: Count
    shape: tuple[Count, Count, Count]
    labels: tuple[Count, ...]
    image: str
    mask: str
    sha256: tuple[Sha256, Sha256]
    bytes: tuple[Count, Count]


class _MadeVolumes(Record):
    """A subject with volumes."""

    key: str
    sources: tuple[tuple[str, ...], ...]
    subject: VolumeSubject
    volumes: tuple[_Volume, ...]


class _Refused(Record):
    """A refused subject."""

    refused: str


def record_path(root: Path, number: int) -> Path:
    """Return the record of a subject."""
    return root / RECORDS / f"{number}.json"


def read_record(root: Path, number: int) -> dict[str, Any]:
    """Read the record of a subject.

    Returns:
        ``refused``, a sentence or None; and if that is None, ``key``, ``sources``, ``subject`` and
        ``slices`` or ``volumes``.

    Raises:
        InputError: It is missing or corrupted.
    """
    name = f"{RECORDS}/{number}.json of {root.name}"
    hint = Sentence(
        "Delete this file and run {verb:prepare} with the same arguments again: it makes the subject again."
    )
    data = read_json(record_path(root, number), name=name, hint=hint)
    if not isinstance(data, dict):
        raise InputError(f"{name} is corrupted.", hint)
    made = _MadeVolumes if "volumes" in data else _Made
    check(made if data.get("refused") is None else _Refused, data, name=name, hint=hint)
    return {"refused": None, **data}

"""Building the index of a dataset from the records of its subjects, one record at a time."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from hilum.core.version import __version__
from hilum.datasets.index import COLUMNS, DATASET_SCHEMA
from hilum.datasets.job import IMAGES, MASKS
from hilum.datasets.record import RECORDS, read_record, record_path
from hilum.datasets.volumes import VOLUME_COLUMNS, VOLUMES_SCHEMA
from hilum.io import atomic_file, write_json

__all__ = ["finish_dataset", "record_numbers", "refuse_copies", "remove_leftovers"]

_OURS = re.compile(r"(\d+)_(\d+)(\.tiff|\.png|_ct\.nii|_labels\.nii)$")
_ROW_GROUP = 50_000


def record_numbers(root: Path) -> list[int]:
    """Return the numbers of the subjects that have a record, in order."""
    names = (path.name for path in (root / RECORDS).glob("*.json"))
    return sorted(int(name[:-5]) for name in names if name[:-5].isdecimal())


def refuse_copies(root: Path) -> dict[int, int]:
    """Refuse subjects whose image duplicates that of an earlier subject, so that no scan counts twice.

    Returns:
        Number of each duplicate to the number of the subject that it duplicates.
    """
    first: dict[str, int] = {}
    copies: dict[int, int] = {}
    for number, record in _records(root):
        for image, *_ in record.get("sources", ()):
            other = first.setdefault(image, number)
            if other != number:
                copies[number] = other
    for number, other in copies.items():
        reason = f"Its image is the same as that of subject {other}."
        write_json(record_path(root, number), {"id": number, "refused": reason})
    return copies


def remove_leftovers(root: Path) -> None:
    """Remove slices or volumes without a record, such as those of a subject whose source has changed."""
    slices = {
        number: len(record.get("slices", record.get("volumes", ()))) for number, record in _records(root)
    }
    for folder in (root / IMAGES, root / MASKS):
        for path in folder.iterdir():
            found = _OURS.match(path.name)
            if found and int(found[2]) >= slices.get(int(found[1]), 0):
                path.unlink()


def finish_dataset(root: Path, parameters: dict[str, Any]) -> int:
    """Write ``index.parquet``, ``index.csv`` and, last, ``dataset.json``; return the number of rows.

    Equal records give equal bytes. ``index.parquet`` needs pyarrow; without pyarrow it is not written,
    and nothing else changes.

    Raises:
        OutputError: They cannot be written.
    """
    volumes = "step_mm" in parameters
    if not volumes:
        _write_parquet(root, parameters["plane"])
    rows = _volume_rows(root) if volumes else _rows(root, parameters["plane"])
    digest = hashlib.sha256()
    count = 0
    with atomic_file(root / "index.csv") as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(VOLUME_COLUMNS if volumes else COLUMNS)
        for row in rows:
            writer.writerow(row)
            count += 1
    with (root / "index.csv").open("rb") as written:
        while block := written.read(2**20):
            digest.update(block)
    subjects, refused = [], []
    for number, record in _records(root):
        if record["refused"] is None:
            subjects.append(record["subject"])
        else:
            refused.append({"id": number, "reason": record["refused"]})
    write_json(
        root / "dataset.json",
        {
            "schema": VOLUMES_SCHEMA if volumes else DATASET_SCHEMA,
            "hilum": __version__,
            **{key: parameters[key] for key in (("step_mm", "labels") if volumes else ("plane", "spacing"))},
            "parameters": parameters,
            "index_sha256": digest.hexdigest(),
            "subjects": subjects,
            "refused": refused,
        },
    )
    return count


def _records(root: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number in record_numbers(root):
        yield number, read_record(root, number)


def _rows(root: Path, plane: str) -> Iterator[tuple[Any, ...]]:
    """Rows of the index in the order of subject and slice, with the columns of :data:`COLUMNS`."""
    for number, record in _records(root):
        for row in record.get("slices", ()):
            spacing = row["spacing_mm"] or (None, None)
            yield (
                number,
                row["slice"],
                plane,
                row["rows"],
                row["cols"],
                *spacing,
                row["slice_spacing_mm"],
                row["lung_fraction"],
                f"{IMAGES}/{row['image']}",
                f"{MASKS}/{row['mask']}",
                *row["sha256"],
            )


def _volume_rows(root: Path) -> Iterator[tuple[Any, ...]]:
    """Rows of the index of volumes, with the columns of :data:`VOLUME_COLUMNS`."""
    for number, record in _records(root):
        for row in record.get("volumes", ()):
            files = (f"{IMAGES}/{row['image']}", f"{MASKS}/{row['mask']}")
            yield (number, row["volume"], *row["shape"], *row["labels"], *files, *row["sha256"])


def _write_parquet(root: Path, plane: str) -> None:
    path = root / "index.parquet"
    try:
        import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        with suppress(FileNotFoundError):
            path.unlink()  # an outdated index must not stay
        return
    whole, real, text = pa.int32(), pa.float64(), pa.string()
    types = [whole, whole, text, whole, whole, real, real, real, real, text, text, text, text]
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    rows = _rows(root, plane)
    # An open file instead of its name: pyarrow rejects names that are not UTF-8.
    with (
        atomic_file(path) as part,
        part.open("wb") as file,
        parquet.ParquetWriter(file, schema) as writer,
    ):
        while block := list(islice(rows, _ROW_GROUP)):
            columns = [
                pa.array(column, kind) for column, kind in zip(zip(*block, strict=True), types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))

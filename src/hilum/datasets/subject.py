"""Preparing the slices or volumes of one subject: read, check, cut, write. Runs in a worker process."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.given import part_sides
from hilum.core.errors import HilumError, InputError, OutputError
from hilum.core.flags import FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import Lung
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.sentences import Sentence, Unnamed, worded
from hilum.core.volume import Volume
from hilum.datasets.encode import encode_mask, encode_slice
from hilum.datasets.index import SubjectRecord
from hilum.datasets.job import IMAGES, MASKS, Job, Outcome, on_full_disk
from hilum.datasets.pairs import Pair
from hilum.datasets.record import read_record, record_path
from hilum.datasets.slices import Frame, cut_slices, frame_of
from hilum.datasets.volume_subject import write_volume_pair
from hilum.datasets.volumes import VolumeSubject
from hilum.io import read, write_json
from hilum.io.mask import Mask
from hilum.io.mask_grid import place
from hilum.io.masks import as_lungs, load_mask
from hilum.io.stream import open_regular, readable
from hilum.io.vocabulary import BOTH
from hilum.quality import check_segmentation, check_volume

__all__ = ["make_subject"]

#: Notes that are also printed: changes of a mask that the user should review.
_PRINTED = (FlagCode.MASK_RESAMPLED, FlagCode.MASK_PASTED, FlagCode.SIDES_PARTED)


def make_subject(job: Job) -> Outcome:
    """Make the slices of a subject, unless they are already complete.

    All files are written into a hidden folder and moved when the last is done; the record, which marks
    the subject as complete, is written last. No file is ever half-written under its final name.

    Args:
        job: What to make.

    Returns:
        The outcome; the record of a refused subject states the reason, without any name.

    Raises:
        OutputError: The disk is full or cannot be written.
    """
    try:
        problem = next((pair.problem for pair in job.pairs if pair.problem), "")
        if problem:
            raise InputError(problem, "Complete the pair, or remove the file.")
        sources = [_hash_pair(pair) for pair in job.pairs]
        key = _key(job, sources)
        there = _complete(job, key)
        if there is not None:
            return Outcome(job.id, there, kept=True)
        return _make(job, key, sources)
    except OutputError:
        raise
    except HilumError as error:
        with on_full_disk(job.root):
            record = {"id": job.id, "refused": worded(error.message, _Roles(job))}
            write_json(record_path(job.root, job.id), record)
        return Outcome(job.id, 0, error=error)


def _make(job: Job, key: str, sources: list[list[str]]) -> Outcome:
    stage = job.root / f".hilum-{job.id}.part"
    with on_full_disk(job.root):
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir()
    try:
        rows: list[dict[str, Any]] = []
        found: list[SubjectRecord] = []
        whole: list[VolumeSubject] = []
        for pair in job.pairs:
            if job.step_mm is None:
                rows += _write_pair(job, pair, stage, len(rows), found)
            else:
                rows.append(write_volume_pair(job, pair, stage, len(rows), whole))
        subject = asdict(_merge(found, len(rows)) if found else _merge_volumes(whole))
        record = {
            "id": job.id,
            "refused": None,
            "key": key,
            "sources": sources,
            "subject": subject,
            "volumes" if whole else "slices": rows,
        }
        with on_full_disk(job.root):
            record_path(job.root, job.id).unlink(missing_ok=True)  # the old files are removed next
            for row in rows:
                for folder, name in ((IMAGES, row["image"]), (MASKS, row["mask"])):
                    (stage / name).replace(job.root / folder / name)
            write_json(record_path(job.root, job.id), record)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    notes = [note for record in found for note in record.notes]
    notes += [note for record in whole for note in record.notes]
    printed = tuple(note for note in notes if note[0] in _PRINTED)
    return Outcome(job.id, len(rows), notes=tuple(dict.fromkeys(printed)))


def _write_pair(
    job: Job, pair: Pair, stage: Path, first: int, found: list[SubjectRecord]
) -> list[dict[str, Any]]:
    """Read a pair, write its slices into ``stage`` and add its entry to ``found``."""
    if pair.image is None or pair.mask is None:  # checked before; for the type checker
        raise InputError(pair.problem)
    drawn = as_lungs(load_mask(pair.mask, job.labels), job.labels, "The mask")
    volume = read(pair.image)
    if len(job.pairs) > 1 and 1 not in volume.shape:
        raise InputError(
            "The subject has several images, and not all of them are single slices.",
            "Give one volume per subject, or single slices only.",
        )
    frame = frame_of(volume, job.plane, job.spacing)
    labels, notes = _mask_of(job, drawn, volume)
    found.append(_describe(job, volume, labels, frame, notes))
    if not job.sides:
        labels = np.minimum(labels, 1)
    rows = []
    for number, (hu, mask) in enumerate(cut_slices(volume, labels, frame), start=first):
        image_name, mask_name = f"{job.id}_{number}.tiff", f"{job.id}_{number}.png"
        files = {
            image_name: encode_slice(hu, frame.plane, frame.spacing, frame.slice_spacing),
            mask_name: encode_mask(mask),
        }
        with on_full_disk(job.root):
            for name, content in files.items():
                (stage / name).write_bytes(content)
        rows.append(
            {
                "slice": number,
                "rows": frame.shape[0],
                "cols": frame.shape[1],
                "spacing_mm": frame.spacing,
                "slice_spacing_mm": frame.slice_spacing,
                "lung_fraction": round(np.count_nonzero(mask) / mask.size, 6),
                "image": image_name,
                "mask": mask_name,
                "sha256": [hashlib.sha256(content).hexdigest() for content in files.values()],
                "bytes": [len(content) for content in files.values()],
            }
        )
    return rows


def _mask_of(job: Job, drawn: Mask, volume: Volume) -> tuple[npt.NDArray[np.uint8], list[tuple[str, str]]]:
    """Return the mask on the grid of its image, as 0, 1 and 2, with notes on changes."""
    hint = Sentence("Check that they belong together, or resample the mask with {set:resample_masks}.")
    labels, placed = place(drawn, volume, "The mask", "its image", resample=job.resample_masks, hint=hint)
    notes: list[tuple[str, str]] = [*drawn.notes, *placed]
    if 1 not in volume.shape and not labels.any():
        raise InputError("The mask is empty: it holds no lung.", "Check that it is the right file.")
    if not job.sides:
        return (np.minimum(labels, 1) if labels.max() == BOTH else labels), notes
    labels, flags = part_sides(labels, volume, mapped=drawn.mapped)
    for flag in flags:
        if flag.severity is Severity.ERROR:
            raise InputError(flag.reason, Sentence("Give masks with two labels, or omit {option:sides}."))
        notes.append((flag.code, flag.message))
    return labels, notes


def _describe(
    job: Job,
    volume: Volume,
    labels: npt.NDArray[np.uint8],
    frame: Frame,
    notes: list[tuple[str, str]],
) -> SubjectRecord:

    given = Segmentation(LabelVolume.on_grid_of(volume, labels), ModelInfo("given", ""))
    flags = list(check_volume(volume, given))
    has_sides = labels.max() == Lung.LEFT  # a mask without sides would be flagged for a missing lung
    if 1 not in volume.shape and has_sides:
        flags += check_segmentation(volume, given)
    if frame.ratio != (1.0, 1.0):
        old, new = (
            " x ".join(f"{s:g}" for s in pair) for pair in (_source_spacing(frame), frame.spacing or ())
        )
        notes.append(("pixels_resampled", f"Pixels of {old} mm were resampled to {new} mm."))
    deviation = _rounding(volume)
    if deviation and frame.ratio == (1.0, 1.0):
        notes.append(
            ("hu_rounded", f"HU were not whole numbers and were rounded (by up to {deviation:.2g} HU).")
        )
    return SubjectRecord(
        id=job.id,
        slices=frame.slices,
        rows=frame.shape[0],
        cols=frame.shape[1],
        spacing_mm=frame.spacing,
        slice_spacing_mm=frame.slice_spacing,
        volume_voxel_ml=None if frame.voxel_ml is None else round(frame.voxel_ml, 9),
        flags=tuple(dict.fromkeys(flag.code for flag in flags)),
        notes=tuple(notes),
    )


def _source_spacing(frame: Frame) -> tuple[float, float]:
    rows, cols = frame.spacing or (1.0, 1.0)
    return round(rows / frame.ratio[0], 6), round(cols / frame.ratio[1], 6)


def _rounding(volume: Volume) -> float:
    """Return the largest change of HU when they are rounded to int16; 0 if they are int16 already."""
    if volume.hu.dtype == np.int16:
        return 0.0
    flat = volume.hu.ravel(order="K")
    step = 2**22
    info = np.iinfo(np.int16)
    worst = 0.0
    for start in range(0, flat.size, step):
        part = flat[start : start + step]
        worst = max(worst, float(np.abs(part - np.clip(np.rint(part), info.min, info.max)).max()))
    return worst


def _merge(found: list[SubjectRecord], slices: int) -> SubjectRecord:
    """Merge the slices of a subject; size and scale are those of the first."""
    first = found[0]
    return SubjectRecord(
        id=first.id,
        slices=slices,
        rows=first.rows,
        cols=first.cols,
        spacing_mm=first.spacing_mm,
        slice_spacing_mm=first.slice_spacing_mm,
        volume_voxel_ml=first.volume_voxel_ml,
        flags=tuple(dict.fromkeys(code for record in found for code in record.flags)),
        notes=tuple(dict.fromkeys(note for record in found for note in record.notes)),
    )


def _merge_volumes(found: list[VolumeSubject]) -> VolumeSubject:
    return VolumeSubject(
        id=found[0].id,
        volumes=len(found),
        flags=tuple(dict.fromkeys(code for record in found for code in record.flags)),
        notes=tuple(dict.fromkeys(note for record in found for note in record.notes)),
    )


# -- existing subjects -----------------------------------------------------------------------------------


def _hash_pair(pair: Pair) -> list[str]:
    return [_hash(path) for path in (pair.image, pair.mask) if path is not None]


def _hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files of a folder (DICOM) in the order of their names."""
    digest = hashlib.sha256()
    with readable(path):
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            with open_regular(file) as stream:
                while block := stream.read(2**20):
                    digest.update(block)
    return digest.hexdigest()


def _key(job: Job, sources: list[list[str]]) -> str:
    """Return a hash of everything that determines the files of a subject."""
    text = json.dumps(
        {
            "format": 2,
            "plane": job.plane.value,
            "spacing": job.spacing,
            "sides": job.sides,
            "labels": None if job.labels is None else job.labels.describe(),
            "resample_masks": job.resample_masks,
            "sources": sources,
            **({} if job.step_mm is None else {"step_mm": job.step_mm, "pleura": job.pleura}),
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _complete(job: Job, key: str) -> int | None:
    """Return the number of slices if the subject is complete and all its files have their recorded size."""
    try:
        record = read_record(job.root, job.id)
        if record["refused"] is not None or record["key"] != key:
            return None
        rows = record["slices" if job.step_mm is None else "volumes"]
        for row in rows:
            for folder, name, size in zip(
                (IMAGES, MASKS), (row["image"], row["mask"]), row["bytes"], strict=True
            ):
                if (job.root / folder / name).stat().st_size != size:
                    return None
        return len(rows)
    except (OSError, InputError, KeyError):
        return None


class _Roles(Unnamed):
    """Replaces file names in messages by their roles: the dataset never holds names."""

    def __init__(self, job: Job) -> None:
        pairs = [
            (path, role) for p in job.pairs for path, role in ((p.image, "the image"), (p.mask, "the mask"))
        ]
        self._roles = {text: role for path, role in pairs if path for text in (str(path), path.name)}

    def named(self, kind: str, name: str) -> str:
        return self._roles.get(name) or super().named(kind, name)

"""``prepare``: from pairs of image and mask to a dataset of slices or of volumes.

Each process holds one volume in memory. Each subject is written completely or not at all, with a
record; the index is built from the records at the end. A run that was killed at any moment is completed by
the same command, with the same bytes as an uninterrupted run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hilum.core.errors import HilumError, InputError, OutputError, UsageError
from hilum.core.planes import Plane
from hilum.core.segmentation import Progress
from hilum.core.sentences import Sentence
from hilum.datasets.index_writer import finish_dataset, record_numbers, refuse_copies, remove_leftovers
from hilum.datasets.job import IMAGES, MASKS, Job, Outcome, on_full_disk
from hilum.datasets.pairs import find_pairs, labels_of
from hilum.datasets.pseudonyms import assign, read_dictionary
from hilum.datasets.record import RECORDS
from hilum.datasets.slices import Spacing, parse_spacing
from hilum.datasets.subject import make_subject
from hilum.datasets.volume_grid import STEP_MM
from hilum.datasets.volume_subject import parse_pleura
from hilum.datasets.volumes import LABELS
from hilum.executors import Ended, Limits, Pool, Share, parse_jobs, share_out
from hilum.io import write_json
from hilum.io.partial_files import HIDDEN
from hilum.io.text import read_json, shown
from hilum.io.vocabulary import parse_labels

__all__ = ["Prepared", "Refused", "prepare"]

_LOCK = ".hilum-lock"
_PARAMETERS = "parameters.json"
_KNOWN = {IMAGES, MASKS, RECORDS, "dataset.json", "index.csv", "index.parquet", ".DS_Store", "Thumbs.db"}
#: Voxel size of volumes in mm: finer takes gigabytes to train, coarser does not resolve a child's lung.
_STEP_RANGE = (1.0, 10.0)


@dataclass(frozen=True)
class Refused:
    """A refused subject: its number, its long name (for the terminal only) and the reason."""

    id: int
    name: str
    error: HilumError


@dataclass(frozen=True)
class Prepared:
    """The outcome of :func:`prepare`.

    Attributes:
        dataset: The dataset.
        dictionary: The dictionary of subjects.
        subjects: Number of subjects in the dataset.
        slices: Number of slices or volumes in the dataset.
        made: Numbers of the subjects that were made in this run.
        kept: Numbers of those that were complete already.
        refused: Subjects that were refused.
        notes: (number, code, sentence) on changes of masks that the user should review.
    """

    dataset: Path
    dictionary: Path
    subjects: int
    slices: int
    made: tuple[int, ...]
    kept: tuple[int, ...]
    refused: tuple[Refused, ...]
    notes: tuple[tuple[int, str, str], ...] = ()


def prepare(
    pairs: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    masks: str | os.PathLike[str] | None = None,
    plane: Plane | str = Plane.CORONAL,
    spacing: Spacing = "keep",
    sides: bool = False,
    volumes: bool = False,
    step_mm: float = STEP_MM,
    labels: str | Mapping[int, int] | None = None,
    resample_masks: bool = False,
    subjects: str | os.PathLike[str] | None = None,
    jobs: int | str = 1,
    progress: Progress | None = None,
) -> Prepared:
    """Make a dataset from pairs of image and mask: slices, or whole volumes on isotropic voxels.

    Args:
        pairs: Location of the pairs, see :func:`hilum.datasets.find_pairs`.
        out: The dataset: a new folder, one left by a killed run, or one to add subjects to.
        masks: The folder of masks, if they are in a separate folder.
        plane: ``coronal``, ``axial`` or ``sagittal``.
        spacing: ``keep``, ``square`` (the finer of the two spacings for both) or (row, column) in mm.
        sides: Label right (1) and left (2) lung separately in the masks; otherwise both are 1.
        volumes: Make volumes to train the 3-D network on, instead of slices; ``plane``, ``spacing``
            and ``sides`` are then ignored, and the lungs are always labelled separately.
        step_mm: Voxel size of the volumes in mm.
        labels: Meaning of the mask values, if neither the masks nor a ``dataset.json`` state it: a
            vocabulary or pairs, see :func:`hilum.io.vocabulary.parse_labels`. For volumes also
            pleural fluid and free gas, such as ``1=right,2=left,3=fluid,4=gas``.
        resample_masks: Resample masks to the grids of their images by nearest neighbour. A mask that
            would lose more than 5 % of its volume is refused.
        subjects: The dictionary of subjects; by default beside the dataset, ``OUT.subjects.json``.
        jobs: Subjects at a time, each in a process of its own, which needs an importable main module;
            ``"auto"`` for one a core, as far as the free memory goes. One at a time is done in this process.
        progress: Called with the fraction done and a sentence.

    Returns:
        The outcome. Unusable pairs are listed with the reason; the others are prepared.

    Raises:
        UsageError: An argument is not allowed, or does not match the existing dataset.
        InputError: No usable pair was found, or a subject occurs twice.
        OutputError: It cannot be written.
    """
    wanted = _volume_parameters(step_mm) if volumes else _parameters(plane, spacing, sides)
    pleura: tuple[tuple[str, int], ...] = ()
    if volumes:
        labels, pleura = parse_pleura(labels)
    root = Path(out)
    dictionary = Path(subjects) if subjects is not None else root.with_name(root.name + ".subjects.json")
    mapping = parse_labels(labels) or labels_of(Path(pairs))
    count = parse_jobs(jobs)
    if root.resolve() in dictionary.resolve().parents:
        raise UsageError("subjects lies inside the dataset, which must not hold names.")
    found = find_pairs(Path(pairs), None if masks is None else Path(masks), several=volumes)
    with _open(root, wanted) as is_new:
        known = read_dictionary(dictionary)
        if not known and record_numbers(root):
            raise InputError(
                f"The dictionary {dictionary.name} of this dataset is missing, so new subjects cannot be "
                "distinguished from old ones.",
                Sentence("Give it{with:subjects}, or make the dataset again."),
            )
        numbers = assign(dictionary, [subject.name for subject in found])
        subjects_to_do = [
            Job(
                id=numbers[subject.name],
                name=subject.name,
                pairs=subject.pairs,
                root=root,
                plane=Plane(plane),
                spacing=parse_spacing(spacing),
                sides=sides,
                labels=mapping,
                resample_masks=resample_masks,
                step_mm=wanted.get("step_mm"),
                pleura=pleura,
            )
            for subject in found
        ]
        outcomes = _run(subjects_to_do, count, progress)
        with on_full_disk(root):
            outcomes = _without_copies(root, outcomes)
            _stop_if_nothing(root, outcomes, is_new, None if known else dictionary)
            if progress:
                progress(1.0, "index")
            remove_leftovers(root)
            slices = finish_dataset(root, wanted)
    names = {number: name for name, number in numbers.items()}
    return Prepared(
        dataset=root,
        dictionary=dictionary,
        subjects=len(read_json(root / "dataset.json")["subjects"]),
        slices=slices,
        made=tuple(o.id for o in outcomes if o.error is None and not o.kept),
        kept=tuple(o.id for o in outcomes if o.kept),
        refused=tuple(Refused(o.id, names[o.id], o.error) for o in outcomes if o.error is not None),
        notes=tuple((o.id, *note) for o in outcomes for note in o.notes),
    )


def _parameters(plane: Plane | str, spacing: Spacing, sides: bool) -> dict[str, Any]:
    try:
        chosen = Plane(plane)
    except ValueError as error:
        names = ", ".join(p.value for p in Plane)
        raise UsageError(f"plane is {plane!r}, expected one of {names}.") from error
    size = parse_spacing(spacing)
    return {
        "plane": chosen.value,
        "spacing": size if isinstance(size, str) else list(size),
        "sides": bool(sides),
    }


def _volume_parameters(step_mm: float) -> dict[str, Any]:
    if not _STEP_RANGE[0] <= step_mm <= _STEP_RANGE[1]:
        raise UsageError(
            f"step_mm is {step_mm:g}, expected a voxel size from {_STEP_RANGE[0]:g} to {_STEP_RANGE[1]:g} mm."
        )
    return {"step_mm": float(step_mm), "labels": LABELS}


@contextmanager
def _open(root: Path, wanted: dict[str, Any]) -> Iterator[bool]:
    """Lock the dataset, make its folders and remove leftovers of a killed run; yields whether it is new."""
    lock = FileLock(root / _LOCK, timeout=0)
    made = False
    try:
        with on_full_disk(root):
            if root.exists() and not root.is_dir():
                raise OutputError(
                    f"{root} is a file, not a folder.", Sentence("Give another folder{with:out}.")
                )
            made = not root.exists()
            _check_ours(root)
            root.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout as error:
                raise OutputError(
                    f"Another process is writing to {root}.", "Wait until it is done, or give another folder."
                ) from error
            for folder in (RECORDS, IMAGES, MASKS):
                (root / folder).mkdir(exist_ok=True)
            _clear_parts(root)
            _check_parameters(root, wanted)
        yield made or not (root / "dataset.json").exists()
    finally:
        try:
            _close(root, lock, made)
        except BaseException:  # a signal arrived in between
            _close(root, lock, made)
            raise


def _clear_parts(root: Path) -> None:
    """Remove incomplete files of a killed run, or of worker processes of this run that were ended."""
    for home in (root, root / RECORDS, root / IMAGES, root / MASKS):
        for part in home.glob(f"{HIDDEN}*"):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            elif part.name != _LOCK:
                part.unlink(missing_ok=True)


def _close(root: Path, lock: FileLock, made: bool) -> None:
    """Unlock the dataset; never fails. Without the lock it belongs to another process."""
    if lock.is_locked:
        with suppress(OSError):
            _clear_parts(root)
        with suppress(OSError):
            (root / _LOCK).unlink()
        lock.release()
    if made:
        _remove_if_empty(root)


def _check_ours(root: Path) -> None:
    if not root.is_dir():
        return
    entries = {path.name for path in root.iterdir() if not path.name.startswith(HIDDEN)}
    foreign = sorted(entries - _KNOWN)
    if foreign or (entries & {IMAGES, MASKS} and RECORDS not in entries):
        what = f" ({foreign[0]})" if foreign else ""
        raise OutputError(
            f"{root} holds files that are not a dataset of hilum{what}, so it is left unchanged.",
            Sentence("Give another folder{with:out}."),
        )


def _check_parameters(root: Path, wanted: dict[str, Any]) -> None:
    """Check or write the parameters: a dataset has one plane and one pixel size, fixed at its start."""
    file = root / RECORDS / _PARAMETERS
    if not file.exists():
        write_json(file, wanted)
        return
    hint = Sentence("Give another folder{with:out}.")
    there = read_json(file, name=f"{_PARAMETERS} of {root.name}", hint=hint)
    if not isinstance(there, dict):
        raise InputError(f"{_PARAMETERS} of {root.name} is corrupted.", hint)
    if ("step_mm" in there) != ("step_mm" in wanted):
        held = "volumes" if "step_mm" in there else "slices"
        raise UsageError(f"The dataset {root.name} holds {held}.", hint)
    for name, value in wanted.items():
        if there.get(name) != value:
            raise UsageError(
                f"The dataset {root.name} was made with {name} = {shown(there.get(name))}, not {value}.",
                Sentence("Use the same {option:$name}, or give another folder{with:out}.", name=name),
            )


def _run(jobs: list[Job], count: int | None, progress: Progress | None) -> list[Outcome]:
    """Make the subjects, ``count`` at a time; one whose process dies is refused.

    Returns:
        The outcomes in the order of the jobs.

    Raises:
        OutputError: The dataset cannot be written.
    """
    say = progress or (lambda fraction, what: None)
    done: dict[int, Outcome] = {}
    say(0.0, f"{len(jobs)} subject{'s' if len(jobs) != 1 else ''}")
    share = share_out(count)
    if 0 < len(jobs) < share.jobs:
        share = share_out(len(jobs))
    if share.jobs > 1:
        ended = Pool(Share(share.jobs, share.threads, Limits())).run(make_subject, jobs)
    else:
        ended = (Ended(job, make_subject(job)) for job in jobs)
    with closing(ended):
        for one in ended:
            if one.error is not None and not one.lost:
                raise one.error
            done[one.job.id] = one.value or Outcome(one.job.id, 0, error=one.error)
            say(len(done) / (len(jobs) + 1), f"subject {len(done)} of {len(jobs)}")
    return [done[job.id] for job in jobs]


def _without_copies(root: Path, outcomes: list[Outcome]) -> list[Outcome]:
    copies = refuse_copies(root)
    out = []
    for outcome in outcomes:
        if outcome.id in copies:
            first = copies[outcome.id]
            error = InputError(f"Its image is the same as that of subject {first}.", "Remove one of them.")
            outcome = Outcome(outcome.id, 0, error=error)
        out.append(outcome)
    return out


def _stop_if_nothing(root: Path, outcomes: list[Outcome], is_new: bool, dictionary: Path | None) -> None:
    """If no pair of a new dataset is usable, leave nothing and raise with the reason."""
    if not is_new or any(outcome.slices for outcome in outcomes):
        return
    numbers = set(record_numbers(root))
    if numbers - {outcome.id for outcome in outcomes}:
        return
    for folder in (RECORDS, IMAGES, MASKS):
        shutil.rmtree(root / folder, ignore_errors=True)
    if dictionary is not None:
        dictionary.unlink(missing_ok=True)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    first = errors[0]
    if len(errors) > 1:
        raise first.saying(
            Sentence(
                "None of the {count} pairs can be used. The first: {message}",
                count=len(errors),
                message=first.message,
            )
        )
    raise first


def _remove_if_empty(root: Path) -> None:
    with suppress(OSError):
        root.rmdir()

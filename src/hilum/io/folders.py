"""Find the scans of a folder: volume files, and DICOM studies with CT."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.io.dicom.files import looks_like_dicom, regular_files
from hilum.io.dicom.reader import stacks_of
from hilum.io.dicom.scan import Scan, scan
from hilum.io.dicom.select import Choice, choose, choose_each, describe, series_label
from hilum.io.dicom.stacks import Stack
from hilum.io.dispatch import refuse_folder_without_dicom
from hilum.io.names import MASK_TAILS, is_volume_file
from hilum.io.stream import readable

__all__ = ["Found", "Study", "look_into", "masks_left_out", "sort_files", "volume_files"]

#: Endings of volume files that are taken from a folder. TIFF slices and zips are not: thousands of slices of
#: one scan would become thousands of scans.
_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".img", ".img.gz")
#: Files that mark a folder of results of hilum, which is never an input.
_RESULT = frozenset({"run.json", "measures.json"})
_LISTED = 3


@dataclass(frozen=True)
class Study:
    """A DICOM study with CT.

    Attributes:
        uid: Study instance UID.
        folder: Folder that holds all its files.
        files: Its files, and those in its folders that could not be read.
        about: The series that the rules pick, in a few words.
    """

    uid: str = field(repr=False)
    folder: Path
    files: tuple[Path, ...]
    about: str


@dataclass(frozen=True)
class Found:
    """The scans of a folder.

    Attributes:
        volumes: Volume files.
        studies: DICOM studies with CT.
        left_out: Sentences on what is there but is not a scan.
        scan: The DICOM headers, where there is exactly one study.
    """

    volumes: tuple[Path, ...]
    studies: tuple[Study, ...]
    left_out: tuple[str, ...] = ()
    scan: Scan | None = None

    @property
    def count(self) -> int:
        """Number of scans."""
        return len(self.volumes) + len(self.studies)

    @property
    def places(self) -> list[Path]:
        """Where the scans lie."""
        return [*self.volumes, *(study.folder for study in self.studies)]


@dataclass(frozen=True)
class Files:
    """The files of a folder, sorted by their names.

    Attributes:
        volumes: Volume files.
        masks: Volume files that are masks by their names.
        other: TIFF files and zips.
        rest: All others, DICOM among them.
        unreadable: Files and folders that could not be read.
    """

    volumes: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)
    rest: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def look_into(folder: Path, series: str | None = None, *, name: str = "") -> Found:
    """Find the scans in a folder of any depth.

    Hidden files and folders with results of hilum are skipped, and so are files whose names say that
    they hold masks, if there are others.

    Args:
        folder: The folder.
        series: DICOM series to take, as in :func:`hilum.io.dicom.select.choose_each`; volume files are then
            left out.
        name: What errors call the folder; its own name without it.

    Raises:
        InputError: There is no scan in it, or it cannot be listed.
        UsageError: ``series`` fits nothing, or more than one series of a study.
    """
    name = name or folder.name or str(folder)
    files = volume_files(folder)
    volumes = tuple(files.volumes)
    found = scan(folder)
    if not (volumes or found.planes):
        raise _nothing(folder, name, found, files)
    stacks = stacks_of(found, folder) if found.planes else []
    choices = choose_each(stacks, series) if stacks else []
    if not (choices or volumes):
        choose(stacks, series)  # raises the error that says what is there instead
    if series is not None:
        volumes = ()
    studies = tuple(
        sorted((_study(choice, stacks, found) for choice in choices), key=lambda s: str(s.folder))
    )
    in_studies = (
        {file for study in studies for file in study.files} if len(studies) > 1 else set(found.damaged)
    )
    unread = _unread({*files.unreadable, *found.damaged} - (in_studies if studies else set()))
    left_out = (*masks_left_out(files.masks), *unread, *_studies_left_out(stacks, choices))
    lone = len(studies) == 1 and not volumes and len({s.head.study_uid for s in stacks}) == 1
    return Found(volumes, studies, left_out, found if lone else None)


def volume_files(folder: Path) -> Files:
    """Sort the files of a folder of any depth; links to folders are followed, each folder once.

    Raises:
        InputError: The folder cannot be listed.
    """
    with readable(folder):
        os.scandir(folder).close()  # the walk would pass over a folder that may not be listed
    unreadable: list[Path] = []
    found = sort_files(regular_files(folder, lambda path, error: unreadable.append(path)))
    found.unreadable.extend(unreadable)
    return found


def sort_files(files: Iterable[Path]) -> Files:
    """Sort files by their names; those in folders with results of hilum are left out."""
    found = Files()
    by_folder: dict[Path, list[Path]] = {}
    for file in files:
        by_folder.setdefault(file.parent, []).append(file)
    for beside in by_folder.values():
        names = {file.name.lower() for file in beside}
        if names >= _RESULT:
            continue
        for file in beside:
            if is_volume_file(file.name, names, _SUFFIXES):
                (found.masks if _named_as_mask(file) else found.volumes).append(file)
            elif file.name.lower().endswith((".tif", ".tiff", ".zip")):
                found.other.append(file)
            else:
                found.rest.append(file)
    return found


def _named_as_mask(file: Path) -> bool:
    stem = file.name.lower()
    for suffix in sorted((".seg.nrrd", *_SUFFIXES), key=len, reverse=True):
        if stem.endswith(suffix):
            if suffix == ".seg.nrrd":
                return True
            stem = stem[: -len(suffix)]
            break
    tails = (*MASK_TAILS, "uncertainty")
    return any(stem == tail or stem.endswith(tuple(joint + tail for joint in "_-.")) for tail in tails)


def _study(choice: Choice, stacks: Sequence[Stack], found: Scan) -> Study:
    uid = choice.stack.head.study_uid
    own = _files(s for s in stacks if s.head.study_uid == uid)
    known = set(_files(stacks))
    folders = sorted({file.parent for file in own})
    # A file that cannot be read belongs to no study by its header; the reader of the study reports it.
    unread = [f for place in folders for f in sorted(place.iterdir())
              if f.is_file() and not f.name.startswith(".") and f not in known
              and (looks_like_dicom(f) or f in found.unreadable)]  # fmt: skip
    where = Path(os.path.commonpath(folders))
    about = (
        f"{series_label(choice.stack)}, {describe(choice.stack)}, UID ...{choice.stack.head.series_uid[-12:]}"
    )
    return Study(uid, where, (*own, *unread), about)


def _files(stacks: Iterable[Stack]) -> list[Path]:
    return list(dict.fromkeys(plane.head.path for stack in stacks for plane in stack.planes))


def masks_left_out(masks: Sequence[Path]) -> list[str]:
    """Say in a sentence which files were left out as masks; none where there are none."""
    if not masks:
        return []
    n = len(masks)
    what = "1 file named as a mask was" if n == 1 else f"{n} files named as masks were"
    return [f"{what} left out ({_listed(masks)})."]


def _unread(files: set[Path]) -> list[str]:
    if not files:
        return []
    n = len(files)
    what = "1 file" if n == 1 else f"{n} files or folders"
    return [f"{what} could not be read and belong to none of the scans ({_listed(sorted(files))})."]


def _studies_left_out(stacks: Sequence[Stack], choices: Sequence[Choice]) -> list[str]:
    taken = {choice.stack.head.study_uid for choice in choices}
    rest = [s for s in stacks if s.head.study_uid not in taken]
    studies = len({s.head.study_uid for s in rest})
    if not studies:
        return []
    what = ", ".join(sorted({s.head.modality or "unknown" for s in rest}))
    subject = "1 study that holds no CT volume was" if studies == 1 else (
        f"{studies} studies that hold no CT volume were")  # fmt: skip
    return [f"{subject} left out ({what})."]


def _nothing(folder: Path, name: str, found: Scan, files: Files) -> Exception:
    """Say why a folder holds no scan."""
    masks, other = files.masks, files.other
    if masks:
        return InputError(
            Sentence(
                "{folder:name} holds no scan, but {count} file(s) named as masks ({names:masks}).",
                name=name,
                count=len(masks),
                masks=_listed(masks),
            ),
            "Give the scans, or name such files one by one.",
        )
    if found.broken or found.imageless or not other:
        refuse_folder_without_dicom(folder)  # raises where it holds packed files
        stacks_of(found, folder)  # raises the error that fits
    return InputError(
        Sentence(
            "{folder:name} holds no NIfTI, NRRD, MHA or DICOM, but {count} TIFF or zip files "
            "({names:others}).",
            name=name,
            count=len(other),
            others=_listed(other),
        ),
        Sentence(
            "Give the files themselves, such as {folder:name}/*{ending}.", name=name, ending=other[0].suffix
        ),
    )


def _listed(files: Sequence[Path]) -> str:
    return ", ".join(f.name for f in files[:_LISTED]) + (", ..." if len(files) > _LISTED else "")

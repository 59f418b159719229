"""A folder with one file per structure, as TotalSegmentator writes it, or one file per lung."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.core.errors import GeometryError, InputError
from hilum.core.labels import Lung
from hilum.core.sentences import Sentence
from hilum.io.dicom.files import looks_like_dicom
from hilum.io.mask import Mask, count_values
from hilum.io.mask_segments import LungParts, Parts, SegmentName, merge, no_lung, note_of
from hilum.io.names import VOLUME_SUFFIXES
from hilum.io.stream import readable
from hilum.io.vocabulary import BOTH, LabelMap, listed

__all__ = ["holds_structures", "load_folder", "load_structures", "structures_in"]

_SUFFIXES = (".seg.nrrd", *VOLUME_SUFFIXES)
#: Files of one side that belong together: where one lobe is there, a missing one was forgotten, not removed.
_LOBES = (
    ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
)
_GRID_MM = 0.05


def holds_structures(folder: Path) -> bool:
    """Whether a folder holds files of single structures, of which some are lung by their names."""
    return folder.is_dir() and any(_parts(_files(folder), None).values())


def structures_in(folder: Path) -> list[str]:
    """Return what the files of a folder that may be masks are called, without the suffix."""
    return [stem(file) for file in _files(folder)]


#: Reads the mask in one file, with what its segments mean.
Load = Callable[[Path, Parts], Mask]


def load_folder(folder: Path, labels: LabelMap | None, load: Load) -> Mask:
    """Read the lungs of a folder; its other structures are not opened.

    Args:
        folder: With one file per structure; or with one DICOM SEG.
        labels: Meaning of file names (without suffix) that do not speak for themselves.
        load: Reads one file.

    Raises:
        InputError: No file of it is a lung, or one is not a mask of one structure.
        GeometryError: The files do not lie on one grid.
    """
    files = _files(folder)
    if not files:
        return load(_only_dicom(folder), LungParts(labels))
    parts = _parts(files, labels)
    lungs = {file: part for file, part in parts.items() if part}
    if not lungs:
        raise no_lung(folder.name or "the folder", [stem(file) for file in files])
    if any(part != BOTH for part in lungs.values()):
        lungs = {file: part for file, part in lungs.items() if part != BOTH}
    elif len(lungs) == 1:
        (file,) = lungs
        mask = load(file, LungParts(labels))
        several = mask.mapped or _has_several(mask)
        return mask if several else replace(_binary(mask, file), notes=(note_of({stem(file): BOTH}),))
    elif len(lungs) > 1:
        raise InputError(
            Sentence(
                "{folder:folder} holds several masks of both lungs ({names:masks}).",
                folder=folder.name or "The folder",
                masks=listed(map(stem, lungs)),
            ),
            "Give one of them instead of the folder.",
        )
    _refuse_missing_lobes(folder, files)
    first = load(next(iter(lungs)), LungParts())

    def segments() -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        for number, (file, part) in enumerate(lungs.items()):
            mask = load(file, LungParts()) if number else first
            _check_grid(first, mask, file, folder)
            yield part, _binary(mask, file).array > 0

    array = merge(segments(), first.array.shape, folder.name or "the folder")
    note = note_of({stem(file): part for file, part in lungs.items()})
    return Mask(array, first.affine, first.meta, cropped=first.cropped, mapped=True, notes=(note,))


def load_structures(folder: Path, parts: Parts, load: Load) -> Mask:
    """Read the structures of a folder that mean something; its other files are not opened.

    Args:
        folder: With one file per structure; or with one DICOM SEG.
        parts: What the names of the files (without suffix) mean.
        load: Reads one file.

    Raises:
        InputError: No file of it means anything, or one is not a mask of one structure.
        GeometryError: The files do not lie on one grid.
    """
    files = _files(folder)
    if not files:
        return load(_only_dicom(folder), parts)
    what = folder.name or "the folder"
    values = {file: parts.value_of(SegmentName(stem(file))) for file in files}
    chosen = {file: value for file, value in values.items() if value}
    if not chosen:
        raise parts.nothing(what, map(stem, files))
    if {stem(file) for file in chosen} & {lobe for side in _LOBES for lobe in side}:
        _refuse_missing_lobes(folder, files)
    first = load(next(iter(chosen)), parts)
    if len(chosen) == 1 and (first.mapped or _has_several(first)):
        return first  # a label map of several classes that is called as one of them

    def segments() -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        for number, (file, value) in enumerate(chosen.items()):
            mask = load(file, parts) if number else first
            _check_grid(first, mask, file, folder)
            yield value, _binary(mask, file).array > 0

    array = parts.merge(segments(), first.array.shape, what)
    notes = parts.notes({stem(file): value for file, value in chosen.items()})
    return Mask(array, first.affine, first.meta, parts.names, cropped=first.cropped, mapped=True, notes=notes)


def stem(file: Path) -> str:
    """Name of a file without the suffix of its format."""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if file.name.lower().endswith(suffix):
            return file.name[: -len(suffix)]
    return file.name


def _files(folder: Path) -> list[Path]:
    with readable(folder):
        entries = sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_file())
    return [file for file in entries if file.name.lower().endswith(_SUFFIXES) and file.name[0] != "."]


def _parts(files: list[Path], labels: LabelMap | None) -> dict[Path, int]:
    """What each file is, by its name; failing that, by what is left of it without what all names begin with.

    A number in a name separates cases, so such a name is not that of a structure.
    """
    labels = labels or LabelMap()
    found = {file: _part(stem(file), labels) for file in files}
    if any(found.values()) or len(files) < 2:
        return found
    common = _common([stem(file) for file in files])
    rests = {file: stem(file)[common:].strip("_-. ") for file in files}
    sides = {"right": int(Lung.RIGHT), "left": int(Lung.LEFT), "r": int(Lung.RIGHT), "l": int(Lung.LEFT)}
    if {rest.lower() for rest in rests.values()} <= set(sides):  # two files, right and left, and nothing else
        return {file: sides[rest.lower()] for file, rest in rests.items()}
    return {file: _part(rest, LabelMap()) for file, rest in rests.items()}


def _common(names: list[str]) -> int:
    """How many characters all names begin with."""
    together = zip(*names, strict=False)
    return next((n for n, letters in enumerate(together) if len(set(letters)) > 1), min(map(len, names)))


def _part(name: str, labels: LabelMap) -> int:
    return labels.of_segment(name, part=0 if re.search(r"\d", name) else None)


def _refuse_missing_lobes(folder: Path, files: list[Path]) -> None:
    names = {stem(file) for file in files}
    for side in _LOBES:
        missing = [lobe for lobe in side if lobe not in names]
        if missing and len(missing) < len(side):
            raise InputError(
                Sentence(
                    "{file:missing} is missing in {folder:folder}, though other lobes of its lung are there.",
                    missing=missing[0],
                    folder=folder.name or "the folder",
                ),
                "Put the file there; an empty one if the lobe was removed.",
            )


def _binary(mask: Mask, file: Path) -> Mask:
    """The file as 0 and BOTH; TotalSegmentator marks a structure with 1, others with 255."""
    if not mask.mapped and _has_several(mask):
        raise InputError(
            Sentence(
                "{file:file} holds several labels, but a file of one structure has one.", file=file.name
            ),
            "Give the file itself, not its folder.",
        )
    return replace(mask, array=(mask.array > 0).astype(np.uint8) * np.uint8(BOTH), mapped=True)


def _has_several(mask: Mask) -> bool:
    return bool(np.count_nonzero(count_values(mask.array)[1:]) > 1)


def _check_grid(first: Mask, mask: Mask, file: Path, folder: Path) -> None:
    same = first.array.shape == mask.array.shape and np.allclose(first.affine, mask.affine, atol=_GRID_MM)
    if not same:
        raise GeometryError(
            Sentence(
                "{file:file} does not lie on the grid of the other files in {folder:folder}.",
                file=file.name,
                folder=folder.name or "the folder",
            ),
            "Give files of one scan.",
        )


def _only_dicom(folder: Path) -> Path:
    with readable(folder):
        entries = sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_file())
    found = [file for file in entries if looks_like_dicom(file)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} DICOM files" if found else "no mask that hilum reads"
    raise InputError(
        Sentence("The folder {folder:folder} holds {what}.", folder=folder.name, what=what),
        "Give a label map, a DICOM SEG, or a folder with one file per structure.",
    )

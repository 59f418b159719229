"""Find the DICOM files in a folder of any depth and read their headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.io.dicom.files import is_packed, regular_files, starts_as_dicom, why_unreadable
from hilum.io.dicom.headers import DIRECTORY, Broken, FileHeader, Plane, read_header

__all__ = ["Scan", "Source", "scan"]

#: A file, a folder, or files of one's own choice.
Source = Path | Sequence[Path]


@dataclass
class Scan:
    """What lies in a folder.

    Attributes:
        planes: All image planes, of any modality.
        imageless: Headers of DICOM files that hold no image (reports, structures, plans).
        broken: (file name, why) of files that are DICOM by their mark but cannot be understood, and of files
            and folders that could not be read at all.
        damaged: Where all of these lie.
        unreadable: Those of them that could not be read at all: what they hold is not known.
        packed: Names of gzip files, which are not opened.
        index: Whether a DICOMDIR was given, so that the folder in which it lies was read.
    """

    planes: list[Plane] = field(default_factory=list)
    imageless: list[FileHeader] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    packed: list[str] = field(default_factory=list)
    index: bool = False

    def miss(self, path: Path, error: OSError) -> None:
        """Take down a file or folder that could not be read."""
        self.broken.append((path.name, why_unreadable(error)))
        self.damaged.append(path)
        self.unreadable.append(path)


def scan(path: Source, *, descriptions: bool = False) -> Scan:
    """Read the headers of a file, of several files, or of all DICOM files in a folder of any depth.

    Hidden files are skipped; links to folders are followed (see
    :func:`hilum.io.dicom.files.regular_files`). A DICOMDIR is not used, since what counts is the files
    themselves; where one is given, the folder in which it lies is read.

    Args:
        path: File, folder, or a sequence of files, which are read as if they lay alone in one folder.
        descriptions: Also read series descriptions, which may identify the patient.

    Raises:
        InputError: The path does not exist, a file that was named is not DICOM, the only one may not be read,
            or none was named.
    """
    found = Scan()
    if isinstance(path, Path) and path.is_dir():
        _scan_folder(found, path, descriptions)
        return found
    if isinstance(path, Path):
        try:
            found.index = _take_named(found, path, descriptions)
        except OSError as error:
            sentence = Sentence(
                "{file:path} cannot be read: {why}.", path=path.name, why=why_unreadable(error)
            )
            raise InputError(sentence, "Change its permissions, or copy it again.") from error
        if found.index:
            _scan_folder(found, path.parent, descriptions)
        return found
    if not path:
        raise InputError("No DICOM file was named.", "Give a DICOM file or a folder of them.")
    for file in path:
        try:
            _take_named(found, file, descriptions)
        except OSError as error:
            found.miss(file, error)
    return found


def _take_named(found: Scan, file: Path, descriptions: bool) -> bool:
    if not file.exists():
        raise InputError(Sentence("{file:file} does not exist.", file=str(file)), "Check the path.")
    if not starts_as_dicom(file):
        raise InputError(
            Sentence("{file:file} is not a DICOM file.", file=file.name),
            "Give a DICOM file or a folder of them.",
        )
    return _take(found, file, descriptions)


def _scan_folder(found: Scan, folder: Path, descriptions: bool) -> None:
    for file in regular_files(folder, found.miss):
        try:
            if starts_as_dicom(file):
                _take(found, file, descriptions)
            elif is_packed(file):
                found.packed.append(file.name)
        except OSError as error:
            found.miss(file, error)


def _take(found: Scan, path: Path, descriptions: bool) -> bool:
    """Add a file to what was found; return whether it is a DICOMDIR.

    Raises:
        OSError: It cannot be read.
    """
    try:
        head, planes = read_header(path, descriptions=descriptions)
    except Broken as error:
        found.broken.append((path.name, str(error)))
        found.damaged.append(path)
        return False
    if head.sop_class == DIRECTORY:
        return True
    if planes:
        found.planes.extend(planes)
    else:
        found.imageless.append(head)
    return False

"""Find the DICOM files in a folder of any depth and read their headers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hilum.errors import InputError
from hilum.io.dicom.headers import Broken, FileHeader, Plane, looks_like_dicom, read_header

__all__ = ["Scan", "Source", "scan"]

#: A file, a folder, or files of one's own choice.
Source = Path | Sequence[Path]

_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage: a DICOMDIR lists files, it is no image


@dataclass
class Scan:
    """What lies in a folder.

    Attributes:
        planes: All image planes, of any modality.
        imageless: Headers of DICOM files that hold no image (reports, structures, plans).
        broken: (file name, why) of files that are DICOM by their mark but cannot be understood.
    """

    planes: list[Plane] = field(default_factory=list)
    imageless: list[FileHeader] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)


def scan(path: Source, *, descriptions: bool = False) -> Scan:
    """Read the headers of a file, of several files, or of all DICOM files in a folder of any depth.

    Hidden files are passed over, links to folders are not followed, and a DICOMDIR is not used: what counts
    is the files themselves.

    Args:
        path: File, folder, or a sequence of files, which are read as if they lay alone in one folder.
        descriptions: Also read series descriptions, which may identify the patient.

    Raises:
        InputError: The path does not exist, a file that was named is no DICOM, or none was named.
    """
    found = Scan()
    if isinstance(path, Path) and path.is_dir():
        for file in _files(path):
            if looks_like_dicom(file):
                _take(found, file, descriptions)
        return found
    named = [path] if isinstance(path, Path) else list(path)
    if not named:
        raise InputError("No DICOM file was named.", "Give a DICOM file or a folder of them.")
    for file in named:
        if not file.exists():
            raise InputError(f"{file} does not exist.", "Check the path.")
        if not file.is_file() or not looks_like_dicom(file):
            raise InputError(f"{file.name} is not a DICOM file.", "Give a DICOM file or a folder of them.")
        _take(found, file, descriptions)
    return found


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.is_file():
                yield file


def _take(found: Scan, path: Path, descriptions: bool) -> None:
    try:
        head, planes = read_header(path, descriptions=descriptions)
    except Broken as error:
        found.broken.append((path.name, str(error)))
        return
    if head.sop_class == _DIRECTORY:
        return
    if planes:
        found.planes.extend(planes)
    else:
        found.imageless.append(head)

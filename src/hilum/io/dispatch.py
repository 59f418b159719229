"""Read any supported format: detected by content first, by file name second."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.io.archive import files_in, unpacked, volumes_in
from hilum.io.dicom import looks_like_dicom, read_dicom
from hilum.io.itk import read_itk
from hilum.io.names import VOLUME_SUFFIXES, scan_name
from hilum.io.nifti import read_nifti
from hilum.io.stream import open_regular, open_stream, read_head, readable
from hilum.io.tiff import read_tiff

__all__ = ["FileKind", "kind_of", "read", "read_unpacked", "read_zip", "refuse_folder_without_dicom"]

_FORMATS = "hilum reads NIfTI, NRRD, MHA/MHD, HU TIFF slices, DICOM, and zip of them."
_IMAGES = (b"\xff\xd8\xff", b"GIF8", b"BM")
_ARCHIVES = (b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima", ""}
_PACKED_SUFFIXES = (".gz", ".zip", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst")
_LISTED = 3


class FileKind(Enum):
    """The format of a file, from its content."""

    NIFTI = "NIfTI"
    NRRD = "NRRD"
    METAIMAGE = "MetaImage"
    TIFF = "TIFF"
    PNG = "PNG"
    IMAGE = "image"
    DICOM = "DICOM"
    ZIP = "zip"
    ARCHIVE = "archive"
    HDF5 = "HDF5"
    GZIP = "gzip"
    UNKNOWN = "unknown"


def read(path: Path | str, *, series: str | None = None, resample: bool = False) -> Volume:
    """Read a chest CT from a file or folder.

    Args:
        path: NIfTI (``.nii``, ``.nii.gz``, ``.hdr``/``.img``), NRRD, MHA/MHD, a TIFF slice in HU, a DICOM
            file, a folder that holds DICOM at any depth, or a zip of any of these.
        series: DICOM: the series to take (see :func:`hilum.inspect`); without it hilum picks by stated rules.
        resample: DICOM: interpolate across a gap or a tilted gantry instead of refusing.

    Returns:
        The scan in HU with its place in space.

    Raises:
        InputError: It cannot be read, or is not CT in HU.
        GeometryError: It was read, but where its voxels lie cannot be trusted.
    """
    path = Path(path)
    if _mode(path, stat.S_ISDIR):
        refuse_folder_without_dicom(path)
        return read_dicom(path, series=series, resample=resample)
    kind = kind_of(path)
    if kind is FileKind.NIFTI:
        return read_nifti(path)
    if kind in (FileKind.NRRD, FileKind.METAIMAGE):
        return read_itk(path)
    if kind is FileKind.TIFF:
        return read_tiff(path)
    if kind is FileKind.ZIP:
        return read_zip(path, series=series, resample=resample)
    if kind is FileKind.DICOM:
        return read_dicom(path, series=series, resample=resample)
    raise _refusal(path, kind)


def read_unpacked(path: Path, folder: Path) -> Volume:
    """Read a volume file out of an archive that was unpacked into ``folder``.

    Raises:
        InputError: As :func:`read`; or its header names data outside of the folder, or it is a zip again.
    """
    kind = kind_of(path)
    if kind in (FileKind.NRRD, FileKind.METAIMAGE):
        return read_itk(path, within=folder)
    if kind is FileKind.ZIP:
        raise InputError(
            Sentence("{file:path} is a zip within a zip, which hilum does not open.", path=path.name),
            "Unpack it.",
        )
    return read(path)


def read_zip(path: Path | str, *, series: str | None = None, resample: bool = False) -> Volume:
    """Read a CT from a zip that holds DICOM files, or exactly one NIfTI, NRRD, MHA or TIFF file.

    Args:
        path: The archive.
        series: DICOM: as in :func:`hilum.io.dicom.read_dicom`.
        resample: DICOM: as in :func:`hilum.io.dicom.read_dicom`.

    Returns:
        The scan, named after the archive. ``meta.files`` are the names in it, since the unpacked files are
        gone.

    Raises:
        InputError: The archive is broken, encrypted, climbs out of its folder, is a bomb or holds no scan.
        OutputError: The disk of the temporary folder is full.
        UsageError: ``series`` fits nothing or more than one series.
        GeometryError: As the readers.
    """
    path = Path(path)
    with unpacked(path) as folder:
        volume = _read_folder(path, folder, series, resample)
    files = tuple(str(Path(file).relative_to(folder)) for file in volume.meta.files)
    meta = replace(volume.meta, name=scan_name(path), archive=str(path), files=files)
    return replace(volume, meta=meta)


def _read_folder(path: Path, folder: Path, series: str | None, resample: bool) -> Volume:
    files = files_in(folder)
    if any(looks_like_dicom(f) for f in files):
        return read_dicom(folder, series=series, resample=resample)
    return _read_single(path, volumes_in(files), folder)


def _read_single(path: Path, volumes: list[Path], folder: Path) -> Volume:
    if not volumes:
        raise InputError(
            Sentence("{file:path} holds no scan that hilum reads.", path=path.name),
            "Put the DICOM files of a series, or one NIfTI, NRRD or MHA file, into the zip.",
        )
    if len(volumes) > 1:
        raise InputError(
            Sentence(
                "{file:path} holds {count} volume files, so it is not clear which is meant.",
                path=path.name,
                count=len(volumes),
            ),
            "Unpack it and give the files themselves.",
        )
    return read_unpacked(volumes[0], folder)


def kind_of(path: Path | str) -> FileKind:
    """Say what a file is. The name counts only where the content has no mark of its own.

    Raises:
        InputError: The file is missing, empty, forbidden, no regular file or gzip that cannot be undone.
    """
    path = Path(path)
    if not _mode(path, stat.S_ISREG):
        raise InputError(
            Sentence("{file:path} is neither a file nor a folder.", path=path.name),
            "Give a file or a folder.",
        )
    head = read_head(path)
    if not head:
        raise InputError(Sentence("{file:path} is empty.", path=path.name), "Get the file again.")
    if head[:2] == b"\x1f\x8b":
        with readable(path), open_stream(path, ahead=False) as stream:
            return _by_packed(stream.read(512), path)
    return _by_content(head) or _by_name(path, head)


def _by_content(head: bytes) -> FileKind | None:
    if _is_nifti(head):
        return FileKind.NIFTI
    if head[128:132] == b"DICM":
        return FileKind.DICOM
    marks = {
        b"NRRD0": FileKind.NRRD,
        b"II*\0": FileKind.TIFF,
        b"MM\0*": FileKind.TIFF,
        b"II+\0": FileKind.TIFF,
        b"MM\0+": FileKind.TIFF,
        b"\x89PNG": FileKind.PNG,
        b"PK\x03\x04": FileKind.ZIP,
        b"PK\x05\x06": FileKind.ZIP,
        b"\x89HDF": FileKind.HDF5,
        **dict.fromkeys(_IMAGES, FileKind.IMAGE),
        **dict.fromkeys(_ARCHIVES, FileKind.ARCHIVE),
    }
    for mark, kind in marks.items():
        if head.startswith(mark):
            return kind
    if head[257:262] == b"ustar":
        return FileKind.ARCHIVE
    if head[:64].lstrip().startswith((b"ObjectType", b"NDims")) and b"=" in head[:64]:
        return FileKind.METAIMAGE
    return None


def _by_name(path: Path, head: bytes) -> FileKind:
    name = path.name.lower()
    if name.endswith((".nii", ".hdr", ".img", ".nii.gz")):
        return FileKind.NIFTI  # an .img has no mark; for the others the NIfTI reader says what is wrong
    if name.endswith((".mha", ".mhd")) and b"=" in head:
        return FileKind.METAIMAGE
    # DICOM without preamble starts with an element of group 2 or 8; text and the like does not.
    starts_dicom = head[:4] in (
        b"\x08\0\x05\0",
        b"\x08\0\0\0",
        b"\x08\0\x01\0",
        b"\x08\0\x08\0",
        b"\x02\0\0\0",
    )
    if starts_dicom or (path.suffix.lower() in _DICOM_SUFFIXES and b"\0" in head):
        return FileKind.DICOM
    return FileKind.UNKNOWN


def _by_packed(head: bytes, path: Path) -> FileKind:
    """What a gzip is, by the first bytes of its content; only NIfTI is read packed."""
    name = path.name.lower()
    kind = _by_content(head)
    if kind is FileKind.NIFTI or (kind is None and name.endswith((".nii.gz", ".hdr.gz", ".img.gz"))):
        return FileKind.NIFTI
    if kind is FileKind.ARCHIVE or name.endswith((".tar.gz", ".tgz")):
        return FileKind.ARCHIVE
    return FileKind.GZIP


def _is_nifti(head: bytes) -> bool:
    """Whether the bytes are a NIfTI header; the same test as in the reader, without its imports."""
    size = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    return (348 in size and head[344:348] in (b"n+1\0", b"ni1\0")) or (
        540 in size and head[4:8] in (b"n+2\0", b"ni2\0")
    )


def _refusal(path: Path, kind: FileKind) -> InputError:
    name = path.name
    if kind in (FileKind.PNG, FileKind.IMAGE):
        return InputError(
            Sentence("{file:name} is an 8-bit windowed image: HU cannot be recovered from it.", name=name),
            "Export the scan from DICOM as NIfTI, or slices as 16-bit HU TIFF.",
        )
    if kind is FileKind.ARCHIVE:
        return InputError(
            Sentence("{file:name} is an archive that hilum does not open.", name=name),
            "Unpack it, or make it a zip.",
        )
    if kind is FileKind.GZIP:
        inside = _packed_kind(path)
        if inside is None:
            return InputError(Sentence("{file:name} is gzip, but no NIfTI is in it.", name=name), _FORMATS)
        return InputError(
            Sentence(
                "{file:name} is {format} packed with gzip, which hilum reads unpacked only.",
                name=name,
                format=inside.value,
            ),
            "Unpack it, such as with gunzip.",
        )
    return InputError(Sentence("The format of {file:name} is not known.", name=name), _FORMATS)


def _packed_kind(path: Path) -> FileKind | None:
    with readable(path), open_stream(path, ahead=False) as stream:
        return _by_content(stream.read(512))


def _mode(path: Path, test: Callable[[int], bool]) -> bool:
    """Whether what lies at ``path`` passes a test of :mod:`stat`; missing or forbidden raises."""
    with readable(path):
        return test(path.stat().st_mode)


def refuse_folder_without_dicom(folder: Path) -> None:
    """Raise where a folder holds volumes or packed files but no DICOM.

    A folder with DICOM, or with nothing that is known, is left to the DICOM reader.

    Raises:
        InputError: As said; or the folder may not be listed.
    """
    with readable(folder):
        next(os.scandir(folder), None)  # os.walk would pass over a folder that may not be listed
    volumes, packed = [], []
    for file in _files_below(folder):
        if _is_volume(file):
            volumes.append(file)
        elif file.name.lower().endswith(_PACKED_SUFFIXES):
            packed.append(file)
        elif _looks_like_dicom(file):
            return
    if volumes:
        slices = all(file.suffix.lower() in (".tif", ".tiff") for file in volumes)
        raise InputError(
            Sentence(
                "The folder holds no DICOM but {count} file(s) with volumes ({names:volumes}).",
                count=len(volumes),
                volumes=_some(volumes),
            ),
            "Give the files themselves." if slices else "Give one of the files; a batch takes them all.",
        )
    if packed:
        raise InputError(
            Sentence(
                "The folder holds no DICOM but {count} packed file(s) ({names:packed}).",
                count=len(packed),
                packed=_some(packed),
            ),
            "Unpack them into one folder and give that; a zip can be given itself.",
        )


def _files_below(folder: Path) -> Iterator[Path]:
    """Regular files that are not hidden, in the order of their names."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.is_file():
                yield file


def _is_volume(file: Path) -> bool:
    """Whether a file holds a volume by its name; DICOM of old may be called ``.img`` too."""
    name = file.name.lower()
    return name.endswith(VOLUME_SUFFIXES) and not (name.endswith(".img") and _looks_like_dicom(file))


def _some(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files[:_LISTED]) + (", ..." if len(files) > _LISTED else "")


def _looks_like_dicom(file: Path) -> bool:
    try:
        with open_regular(file) as stream:
            head = stream.read(132)
    except (OSError, InputError):
        return False
    return head[128:132] == b"DICM" or head[:2] in (b"\x08\0", b"\x02\0")

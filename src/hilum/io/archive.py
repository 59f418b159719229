"""Zip archives: unpacked into a temporary folder that is always removed, with limits against bombs.

A zip comes from anywhere. Names that climb out of the folder, links, encryption and sizes that no scan has
are refused; sizes are checked as declared and again while the bytes are written, since a header can lie.
"""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from hilum.core.disk import DISK_FULL
from hilum.core.errors import InputError, OutputError
from hilum.core.sentences import Sentence
from hilum.io.names import is_volume_file
from hilum.io.stream import open_regular
from hilum.io.temporary import temporary_folder

__all__ = ["ZipLimits", "files_in", "unpacked", "volumes_in"]

_CHUNK = 2**20
_ENCRYPTED = 0x1
#: What Python's zipfile ends with where an archive is damaged.
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
)
_LOCAL_HEADER_BYTES = 30  # at least, before the data of each member


@dataclass(frozen=True)
class ZipLimits:
    """What an archive may ask for.

    Attributes:
        total_bytes: Size of everything unpacked.
        ratio: Unpacked to packed size of a member that is larger than ``ratio_from_bytes``; CT compresses
            by 2 to 5, an empty label map by some hundreds.
        ratio_from_bytes: Members up to this size may have any ratio.
        all_from_bytes: All members together may have any ratio up to this size; beyond it ``ratio`` holds
            for them and the archive too.
        members: Number of files.
    """

    total_bytes: int = 8 * 2**30
    ratio: float = 200.0
    ratio_from_bytes: int = 16 * 2**20
    all_from_bytes: int = 64 * 2**20
    members: int = 50_000


_DEFAULT = ZipLimits()


def files_in(folder: Path) -> list[Path]:
    """Return the files of an unpacked archive in the order of their paths; hidden ones are skipped."""
    return sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))


def volumes_in(files: list[Path]) -> list[Path]:
    """Return the files that hold one volume each, by their name; ``.img`` belongs to its ``.hdr``."""
    names = {f.name.lower() for f in files}
    return [f for f in files if is_volume_file(f.name, names)]


@contextmanager
def unpacked(path: Path | str, limits: ZipLimits = _DEFAULT) -> Iterator[Path]:
    """Unpack an archive into a temporary folder and always remove it afterwards.

    Args:
        path: The archive.
        limits: What it may ask for.

    Raises:
        InputError: The archive is missing, broken or not to be trusted.
        OutputError: The disk of the temporary folder is full.
    """
    path = Path(path)
    with temporary_folder() as folder:
        try:
            with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
                _extract(archive, path.name, folder, limits)
        except FileNotFoundError:
            raise InputError(
                Sentence("{file:path} does not exist.", path=str(path)), "Check the path."
            ) from None
        except NotImplementedError as error:
            sentence = Sentence("{file:path} is packed by a method that Python cannot undo.", path=path.name)
            raise InputError(sentence, "Pack it again with deflate.") from error
        except _BROKEN as error:
            raise _broken(path.name) from error
        except OSError as error:
            raise _system_error(path, error) from error
        yield folder


def _system_error(path: Path, error: OSError) -> InputError | OutputError:
    if error.errno in DISK_FULL:
        return OutputError(
            Sentence("The disk of the temporary folder is too full to unpack {file:path}.", path=path.name),
            "Free some space, or set TMPDIR to another disk.",
        )
    if error.errno is None:  # of bz2, where its data are damaged
        return _broken(path.name)
    return InputError(
        Sentence("{file:path} cannot be unpacked: {reason}.", path=path.name, reason=error.strerror or error),
        "Unpack it by hand.",
    )


def _broken(name: str) -> InputError:
    return InputError(
        Sentence("{file:name} is truncated or no valid zip.", name=name), "Get the archive again."
    )


def _extract(archive: zipfile.ZipFile, name: str, folder: Path, limits: ZipLimits) -> None:
    members = [m for m in archive.infolist() if not _is_left_out(m.filename)]
    left = _allowed_in_all(archive, limits)
    _check_declared(archive, members, name, limits)
    for member in members:
        target = folder.joinpath(*_safe_parts(member, name))
        if target.exists():
            raise InputError(
                Sentence("{file:name} holds two files of the same name.", name=name),
                "Unpack it by hand and check which one is meant.",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        left -= _write(archive, member, target, name, min(left, _allowed(member, limits)))


def _is_left_out(filename: str) -> bool:
    return filename.endswith(("/", "\\")) or filename.startswith("__MACOSX/")


def _check_declared(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], name: str, limits: ZipLimits
) -> None:
    """Refuse by what the directory of the archive says, before anything is written."""
    if len(members) > limits.members:
        raise InputError(
            Sentence(
                "{file:name} holds {members} files, more than {most}.",
                name=name,
                members=len(members),
                most=limits.members,
            ),
            "Pack only the one series.",
        )
    for member in archive.infolist():
        _safe_parts(member, name)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InputError(
                Sentence("{file:name} holds a link or a special file.", name=name),
                "Pack the files themselves.",
            )
        if member.flag_bits & _ENCRYPTED:
            raise InputError(
                Sentence("{file:name} is encrypted.", name=name),
                "Unpack it with its password and give the folder.",
            )
    declared = sum(m.file_size for m in members)
    if declared > _allowed_in_all(archive, limits) or any(m.file_size > _allowed(m, limits) for m in members):
        raise _bomb(name)
    _check_overlap(archive, name)


def _check_overlap(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse members that share packed bytes, so that a small archive unpacks to any size."""
    members = sorted(archive.infolist(), key=lambda m: m.header_offset)
    ends = [m.header_offset + _LOCAL_HEADER_BYTES + m.compress_size for m in members]
    starts = [m.header_offset for m in members] + [archive.start_dir]
    if any(end > start for end, start in zip(ends, starts[1:], strict=True)):
        raise _bomb(name)


def _allowed_in_all(archive: zipfile.ZipFile, limits: ZipLimits) -> int:
    """Return how many bytes all members may unpack to; packed, they end where the directory starts."""
    return min(limits.total_bytes, max(limits.all_from_bytes, int(limits.ratio * archive.start_dir)))


def _allowed(member: zipfile.ZipInfo, limits: ZipLimits) -> int:
    """Return how many bytes a member may unpack to."""
    return max(limits.ratio_from_bytes, int(limits.ratio * member.compress_size))


def _bomb(name: str) -> InputError:
    return InputError(
        Sentence(
            "{file:name} unpacks to far more than a scan holds, as a zip bomb does, so it was not opened.",
            name=name,
        ),
        "Unpack it by hand if you trust it, and give the folder.",
    )


def _safe_parts(member: zipfile.ZipInfo, name: str) -> tuple[str, ...]:
    """Return the parts of a member's path; refuse what would be written outside the folder."""
    given = member.filename
    windows = PureWindowsPath(given)
    parts = PurePosixPath(given.replace("\\", "/")).parts
    if given.startswith(("/", "\\")) or windows.drive or windows.root or ".." in parts or "\0" in given:
        raise InputError(
            Sentence(
                "{file:name} holds a path that climbs out of its folder, so it was not opened.", name=name
            ),
            "Do not trust this archive; pack the files again.",
        )
    return parts


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, name: str, allowed: int) -> int:
    """Unpack one member, counting what really comes out; return the number of bytes."""
    written = 0
    with archive.open(member) as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > allowed:
                raise _bomb(name)
            sink.write(chunk)
    return written

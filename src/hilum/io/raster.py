"""Voxel data of NRRD and MetaImage: their description in the header, and reading them.

Both formats describe the same thing, an array in one or several files, raw, packed or as text. hilum reads
them itself. ITK, which did it before, cannot be trusted with a file from anywhere: a damaged header ends the
process or makes it hang, data that do not unpack come back as uninitialised memory, names in a header are
opened even if they are devices, and versions before 2.5.7 of SimpleITK swap the sides of one kind of NRRD.
"""

from __future__ import annotations

import bz2
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from hilum.core.errors import InputError
from hilum.core.flags import Note
from hilum.core.sentences import Sentence
from hilum.io.checks import check_size
from hilum.io.stream import drain, open_regular, readable, skip_bytes
from hilum.io.voxels import read_text_voxels, read_voxels

__all__ = ["DataFile", "Encoding", "Raster", "beside", "load_voxels", "named_files", "split_layers"]

#: Bytes that go into the decompressor at once.
_PACKED_BYTES = 256 * 1024
#: Bytes that come out of it at once, however many are asked for: they lie in memory twice.
_UNPACKED_BYTES = 4 * 2**20
#: More files than slices of any CT.
_MOST_FILES = 20_000
_LONGEST_LINE = 2**20
_ZLIB_OR_GZIP = zlib.MAX_WBITS + 32
#: A name with one number in it, then the first, the last and the step, and in NRRD the axes of a file.
_PATTERN = re.compile(
    r"(?P<before>[^%]*)%(?P<width>0?[1-9]?)d(?P<after>[^%]*?)\s+(?P<first>-?\d{1,9})\s+(?P<last>-?\d{1,9})"
    r"(?:\s+(?P<step>-?\d{1,9}))?(?:\s+(?P<axes>\d{1,2}))?"
)
#: ``LIST``, and how many axes each file holds.
_LISTING = re.compile(r"LIST(?:\s+(?P<axes>\d{1,2})D?)?", re.IGNORECASE)
_AGAIN = "Get the files again."


class Encoding(Enum):
    """How the voxels are written."""

    RAW = "raw"
    DEFLATE = "gzip"
    BZIP2 = "bzip2"
    TEXT = "text"
    HEX = "hex"


@dataclass(frozen=True)
class DataFile:
    """A file with voxels.

    Attributes:
        path: The file.
        start: Byte where its data begin.
        lines: Lines to pass over from there.
        skip: Bytes to pass over then, in what is unpacked; -1: the data are the last bytes of the file.
    """

    path: Path
    start: int = 0
    lines: int = 0
    skip: int = 0


@dataclass(frozen=True, eq=False)
class Raster:
    """An array as a header describes it.

    Attributes:
        shape: Number of voxels along each axis, the fastest first.
        dtype: Type of a voxel, with its byte order.
        encoding: How the voxels are written.
        files: Where they are; each file holds an equal part, in this order.
        affine: 4 x 4, voxel to RAS mm.
        orientation_known: Whether the header gives the orientation of the patient.
        spacing_known: Whether it gives a voxel size.
        notes: (code, sentence) pairs.
        layers: Numbers that each voxel holds.
        layers_before: Voxels that lie between two numbers of one voxel; 1 where they lie side by side.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    encoding: Encoding
    files: tuple[DataFile, ...]
    affine: npt.NDArray[np.float64]
    orientation_known: bool
    spacing_known: bool
    notes: tuple[Note, ...] = ()
    layers: int = 1
    layers_before: int = 1


def load_voxels(raster: Raster) -> npt.NDArray[Any]:
    """Read all voxels as a flat array of int16 or float32; with layers, all numbers as they are stored.

    Raises:
        InputError: A data file is missing, no regular file, truncated or corrupt, or the header asks for more
            than the files can hold.
    """
    count = _numbers_in(raster)
    _check_files(raster)
    stream = io.BufferedReader(cast(Any, _Parts(raster)), 2**20)
    with readable(raster.files[0].path):
        if raster.encoding is Encoding.TEXT:
            return read_text_voxels(cast(BinaryIO, stream), raster.dtype, count)
        return read_voxels(cast(BinaryIO, stream), raster.dtype, count)


def split_layers(raster: Raster, values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Part what :func:`load_voxels` gave into one flat array per layer."""
    parts = values.reshape((raster.layers_before, raster.layers, -1), order="F")
    return [parts[:, layer].reshape(-1, order="F") for layer in range(raster.layers)]


def _numbers_in(raster: Raster) -> int:
    return prod(raster.shape) * raster.layers


def beside(header: Path, name: str, within: Path | None = None) -> Path:
    """Return the path of a data file that a header names.

    The name may lead to another folder. A path from another computer, such as ``C:\\scans\\ct.raw``, is
    sought here too: below the folder of the header, then as a file beside it.

    Args:
        header: The header.
        name: What it says.
        within: A folder that must not be left, as for the content of an archive.

    Raises:
        InputError: There is no such file, or it lies outside of ``within``.
    """
    if not name or "\0" in name or len(name) > 4096:
        raise InputError(
            Sentence("{file:header} does not name its data file.", header=header.name), "Correct the header."
        )
    windows = PureWindowsPath(name)
    names = [name]
    if "\\" in name and not windows.anchor:
        names.append("/".join(windows.parts))
    if windows.anchor or PurePosixPath(name).is_absolute():
        names.append(windows.name or ".")
    with readable(header):  # a link to a header leads to its data, too
        tries = [folder / name for folder in (header.parent, header.resolve().parent) for name in names]
        found = next((p for p in tries if p.exists() and not p.is_dir()), None)
    if found is None:
        raise InputError(
            Sentence(
                "The data file {file:name} that {file:header} names is missing.",
                name=name,
                header=header.name,
            ),
            "Put both files into one folder.",
        )
    if within is not None and not found.resolve().is_relative_to(within.resolve()):
        raise InputError(
            Sentence(
                "{file:header} names a data file outside of its archive, so it was not opened.",
                header=header.name,
            ),
            "Unpack the archive by hand if you trust it.",
        )
    return found


def named_files(
    header: Path, named: str, listed: list[str], shape: tuple[int, ...], within: Path | None
) -> list[Path]:
    """Return the data files that a header names: one, a list, or a pattern with a number.

    Args:
        header: The header.
        named: What it says, such as ``ct.raw``, ``LIST`` or ``slice%03d.raw 1 80 1``.
        listed: The lines that follow, for ``LIST``.
        shape: Number of voxels along each axis of the header.
        within: As for :func:`beside`.

    Raises:
        InputError: As :func:`beside`, or the number of files does not fit the size of the scan.
    """
    pattern, listing = _PATTERN.fullmatch(named), _LISTING.fullmatch(named)
    if listing is not None:
        names, axes = listed, listing["axes"]
    elif pattern is not None:
        before, width, after = pattern["before"], pattern["width"], pattern["after"]
        first, last, step = int(pattern["first"]), int(pattern["last"]), int(pattern["step"] or 1)
        if step == 0 or abs(last - first) // abs(step) >= _MOST_FILES:
            raise InputError("The header names more data files than any scan has.", _AGAIN)
        numbers = range(first, last + (1 if step > 0 else -1), step)
        names, axes = [f"{before}{number:{width}d}{after}" for number in numbers], pattern["axes"]
    else:
        return [beside(header, named, within)]
    whole = int(axes or len(shape) - 1)
    expected = prod(shape[whole:])
    fits = shape[-1] % max(1, len(names)) == 0 if whole == len(shape) else len(names) == expected
    if not names or not fits or len(names) > _MOST_FILES:
        raise InputError(
            f"The header names {len(names)} data files, which does not fit the size of the scan.", _AGAIN
        )
    return [beside(header, name, within) for name in names]


def _check_files(raster: Raster) -> None:
    """Compare the size of the files with what the header asks for, before memory is taken."""
    sizes = []
    for file in raster.files:
        with readable(file.path), open_regular(file.path) as stream:
            sizes.append(max(0, stream.seek(0, io.SEEK_END) - file.start))
    itemsize = raster.dtype.itemsize
    if raster.encoding is Encoding.TEXT:
        sizes, itemsize = [size + 1 for size in sizes], 2  # a digit and a space are the least
    elif raster.encoding is Encoding.HEX:
        itemsize *= 2
    elif raster.encoding is Encoding.RAW:
        sizes = [max(0, size - max(file.skip, 0)) for size, file in zip(sizes, raster.files, strict=True)]
    packed = raster.encoding in (Encoding.DEFLATE, Encoding.BZIP2)
    held = sum(sizes) if packed else min(sizes) * len(sizes)
    shape = raster.shape if raster.layers == 1 else (raster.layers, *raster.shape)
    check_size(shape, itemsize, held, compressed=packed)


class _Parts(io.RawIOBase):
    """The data files of a raster, skipped into, unpacked and joined to one stream of equal parts."""

    def __init__(self, raster: Raster) -> None:
        self._each = _numbers_in(raster) * raster.dtype.itemsize // len(raster.files)
        self._text = raster.encoding is Encoding.TEXT
        self._streams = _opened(raster, self._each)
        self._stream: BinaryIO | None = None
        self._left = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the present part; 0 only after the last one.

        Raises:
            EOFError: A part is shorter than it has to be.
        """
        view = memoryview(buffer)
        while stream := self._present():
            got = int(cast(Any, stream).readinto(view if self._text else view[: self._left]))
            if got and not self._text:
                self._left -= got
                if self._left == 0:
                    drain(stream)  # has the checksum compared
                    self._stream = None
            if got:
                return got
            if not self._text:
                raise EOFError
            self._stream = None
            view[:1] = b" "  # so that the numbers of two files do not become one
            return 1
        return 0

    def _present(self) -> BinaryIO | None:
        """Return the stream that has voxels left, opening the next file where there is none."""
        if self._stream is None:
            self._stream, self._left = next(self._streams, None), self._each
        return self._stream


def _opened(raster: Raster, each: int) -> Iterator[BinaryIO]:
    """Open one data file after the other, each where its voxels begin."""
    for file in raster.files:
        with open_regular(file.path) as plain:
            plain.seek(file.start)
            for _ in range(file.lines):
                if not plain.readline(_LONGEST_LINE):
                    raise EOFError
            if file.skip < 0:
                plain.seek(-each, io.SEEK_END)
            stream = _decoded(plain, raster.encoding)
            skip_bytes(stream, file.skip)
            yield stream


def _decoded(plain: BinaryIO, encoding: Encoding) -> BinaryIO:
    if encoding is Encoding.DEFLATE:
        return cast(BinaryIO, io.BufferedReader(_Inflated(plain), _PACKED_BYTES))
    if encoding is Encoding.BZIP2:
        return cast(BinaryIO, bz2.BZ2File(plain))
    if encoding is Encoding.HEX:
        return cast(BinaryIO, io.BufferedReader(_Hex(plain), _PACKED_BYTES))
    return plain


class _Inflated(io.RawIOBase):
    """Unpacks zlib or gzip, one member or several, never more than it is asked for.

    The checksum is compared where the packed data end; what follows them is not unpacked.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._engine = isal_zlib.decompressobj(_ZLIB_OR_GZIP)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack into the buffer; 0 at the end of the data.

        Raises:
            EOFError: The packed data end too early.
            isal_zlib.error: They are corrupt.
        """
        view = memoryview(buffer)
        while True:
            if self._engine.eof:
                self._rest = self._engine.unused_data or self._packed.read(_PACKED_BYTES)
                if self._rest[:2] != b"\x1f\x8b":  # padding, or what does not belong to the data
                    return 0
                self._engine = isal_zlib.decompressobj(_ZLIB_OR_GZIP)
            block = self._rest or self._packed.read(_PACKED_BYTES)
            out = self._engine.decompress(block, min(len(view), _UNPACKED_BYTES))
            self._rest = self._engine.unconsumed_tail
            if out:
                view[: len(out)] = out
                return len(out)
            if not block and not self._engine.eof:
                raise EOFError


class _Hex(io.RawIOBase):
    """Two digits a byte, with any white space between them."""

    def __init__(self, text: BinaryIO) -> None:
        self._text = text
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Turn digits into the bytes of the buffer; 0 at the end.

        Raises:
            InputError: Something else than digits stands there.
        """
        view = memoryview(buffer)
        while True:
            block = self._text.read(len(view))
            digits = self._rest + b"".join(block.split())
            even = len(digits) // 2 * 2
            self._rest = digits[even:]
            try:
                out = bytes.fromhex(digits[:even].decode("ascii"))
            except ValueError as error:
                raise InputError(
                    "The voxels are written as digits, but not all are hexadecimal.", _AGAIN
                ) from error
            if out or not block:
                view[: len(out)] = out
                return len(out)

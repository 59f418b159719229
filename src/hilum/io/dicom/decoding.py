"""Decoding of image files, compressed ones in a process of their own.

JPEG, JPEG-LS and JPEG 2000 are decoded by C and C++ libraries, and a broken file can make these end their
process. In a second process that costs one image, not the program. It is started once for a series, when the
first compressed file comes.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.io.dicom.files import why_unreadable
from hilum.io.dicom.headers import FileHeader
from hilum.io.dicom.meta import as_uid

__all__ = ["Decoder", "undecodable"]

Values = npt.NDArray[Any]

#: The program of the second process, run by its path so that the package need not be imported there.
_PROGRAM = Path(__file__).with_name("decoder_process.py")
_BOOT = "import runpy, sys; sys.path[:] = sys.argv[2:]; runpy.run_path(sys.argv[1], run_name='__main__')"
#: No image takes so long (a large one some tenths of a second); a decoder that does runs in circles.
_PATIENCE_S = 120.0
_TYPES = {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4"}
#: Of several decoders the one that raises an error where another ends its process or takes long.
_PREFERRED = {
    JPEG2000: "pillow",
    JPEG2000Lossless: "pillow",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
}
_PIXEL_TAGS: list[Any] = [
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
]  # fmt: skip


class Decoder:
    """Decodes image files; to be used as a context, which ends the second process.

    Examples:
        >>> with Decoder() as decoder:
        ...     pass
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def frames(self, head: FileHeader, wanted: Sequence[int]) -> Iterator[Values]:
        """Yield stored values of frames of a file, each of shape (rows, columns).

        Args:
            head: Header of the file.
            wanted: Indices of the frames, in the order in which they are wanted.

        Raises:
            InputError: The file cannot be read or decoded; the sentence names it.
        """
        apart = as_uid(head.transfer_syntax).is_compressed if head.transfer_syntax else False
        try:
            if apart and head.transfer_syntax != RLELossless:  # pydicom decodes that in Python
                yield from self._from_process(head, wanted)
            else:
                yield from _here(head, wanted)
        except OSError as error:
            sentence = Sentence(
                "{file:path} cannot be read: {why}.", path=head.path.name, why=why_unreadable(error)
            )
            raise InputError(sentence, "Get the file again.") from None
        except InputError:
            raise
        except MemoryError:
            if not apart:
                raise
            raise undecodable(head) from None  # a length in the compressed data that no file has
        except Exception as error:  # broken bytes make decoders raise errors of any kind
            self._end()
            raise undecodable(head) from error

    def _from_process(self, head: FileHeader, wanted: Sequence[int]) -> Iterator[Values]:
        with head.path.open("rb"):
            pass  # the reason why a file cannot be opened is known here only
        requests, answers = self._pipes()
        request = {
            "path": str(head.path.resolve()),
            "syntax": head.transfer_syntax,
            "frames": list(wanted),
            "plugin": _plugin(head.transfer_syntax),
        }
        try:
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
        except OSError:
            self._end()
            raise undecodable(head) from None
        for _ in wanted:
            with self._patience():
                values = _receive(answers, head)
            if values is None:
                self._end()  # it died, or what else it sends belongs to this request
                raise undecodable(head)
            yield values

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None:
            self._process = _start()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        return process.stdin, process.stdout

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """End a process that does not answer, so that who reads from it sees the end of its output."""
        process = self._process
        timer = threading.Timer(_PATIENCE_S, process.kill if process else lambda: None)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(OSError):
            process.communicate()  # closes the pipes and waits


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _BOOT, str(_PROGRAM), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, ValueError) as error:
        raise InputError(
            "The pixels are compressed, and the process that decodes them could not be started.",
            "Close other programs, or decompress the series first, for instance with gdcmconv.",
        ) from error


def _receive(answers: IO[bytes], head: FileHeader) -> Values | None:
    """Return the next frame; None where the process died, failed or sends something else."""
    line = answers.readline(1000)
    answer = json.loads(line) if line.endswith(b"\n") else {}
    if answer.get("shape") != [head.rows, head.columns] or answer.get("dtype") not in _TYPES:
        return None
    values = np.empty((head.rows, head.columns), answer["dtype"])
    view = values.reshape(-1).view(np.uint8).data
    at = 0
    while at < len(view):
        count = answers.readinto(view[at:])  # type: ignore[attr-defined]
        if not count:
            return None
        at += count
    return values


def _here(head: FileHeader, wanted: Sequence[int]) -> Iterator[Values]:
    with warnings.catch_warnings():
        # pydicom warns of padding bytes and the like; what matters is checked elsewhere.
        warnings.simplefilter("ignore", UserWarning)
        yield from iter_pixels(_source(head), indices=list(wanted), raw=True)


@cache
def _plugin(syntax: str) -> str:
    """Return the decoder to use, empty for pydicom's choice."""
    wanted = _PREFERRED.get(as_uid(syntax), "")
    return wanted if wanted in get_decoder(as_uid(syntax)).available_plugins else ""


def _source(head: FileHeader) -> Any:
    """Return what pydicom decodes from: the path; of a deflated file or one without meta header a dataset."""
    if head.transfer_syntax and not as_uid(head.transfer_syntax).is_deflated:
        return head.path
    ds = pydicom.dcmread(head.path, force=True, specific_tags=_PIXEL_TAGS)
    if head.transfer_syntax:
        return ds
    implicit, little = ds.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return ds


def undecodable(head: FileHeader) -> InputError:
    """Return the error for a file whose pixels cannot be decoded."""
    return InputError(
        Sentence("{file:path} is truncated or corrupt: its pixels cannot be decoded.", path=head.path.name),
        "Get the file again.",
    )

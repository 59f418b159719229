"""Errors that a user can act on.

Every error carries one sentence of what is wrong, a hint of what to do about it, and a code. Sentences that
name files, parameters or verbs are :class:`hilum.core.sentences.Sentence` objects: the program that shows
them chooses the words. The code is the exit code of the command line. It is defined here because batches
write it into ``failed.csv``, where it names the kind of failure in all releases alike. Anything that is not a
:class:`HilumError` is a bug (code 1).
"""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import ClassVar, TypeVar

from hilum.core.sentences import Sentence

__all__ = [
    "GeometryError",
    "GridMismatch",
    "HilumError",
    "InputError",
    "InternalError",
    "MissingExtraError",
    "ModelError",
    "NotAChestError",
    "OutputError",
    "ResourceError",
    "UsageError",
]

_Error = TypeVar("_Error", bound="HilumError")


class HilumError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: One sentence that names what is wrong. It never holds a patient identifier.
        hint: One sentence that says what to do about it; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def saying(self: _Error, message: str, hint: str | None = None) -> _Error:
        """Return the same kind of error with another message, and another hint unless that is None."""
        other = copy(self)
        other.args = (message,)
        other.message = message
        other.hint = self.hint if hint is None else hint
        return other

    def about(self: _Error, name: str) -> _Error:
        """Return the same error with the scan that it is about before the message."""
        return self.saying(Sentence("{scan:name}: {message}", name=name, message=self.message))


class UsageError(HilumError, ValueError):
    """An argument has a value that is not allowed."""

    exit_code = 2


class ModelError(HilumError):
    """A model is unknown or cannot be used."""

    exit_code = 2


class MissingExtraError(ModelError, ImportError):
    """A verb needs packages that come with an extra, such as ``hilum[train]``."""


class InputError(HilumError):
    """The input cannot be read, or it is not a CT in Hounsfield units."""

    exit_code = 3


class GeometryError(HilumError):
    """The input was read, but where its voxels lie in space cannot be trusted."""

    exit_code = 4


class GridMismatch(GeometryError):
    """A mask and its scan do not lie on one grid.

    Attributes:
        mask: What the mask is called.
        scan: What the scan is called.
        mask_grid: Size and spacing of the mask in words, such as ``64 x 64 x 32 voxels of 1 x 1 x 2 mm``.
        scan_grid: The same of the scan.
        placeless: The position of one of them is unknown, so the mask cannot be resampled.
    """

    def __init__(
        self, mask: str, scan: str, mask_grid: str, scan_grid: str, hint: str = "", *, placeless: bool = False
    ) -> None:
        self.mask, self.scan = mask, scan
        self.mask_grid, self.scan_grid = mask_grid, scan_grid
        self.placeless = placeless
        template = "{mask:mask} and {scan:scan} " + (
            "have the same size ({mask_grid}) but lie at different places"
            if mask_grid == scan_grid
            else "do not lie on one grid: {mask_grid} against {scan_grid}"
        )
        if placeless:
            template += "; the position of one of them is unknown, so it cannot be resampled"
        fields = {"mask": mask, "scan": scan, "mask_grid": mask_grid, "scan_grid": scan_grid}
        super().__init__(Sentence(f"{template}.", **fields), hint)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the fields when pickled."""
        return type(self), (self.mask, self.scan, self.mask_grid, self.scan_grid), self.__dict__


class NotAChestError(HilumError):
    """The scan holds no lungs that can be found."""

    exit_code = 5


class OutputError(HilumError):
    """The result cannot be written.

    Args:
        message: As of all errors; a sentence that names the place does so in the field ``where``.
        hint: As of all errors.
        where: The file or folder that cannot be written; None where it is not one.
    """

    exit_code = 6

    def __init__(self, message: str, hint: str = "", where: Path | None = None) -> None:
        super().__init__(message, hint)
        self.where = where


class ResourceError(HilumError):
    """A scan takes more time or memory than there is."""

    exit_code = 7


class InternalError(HilumError):
    """An unexpected exception: a bug in hilum."""

    exit_code = 1

    @classmethod
    def of(cls, error: BaseException) -> InternalError:
        """Name the exception."""
        return cls(
            Sentence(
                "this is a bug in hilum ({kind}: {names:text}).", kind=type(error).__name__, text=str(error)
            ),
            "Please report it; HILUM_DEBUG=1 shows where it happened.",
        )

"""Errors that a user can act on.

Every error carries one sentence of what is wrong, a hint of what to do about it, and the exit code that
the command line ends with. Anything that is not a :class:`HilumError` is a bug (exit code 1).
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "GeometryError",
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


class HilumError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: One sentence that names what is wrong. It never holds a patient identifier.
        hint: One sentence that tells what to do about it; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


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


class NotAChestError(HilumError):
    """The scan holds no lungs that can be found."""

    exit_code = 5


class OutputError(HilumError):
    """The result cannot be written."""

    exit_code = 6


class ResourceError(HilumError):
    """A scan takes more time or memory than there is."""

    exit_code = 7


class InternalError(HilumError):
    """Something went wrong that hilum does not know: a bug."""

    exit_code = 1

    @classmethod
    def of(cls, error: BaseException) -> InternalError:
        """Say which exception it was."""
        return cls(
            f"this is a bug in hilum ({type(error).__name__}: {error}).",
            "Please report it; HILUM_DEBUG=1 shows where it happened.",
        )

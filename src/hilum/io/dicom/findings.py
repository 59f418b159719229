"""What is found about a stack of images, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hilum.core.errors import GeometryError, HilumError, InputError

__all__ = ["Effect", "Finding"]


class Effect(Enum):
    """What follows from a finding."""

    NOTE = "note"
    """The stack is read, and the finding goes with it."""
    RESAMPLE = "resample"
    """The stack is refused unless the user asks for interpolation."""
    GEOMETRY = "geometry"
    """The stack is refused: where its voxels lie cannot be trusted."""
    INPUT = "input"
    """The stack is refused: it cannot be read as CT in HU."""
    LEFT_OUT = "left_out"
    """The stack is not a CT volume, and nobody would expect it to be read."""


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        code: Stable snake_case identifier.
        sentence: One sentence for a person, without a patient identifier.
        effect: What follows.
        hint: How to go on; may be empty.
    """

    code: str
    sentence: str
    effect: Effect = Effect.NOTE
    hint: str = ""

    def error(self) -> HilumError:
        """Return the error that a refusal for this finding raises."""
        kind = GeometryError if self.effect in (Effect.RESAMPLE, Effect.GEOMETRY) else InputError
        return kind(self.sentence, self.hint)

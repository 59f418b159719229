"""What is found about a stack of images, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hilum.core.errors import GeometryError, HilumError, InputError
from hilum.core.flags import FlagCode

__all__ = ["Effect", "Finding", "Refusal"]


class Effect(Enum):
    """The consequence of a finding."""

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


class Refusal(str, Enum):
    """What a stack is refused for: no scan that was read carries one of these."""

    BAD_ORIENTATION = "bad_orientation"
    BAD_RESCALE = "bad_rescale"
    COLOUR = "colour"
    COMPRESSION = "compression"
    EIGHT_BIT = "eight_bit"
    INTERLEAVED = "interleaved"
    LOCALIZER = "localizer"
    MIXED_RESCALE = "mixed_rescale"
    NO_GEOMETRY = "no_geometry"
    NO_IMAGE = "no_image"
    NOT_CT = "not_ct"
    NOT_HU = "not_hu"
    PROJECTION = "projection"
    SECONDARY_CAPTURE = "secondary_capture"
    TRUNCATED_FILE = "truncated_file"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        code: What it is: that of the flag which it becomes, or of the refusal.
        sentence: One sentence for a person, without a patient identifier.
        effect: Its consequence.
        hint: What to do; may be empty.
    """

    code: FlagCode | Refusal
    sentence: str
    effect: Effect = Effect.NOTE
    hint: str = ""

    def error(self) -> HilumError:
        """Return the error that a refusal for this finding raises."""
        kind = GeometryError if self.effect in (Effect.RESAMPLE, Effect.GEOMETRY) else InputError
        return kind(self.sentence, self.hint)

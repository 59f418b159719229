"""Explaining why no lungs were found in a scan."""

from __future__ import annotations

from hilum.core.errors import NotAChestError
from hilum.core.flags import FlagCode, Severity
from hilum.core.sentences import Sentence
from hilum.core.volume import Volume
from hilum.quality.gate import check_volume

__all__ = ["explain_no_lungs"]

#: Reader notes stating that another series might have been read.
_CHOICES = frozenset({FlagCode.SERIES_CHOSEN, FlagCode.SERIES_DIVIDED, FlagCode.SERIES_JOINED})


def explain_no_lungs(error: NotAChestError, volume: Volume) -> NotAChestError:
    """Return an error whose hint also states problems of the scan, and which of several was read.

    For a mouse, a voxel size in the wrong unit or a single slice out of many series a model finds no
    chest; the quality gate finds the cause.

    Args:
        error: What the model raised.
        volume: The scan.
    """
    reasons = [
        flag.reason or flag.message for flag in check_volume(volume) if flag.severity is Severity.ERROR
    ]
    choices = [sentence for code, sentence in volume.meta.notes if code in _CHOICES]
    hint = error.hint
    for sentence in reversed((*reasons, *choices)):
        hint = Sentence("{first} {rest}", first=sentence, rest=hint)
    return NotAChestError(error.message, hint)

"""Which kind of image a DICOM file holds, from its header."""

from __future__ import annotations

import re
from enum import Enum

from hilum.io.dicom.findings import Effect, Finding, Refusal
from hilum.io.dicom.headers import FileHeader, Plane

__all__ = ["Kind", "kind_of", "left_out"]

_CT = "1.2.840.10008.5.1.4.1.1.2"
_CT_CLASSES = {_CT, f"{_CT}.1", f"{_CT}.2"}  # classic, enhanced, legacy converted enhanced
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
#: Values of ImageType that name an image derived from a volume, whose pixels are not HU of one position.
_PROJECTIONS = {
    "MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "VOLUME_RENDER", "VRT", "SSD", "SURFACE_RENDER",
    "VOLREN", "CURVED_MPR", "COLLAGE", "SCREEN SAVE", "SCREENSHOT", "DOSE_INFO", "PERFUSION", "SUBTRACTION",
}  # fmt: skip
#: Spellings of HU as a RescaleType, letters only: those of the standard, of UCUM ([hnsf'U]) and of HU twice.
_HU_TYPES = {"HU", "HUMOD", "HNSFU", "HUHU"}
_HU_BEGINS = ("HOUNSFIELD", "HOUNDSFIELD")
#: Nothing is said: US is "unspecified", which many scanners write for HU. The test of the units decides.
_UNTOLD_TYPES = {"", "US", "UNSPECIFIED", "NONE"}


class Kind(Enum):
    """What sort of image it is; the value is the word that :func:`hilum.inspect` shows."""

    VOLUME = "volume"
    SLICE = "slice"
    LOCALIZER = "localizer"
    PROJECTION = "projection"
    SECONDARY = "secondary capture"
    NOT_HU = "not HU"
    OTHER = "other modality"
    NO_IMAGE = "no image"


def kind_of(plane: Plane) -> Kind:
    """Classify one image plane; a CT plane counts as :attr:`Kind.VOLUME` until its stack is known."""
    head = plane.head
    if not is_ct(head):
        return Kind.OTHER
    if head.sop_class.startswith(_SECONDARY_CAPTURE):
        return Kind.SECONDARY
    words = {*head.image_type, *(plane.phase[4] if isinstance(plane.phase[4], tuple) else ())}
    if "LOCALIZER" in words or "SCOUT" in words:
        return Kind.LOCALIZER
    if words & _PROJECTIONS:
        return Kind.PROJECTION
    if head.samples > 1 or 0 < min(head.bits) <= 8 or not _may_be_hu(head.rescale_type):
        return Kind.NOT_HU
    return Kind.VOLUME


def _may_be_hu(rescale_type: str) -> bool:
    """Whether a RescaleType names HU, in any spelling, or is empty.

    Examples:
        >>> [_may_be_hu(name) for name in ("HU", "Hounsfield Units", "[hnsf'U]", "unspecified", "", "MGML")]
        [True, True, True, True, True, False]
    """
    letters = re.sub("[^A-Z]", "", rescale_type.upper())
    if letters in _HU_TYPES or letters.startswith(_HU_BEGINS):
        return True
    return letters in _UNTOLD_TYPES and bool(letters or not rescale_type)


def is_ct(head: FileHeader) -> bool:
    """Whether the file says that it is CT; its class decides where the modality is missing."""
    return head.modality == "CT" or (not head.modality and head.sop_class in _CT_CLASSES)


def left_out(kind: Kind, head: FileHeader) -> Finding:
    """Say why images of a kind are not read as a CT volume."""
    if kind is Kind.OTHER:
        name = head.modality or "unknown"
        return Finding(
            Refusal.NOT_CT, f"The modality is {name}, not CT.", Effect.LEFT_OUT, "Give a chest CT."
        )
    if kind is Kind.NO_IMAGE:
        return Finding(Refusal.NO_IMAGE, "The files hold no image.", Effect.LEFT_OUT, "Give the CT series.")
    if kind is Kind.LOCALIZER:
        sentence = "It is a localizer (scout view), not slices."
        return Finding(Refusal.LOCALIZER, sentence, Effect.LEFT_OUT, "Give the axial CT series.")
    if kind is Kind.PROJECTION:
        sentence = (
            "The image type says that it was derived from a volume (such as a MIP), so it is not CT slices."
        )
        return Finding(
            Refusal.PROJECTION, sentence, Effect.LEFT_OUT, "Give the series that it was made from."
        )
    if kind is Kind.SECONDARY:
        sentence = "It is a secondary capture, which holds no HU to rely on."
        return Finding(Refusal.SECONDARY_CAPTURE, sentence, Effect.LEFT_OUT, "Give the original CT series.")
    return _not_hu(head)


def _not_hu(head: FileHeader) -> Finding:
    hint = "Give the original CT series."
    if head.samples > 1:
        return Finding(Refusal.COLOUR, "The images are in colour, so they hold no HU.", Effect.LEFT_OUT, hint)
    if 0 < min(head.bits) <= 8:
        sentence = "The images are 8-bit and windowed: HU cannot be recovered from them."
        return Finding(Refusal.EIGHT_BIT, sentence, Effect.LEFT_OUT, hint)
    sentence = f"The values are given in {head.rescale_type[:16]}, not in HU (such as a material map)."
    return Finding(Refusal.NOT_HU, sentence, Effect.LEFT_OUT, hint)

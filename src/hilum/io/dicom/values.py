"""Whether the stored values of a stack can be decoded and turned into HU, from the headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.pixels import get_decoder

from hilum.core.flags import FlagCode
from hilum.core.sentences import Sentence
from hilum.io.dicom.findings import Effect, Finding, Refusal
from hilum.io.dicom.headers import Plane
from hilum.io.dicom.meta import as_uid

__all__ = ["pixel_findings"]

#: Beyond these a rescale cannot give HU: one step is then more than all of CT's 16 bits, or
#: the values lie beyond 32 bits.
_MAX_SLOPE, _MAX_INTERCEPT = 2.0**16, 2.0**32
_AGAIN = "Export the original series again, without changes."


def pixel_findings(planes: Sequence[Plane]) -> list[Finding]:
    """Return the findings about the pixels of a stack.

    Args:
        planes: At least one.
    """
    findings = []
    short = [p.head.path.name for p in planes if p.head.truncated]
    if short:
        more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
        sentence = Sentence(
            "{file:name}{more} is truncated: the file is smaller than its pixels.", name=short[0], more=more
        )
        findings.append(Finding(Refusal.TRUNCATED_FILE, sentence, Effect.INPUT, "Get the file again."))
    findings += _encodings(planes)
    findings += _rescale(planes)
    if any(p.head.lossy for p in planes):
        findings.append(
            Finding(FlagCode.LOSSY, "The images were compressed with loss; HU may be off a little.")
        )
    return findings


def _encodings(planes: Sequence[Plane]) -> Iterator[Finding]:
    for syntax in sorted({p.head.transfer_syntax for p in planes}):
        if _decodable(syntax):
            continue
        uid = as_uid(syntax)
        if uid.is_private:
            sentence = f"The pixels have the private encoding {syntax}, which cannot be decoded here."
        else:
            sentence = f"The pixels are compressed as {uid.name}, which cannot be decoded here."
        hint = "Decompress the series first, for instance with gdcmconv."
        yield Finding(Refusal.COMPRESSION, sentence, Effect.INPUT, hint)


def _decodable(syntax: str) -> bool:
    uid = as_uid(syntax)
    if not syntax or (uid.is_transfer_syntax and not uid.is_compressed):
        return True
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False


def _rescale(planes: Sequence[Plane]) -> Iterator[Finding]:
    """Check slopes and intercepts. Without an intercept the value of 0 HU is unknown."""
    lacking = [p for p in planes if p.intercept is None]
    if len(lacking) == len(planes):
        yield _no_rescale(planes)
    elif lacking:
        yield _mixed(planes, lacking)
    else:
        yield from _slopes(planes)
    if any(p.slope == 0 for p in planes):
        sentence = "The rescale slope is zero, so the values cannot be turned into HU."
        yield Finding(Refusal.BAD_RESCALE, sentence, Effect.INPUT, "Export the series again.")
    wild = [p for p in planes if abs(p.slope or 0) > _MAX_SLOPE or abs(p.intercept or 0) > _MAX_INTERCEPT]
    if wild:
        slope, intercept = wild[0].slope or 1.0, wild[0].intercept or 0.0
        sentence = Sentence(
            "{file:path} has the rescale slope {slope} and intercept {intercept}, which give no HU.",
            path=wild[0].head.path.name,
            slope=f"{slope:g}",
            intercept=f"{intercept:g}",
        )
        yield Finding(Refusal.BAD_RESCALE, sentence, Effect.INPUT, "Export the series again.")


def _no_rescale(planes: Sequence[Plane]) -> Finding:
    what = "slope and intercept" if all(p.slope is None for p in planes) else "intercept"
    if all(p.head.signed for p in planes):
        sentence = f"The header has no rescale {what}; the signed values were taken as HU."
        return Finding(FlagCode.NO_RESCALE, sentence)
    sentence = f"The header has no rescale {what}, and the values are unsigned, so they are not HU."
    return Finding(FlagCode.NO_RESCALE, sentence, Effect.INPUT, _AGAIN)


def _mixed(planes: Sequence[Plane], lacking: Sequence[Plane]) -> Finding:
    """Check a stack in which only some images have an intercept."""
    which = f"{len(lacking)} of {len(planes)} images"
    rescales = {(p.slope, p.intercept) for p in planes if p.intercept is not None}
    if rescales <= {(1.0, 0.0), (None, 0.0)} and all(p.slope in (None, 1.0) for p in lacking):
        return Finding(
            FlagCode.NO_RESCALE, f"{which} have no rescale; it was taken as that of the others, 1 and 0."
        )
    verb = "has" if len(lacking) == 1 else "have"
    sentence = Sentence(
        "{which} {verb} no rescale intercept (first {file:path}) while the others have one, so not all "
        "values can be turned into HU.",
        which=which,
        verb=verb,
        path=lacking[0].head.path.name,
    )
    return Finding(Refusal.MIXED_RESCALE, sentence, Effect.INPUT, _AGAIN)


def _slopes(planes: Sequence[Plane]) -> Iterator[Finding]:
    """Check intercepts without a slope: CT usually has slope 1, and any other is always written."""
    lacking = [p for p in planes if p.slope is None]
    others = {p.slope for p in planes} - {None, 1.0}
    which = f"{len(lacking)} of {len(planes)} images"
    if lacking and others:
        sentence = Sentence(
            "{which} have no rescale slope (first {file:path}) while others have one other than 1, so not "
            "all values can be turned into HU.",
            which=which,
            path=lacking[0].head.path.name,
        )
        yield Finding(Refusal.MIXED_RESCALE, sentence, Effect.INPUT, _AGAIN)
    elif lacking:
        note = f"{which} have a rescale intercept but no slope; slope 1 was assumed, which is usual for CT."
        yield Finding(FlagCode.SLOPE_ASSUMED, note)

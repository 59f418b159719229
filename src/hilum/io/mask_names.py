"""Recognise lung segments by the names or codes that other programs write."""

from __future__ import annotations

import re

from hilum.core.labels import LUNGS, Lung

__all__ = ["lung_of", "lung_of_code"]

_RIGHT, _LEFT, _BOTH = int(Lung.RIGHT), int(Lung.LEFT), 3
#: Words that a name of a lung, or of a lobe of one, may hold. Any other word (vessels, nodule, trachea,
#: effusion, contour ...) makes it something else.
_WORDS = {
    "right": "R", "left": "L", "lungs": "lung", "lung": "lung", "lobes": "lobe", "lobe": "lobe",
    "upper": "level", "lower": "level", "superior": "level", "inferior": "level", "middle": "middle",
    "lingula": "lingula", "both": "", "whole": "", "total": "", "parenchyma": "", "segmentation": "",
    "labels": "", "label": "", "masks": "", "mask": "", "seg": "", "of": "", "the": "", "and": "",
    "structure": "", "field": "", "fields": "",
}  # fmt: skip
#: Whole words only: within a word these letters mean nothing.
_SHORT = {
    "r": ("R",), "rt": ("R",), "l": ("L",), "lt": ("L",),
    "rul": ("R", "lung"), "rml": ("R", "lung"), "rll": ("R", "lung"),
    "lul": ("L", "lung"), "lll": ("L", "lung"),
}  # fmt: skip
_RUN = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)))
#: SNOMED CT codes of lungs and of their lobes (DICOM PS3.16, CID 7169 and SNOMED CT body structures).
_CODES = {
    LUNGS[Lung.RIGHT].snomed: _RIGHT,
    LUNGS[Lung.LEFT].snomed: _LEFT,
    "42400003": _RIGHT,  # upper lobe of right lung
    "72481006": _RIGHT,  # middle lobe of right lung
    "266005": _RIGHT,  # lower lobe of right lung
    "44714003": _LEFT,  # upper lobe of left lung
    "41224006": _LEFT,  # lower lobe of left lung
    "39607008": _BOTH,  # lung
    "74101002": _BOTH,  # both lungs
    "31094006": _BOTH,  # lobe of lung
    "45653009": _BOTH,  # upper lobe of lung
    "90572001": _BOTH,  # lower lobe of lung
    # The older SRT codes of the same.
    "T-28000": _BOTH, "T-28100": _RIGHT, "T-28500": _LEFT, "T-28300": _RIGHT, "T-28600": _LEFT,
    "T-28820": _BOTH, "T-28830": _BOTH,
}  # fmt: skip
_MODIFIERS = {"24028007": _RIGHT, "G-A100": _RIGHT, "7771000": _LEFT, "G-A101": _LEFT}


def lung_of(name: str) -> int | None:
    """Say which lung a name names.

    Returns:
        1 (right), 2 (left), 3 (lung, side unknown), None for anything else.

    Examples:
        >>> lung_of("lung_upper_lobe_left"), lung_of("Right Lung"), lung_of("RLL"), lung_of("Lung_L")
        (2, 1, 1, 2)
        >>> lung_of("lungs"), lung_of("lung_vessels"), lung_of("liver right lobe"), lung_of("Segment_1")
        (3, None, None, None)
    """
    found: set[str] = set()
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    for token in re.split(r"[\W_]+", spaced):
        word = token.lower()
        if not word or word.isdecimal():
            continue
        if word in _SHORT:
            found.update(_SHORT[word])
            continue
        parts = _RUN.findall(word)
        if "".join(parts) != word:
            return None
        found.update(_WORDS[part] for part in parts)
    if not ("lung" in found or "lingula" in found or ({"lobe"} & found and {"level", "middle"} & found)):
        return None
    right = "R" in found or ("middle" in found and "L" not in found)
    left = "L" in found or "lingula" in found
    return _BOTH if right == left else _RIGHT if right else _LEFT


def lung_of_code(code: str, modifier: str = "") -> int | None:
    """Say which lung a code names, with the modifier (right, left) that some programs give beside it.

    Returns:
        As :func:`lung_of`; None for the codes of other structures.
    """
    lung = _CODES.get(code)
    return _MODIFIERS.get(modifier, lung) if lung == _BOTH else lung

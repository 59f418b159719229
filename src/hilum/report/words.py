"""Numbers and names as a person reads them."""

from __future__ import annotations

import math
from typing import NamedTuple

from hilum.measures.registry import AERATION

__all__ = ["COMPARTMENTS", "REGIONS", "Compartment", "format_number", "interval"]

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"


class Compartment(NamedTuple):
    """An aeration compartment."""

    id: str
    title: str
    low: int
    high: int
    colour: str


#: Aeration compartments: measure id, name, lower and upper HU (half-open), colour. One hue from light (much
#: air) to dark (none), so that the order also shows in grey and to the colour-blind.
COMPARTMENTS: tuple[Compartment, ...] = (
    Compartment("aeration_hyper", "Hyperaerated", *AERATION["hyper"], "#d7ece8"),
    Compartment("aeration_normal", "Normally aerated", *AERATION["normal"], "#86c2b8"),
    Compartment("aeration_poor", "Poorly aerated", *AERATION["poor"], "#3d8590"),
    Compartment("aeration_non", "Non-aerated", *AERATION["non"], "#17404f"),
)

REGIONS: tuple[tuple[str, str], ...] = (
    ("right_lung", "Right lung"),
    ("left_lung", "Left lung"),
    ("lungs", "Both lungs"),
)


def format_number(value: float, digits: int = 0, significant: int = 0) -> str:
    """Round ``value`` for a table.

    No comma or point groups thousands, so that no reader takes one for the other: four digits stand
    plain, more are parted by thin spaces.

    Args:
        value: A finite number.
        digits: Decimals to show.
        significant: Show more decimals where fewer than this many digits would be significant (small
            volumes of a single slice), at most two more.

    Examples:
        >>> format_number(2345.6)
        '2346'
        >>> format_number(-861.2)
        '−861'
        >>> format_number(4.27, significant=3)
        '4.27'
    """
    if significant and value:
        wanted = significant - 1 - math.floor(math.log10(abs(value)))
        digits = min(max(digits, wanted), digits + 2)
    shown = f"{abs(value):.{digits}f}"
    whole, point, rest = shown.partition(".")
    if len(whole) > 4:
        whole = f"{int(whole):,}".replace(",", THIN)
    negative = value < 0 and float(shown) != 0.0
    return f"{MINUS if negative else ''}{whole}{point}{rest}"


def interval(low: float, high: float) -> str:
    """Name a half-open HU interval: ``−900 to < −500``."""
    return f"{format_number(low)} to < {format_number(high)}"

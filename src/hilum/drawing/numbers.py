"""Formatting of numbers for people."""

from __future__ import annotations

import math

__all__ = ["format_number", "interval"]

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"


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

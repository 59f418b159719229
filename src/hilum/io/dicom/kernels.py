"""Sharpness of a convolution kernel, from its name.

A sharp kernel raises noise and edges and with them every density measure of the lung (Boedeker 2004;
Gierada 2010), so hilum prefers the softest. The scale is that of the Siemens numbers, 10 (soft) to 90
(sharp); other makers' names are set beside it by their use (soft tissue about 40, lung about 60, bone
about 70). It serves to rank series, not to measure.
"""

from __future__ import annotations

import re

__all__ = ["sharpness"]

_NAMED = {
    # GE
    "SOFT": 30, "STANDARD": 40, "STND": 40, "DETAIL": 45, "CHEST": 50, "LUNG": 60, "BONE": 70,
    "BONEPLUS": 75, "BONE PLUS": 75, "EDGE": 80, "ULTRA": 85, "HD LUNG": 65,
    # Philips
    "A": 30, "B": 35, "C": 45, "D": 60, "E": 70, "L": 60, "YA": 50, "YB": 55, "YC": 65, "YD": 70,
    "YE": 75, "SMOOTH": 25, "SHARP": 60,
}  # fmt: skip
_SIEMENS = re.compile(r"[A-Z]{1,2}(\d{2})[A-Z]?(?![0-9])")
_CANON = re.compile(r"FC(\d{2})")
#: First number of a range of Canon/Toshiba kernels: body, head, bone and lung high resolution, inner ear.
_CANON_RANGES = ((80, 80), (60, 70), (50, 60), (40, 45), (30, 70), (20, 40), (1, 35))


def sharpness(kernel: str) -> float | None:
    """Return how sharp a kernel is (10 soft to 90 sharp), None where its name is not known.

    Examples:
        >>> sharpness("B70f") > sharpness("B40f")
        True
        >>> sharpness("LUNG") > sharpness("STANDARD")
        True
        >>> sharpness("FC51") > sharpness("FC13")
        True
        >>> sharpness("?") is None
        True
    """
    name = kernel.strip().upper()
    if name in _NAMED:
        return float(_NAMED[name])
    canon = _CANON.match(name)
    if canon:
        number = int(canon.group(1))
        return float(next((rank for first, rank in _CANON_RANGES if number >= first), 35))
    siemens = _SIEMENS.match(name)
    if siemens:
        return float(siemens.group(1))
    first = name.split()[0] if name.split() else ""
    return float(_NAMED[first]) if first in _NAMED else None

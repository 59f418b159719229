"""Flags of the task airways: what limits the tree that was found."""

from __future__ import annotations

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.labels import AIRWAYS
from hilum.tasks.airways.prepare import AirwayScan

__all__ = ["thickness_flags"]

_REGIONS = tuple(region.name for region in AIRWAYS.regions)


def thickness_flags(scan: AirwayScan) -> tuple[Flag, ...]:
    """Return the flag of thick slices; none where they are thin."""
    thick = max(scan.spacing)
    if thick <= LIMITS.airways_thin_mm:
        return ()
    central = thick > LIMITS.airways_segmental_mm
    seen = "only the central airways are kept" if central else "small airways are not seen"
    message = (
        f"The slices lie {thick:.1f} mm apart: {seen}. "
        "Use a reconstruction of 1 mm for the airways, or compare with scans of this thickness only."
    )
    return (Flag(FlagCode.AIRWAYS_THICK_SLICES, Severity.WARNING, message, _REGIONS),)

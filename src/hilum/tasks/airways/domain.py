"""Where airways are looked for."""

from __future__ import annotations

from hilum.imaging.morphology import Mask, dilate
from hilum.tasks.airways.prepare import AirwayScan

__all__ = ["where_airways_are"]

#: A mask of the lungs may end this far inside of them, mm.
_LUNGS_MM = 6.0
#: Bronchi between main bronchi and lung lie within this of what grew from the trachea, mm.
_TRUNK_MM = 30.0


def where_airways_are(scan: AirwayScan, trunk: Mask) -> Mask:
    """Return the lungs with their hilum: all that is near them or near the trunk."""
    return dilate(scan.lungs, _LUNGS_MM, scan.spacing) | dilate(trunk, _TRUNK_MM, scan.spacing)

"""Flags of the task airways: what limits the tree that was found."""

from __future__ import annotations

import numpy as np

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.labels import AIRWAYS
from hilum.imaging.morphology import Mask, components
from hilum.tasks.airways.prepare import AirwayScan

__all__ = ["leak_flags", "thickness_flags", "trunk_flags", "volume_flags"]

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


def leak_flags(scan: AirwayScan, removed: Mask) -> tuple[Flag, ...]:
    """Return the flag of branches that were removed as leaks; none below ``LIMITS.airway_leak_ml``."""
    ml = float(np.count_nonzero(removed)) * scan.voxel_ml
    low, high = LIMITS.airway_leak_ml
    if ml < low:
        return ()
    labels, counts = components(removed, 26)
    counts[0] = 0
    voxels = np.argwhere(labels == int(np.argmax(counts)))
    middle = voxels.mean(axis=0) + [part.start for part in scan.box]
    affine = scan.volume.canonical().affine
    x, y, z = affine[:3, :3] @ middle + affine[:3, 3]
    message = (
        f"{ml:.1f} mL of what grew from the airways had no wall or grew wide, and was removed as a leak; the "
        f"largest part lies at {x:.0f}, {y:.0f}, {z:.0f} mm (RAS). Look there before you count airways."
    )
    severity = Severity.WARNING if ml >= high else Severity.INFO
    return (Flag(FlagCode.AIRWAY_LEAK_PRUNED, severity, message, _REGIONS),)


def trunk_flags(scan: AirwayScan, lumen: Mask) -> tuple[Flag, ...]:
    """Return the flag of a tree that does not reach into the lungs."""
    ml = float(np.count_nonzero(lumen & scan.lungs)) * scan.voxel_ml
    if ml >= LIMITS.airways_in_lungs_ml or max(scan.spacing) > LIMITS.airways_segmental_mm:
        return ()
    message = (
        f"Only {ml:.1f} mL of the airways found lie in the lungs, so the tree ends at the central ones. "
        "Look at the label map, and check that the mask of the lungs is right."
    )
    return (Flag(FlagCode.AIRWAYS_TRUNK_ONLY, Severity.WARNING, message, _REGIONS),)


def volume_flags(scan: AirwayScan, lumen: Mask) -> tuple[Flag, ...]:
    """Return the flag of a lumen larger or smaller than that of an adult."""
    ml = float(np.count_nonzero(lumen)) * scan.voxel_ml
    low, high = LIMITS.airways_ml
    if ml > high:
        message = (
            f"The airways hold {ml:.0f} mL, more than the {high:g} mL of an adult at most: a part may be a "
            "leak. Look at the label map, and do not use counts and volumes before."
        )
        return (Flag(FlagCode.AIRWAYS_VOLUME, Severity.WARNING, message, _REGIONS),)
    if ml < low and max(scan.spacing) <= LIMITS.airways_thin_mm:
        message = (
            f"The airways hold {ml:.0f} mL, less than the {low:g} mL of an adult at least: the tree is not "
            "whole or the patient is small. Compare with scans of the same kind only."
        )
        return (Flag(FlagCode.AIRWAYS_VOLUME, Severity.INFO, message, _REGIONS),)
    return ()

"""The quality gate: all checks, in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.segmentation import Confidence, Segmentation
from hilum.core.volume import Volume
from hilum.quality.coverage import coverage_flags, padding_flags
from hilum.quality.geometry import acquisition_flags, few_slices, geometry_flags, note_flags
from hilum.quality.hu_scale import calibration, calibration_flags
from hilum.quality.metal import count_metal, metal_flags
from hilum.quality.orientation import orientation_flags
from hilum.quality.plausibility import Sampled, plausibility_flags
from hilum.quality.pleura import pleura_flags

__all__ = ["check_segmentation", "check_volume"]

#: Flags that compare the two lungs or count components: meaningless if the sides are not
#: known.
_OF_SIDES = (FlagCode.LEFT_RIGHT_SUSPECT, FlagCode.MASK_FRAGMENTED, FlagCode.SIDE_RATIO)


def check_volume(volume: Volume, segmentation: Segmentation | None = None) -> tuple[Flag, ...]:
    """Check a scan: notes of its reader, geometry, acquisition and calibration.

    Args:
        volume: The scan.
        segmentation: Lungs of the scan, if already known; they make the calibration more reliable.

    Returns:
        The flags; empty if no problem was found.
    """
    return (
        *note_flags(volume.meta),
        *geometry_flags(volume),
        *acquisition_flags(volume.meta),
        *calibration_flags(calibration(volume, segmentation)),
    )


def check_segmentation(volume: Volume, segmentation: Segmentation) -> tuple[Flag, ...]:
    """Check the lungs of a scan: coverage, sides, sizes, components, orientation, density, metal, pleura.

    Args:
        volume: The scan.
        segmentation: Its lungs.

    Returns:
        The flags; empty if no problem was found.

    Raises:
        UsageError: The labels do not have the shape of the volume.
        GeometryError: Their grids differ.
    """
    segmentation.labels.require_grid_of(volume)
    labels = segmentation.labels.data
    coverage = tuple(coverage_flags(volume, labels))
    found = plausibility_flags(volume, labels)
    if any(flag.code == FlagCode.SIDES_UNKNOWN for flag in segmentation.flags):
        found = (flag for flag in found if flag.code not in _OF_SIDES)
    return (
        *segmentation.flags,
        *confidence_flags(segmentation.confidence),
        *found,
        *_orientation(volume, labels, {flag.code for flag in coverage}),
        *coverage,
        *padding_flags(volume, labels),
        *metal_flags(count_metal(volume, labels), volume),
        *pleura_flags(volume, segmentation),
    )


def _orientation(volume: Volume, labels: npt.NDArray[np.uint8], cut: set[str]) -> Iterator[Flag]:
    """Check the orientation in the header, if the file has one; ``cut`` names coverage flags."""
    if volume.meta.orientation_known and labels.any():
        few = Sampled.of(volume, labels)
        yield from orientation_flags(few.hu, few.labels, few.spacing, few=few_slices(volume), cut=cut)


def confidence_flags(confidence: Confidence | None) -> tuple[Flag, ...]:
    """Flag a segmentation that the model itself rates as uncertain."""
    if confidence is None or confidence.failure < LIMITS.failure:
        return ()
    return (
        Flag(
            FlagCode.SEGMENTATION_UNCERTAIN,
            Severity.WARNING,
            f"The segmentation is uncertain: the probability that its Dice against an expert reader is below "
            f"{LIMITS.poor_dice:g} is estimated at {100 * confidence.failure:.0f} %. Look at the outlines; "
            "uncertainty.nii.gz shows where.",
        ),
    )

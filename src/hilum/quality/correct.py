"""Correction of the HU scale, on request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.volume import Volume
from hilum.quality.hu_scale import Calibration, rate_air

__all__ = ["correct_calibration"]

_BLOCK = 2**22


def correct_calibration(volume: Volume, found: Calibration) -> tuple[Volume, tuple[Flag, ...]]:
    """Map outside air linearly to -1000 HU and soft tissue to the nearest of 20 to 60 HU.

    A scan whose air lies where it belongs is returned as it is: contrast agent moves soft tissue, and a
    correction for that would do harm. Only air round the body serves as the lower point, since the trachea
    is too narrow. Where soft tissue was not seen, 0 HU stays where it is.

    Args:
        volume: The scan.
        found: What :func:`hilum.quality.calibration` found in it.

    Returns:
        The corrected scan (same type of voxels, whole HU in an integer scan) and what was done, as flags.
    """
    if found.outside_air is None:
        message = (
            "The HU scale was not corrected, since no air round the body was seen; "
            "density and weight are as the file gives them."
        )
        return volume, (Flag(FlagCode.CALIBRATION_NOT_POSSIBLE, Severity.WARNING, message),)
    if not rate_air(found):
        message = "The HU scale was not corrected: air lies where it belongs."
        return volume, (Flag(FlagCode.CALIBRATION_NOT_NEEDED, Severity.INFO, message),)
    air = found.outside_air.hu
    tissue = 0.0 if found.soft_tissue is None else found.soft_tissue.hu
    target = 0.0 if found.soft_tissue is None else float(np.clip(tissue, *LIMITS.tissue_target_hu))
    slope = (target - LIMITS.air_hu) / (tissue - air)
    offset = LIMITS.air_hu - slope * air
    message = (
        f"The HU scale was corrected on request: HU = {slope:.3f} x value {offset:+.0f}, which maps "
        f"{air:.0f} to {LIMITS.air_hu:.0f} and {tissue:.0f} to {target:.0f}; compare with care to scans that "
        "were not."
    )
    return _rescaled(volume, slope, offset), (Flag(FlagCode.CALIBRATED, Severity.WARNING, message),)


def _rescaled(volume: Volume, slope: float, offset: float) -> Volume:
    """Return slope * HU + offset; some slices at a time, so that no float copy of an integer scan is made."""
    out = np.empty_like(volume.hu)
    step = max(1, _BLOCK // int(np.prod(volume.shape[:2])))
    for start in range(0, volume.shape[2], step):
        part = volume.hu[:, :, start : start + step] * np.float32(slope) + np.float32(offset)
        if out.dtype.kind == "i":
            limits = np.iinfo(out.dtype)
            part = np.clip(np.rint(part), limits.min, limits.max)
        out[:, :, start : start + step] = part
    return replace(volume, hu=out)

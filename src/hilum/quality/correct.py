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

    A scan with air at its nominal HU is returned unchanged: contrast agent raises soft tissue, and a
    correction for that would do harm. Only air around the body is used as the lower point, since the trachea
    is too narrow. If soft tissue was not found, 0 HU is kept.

    Args:
        volume: The scan.
        found: The result of :func:`hilum.quality.calibration`.

    Returns:
        The corrected scan (same voxel type, whole HU in an integer scan) and flags on the correction.
    """
    if found.outside_air is None:
        message = (
            "The HU scale was not corrected, because no air around the body was found; "
            "density and weight are computed from the values in the file."
        )
        return volume, (Flag(FlagCode.CALIBRATION_NOT_POSSIBLE, Severity.WARNING, message),)
    if not rate_air(found):
        message = "The HU scale was not corrected: air is at its nominal HU."
        return volume, (Flag(FlagCode.CALIBRATION_NOT_NEEDED, Severity.INFO, message),)
    air = found.outside_air.hu
    tissue = 0.0 if found.soft_tissue is None else found.soft_tissue.hu
    target = 0.0 if found.soft_tissue is None else float(np.clip(tissue, *LIMITS.tissue_target_hu))
    slope = (target - LIMITS.air_hu) / (tissue - air)
    offset = LIMITS.air_hu - slope * air
    message = (
        f"The HU scale was corrected on request: HU = {slope:.3f} x value {offset:+.0f}, which maps "
        f"{air:.0f} to {LIMITS.air_hu:.0f} and {tissue:.0f} to {target:.0f}; take care when comparing "
        "it with uncorrected scans."
    )
    return _rescaled(volume, slope, offset), (Flag(FlagCode.CALIBRATED, Severity.WARNING, message),)


def _rescaled(volume: Volume, slope: float, offset: float) -> Volume:
    """Return slope * HU + offset; chunked, so that no float copy of an integer scan is made."""
    out = np.empty_like(volume.hu)
    step = max(1, _BLOCK // int(np.prod(volume.shape[:2])))
    for start in range(0, volume.shape[2], step):
        part = volume.hu[:, :, start : start + step] * np.float32(slope) + np.float32(offset)
        if out.dtype.kind == "i":
            limits = np.iinfo(out.dtype)
            part = np.clip(np.rint(part), limits.min, limits.max)
        out[:, :, start : start + step] = part
    return replace(volume, hu=out)

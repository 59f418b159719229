"""From blocks to the voxels of the scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.labels import InjuryClass
from hilum.imaging.morphology import bounding_box
from hilum.tasks.injury.classes import Classes
from hilum.tasks.injury.fields import CLIP_HU, DARK_NOISE_HU, Box, Fields, Floats

__all__ = ["BRIGHT_HU", "draw_classes"]

#: A voxel that is denser than the lung round it by this much is vessel or airway wall, HU.
BRIGHT_HU = 250.0
#: Standard deviation of the Gaussian that decides on the voxels of emphysema, mm: finer than the blocks,
#: since its holes are small. White noise of 40 HU in voxels of 1 mm falls to 10 HU.
FINE_MM = 0.7
#: Where neighbours this far apart, mm, differ by more than this after that, HU, single voxels tell no hole:
#: noise of soft kernels reaches over some voxels. Digital chests have 10, real scans 21 to 30.
TEXTURE_MM, TEXTURE_HU = 2.5, 24.0
#: HU of aerated lung, in which this is measured.
_AERATED_HU = (-960.0, -800.0)
#: Emphysema is drawn where its score on the blocks is above this: up to a block beyond its border there.
_NEAR = -0.6


def draw_classes(
    hu: npt.NDArray[Any],
    lungs: npt.NDArray[np.uint8],
    fields: Fields,
    classes: Classes,
    edge: Floats,
    noise_hu: float,
    tubes: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Label every voxel of the lungs.

    Args:
        hu: HU of the scan.
        lungs: Label map of the lungs.
        fields: The lungs on blocks.
        classes: Scores on the blocks.
        edge: HU of the border of emphysema, on the blocks.
        noise_hu: Noise of the scan, HU.
        tubes: Vessels and airways that another task found; None where voxels are told by HU.

    Returns:
        uint8 array of the shape of ``hu``: values of :class:`hilum.core.labels.InjuryClass` in the lungs.
    """
    out = np.zeros(hu.shape, np.uint8)
    view, voxels, inside = out[fields.box], hu[fields.box], lungs[fields.box]
    known = None if tubes is None else tubes[fields.box]
    fine = _fine(voxels, fields, classes, noise_hu)
    scores = (classes.ground_glass, classes.emphysema, edge, classes.consolidation, classes.nodule)
    planes = [fields.planes(score) for score in scores]
    for z, background in enumerate(fields.planes(fields.haze)):
        haze, dark, border, dense, nodule = (next(plane) for plane in planes)
        lung = inside[:, :, z] > 0
        if not lung.any():
            continue
        plane = np.where(lung, np.uint8(InjuryClass.AERATED), np.uint8(0))
        plane[lung & (haze > 0)] = InjuryClass.GROUND_GLASS
        hole = dark > 0 if fine is None else (dark > _NEAR) & (fine[:, :, z] < border)
        plane[lung & hole] = InjuryClass.EMPHYSEMA
        tube = voxels[:, :, z] - background > BRIGHT_HU if known is None else known[:, :, z]
        plane[lung & tube] = InjuryClass.TUBE
        plane[lung & (dense > 0)] = InjuryClass.CONSOLIDATION
        plane[lung & (nodule > 0)] = InjuryClass.NODULE
        view[:, :, z] = plane
    return out


def _fine(voxels: npt.NDArray[Any], fields: Fields, classes: Classes, noise_hu: float) -> Floats | None:
    """HU smoothed with :data:`FINE_MM` where emphysema may be; None where that leaves too much noise."""
    box = bounding_box(classes.emphysema > _NEAR)
    steps = [step / f for step, f in zip(fields.spacing, fields.factors, strict=True)]
    # A Gaussian of s voxels lowers white noise by sqrt(2 sqrt(pi) s) along an axis.
    left = noise_hu / float(np.prod([max(1.0, 2 * np.pi**0.5 * FINE_MM / step) for step in steps])) ** 0.5
    if box is None or left > DARK_NOISE_HU:
        return None
    part: Box = tuple(  # type: ignore[assignment]
        slice(max(0, (b.start - 1) * f), (b.stop + 1) * f) for b, f in zip(box, fields.factors, strict=True)
    )
    out = np.zeros(voxels.shape, np.float32)
    clipped = np.clip(np.nan_to_num(voxels[part], nan=CLIP_HU[0]), *CLIP_HU).astype(np.float32)
    sigma = [FINE_MM / step for step in steps]
    smooth: Floats = ndimage.gaussian_filter(clipped, sigma, mode="nearest", truncate=3.0)
    if _texture(smooth, steps) > TEXTURE_HU:
        return None
    out[part] = smooth
    return out


def _texture(smooth: Floats, steps: list[float]) -> float:
    """Standard deviation of what differs between neighbours :data:`TEXTURE_MM` apart in aerated lung, HU."""
    axis = int(np.argmin(steps))
    lag = max(1, round(TEXTURE_MM / steps[axis]))
    lines = np.moveaxis(smooth, axis, 0)
    if lines.shape[0] <= 2 * lag:
        return 0.0
    middle = lines[lag:-lag]
    inside = (middle > _AERATED_HU[0]) & (middle < _AERATED_HU[1])
    bend = (middle - (lines[: -2 * lag] + lines[2 * lag :]) / 2)[inside]
    # 1.4826 makes a median absolute deviation a standard deviation; the bend has 1.5 times the variance.
    return float(1.4826 * np.median(np.abs(bend)) / 1.5**0.5) if bend.size else 0.0

"""The part of a scan that holds the airways, smoothed by its noise, with the trachea as the seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.model import Scan
from hilum.core.errors import InputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask, bounding_box, erode

__all__ = ["AirwayScan", "lungs_mask", "prepare", "smoothing_mm"]

Spacing = tuple[float, float, float]
#: The box reaches this far beyond lungs and trachea, mm: the wall of the outermost airway.
_MARGIN_MM = 8.0
#: HU outside this range are clipped: padding is air, bone and metal are tissue.
_CLIP_HU = (-1050.0, 300.0)
#: Noise is read in the trachea this far from its wall, mm, in at least so many voxels.
_DEEP_MM, _LEAST_VOXELS = 3.0, 200
#: Noise that is taken where the trachea is too narrow to read it, HU: a usual dose.
_USUAL_NOISE_HU = 20.0
#: The scan is smoothed by a Gaussian of this many mm for each HU of noise, up to the second number, which a
#: lumen of 2 mm survives: the scan of the usual dose hardly, one of 40 HU fully.
_SMOOTH_MM_PER_HU, _MOST_SMOOTH_MM = 0.0175, 0.7


@dataclass(frozen=True, eq=False)
class AirwayScan:
    """A scan cropped to lungs and trachea, axes along x, y, z (RAS).

    Attributes:
        hu: float32, clipped, as it was read.
        smooth: The same, smoothed by its noise.
        spacing: Distance between voxels in mm.
        lungs: Both lungs.
        seed: Lumen of the trachea.
        noise_hu: Standard deviation of the air in the trachea.
        box: Where the crop lies in the canonical volume.
        volume: The scan on its own grid.
    """

    hu: npt.NDArray[np.float32]
    smooth: npt.NDArray[np.float32]
    spacing: Spacing
    lungs: Mask
    seed: Mask
    noise_hu: float
    box: tuple[slice, slice, slice]
    volume: Volume

    def restore(self, mask: Mask) -> Mask:
        """Bring a mask of the crop to the grid of the scan."""
        whole = np.zeros(self.volume.canonical().shape, bool)
        whole[self.box] = mask
        return np.ascontiguousarray(self.volume.restore(whole))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in mL."""
        return float(np.prod(self.spacing)) / 1000.0


def lungs_mask(volume: Volume, lungs: Segmentation | LabelVolume | npt.NDArray[Any]) -> Mask:
    """Return the lungs as a bool array on the grid of the scan.

    Raises:
        UsageError: They have another shape than the scan, or no voxel is lung.
        GeometryError: They lie elsewhere.
    """
    if isinstance(lungs, Segmentation):
        lungs = lungs.labels
    if isinstance(lungs, LabelVolume):
        lungs.require_grid_of(volume)
        lungs = lungs.data
    if lungs.shape != volume.shape:
        raise UsageError(
            f"lungs has shape {lungs.shape}, expected that of the scan, {volume.shape}.",
            "Give the lungs of this scan.",
        )
    mask = np.asarray(lungs) > 0
    if not mask.any():
        raise UsageError("lungs is empty.", "Give a mask with at least one lung.")
    return mask


def prepare(volume: Volume, lungs: Mask) -> AirwayScan:
    """Find the trachea, crop, and smooth.

    Args:
        volume: The scan.
        lungs: Bool array on its grid.

    Raises:
        InputError: No trachea is in view, the scan has no voxel size, or is a single slice.
    """
    if not volume.meta.spacing_known or min(volume.shape) < 3:
        raise InputError(
            "Airways need a scan of several slices with a voxel size.", "Give the original series."
        )
    canonical = volume.canonical()
    scan = Scan.of(canonical)
    seed = None
    if scan.airways is not None and scan.order == (0, 1, 2):
        seed = _native(scan.airways.trachea, scan.reduced.factors, canonical.shape)
    if seed is None or _at_side(seed):
        raise InputError(
            "No trachea is in view, and the airways are grown from it.",
            "Give a scan that reaches above the bifurcation of the trachea, or leave the task airways out.",
        )
    inside = Volume(lungs.astype(np.int16), volume.affine).canonical().hu > 0
    x, y, z = (float(step) for step in canonical.spacing)
    spacing = (x, y, z)
    box = bounding_box(inside | seed, _MARGIN_MM, spacing)
    assert box is not None  # the seed is not empty
    hu = np.clip(canonical.hu[box], *_CLIP_HU).astype(np.float32, order="C")
    # A block is air and wall where it lies on the border; its native voxels tell them apart.
    air = seed[box] & (hu < scan.threshold)
    noise = _noise(hu, air, spacing)
    return AirwayScan(
        hu=hu,
        smooth=_smoothed(hu, spacing, noise),
        spacing=spacing,
        lungs=np.ascontiguousarray(inside[box]),
        seed=air,
        noise_hu=noise,
        box=box,
        volume=volume,
    )


def _native(blocks: Mask, factors: tuple[int, int, int], shape: tuple[int, int, int]) -> Mask:
    out = blocks
    for axis, factor in enumerate(factors):
        out = np.repeat(out, factor, axis)
    return out[: shape[0], : shape[1], : shape[2]]


def _at_side(seed: Mask) -> bool:
    """Whether air reaches the side of the slices: a trachea cut there, or air beside a cut body."""
    return bool(seed[[0, -1]].any() or seed[:, [0, -1]].any())


def _noise(hu: npt.NDArray[np.float32], air: Mask, spacing: Spacing) -> float:
    """Standard deviation of the air deep in the trachea."""
    box = bounding_box(air, _DEEP_MM, spacing)
    if box is None:
        return _USUAL_NOISE_HU
    deep = hu[box][erode(air[box], _DEEP_MM, spacing)]
    # Clipping cuts the darkest noise off: half the spread above the median is left whole.
    return (
        float(np.percentile(deep, 84.13) - np.median(deep)) if deep.size > _LEAST_VOXELS else _USUAL_NOISE_HU
    )


def smoothing_mm(noise_hu: float) -> float:
    """Standard deviation in mm of the Gaussian that smooths a scan of this noise in HU."""
    return min(_SMOOTH_MM_PER_HU * noise_hu, _MOST_SMOOTH_MM)


def _smoothed(hu: npt.NDArray[np.float32], spacing: Spacing, noise_hu: float) -> npt.NDArray[np.float32]:
    from scipy import ndimage

    sigma = smoothing_mm(noise_hu)
    out: npt.NDArray[np.float32] = ndimage.gaussian_filter(hu, [sigma / step for step in spacing], truncate=3)
    return out

"""The part of a scan that holds the lungs, with the HU of the parenchyma round each voxel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import Volume
from hilum.imaging.blocks import Reduced, native_planes, reduce_volume
from hilum.imaging.morphology import Mask, bounding_box, depth

__all__ = ["Floats", "Parenchyma", "VesselScan", "local_mean", "prepare"]

Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]
#: The box reaches this far beyond the lungs, mm.
_MARGIN_MM = 3.0
#: HU outside this range are clipped: padding is air; contrast medium in a catheter is no brighter than blood.
_CLIP_HU = (-1024.0, 600.0)
#: HU below which a voxel may be parenchyma at all: above, it is ground glass at most.
_AERATED_HU = -500.0
#: Parenchyma is averaged over blocks of this many mm, smoothed over so many blocks; a vessel takes a small
#: part of that, a lobe is much larger.
_BLOCK_MM, _SMOOTH_BLOCKS = 5.0, 1.5
#: Share of the voxels near a block that must count there for their mean to be taken.
_LEAST_SHARE = 0.02
#: Voxels count as parenchyma within this many standard deviations of its mean; first within so many HU.
_WITHIN_SD, _WITHIN_HU = 2.5, 100.0
#: Outermost layer of the mask, mm and at least one voxel, but no more than the second number: chest wall
#: shines into it, so it shows no tubes.
_SHELL_MM, _MOST_SHELL_MM = 1.8, 3.0
#: Least number of voxels, in each direction, in which a vessel can be told from noise.
_LEAST_VOXELS = 5


@dataclass(frozen=True, eq=False)
class Parenchyma:
    """The parenchyma of a scan on blocks of voxels, as small as it has to be to be kept until it is measured.

    Attributes:
        blocks: Mean HU of the parenchyma round each block.
        noise_hu: Standard deviation of the parenchyma: noise and texture.
        crop_hu: Mean HU of the crop that it was read in. It is another one once the HU were calibrated.
    """

    blocks: Reduced
    noise_hu: float
    crop_hu: float


@dataclass(frozen=True, eq=False)
class VesselScan:
    """A scan cropped to the lungs, axes along x, y, z (RAS).

    Attributes:
        hu: float32, clipped.
        parenchyma: HU of the parenchyma round each voxel.
        known: The same on blocks, with the noise.
        spacing: Distance between voxels in mm.
        lungs: uint8, values of the label set ``lungs``.
        inside: The lungs without their outermost layer.
        box: Where the crop lies in the canonical volume.
        volume: The scan on its own grid.
    """

    hu: Floats
    parenchyma: Floats
    known: Parenchyma
    spacing: Spacing
    lungs: npt.NDArray[np.uint8]
    inside: Mask
    box: tuple[slice, slice, slice]
    volume: Volume

    @property
    def noise_hu(self) -> float:
        """Standard deviation of the parenchyma: noise and texture."""
        return self.known.noise_hu

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in mL."""
        return self.volume.voxel_volume_ml

    def restore(self, mask: Mask) -> Mask:
        """Bring a mask of the crop to the grid of the scan."""
        whole = np.zeros(self.volume.canonical().shape, bool)
        whole[self.box] = mask
        return np.ascontiguousarray(self.volume.restore(whole))

    def crop(self, labels: LabelVolume) -> npt.NDArray[np.uint8]:
        """Cut the box out of a label map on the grid of the scan."""
        return _canonical(labels, self.volume)[self.box]


def prepare(volume: Volume, lungs: LabelVolume, known: Parenchyma | None = None) -> VesselScan:
    """Crop a scan to its lungs, and estimate the parenchyma.

    Args:
        volume: The scan.
        lungs: The lungs on its grid.
        known: The parenchyma, where it was estimated before. It is estimated again if it is that of other HU.

    Raises:
        InputError: The scan has no voxel size, or too few voxels along an axis.
        UsageError: The mask has another shape, or no voxel of the lungs.
        GeometryError: The mask lies elsewhere.
    """
    lungs.require_grid_of(volume)
    if not volume.meta.spacing_known or min(volume.shape) < _LEAST_VOXELS:
        raise InputError(
            "Vessels need a scan of several slices with a voxel size.", "Give the original series."
        )
    canonical = volume.canonical()
    x, y, z = (float(step) for step in canonical.spacing)
    spacing = (x, y, z)
    labels = _canonical(lungs, volume)
    box = bounding_box(labels > 0, _MARGIN_MM, spacing)
    if box is None:
        raise UsageError("lungs is empty.", "Give a mask with at least one lung.")
    hu = np.clip(canonical.hu[box], *_CLIP_HU).astype(np.float32, order="C")
    labels = np.ascontiguousarray(labels[box])
    inside = labels > 0
    inside &= depth(inside, spacing) > min(max(_SHELL_MM, 1.01 * max(spacing)), _MOST_SHELL_MM)
    crop_hu = float(hu.mean(dtype=np.float64))
    if known is None or known.crop_hu != crop_hu or known.blocks.full_shape != hu.shape:
        parenchyma, blocks, noise = _parenchyma(hu, inside, spacing)
        known = Parenchyma(blocks, noise, crop_hu)
    else:
        parenchyma = _native(known.blocks)
    return VesselScan(hu, parenchyma, known, spacing, labels, inside, box, volume)


def local_mean(hu: Floats, where: Mask, spacing: Spacing) -> Floats:
    """Mean HU of some voxels round each voxel; their overall median where few of them are near.

    Args:
        hu: Array (i, j, k).
        where: The voxels that count.
        spacing: Distance between voxels in mm.
    """
    return _native(_local_blocks(hu, where, spacing))


def _local_blocks(hu: Floats, where: Mask, spacing: Spacing) -> Reduced:
    """Mean HU of some voxels round each block of voxels."""
    from scipy import ndimage

    zero = np.float32(0)
    # Whole numbers of 500 for a share of 1: the block means clip to a range of HU.
    total = reduce_volume(np.where(where, hu, zero), spacing, _BLOCK_MM)
    share = reduce_volume(np.where(where, np.float32(500), zero), spacing, _BLOCK_MM).hu / 500
    total_near = ndimage.gaussian_filter(total.hu, _SMOOTH_BLOCKS)
    share_near = ndimage.gaussian_filter(share, _SMOOTH_BLOCKS)
    some = hu[where]
    usual = np.float32(np.median(some[:: max(1, some.size // 100_000)])) if some.size else np.float32(-850)
    blocks = np.where(share_near > _LEAST_SHARE, total_near / np.maximum(share_near, 1e-6), usual)
    return replace(total, hu=blocks.astype(np.float32))


def _native(blocks: Reduced) -> Floats:
    """Interpolate blocks to the voxels."""
    out = np.empty(blocks.full_shape, np.float32)
    for index, plane in enumerate(native_planes(blocks.hu, blocks)):
        out[:, :, index] = plane
    return out


def _parenchyma(hu: Floats, inside: Mask, spacing: Spacing) -> tuple[Floats, Reduced, float]:
    """Mean of the parenchyma near each voxel and on blocks, and its standard deviation.

    Vessels and airways do not count.
    """
    aerated = inside & (hu < _AERATED_HU)
    if not aerated.any():  # no air in the lungs: all is dense, and no vessel can be told
        none = reduce_volume(np.zeros_like(hu), spacing, _BLOCK_MM)
        return np.zeros_like(hu), none, 0.0
    mean = local_mean(hu, aerated, spacing)
    mean = local_mean(hu, aerated & (np.abs(hu - mean) < _WITHIN_HU), spacing)
    noise = _spread(hu, mean, aerated)
    blocks = _local_blocks(hu, aerated & (np.abs(hu - mean) < max(_WITHIN_SD * noise, 1.0)), spacing)
    mean = _native(blocks)
    return mean, blocks, _spread(hu, mean, aerated)


def _spread(hu: Floats, mean: Floats, aerated: Mask) -> float:
    """Standard deviation from what is darker than the mean: what is brighter holds vessels, too."""
    low = (hu - mean)[aerated]
    low = low[:: max(1, low.size // 1_000_000)]
    low = low[low < 0]
    return float(-np.percentile(low, 31.7)) if low.size else 0.0


def _canonical(labels: LabelVolume, volume: Volume) -> npt.NDArray[np.uint8]:
    import nibabel as nib

    out: npt.NDArray[np.uint8] = nib.apply_orientation(labels.data, nib.io_orientation(volume.affine))
    return out

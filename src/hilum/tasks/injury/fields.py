"""HU of the lungs on blocks of about 2 mm, without what lies outside of them.

Whether lung is ill is decided on means of blocks: noise is averaged, and the arrays are twenty times
smaller than the scan. The outermost voxels of a lung hold chest wall too, so a block is the mean of the
voxels behind them, and what lies at the surface takes the value of the lung behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.cores import thread_count
from hilum.imaging.blocks import block_factor
from hilum.imaging.interpolation import Interpolation
from hilum.imaging.morphology import Mask, bounding_box, touching

__all__ = [
    "BLOCK_MM",
    "HAZE_SIGMA_MM",
    "OPENING_MM",
    "SIGMA_MM",
    "Box",
    "Fields",
    "Floats",
    "Spacing",
    "lung_fields",
]

Floats = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]
Spacing = tuple[float, float, float]
#: Wanted width of a block, mm.
BLOCK_MM = 2.0
#: Standard deviation of the Gaussian that smooths the blocks, mm. With the block it makes a standard
#: deviation of 1.2 mm: white noise of 40 HU in voxels of 1 mm falls to 5 HU.
SIGMA_MM = 1.0
#: Noise up to which HU are compared with the limit of emphysema, HU: 1 % of lung of -920 HU then lies
#: below -950.
DARK_NOISE_HU = 12.0
#: Noise is measured where the lung is aerated, HU.
_AERATED_HU = -750.0
#: Blocks from neighbour to neighbour for this: noise of soft kernels reaches over more than one.
_DARK_LAG = 2
#: What is brighter than its surroundings and narrower than this is vessel, airway wall or fissure, mm.
OPENING_MM = 6.0
#: Standard deviation of the Gaussian that smooths what is left without them, mm.
HAZE_SIGMA_MM = 2.5
#: Voxels at the surface of a lung count for nothing to this depth, mm; at least one voxel.
RIM_MM = 1.2
#: HU are clipped to this range: neither padding nor bone, contrast agent or metal moves a mean.
CLIP_HU = (-1050.0, 200.0)
#: Least share of a block, and of what a Gaussian reaches, that is known.
_LEAST_SHARE = 0.05
#: Standard deviations of the Gaussians that fill what is not known from what is near, mm.
_FILL_MM = (3.0, 9.0)


@dataclass(frozen=True, eq=False)
class Fields:
    """The lungs on blocks of voxels. All arrays have one shape, in the axis order of the scan.

    Attributes:
        box: Where in the scan the blocks lie: the lungs with a rim.
        factors: Number of voxels in a block along each axis.
        spacing: Size of a block in mm.
        share: Share of each block that is lung, 0 to 1, one array for each of ``sides``.
        sides: Label values of the lungs that are there.
        mean: Mean HU, smoothed with :data:`SIGMA_MM`; beyond the lungs that of the lung beside it.
        haze: The same without bright structures narrower than :data:`OPENING_MM`, smoothed with
            :data:`HAZE_SIGMA_MM`.
        dark: The same as ``mean``, smoothed until noise is about :data:`DARK_NOISE_HU`: what is judged by
        low HU. dark_sigma_mm: Standard deviation of the Gaussian of ``dark``, mm.
        depth: Distance to the nearest block that is not lung, mm.
        outside: Mean HU of what is not lung in a block; -1000 where all of it is lung.
    """

    box: Box
    factors: tuple[int, int, int]
    spacing: Spacing
    share: tuple[Floats, ...]
    sides: tuple[int, ...]
    mean: Floats
    haze: Floats
    dark: Floats
    dark_sigma_mm: float
    depth: Floats
    outside: Floats

    @property
    def lung(self) -> Mask:
        """Blocks of which at least half is lung."""
        return np.asarray(sum(self.share) >= 0.5)

    @property
    def block_ml(self) -> float:
        """Volume of a block in mL."""
        return float(np.prod(self.spacing)) / 1000.0

    def share_of(self, mask: Mask) -> Floats:
        """Share of each block that a mask on the grid of the scan fills, 0 to 1."""
        return _block_sums(mask[self.box], self.factors) / np.float32(np.prod(self.factors))

    def places(self, affine: npt.NDArray[np.float64], axis: int) -> Floats:
        """Return the positions of the blocks' centres along an axis of the patient (RAS), mm."""
        out: npt.NDArray[Any] = np.asarray(affine[axis, 3], np.float32)
        for n, (size, part, factor) in enumerate(zip(self.mean.shape, self.box, self.factors, strict=True)):
            centres = part.start + (np.arange(size) + 0.5) * factor - 0.5
            line = (affine[axis, n] * centres).astype(np.float32)
            out = out + line.reshape([-1 if m == n else 1 for m in range(3)])
        return np.asarray(out, np.float32)

    def planes(self, values: Floats) -> Iterator[Floats]:
        """Interpolate values of the blocks on the voxels of ``box``; yields the planes of its last axis."""
        shape = tuple(part.stop - part.start for part in self.box)
        ways = [
            Interpolation.between(coarse, fine, factor)
            for coarse, fine, factor in zip(values.shape, shape, self.factors, strict=True)
        ]
        for index in range(shape[2]):
            yield ways[1].rows(ways[0].rows(ways[2].one(values, index)).T).T


def lung_fields(hu: npt.NDArray[Any], lungs: npt.NDArray[np.uint8], spacing: Spacing) -> Fields | None:
    """Average the lungs over blocks.

    Args:
        hu: HU, shape (i, j, k).
        lungs: Label map of the lungs, of the same shape.
        spacing: Voxel size in mm.

    Returns:
        The blocks; None where there is no lung.
    """
    factors = (
        block_factor(spacing[0], BLOCK_MM),
        block_factor(spacing[1], BLOCK_MM),
        block_factor(spacing[2], BLOCK_MM),
    )
    box = _padded_box(lungs > 0, factors)
    if box is None:
        return None
    view, labels = hu[box], lungs[box]
    sides = tuple(int(value) for value in np.unique(labels) if value)
    size = (spacing[0] * factors[0], spacing[1] * factors[1], spacing[2] * factors[2])
    cells = float(np.prod(factors))
    share = tuple(_block_sums(labels == side, factors) / np.float32(cells) for side in sides)
    core = _behind_rim(labels > 0, spacing)
    count = _block_sums(core, factors)
    total = _block_sums(core, factors, view)
    lung = np.asarray(sum(share) >= 0.5)
    known = count > _LEAST_SHARE * cells
    sums, weight = np.where(known, total, 0), np.where(known, count, 0)
    mean = _filled(sums, weight, SIGMA_MM, size)
    haze = _without_bright(np.where(known, total / np.maximum(count, 1), np.nan), size)
    seen = np.isfinite(haze)
    smooth = _filled(np.where(seen, haze, 0).astype(np.float32), seen.astype(np.float32), HAZE_SIGMA_MM, size)
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(lung, 1), size), np.float32)[1:-1, 1:-1, 1:-1]
    wide = _dark_sigma(total, weight, known, size)
    dark = mean if wide <= SIGMA_MM else _filled(sums, weight, wide, size)
    outside = _outside(view, labels, factors)
    return Fields(box, factors, size, share, sides, mean, smooth, dark, wide, depth, outside)


def _outside(view: npt.NDArray[Any], labels: npt.NDArray[np.uint8], factors: tuple[int, int, int]) -> Floats:
    """Mean HU of the voxels of a block that are not lung; -1000 where there is none."""
    beside = labels == 0
    count = _block_sums(beside, factors)
    total = _block_sums(beside, factors, view)
    return np.where(count > 0, total / np.maximum(count, 1), np.float32(-1000)).astype(np.float32)


def _dark_sigma(total: Floats, weight: Floats, known: Mask, spacing: Spacing) -> float:
    """Standard deviation in mm of the Gaussian that brings the noise of the blocks to "
    ":data:`DARK_NOISE_HU`."""
    values = np.where(known, total / np.maximum(weight, 1), np.nan)
    if len(values) <= 2 * _DARK_LAG:
        return SIGMA_MM
    middle = values[_DARK_LAG:-_DARK_LAG]
    bend = middle - (values[: -2 * _DARK_LAG] + values[2 * _DARK_LAG :]) / 2
    bend = bend[np.isfinite(bend) & (middle < _AERATED_HU)]
    if not bend.size:
        return SIGMA_MM
    # 1.4826 makes a median absolute deviation a standard deviation; the bend has 1.5 times the variance.
    noise = 1.4826 * float(np.median(np.abs(bend))) / 1.5**0.5
    # A Gaussian of s voxels lowers white noise by (2 sqrt(pi) s)^1.5 in three dimensions.
    voxels = (noise / DARK_NOISE_HU) ** (2 / 3) / (2 * np.pi**0.5)
    return float(max(SIGMA_MM, voxels * np.prod(spacing) ** (1 / 3)))


def _padded_box(mask: Mask, factors: tuple[int, int, int]) -> Box | None:
    """The box of a mask, one voxel wider where the array goes on."""
    box = bounding_box(mask)
    if box is None:
        return None
    a, b, c = (
        slice(max(0, part.start - 1), min(size, part.stop + 1))
        for part, size in zip(box, mask.shape, strict=True)
    )
    return a, b, c


def _behind_rim(mask: Mask, spacing: Spacing) -> Mask:
    """The mask without its outermost voxels, to :data:`RIM_MM` deep."""
    core = mask
    for _ in range(max(1, round(RIM_MM / min(spacing)))):
        core = ~touching(~core)
    return core


def _block_sums(mask: Mask, factors: tuple[int, int, int], values: npt.NDArray[Any] | None = None) -> Floats:
    """Sum over blocks of the voxels of a mask, or of values there; the last block may be cut."""
    shape = tuple(-(-n // f) for n, f in zip(mask.shape, factors, strict=True))
    out = np.zeros(shape, np.float32)
    starts = [np.arange(0, n, f) for n, f in zip(mask.shape, factors, strict=True)]

    def one(k: int) -> None:
        last = min((k + 1) * factors[2], mask.shape[2])
        for z in range(k * factors[2], last):
            plane: npt.NDArray[Any] = mask[:, :, z].astype(np.float32)
            if values is not None:
                plane *= np.clip(np.nan_to_num(values[:, :, z], nan=CLIP_HU[0]), *CLIP_HU)
            rows = np.add.reduceat(plane, starts[0], axis=0)
            out[:, :, k] += np.add.reduceat(rows, starts[1], axis=1)

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(one, range(shape[2])))
    return out


def _filled(sums: Floats, weight: Floats, sigma: float, spacing: Spacing) -> Floats:
    """Weighted Gaussian mean of what is known; where too little is in reach, of a wider reach."""
    out = np.full(sums.shape, np.nan, np.float32)
    for width in (sigma, *_FILL_MM):
        open_ = ~np.isfinite(out)
        if not open_.any():
            break
        steps = [width / step for step in spacing]
        reach = _gaussian(weight, steps)
        value = _gaussian(sums, steps) / np.maximum(reach, np.float32(1e-6))
        fill = open_ & (reach > _LEAST_SHARE * max(float(weight.max()), 1e-6))
        out[fill] = value[fill]
    middle = float(sums.sum() / max(float(weight.sum()), 1e-6))
    out[~np.isfinite(out)] = middle
    return out


def _gaussian(values: Floats, sigma: list[float]) -> Floats:
    out: Floats = ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.0)
    return out


def _without_bright(values: npt.NDArray[np.floating[Any]], spacing: Spacing) -> Floats:
    """Opening of the grey values with a cube of :data:`OPENING_MM`, inside what is known; else NaN."""
    size = [max(1, round(OPENING_MM / step)) for step in spacing]
    known = np.isfinite(values)
    low = ndimage.minimum_filter(np.where(known, values, np.float32(np.inf)), size, mode="nearest")
    high = ndimage.maximum_filter(np.where(known, low, np.float32(-np.inf)), size, mode="nearest")
    return np.where(known, high, np.nan).astype(np.float32)

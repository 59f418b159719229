"""Reconstruction kernels and noise.

Both act within a slice, as the filter of a filtered back projection does. The signal is blurred by a point
spread of unit sum, so that mass is kept; the noise is white noise of one slice, filtered and brought to the
wanted standard deviation. Each slice draws from its own generator, so the values of a slice do not depend on
how the volume was divided into chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.ndimage import gaussian_filter

from hilum.synthesis.phantoms.fields import Array

__all__ = ["Kernel", "apply_kernel", "noise_slice"]


class Kernel(str, Enum):
    """Reconstruction kernel.

    ``standard`` samples the object by the voxel alone; ``soft`` blurs it; ``sharp`` enhances edges as a lung
    or bone kernel does and leaves fine-grained noise.
    """

    SOFT = "soft"
    STANDARD = "standard"
    SHARP = "sharp"


@dataclass(frozen=True)
class _Filter:
    """Widths are standard deviations in mm; ``gain`` is the weight of edge enhancement."""

    blur: float
    gain: float
    wide: float
    noise: float
    noise_wide: float


_FILTERS = {
    Kernel.SOFT: _Filter(blur=0.65, gain=0.0, wide=0.0, noise=1.1, noise_wide=4.0),
    Kernel.STANDARD: _Filter(blur=0.0, gain=0.0, wide=0.0, noise=0.7, noise_wide=3.0),
    Kernel.SHARP: _Filter(blur=0.0, gain=0.45, wide=1.0, noise=0.0, noise_wide=0.9),
}


def apply_kernel(slice_hu: Array, kernel: Kernel, spacing: tuple[float, float]) -> Array:
    """Blur or sharpen one slice; the mean over the plane stays the same.

    Args:
        slice_hu: HU of shape (rows, columns).
        kernel: The kernel.
        spacing: Row and column distance in mm.
    """
    f = _FILTERS[kernel]
    if f.blur:
        slice_hu = _gauss(slice_hu, f.blur, spacing)
    if f.gain:
        slice_hu = slice_hu + np.float32(f.gain) * (slice_hu - _gauss(slice_hu, f.wide, spacing))
    return slice_hu


def _gauss(image: Array, sigma: float, spacing: tuple[float, float]) -> Array:
    return np.asarray(
        gaussian_filter(image, [sigma / s for s in spacing], mode="nearest", truncate=3.5), np.float32
    )


def noise_slice(
    shape: tuple[int, int], kernel: Kernel, spacing: tuple[float, float], sd: float, seed: int, index: int
) -> Array:
    """Correlated noise of one slice, HU.

    The spectrum is a band: low frequencies are damped as by the ramp filter, high ones as by the kernel.

    Args:
        shape: Rows and columns.
        kernel: Sets how coarse the grain is.
        spacing: Row and column distance in mm.
        sd: Standard deviation in HU.
        seed: Seed of the phantom.
        index: Number of the slice.
    """
    f = _FILTERS[kernel]
    rng = np.random.default_rng([seed, 8, index])
    white = rng.standard_normal(shape, dtype=np.float32)
    fine = _gauss(white, f.noise, spacing) if f.noise else white
    band = fine - np.float32(0.8) * _gauss(fine, f.noise_wide, spacing)
    spread = float(band.std())
    return band * np.float32(sd / spread if spread > 0 else 0.0)

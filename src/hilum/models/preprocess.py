"""Pre- and postprocessing of slices, shared by training, tests and inference. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hilum.core.errors import UsageError

__all__ = ["RESIZE_RULE", "Fit", "fit_slice", "from_input", "normalise", "to_input"]

#: Description of :func:`to_input` for model cards.
RESIZE_RULE = (
    "clip to the window; keep the aspect (in mm where the pixel size is known, else in pixels); linear, "
    "area average where it shrinks; centred; padded with the window's lower end"
)


@dataclass(frozen=True)
class Fit:
    """Placement of a slice in the input of a network.

    Attributes:
        source: Rows and columns of the slice.
        size: Height and width of the input.
        inner: Height and width of the part of the input that holds the slice.
        offset: Row and column of that part's first pixel.
    """

    source: tuple[int, int]
    size: tuple[int, int]
    inner: tuple[int, int]
    offset: tuple[int, int]


def fit_slice(
    shape: tuple[int, int], size: tuple[int, int], spacing: tuple[float, float] | None = None
) -> Fit:
    """Fit a slice into the input as large as possible without changing its aspect.

    Args:
        shape: Rows and columns of the slice.
        size: Height and width of the input.
        spacing: Row and column spacing in mm; None assumes square pixels.

    Raises:
        UsageError: A number is not positive.
    """
    steps = spacing or (1.0, 1.0)
    if min(*shape, *size) < 1 or not all(np.isfinite(s) and s > 0 for s in steps):
        raise UsageError(f"A slice of {shape} pixels with spacing {spacing} cannot be fitted into {size}.")
    extent = [n * s for n, s in zip(shape, steps, strict=True)]
    scale = min(n / e for n, e in zip(size, extent, strict=True))
    inner = [min(n, max(1, round(e * scale))) for n, e in zip(size, extent, strict=True)]
    offset = [(n - i) // 2 for n, i in zip(size, inner, strict=True)]
    return Fit((shape[0], shape[1]), (size[0], size[1]), (inner[0], inner[1]), (offset[0], offset[1]))


def to_input(slices: npt.NDArray[Any], fit: Fit, window: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Resize slices to the size of the input, still in HU.

    Args:
        slices: HU, shape (n, rows, columns); NaN counts as air.
        fit: From :func:`fit_slice` for their shape.
        window: HU are clipped to it first, so that padding at -3000 or metal does not bleed.

    Returns:
        float32 HU within the window, shape (n, height, width).
    """
    low, high = window
    out = np.full((len(slices), *fit.size), low, np.float32)
    rows, cols = (slice(o, o + i) for o, i in zip(fit.offset, fit.inner, strict=True))
    for index, image in enumerate(slices):
        clipped = np.clip(np.nan_to_num(image, nan=low) if image.dtype.kind == "f" else image, low, high)
        out[index, rows, cols] = resize(clipped.astype(np.float32), fit.inner)
    return out


def normalise(hu: npt.NDArray[np.float32], window: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Scale HU within the window to -1 to 1."""
    low, high = window
    out: npt.NDArray[np.float32] = (hu - np.float32(low)) * np.float32(2.0 / (high - low)) - np.float32(1.0)
    return out


def from_input(maps: npt.NDArray[np.float32], fit: Fit) -> npt.NDArray[np.float32]:
    """Resample maps (probabilities) linearly from the input grid to the grid of the slices.

    Args:
        maps: float32, shape (n, height, width).
        fit: The fit used for their input.

    Returns:
        float32, shape (n, rows, columns).
    """
    rows, cols = (slice(o, o + i) for o, i in zip(fit.offset, fit.inner, strict=True))
    out = np.empty((len(maps), *fit.source), np.float32)
    for index, one in enumerate(maps):
        out[index] = resize(np.ascontiguousarray(one[rows, cols]), fit.source)
    return out


def resize(image: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Resize a slice, edges aligned: linear where it grows, area average where it shrinks."""
    if image.shape == shape:
        return image
    rows, cols = (_weights(n, m) for n, m in zip(image.shape, shape, strict=True))
    out: npt.NDArray[np.float32] = (cols @ (rows @ image).T).T
    return out


@lru_cache(maxsize=64)
def _weights(source: int, target: int) -> Any:
    """Return the sparse matrix (target, source) of one axis; each row sums to 1."""
    ratio = source / target
    if ratio > 1:  # share of each source pixel that the target pixel covers
        edges = np.arange(target + 1) * ratio
        pixel = np.arange(source)
        cover = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
        weights = np.maximum(cover, 0.0)
    else:
        centre = np.clip((np.arange(target) + 0.5) * ratio - 0.5, 0, source - 1)
        weights = np.maximum(0.0, 1.0 - np.abs(centre[:, None] - np.arange(source)))
    weights /= weights.sum(axis=1, keepdims=True)
    return sparse.csr_array(weights.astype(np.float32))

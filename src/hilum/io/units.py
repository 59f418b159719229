"""Are these Hounsfield units?

A reader cannot trust a file on this: converters drop the rescale intercept, viewers export windowed
images, and MR looks like any other volume. What distinguishes CT is its two fixed points. Air is near
-1000 HU and soft tissue near 0 HU (Hounsfield 1973), and every chest CT holds both. The test is on purpose
loose: it accepts a scale that is off by a fifth, padding far below air, clipped ranges and crops, because the
calibration check of the quality gate checks the finer points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError

__all__ = ["check_units"]

_SAMPLE = 400_000
#: Below this a voxel is padding outside the scanned circle, never tissue, even with a scale error.
_PADDING_BELOW = -1400.0
_AIR = (_PADDING_BELOW, -400.0)
_SOFT_TISSUE = (-200.0, 200.0)
#: Least share of the voxels (padding left out) that must be air or lung, and soft tissue. A box round the
#: lungs of any real scan holds over 20 % of each; 1 % leaves room for masked lungs and near-empty slices.
_MIN_SHARE = 0.01
#: Above the densest bone; metal and contrast fill a few per cent at most.
_BEYOND_BONE = 2000.0
_MAX_SHARE_BEYOND_BONE = 0.15

#: A scan of which only the lungs are left: one value fills a fifth or more of it, even where it was cropped
#: close to the lungs, and nearly all other voxels are lung.
_BLANK_SHARE = 0.2
_LUNG = (-1100.0, -200.0)
_LUNG_SHARE = 0.9

_EXPORT_HINT = "Export the scan again from DICOM as 16-bit values in HU."


def check_units(hu: npt.NDArray[Any]) -> None:
    """Raise unless the intensities look like CT in Hounsfield units.

    Args:
        hu: Intensities of any shape; a strided sample of about 400,000 voxels is checked.

    Raises:
        InputError: They look like something else; the sentence says what (windowed image, raw CT numbers
            without rescale, normalised intensities, label map, MR).
    """
    sample = _subsample(hu)
    inside = sample[sample > _PADDING_BELOW]
    if inside.size < 0.005 * sample.size:
        raise InputError(
            "Nearly every voxel lies below -1400, so the intensities are not CT in HU.",
            "Check the rescale slope and intercept of the conversion. " + _EXPORT_HINT,
        )
    if _share(inside, *_AIR) < _MIN_SHARE:
        raise _without_air(inside)
    if _share(inside, *_SOFT_TISSUE) < _MIN_SHARE:
        _refuse_cut_out(sample)
        raise InputError(
            "The intensities do not look like CT in HU: hardly a voxel lies near soft "
            "tissue (-200 to 200 HU).",
            "Check that slope and intercept were applied once and only once. " + _EXPORT_HINT,
        )
    if _share(inside, _BEYOND_BONE, np.inf) > _MAX_SHARE_BEYOND_BONE:
        raise InputError(
            f"The intensities do not look like CT in HU: {_share(inside, _BEYOND_BONE, np.inf):.0%} of the "
            "voxels are denser than any bone (above 2000 HU).",
            "Check the modality and the rescale of the conversion. " + _EXPORT_HINT,
        )


def _refuse_cut_out(sample: npt.NDArray[np.float32]) -> None:
    """Raise where one value fills all but the lungs."""
    values, counts = np.unique(sample, return_counts=True)
    value, share = float(values[counts.argmax()]), float(counts.max()) / sample.size
    left = sample[sample != value]
    if share >= _BLANK_SHARE and left.size and _share(left, *_LUNG) >= _LUNG_SHARE:
        raise InputError(
            f"All but the lungs was blanked out of the scan: {share:.0%} of the voxels hold {value:g}.",
            "Give the whole scan, as it was before the lungs were cut out.",
        )


def _without_air(inside: npt.NDArray[np.float32]) -> InputError:
    """Say what a scan without air-like voxels most likely is. ``inside`` is free of padding."""
    low, high = (float(v) for v in (inside.min(), inside.max()))
    span = f"{low:g} to {high:g}"
    whole = bool((inside == np.rint(inside)).all())
    if whole and low >= 0 and high <= 255 and np.unique(inside).size <= 16:
        return InputError(
            f"The file holds only a few small values ({span}): it looks like a label map, not a CT.",
            "Give the scan that the labels belong to.",
        )
    if whole and low >= 0 and high <= 255:
        return InputError(
            f"The values run from {span}, an 8-bit windowed image: HU cannot be recovered from it.",
            _EXPORT_HINT,
        )
    if high - low <= 30:
        return InputError(
            f"The values run from {span}: they were normalised, so HU cannot be recovered.",
            "Give the scan as it was before normalisation, in HU.",
        )
    if _looks_raw(inside):
        return InputError(
            f"The values ({span}) look like raw CT numbers that still carry an offset of 1024: "
            "the rescale was not applied.",
            "Subtract 1024 if you know that this is the scanner's intercept, or convert again from DICOM "
            "with slope and intercept.",
        )
    if low >= -300:
        return InputError(
            f"The scan does not look like CT in HU: the values ({span}) hold no air near -1000. It may be "
            "MR, PET or a windowed copy.",
            "Give a CT in HU, not windowed.",
        )
    return InputError(
        f"The scan does not look like CT of the chest in HU: of the values ({span}) hardly any is as dark as "
        "air or lung.",
        "Give a CT in HU that holds lungs, not windowed.",
    )


def _looks_raw(inside: npt.NDArray[np.float32]) -> bool:
    """Whether air near 0-600 and soft tissue near 1024 stand apart, as in CT numbers without intercept."""
    low, high = np.quantile(inside, (0.005, 0.995))
    if low < -100 or high > 5120:  # 12 bits and some metal
        return False
    air, between, tissue = (_share(inside, a, b) for a, b in ((-100, 600), (600, 850), (850, 1224)))
    return air >= _MIN_SHARE and tissue >= 0.05 and between < tissue


def _share(values: npt.NDArray[np.float32], low: float, high: float) -> float:
    """Fraction of ``values`` in [low, high)."""
    return float(np.count_nonzero((values >= low) & (values < high))) / values.size


def _subsample(hu: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Take every n-th voxel per axis, the longest axes first, until the sample is small."""
    steps = [1] * hu.ndim
    shape = list(hu.shape)
    while int(np.prod(shape, dtype=np.int64)) > _SAMPLE:
        axis = int(np.argmax(shape))
        steps[axis] += 1
        shape[axis] = -(-hu.shape[axis] // steps[axis])
    view = hu[tuple(slice(None, None, step) for step in steps)]
    return np.asarray(view, dtype=np.float32).ravel()

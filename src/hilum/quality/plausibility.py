"""Is the label map plausible for human lungs?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import count_values
from hilum.core.labels import LUNGS, Lung
from hilum.core.volume import Volume
from hilum.quality.geometry import few_slices
from hilum.quality.sampling import canonical_labels

__all__ = ["Sampled", "plausibility_flags"]

#: Distance of sampled voxels; if the voxel size is unknown, about as many are sampled along an axis.
_SAMPLE_MM, _SAMPLES = 3.0, 128
#: Minimum number of sampled voxels of a lung for a mean.
_LEAST_SAMPLED = 100


@dataclass(frozen=True, eq=False)
class Sampled:
    """Every n-th voxel of labels and HU, about 3 mm apart, canonical axes."""

    labels: npt.NDArray[Any]
    hu: npt.NDArray[Any]
    spacing: tuple[float, ...]

    @classmethod
    def of(cls, volume: Volume, labels: npt.NDArray[np.uint8]) -> Sampled:
        """Take every n-th voxel of a scan and of labels of its shape."""
        canonical = volume.canonical()
        steps = [max(1, round(_SAMPLE_MM / s)) for s in canonical.spacing]
        if not volume.meta.spacing_known:
            steps = [max(1, n // _SAMPLES) for n in canonical.shape]
        every = tuple(slice(step // 2 if n > step else 0, None, step) for n, step in
                      zip(canonical.shape, steps, strict=True))  # fmt: skip
        mask = np.ascontiguousarray(canonical_labels(volume, labels)[every])
        spacing = tuple(s * step for s, step in zip(canonical.spacing, steps, strict=True))
        return cls(mask, canonical.hu[every], spacing)


def plausibility_flags(volume: Volume, labels: npt.NDArray[np.uint8]) -> Iterator[Flag]:
    """Yield the findings on sizes, sides, components and density of the lungs."""
    size = count_values(labels, LUNGS)
    yield from _missing(size)
    if not any(size.values()):
        return
    sampled = Sampled.of(volume, labels)
    if volume.meta.spacing_known and not few_slices(volume):
        yield from _sizes({side: n * volume.voxel_volume_ml for side, n in size.items()})
    if not few_slices(volume):
        yield from _pieces(sampled)
    yield from _sides(sampled.labels)
    yield from _density(sampled)


def _missing(size: Mapping[int, int]) -> Iterator[Flag]:
    missing = [side for side, voxels in size.items() if voxels == 0]
    if len(missing) == len(size):
        message = "The mask is empty: no lung was found, so nothing was measured. Look at the scan."
        yield Flag(
            FlagCode.MASK_EMPTY,
            Severity.ERROR,
            message,
            forbids=("all",),
            reason="No lung was found in this scan.",
        )
    elif missing:
        name = LUNGS[missing[0]].title.lower()
        message = (
            f"No {name} was found: it is outside the scan, airless, resected, or was missed. "
            "Look at the scan; values of both lungs together are withheld."
        )
        yield Flag(FlagCode.LUNG_MISSING, Severity.WARNING, message, (LUNGS[missing[0]].name, "lungs"))


def _sizes(ml: Mapping[int, float]) -> Iterator[Flag]:
    for side, volume in ml.items():
        name, title = LUNGS[side].name, LUNGS[side].title
        if 0 < volume < LIMITS.lung_ml[0]:
            message = (
                f"The {title.lower()} measures {volume:.0f} mL, less than an adult has: it is collapsed, "
                "cut off, a child's, or most of it was missed. Look at the mask."
            )
            yield Flag(FlagCode.VOLUME_IMPLAUSIBLE, Severity.WARNING, message, (name, "lungs"))
        elif volume > LIMITS.lung_ml[1]:
            yield _too_large(f"The {title.lower()}", volume, (name, "lungs"))
    if sum(ml.values()) > LIMITS.both_ml:
        yield _too_large("Both lungs together", sum(ml.values()), ())
    smaller, larger = sorted(ml.values())
    if 0 < smaller < LIMITS.side_ratio * larger:
        side = min(ml, key=lambda one: ml[one])
        message = (
            f"The {LUNGS[side].title.lower()} has {100 * smaller / larger:.0f} % of the volume of the other: "
            "it is collapsed, resected, displaced by an effusion, or part of it was missed. Look at the mask."
        )
        yield Flag(FlagCode.SIDE_RATIO, Severity.WARNING, message, (LUNGS[side].name, "lungs"))


def _too_large(what: str, ml: float, regions: tuple[str, ...]) -> Flag:
    message = (
        f"{what} would hold {ml / 1000:.1f} L, which no person has; volume, air and weight are withheld. "
        "Check the voxel size in the header and whether the mask leaks out of the lungs."
    )
    reason = "The volume is larger than any person's."
    return Flag(FlagCode.VOLUME_IMPLAUSIBLE, Severity.ERROR, message, regions, ("volume", "mass"), reason)


def _pieces(sampled: Sampled) -> Iterator[Flag]:
    from scipy import ndimage

    for side, info in LUNGS.items():
        lung = sampled.labels == side
        total = int(np.count_nonzero(lung))
        if total == 0:
            continue
        pieces, count = ndimage.label(lung, np.ones((3, 3, 3)))
        largest = int(np.bincount(pieces.ravel())[1:].max())
        if largest < LIMITS.main_piece * total:
            message = (
                f"The mask of the {info.title.lower()} is in {count} pieces, the largest with "
                f"{100 * largest / total:.0f} % of it: it may include other structures or miss lung. "
                "Look at the mask."
            )
            yield Flag(FlagCode.MASK_FRAGMENTED, Severity.WARNING, message, (info.name, "lungs"))


def _sides(mask: npt.NDArray[np.uint8]) -> Iterator[Flag]:
    """Compare the positions of the two masks, in RAS order, with the patient's axes."""
    across = [np.count_nonzero(mask == side, axis=(1, 2)) for side in (Lung.RIGHT, Lung.LEFT)]
    if not all(line.any() for line in across) or mask.shape[0] < 2:
        return
    right, left = (float(np.average(np.arange(line.size), weights=line)) for line in across)
    if right > left:  # +x of the canonical grid is the patient's right
        return
    message = (
        "The right lung in the mask lies to the patient's left of the left lung: the labels or the "
        "orientation in the header are swapped, so values by side are withheld. Check which is right lung."
    )
    yield Flag(
        FlagCode.LEFT_RIGHT_SUSPECT,
        Severity.ERROR,
        message,
        ("right_lung", "left_lung"),
        ("all",),
        "Right and left in the mask are swapped relative to the header.",
    )


def _density(sampled: Sampled) -> Iterator[Flag]:
    for side, info in LUNGS.items():
        values = sampled.hu[sampled.labels == side]
        if values.size < _LEAST_SAMPLED:
            continue
        mean = float(values.mean(dtype=np.float64))
        if mean < LIMITS.mean_hu[0]:
            what = (
                "is as dark as air: it may be gas outside the lung, severe emphysema, or a shifted HU scale"
            )
        elif mean > LIMITS.mean_hu[1]:
            what = "is as dense as an organ: it may not be lung, or airless lung"
        else:
            continue
        message = f"The {info.title.lower()} has a mean of {mean:.0f} HU and {what}. Look at the mask."
        yield Flag(FlagCode.LUNG_HU_IMPLAUSIBLE, Severity.WARNING, message, (info.name, "lungs"))

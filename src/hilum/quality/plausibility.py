"""Does the label map look like the lungs of a person?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.labels import LUNGS, Lung, count_voxels
from hilum.quality.flags import Flag, Severity
from hilum.quality.geometry import few_slices
from hilum.quality.survey import canonical_labels
from hilum.volume import Volume

__all__ = ["plausibility_flags"]

_LUNG_ML = (150.0, 6000.0)
_BOTH_ML = 10_000.0
_SIDE_RATIO = 0.5
#: Least share of a lung that hangs together.
_MAIN_PIECE = 0.95
_MEAN_HU = (-960.0, -250.0)
#: How far the heart may stand to the patient's right of the middle between the lungs' outer walls, mm. In a
#: usual chest it stands 6 to 20 mm to the left.
_HEART_RIGHT_MM = 5.0
_SAMPLE_MM = 3.0


@dataclass(frozen=True, eq=False)
class _Sampled:
    """Every n-th voxel of labels and HU, about 3 mm apart, canonical axes."""

    labels: npt.NDArray[Any]
    hu: npt.NDArray[Any]
    spacing: tuple[float, ...]

    @classmethod
    def of(cls, volume: Volume, labels: npt.NDArray[np.uint8]) -> _Sampled:
        canonical = volume.canonical()
        steps = [max(1, round(_SAMPLE_MM / s)) for s in canonical.spacing]
        if not volume.meta.spacing_known:
            steps = [max(1, n // 128) for n in canonical.shape]
        every = tuple(slice(step // 2 if n > step else 0, None, step) for n, step in
                      zip(canonical.shape, steps, strict=True))  # fmt: skip
        mask = np.ascontiguousarray(canonical_labels(volume, labels)[every])
        spacing = tuple(s * step for s, step in zip(canonical.spacing, steps, strict=True))
        return cls(mask, canonical.hu[every], spacing)


def plausibility_flags(volume: Volume, labels: npt.NDArray[np.uint8]) -> Iterator[Flag]:
    """Give the findings on sizes, sides, pieces and density of the lungs."""
    size = count_voxels(labels)
    yield from _missing(size)
    if not any(size.values()):
        return
    sampled = _Sampled.of(volume, labels)
    if volume.meta.spacing_known and not few_slices(volume):
        yield from _sizes({side: n * volume.voxel_volume_ml for side, n in size.items()})
    if not few_slices(volume):
        yield from _pieces(sampled)
        if volume.meta.orientation_known:
            yield from _heart(sampled)
    yield from _sides(sampled.labels)
    yield from _density(sampled)


def _missing(size: Mapping[Lung, int]) -> Iterator[Flag]:
    missing = [side for side, voxels in size.items() if voxels == 0]
    if len(missing) == len(size):
        message = "The mask is empty: no lung was found, so nothing was measured. Look at the scan."
        yield Flag(
            "mask_empty", Severity.ERROR, message, forbids=("all",), reason="No lung was found in this scan."
        )
    elif missing:
        name = LUNGS[missing[0]].title.lower()
        message = (
            f"No {name} was found: it is outside the picture, without air, removed, or was missed. "
            "Look at the scan; values of both lungs together are withheld."
        )
        yield Flag("lung_missing", Severity.WARNING, message, (LUNGS[missing[0]].name, "lungs"))


def _sizes(ml: Mapping[Lung, float]) -> Iterator[Flag]:
    for side, volume in ml.items():
        name, title = LUNGS[side].name, LUNGS[side].title
        if 0 < volume < _LUNG_ML[0]:
            message = (
                f"The {title.lower()} measures {volume:.0f} mL, less than an adult has: it is collapsed, "
                "cut, a child's, or most of it was missed. Look at the mask."
            )
            yield Flag("volume_implausible", Severity.WARNING, message, (name, "lungs"))
        elif volume > _LUNG_ML[1]:
            yield _too_large(f"The {title.lower()}", volume, (name, "lungs"))
    if sum(ml.values()) > _BOTH_ML:
        yield _too_large("Both lungs together", sum(ml.values()), ())
    smaller, larger = sorted(ml.values())
    if 0 < smaller < _SIDE_RATIO * larger:
        side = min(ml, key=lambda one: ml[one])
        message = (
            f"The {LUNGS[side].title.lower()} has {100 * smaller / larger:.0f} % of the volume of the other: "
            "it is collapsed, operated, beside an effusion, or part of it was missed. Look at the mask."
        )
        yield Flag("side_ratio", Severity.WARNING, message, (LUNGS[side].name, "lungs"))


def _too_large(what: str, ml: float, regions: tuple[str, ...]) -> Flag:
    message = (
        f"{what} would hold {ml / 1000:.1f} L, which no person has; volume, air and weight are withheld. "
        "Check the voxel size in the header and whether the mask runs out of the lungs."
    )
    reason = "The volume is larger than any person's."
    return Flag("volume_implausible", Severity.ERROR, message, regions, ("volume", "mass"), reason)


def _pieces(sampled: _Sampled) -> Iterator[Flag]:
    from scipy import ndimage

    for side, info in LUNGS.items():
        lung = sampled.labels == side
        total = int(np.count_nonzero(lung))
        if total == 0:
            continue
        pieces, count = ndimage.label(lung, np.ones((3, 3, 3)))
        largest = int(np.bincount(pieces.ravel())[1:].max())
        if largest < _MAIN_PIECE * total:
            message = (
                f"The mask of the {info.title.lower()} is in {count} pieces, the largest with "
                f"{100 * largest / total:.0f} % of it: something else may be marked, or lung may be missed. "
                "Look at the mask."
            )
            yield Flag("mask_fragmented", Severity.WARNING, message, (info.name, "lungs"))


def _sides(mask: npt.NDArray[np.uint8]) -> Iterator[Flag]:
    """Compare where the two masks, in RAS order, lie with the patient's axes."""
    across = [np.count_nonzero(mask == side, axis=(1, 2)) for side in (Lung.RIGHT, Lung.LEFT)]
    if not all(line.any() for line in across) or mask.shape[0] < 2:
        return
    right, left = (float(np.average(np.arange(line.size), weights=line)) for line in across)
    if right > left:  # +x of the canonical grid is the patient's right
        return
    message = (
        "The mask of the right lung lies on the patient's left of that of the left lung: the labels or the "
        "orientation in the header are swapped, so values by side are withheld. Check which is right lung."
    )
    yield Flag(
        "left_right_suspect",
        Severity.ERROR,
        message,
        ("right_lung", "left_lung"),
        ("all",),
        "Right and left of the mask are swapped against the header.",
    )


def _heart(sampled: _Sampled) -> Iterator[Flag]:
    """Look on which side the heart bulges, and whether the lung of that side is the smaller one.

    Both together: a high diaphragm or a tilted chest may shift the middle by itself.
    """
    right, left = (np.count_nonzero(sampled.labels == side) for side in (Lung.RIGHT, Lung.LEFT))
    shift = _heart_shift(sampled)
    if shift is None or shift <= _HEART_RIGHT_MM or right >= left:
        return
    message = (
        f"The heart stands {shift:.0f} mm to the patient's right and the right lung is the smaller one: the "
        "header may be mirrored, the right lung shrunken, or the patient has situs inversus. Check right and "
        "left with the original."
    )
    yield Flag("left_right_suspect", Severity.WARNING, message)


def _heart_shift(sampled: _Sampled) -> float | None:
    """Return how far the middle of the mediastinum lies to the right of that of the chest, mm.

    Taken in the lower two fifths of the lungs, where the heart is: line by line from front to back between
    the inner walls of the two lungs, in the front two thirds of the planes (behind lies the spine), against
    the middle between the outer walls.
    """
    right, left = (sampled.labels == side for side in (Lung.RIGHT, Lung.LEFT))
    if right.any() and left.any() and np.nonzero(right)[0].mean() < np.nonzero(left)[0].mean():
        right, left = left, right
    planes = np.flatnonzero(right.any(axis=(0, 1)) & left.any(axis=(0, 1)))
    shifts = []
    for k in planes[: max(1, int(0.4 * planes.size))]:
        one, other = right[:, :, k], left[:, :, k]
        rows = np.flatnonzero(one.any(axis=0) & other.any(axis=0))
        if rows.size < 3:
            continue
        width = one.shape[0]
        outer = (width - 1 - int(one.any(axis=1)[::-1].argmax()) + int(other.any(axis=1).argmax())) / 2
        rows = rows[rows.size // 3 :]
        inner_right = one[:, rows].argmax(axis=0)
        inner_left = width - 1 - other[::-1, :][:, rows].argmax(axis=0)
        apart = inner_right > inner_left
        if apart.any():
            shifts.append(float((inner_right[apart] + inner_left[apart]).mean()) / 2 - outer)
    return None if len(shifts) < 5 else float(np.mean(shifts)) * sampled.spacing[0]


def _density(sampled: _Sampled) -> Iterator[Flag]:
    for side, info in LUNGS.items():
        values = sampled.hu[sampled.labels == side]
        if values.size < 100:
            continue
        mean = float(values.mean(dtype=np.float64))
        if mean < _MEAN_HU[0]:
            what = (
                "is as dark as air: it may be gas outside the lung, severe emphysema, or a scale that is off"
            )
        elif mean > _MEAN_HU[1]:
            what = "is as dense as an organ: it may be no lung, or lung without air"
        else:
            continue
        message = f"The {info.title.lower()} has a mean of {mean:.0f} HU and {what}. Look at the mask."
        yield Flag("lung_hu_implausible", Severity.WARNING, message, (info.name, "lungs"))

"""Are the lungs completely in the scan? If the scan ends in lung, amounts are unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.labels import LUNGS
from hilum.core.volume import Volume
from hilum.quality.geometry import few_slices
from hilum.quality.sampling import FewPlanes, canonical_labels

__all__ = ["coverage_flags", "padding_flags"]

#: Planes checked for contact with padding: enough for an area within 10 %, few enough to be fast.
_PADDING_PLANES = 40

_WHERE = {
    FlagCode.CUT_TOP: ("the top of the scan", "Scan or export from above the lung apices."),
    FlagCode.CUT_BOTTOM: ("the bottom of the scan", "Scan or export down to below the diaphragm."),
    FlagCode.CUT_SIDE: ("the side of the slices", "Reconstruct or export with a wider field of view."),
}


def coverage_flags(volume: Volume, labels: npt.NDArray[np.uint8]) -> Iterator[Flag]:
    """Yield ``cut_top``, ``cut_bottom`` and ``cut_side`` for each lung, from areas in cm2.

    No flag is raised if areas are unknown (no voxel size), nor for the ends of a few slices.
    """
    if not volume.meta.spacing_known:
        return
    mask = canonical_labels(volume, labels)
    spacing = volume.canonical().spacing
    padding = _padding_contact(volume, labels)
    stack = not few_slices(volume)
    for side in LUNGS:
        if stack:
            area = spacing[0] * spacing[1] / 100
            yield from _cut(FlagCode.CUT_TOP, side, area * np.count_nonzero(mask[:, :, -1] == side))
            yield from _cut(FlagCode.CUT_BOTTOM, side, area * np.count_nonzero(mask[:, :, 0] == side))
        yield from _cut(FlagCode.CUT_SIDE, side, _side_contact(mask, side, spacing) + padding[side])


def _side_contact(mask: npt.NDArray[Any], side: int, spacing: tuple[float, float, float]) -> float:
    """Return the area of a lung in the right, left, front and back face of the scan, cm2."""
    total = 0.0
    for axis in (0, 1):
        if mask.shape[axis] < 3:  # the plane of a coronal or sagittal slice is not a side
            continue
        area = float(np.prod([s for n, s in enumerate(spacing) if n != axis])) / 100
        faces = np.moveaxis(mask, axis, 0)[[0, -1]]
        total += area * sum(int(np.count_nonzero(face == side)) for face in faces)
    return total


def _padding_contact(volume: Volume, labels: npt.NDArray[np.uint8]) -> dict[int, float]:
    """Return the area, cm2, along which each lung touches unscanned voxels."""
    from scipy import ndimage

    canonical = volume.canonical()
    planes = FewPlanes(volume, labels, count=_PADDING_PLANES)
    length = dict.fromkeys(LUNGS, 0.0)
    count = 0
    for plane in planes:
        count += 1
        if not plane.empty.any() or plane.labels is None:
            continue
        # Only padding of some width: dark specks of noise or ringing are not padding.
        solid = ndimage.binary_opening(np.pad(plane.empty, 2, mode="edge"), iterations=2)[2:-2, 2:-2]
        f, g = plane.factors
        near = ndimage.binary_dilation(solid, np.ones((3, 3))).repeat(f, 0).repeat(g, 1)
        for side in LUNGS:
            lung = plane.labels == side
            if (lung & near).any():
                length[side] += _shared_edge(lung, solid.repeat(f, 0).repeat(g, 1), plane.spacing, (f, g))
    depth = canonical.shape[2] * canonical.spacing[2] if canonical.shape[2] > 1 else canonical.spacing[2]
    return {side: total * depth / max(1, count) / 100 for side, total in length.items()}


def _shared_edge(
    lung: npt.NDArray[np.bool_],
    padding: npt.NDArray[np.bool_],
    spacing: tuple[float, float],
    reach: tuple[int, int],
) -> float:
    """Return the length, mm, of a lung's edge with padding within a block's reach on the same line."""
    total = 0.0
    for axis in (0, 1):
        inside, pad = np.moveaxis(lung, axis, 0), np.moveaxis(padding, axis, 0)
        step = min(reach[axis], inside.shape[0] - 1)
        for a, b in ((inside, pad), (inside[::-1], pad[::-1])):
            # the outermost voxel of the lung on the line, with padding at a block's distance
            edge = a[:-step] & ~a[1 : a.shape[0] - step + 1] & b[step:]
            total += spacing[1 - axis] * int(np.count_nonzero(edge))
    return total


def _cut(code: FlagCode, side: int, area: float) -> Iterator[Flag]:
    if area <= LIMITS.cut_cm2[0]:
        return
    info, (where, todo) = LUNGS[side], _WHERE[code]
    regions = (info.name, "lungs")
    if area <= LIMITS.cut_cm2[1]:
        message = f"The {info.title.lower()} reaches {where} with {area:.1f} cm2: a few mL may be missing."
        yield Flag(code, Severity.WARNING, message, regions)
        return
    message = (
        f"The {info.title.lower()} is cut by {where} (over {area:.0f} cm2), so its volume, air, weight and "
        f"thirds are unknown and its densities are those of the part that was imaged. {todo}"
    )
    reason = f"The {info.title.lower()} is cut by {where}."
    yield Flag(code, Severity.ERROR, message, regions, ("volume", "mass", "thirds"), reason)


def padding_flags(volume: Volume, labels: npt.NDArray[np.uint8]) -> Iterator[Flag]:
    """Yield ``padding_inside_lung`` if voxels of the mask lie in padding."""
    if volume.hu.min() >= LIMITS.padding_hu:
        return
    marked = below = 0
    slowest = int(np.argmax(np.abs(volume.hu.strides)))
    planes = zip(np.moveaxis(volume.hu, slowest, 0), np.moveaxis(labels, slowest, 0), strict=True)
    for hu, mask in planes:
        marked += int(np.count_nonzero(mask))
        below += int(np.count_nonzero((hu < LIMITS.padding_hu) & (mask > 0)))
    share = 100 * below / max(1, marked)
    if share <= LIMITS.padding_percent[0]:
        return
    message = (
        f"{share:.1f} % of the lung's voxels are padding (below {LIMITS.padding_hu:.0f} HU), not patient: "
        "the mask extends beyond the scan circle. Look at the mask, or use a wider field of view."
    )
    if share <= LIMITS.padding_percent[1]:
        yield Flag(FlagCode.PADDING_INSIDE_LUNG, Severity.WARNING, message)
    else:
        reason = "Part of the mask is padding, not patient."
        yield Flag(FlagCode.PADDING_INSIDE_LUNG, Severity.ERROR, message, (), ("all",), reason)

"""Pleural fluid and free gas by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import PLEURA, LabelInfo, LabelRegion, LabelSet, Lung
from hilum.core.volume import Volume

__all__ = ["FLUID", "GAS", "SIDES", "SIDE_RULE", "by_side"]

#: Label values of fluid and free gas in the label set ``pleura``.
FLUID = 1
GAS = 2
#: Distances to the lungs are measured on every n-th voxel, about this far apart, mm: far finer than the
#: distance between the two lungs, and quick.
_STEP_MM = 3.0
#: The body is denser than this, HU: half-way between air and soft tissue.
_BODY_HU = -500.0
#: How a side is chosen, in words for reports.
SIDE_RULE = (
    "Fluid and gas belong to the side of the nearer lung; where only one lung was found, to the side of the "
    "body's middle on which they lie."
)


def _sided(value: int, side: str, number: int) -> LabelInfo:
    info = PLEURA[value]
    title = f"{info.title}, {side}"
    return LabelInfo(number, f"{side}_{info.name}", title, info.colour, info.snomed)


#: Fluid and free gas by side: what is measured. It is not written as a label map.
SIDES = LabelSet(
    name="pleura_by_side",
    version=PLEURA.version,
    definition=PLEURA.definition,
    labels=(
        _sided(FLUID, "right", 1),
        _sided(FLUID, "left", 2),
        _sided(GAS, "right", 3),
        _sided(GAS, "left", 4),
    ),
    unions=(
        LabelRegion(PLEURA[FLUID].name, PLEURA[FLUID].title, (1, 2)),
        LabelRegion(PLEURA[GAS].name, PLEURA[GAS].title, (3, 4)),
    ),
    noun=PLEURA.noun,
)


def by_side(volume: Volume, pleura: LabelVolume, lungs: LabelVolume) -> LabelVolume:
    """Split fluid and free gas into right and left; the rule is :data:`SIDE_RULE`.

    Args:
        volume: The scan; its HU are used only where one lung is missing.
        pleura: Label map of the label set ``pleura`` on the grid of the scan.
        lungs: Label map of the label set ``lungs`` on the same grid.

    Returns:
        The label map with the values of :data:`SIDES`.
    """
    out = np.zeros(pleura.shape, np.uint8)
    where = np.nonzero(pleura.data)
    if where[0].size:
        steps = [max(1, round(_STEP_MM / spacing)) for spacing in volume.spacing]
        right = _on_right(volume, lungs.data, where, steps)
        # 2 x value is the left one of a pair, 2 x value - 1 the right one.
        out[where] = 2 * pleura.data[where] - right.astype(np.uint8)
    return LabelVolume(out, pleura.affine, SIDES)


def _on_right(
    volume: Volume, lungs: npt.NDArray[np.uint8], where: tuple[npt.NDArray[np.intp], ...], steps: list[int]
) -> npt.NDArray[np.bool_]:
    """Whether each of some voxels belongs to the right side."""
    from scipy import ndimage

    every = tuple(slice(step // 2 if n > step else 0, None, step)
                  for n, step in zip(lungs.shape, steps, strict=True))  # fmt: skip
    few = lungs[every]
    masks = [few == side for side in (Lung.RIGHT, Lung.LEFT)]
    if not all(mask.any() for mask in masks):
        return _right_of_middle(volume, where, every)
    apart = [step * spacing for step, spacing in zip(steps, volume.spacing, strict=True)]
    to_right, to_left = (ndimage.distance_transform_edt(~mask, apart) for mask in masks)
    nearest = tuple(
        np.minimum(index // step, n - 1) for index, step, n in zip(where, steps, few.shape, strict=True)
    )
    out: npt.NDArray[np.bool_] = (to_right <= to_left)[nearest]
    return out


def _right_of_middle(
    volume: Volume, where: tuple[npt.NDArray[np.intp], ...], every: tuple[slice, ...]
) -> npt.NDArray[np.bool_]:
    """Whether each of some voxels lies on the right of the body's centre of volume."""
    places = [np.arange(n)[part] for n, part in zip(volume.shape, every, strict=True)]
    body = np.nonzero(volume.hu[every] > _BODY_HU)
    if not body[0].size:
        body = np.nonzero(np.ones(tuple(len(line) for line in places), bool))
    row: npt.NDArray[Any] = volume.affine[0, :3]  # +x of RAS is the patient's right
    middle = sum(float(row[axis]) * float(places[axis][body[axis]].mean()) for axis in range(3))
    across = sum(row[axis] * where[axis] for axis in range(3))
    return np.asarray(across > middle)

"""Diaphragm domes: a slice through the top of the diaphragm shows an organ with lung all round it.

Hand-made masks of slices seldom hold one, and in one slice a dome resembles diseased lung. Only its smooth
outline, even density and blurred border distinguish it, so a network has to learn them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.imaging.interpolation import along_axis
from hilum.imaging.morphology import bounding_box
from hilum.synthesis.lesions.kinds import Change
from hilum.synthesis.lesions.lung import Float, LungSpace, noise_level, smooth_step
from hilum.synthesis.lesions.make import POSTERIOR, mix_in

__all__ = ["abdomen_slices", "add_diaphragm"]

#: Liver and spleen without contrast medium, with it, and a fatty liver or fat under the diaphragm, HU; with
#: the probability of each.
_ORGANS = (((40.0, 75.0), 0.65), ((80.0, 140.0), 0.2), ((-20.0, 40.0), 0.15))
_MARGIN_MM = 6.0
#: Least depth of a lung that has room for a dome, mm from its border to its middle.
_LEAST_ROOM_MM = 12.0


def add_diaphragm(
    hu: npt.NDArray[Any],
    mask: npt.NDArray[Any],
    spacing: Sequence[float],
    rng: np.random.Generator,
    organs: Sequence[npt.NDArray[Any]] = (),
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Put the dome of an organ into one lung of a slice.

    Args:
        hu: HU, (x, y, z) in RAS order; meant for one slice.
        mask: Lung labels of the same shape; each value above 0 is a lung of its own.
        spacing: Voxel size in mm.
        rng: Source of all draws.
        organs: Abdomen slices from :func:`abdomen_slices`. Half of the domes then show one of them, as below
            a raised diaphragm: stomach, spleen, bowel, fat.

    Returns:
        New HU, and the mask without the dome; both unchanged where no lung has room.
    """
    step = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    new, labels = hu.astype(np.float32), mask.copy()
    found = [int(v) for v in np.unique(mask) if v > 0]
    for label in rng.permutation(found):
        box = bounding_box(mask == label, _MARGIN_MM, step)
        if box is None:
            continue
        lung = LungSpace(mask[box] == label, step, POSTERIOR, rng)
        if float(lung.deep.max()) < _LEAST_ROOM_MM:
            continue
        from_scan = bool(organs) and rng.random() < 0.5
        share = _dome(lung, 1.0 if from_scan else 0.75)
        low, high = _ORGANS[int(rng.choice(len(_ORGANS), p=[probability for _, probability in _ORGANS]))][0]
        target: Float = np.float32(rng.uniform(low, high)) + np.float32(rng.uniform(0, 4)) * lung.field(15.0)
        if from_scan:
            target = _fitted(organs[int(rng.integers(len(organs)))], new, rng)[box]
        gone = (share >= 0.5) & lung.mask
        change = Change(share, target, gone.astype(np.float32))
        others = (mask[box] > 0) & ~lung.mask
        new[box] = mix_in(new[box], lung, change, noise_level(new), others)
        labels[box][gone] = 0
        break
    return new, labels


def abdomen_slices(hu: npt.NDArray[Any], labels: npt.NDArray[Any], step_mm: float) -> list[Float]:
    """Return slices of the abdomen below the lungs of a scan.

    Args:
        hu: HU, (x, y, z) in RAS order.
        labels: Lung labels, same shape.
        step_mm: Distance of the slices.

    Returns:
        HU, (x, y), of slices from 10 to 130 mm below the lungs, each cut to the body's box.
    """
    planes = np.flatnonzero(labels.any(axis=(0, 1)))
    low = int(planes[0]) if planes.size else 0
    first, last = (max(0, low - round(mm / step_mm)) for mm in (130.0, 10.0))
    found = ((hu[:, :, z], _box_of_body(hu[:, :, z])) for z in range(first, last))
    return [plane[box].astype(np.float32) for plane, box in found if box is not None]


def _box_of_body(plane: npt.NDArray[Any]) -> tuple[slice, slice] | None:
    """Box of the largest piece of tissue in a slice, the table cut off."""
    pieces, count = ndimage.label(ndimage.binary_opening(plane > -300, np.ones((3, 3)), iterations=2))
    if count == 0:
        return None
    largest = int(np.bincount(pieces.ravel())[1:].argmax())
    box: tuple[slice, slice] = ndimage.find_objects(pieces)[largest]
    return box


def _fitted(abdomen: Float, hu: npt.NDArray[Any], rng: np.random.Generator) -> Float:
    """Resize an abdomen slice to the body in ``hu``, at its place; now and then mirrored."""
    box = _box_of_body(hu[:, :, hu.shape[2] // 2]) or (slice(0, hu.shape[0]), slice(0, hu.shape[1]))
    if rng.random() < 0.4:
        abdomen = abdomen[::-1]
    size = [s.stop - s.start for s in box]
    for axis in range(2):
        abdomen = along_axis(abdomen, axis, np.linspace(0, abdomen.shape[axis] - 1, size[axis]))
    out = np.full(hu.shape, 40, np.float32)
    out[box] = abdomen[:, :, None]
    return out


def _dome(lung: LungSpace, most: float) -> Float:
    """Share of the organ in each voxel: between an ellipse and the outline of the lung drawn inwards.

    It takes up to the share ``most`` of the lung.
    """
    rng = lung.rng
    middle = np.array([float(i.mean()) for i in np.nonzero(lung.mask)])
    size = np.array([np.ptp(i) + 1.0 for i in np.nonzero(lung.mask)])
    middle += rng.uniform(-0.18, 0.18, 3) * size * (np.array(lung.shape) > 1)
    room = float(np.sqrt(lung.mask.sum() * lung.spacing[0] * lung.spacing[1] / np.pi))
    radius = room * float(np.sqrt(rng.uniform(0.03, most)))
    # Pulled along the lung's own length, as the half of a diaphragm is.
    pull = (size[0] * lung.spacing[0] / max(size[1] * lung.spacing[1], 1.0)) ** rng.uniform(0, 0.5)
    stretch = (float(np.sqrt(pull)), float(1 / np.sqrt(pull)))
    total = np.zeros((1, 1, 1), np.float32)
    for axis in range(2):
        line = (np.arange(lung.shape[axis], dtype=np.float32) - middle[axis]) * lung.spacing[axis]
        total = total + ((line / stretch[axis]) ** 2).reshape([-1 if a == axis else 1 for a in range(3)])
    inside = np.float32(radius) - np.sqrt(total)  # mm from the ellipse's border, inwards
    # The same area cut out of the lung by depth.
    part = min(0.97, (radius / room) ** 2)
    inwards = lung.deep - np.float32(np.quantile(lung.deep[lung.mask], 1 - part))
    blend = np.float32(rng.uniform(0, 0.7))
    border = (1 - blend) * inside + blend * inwards + np.float32(rng.uniform(0, 2.5)) * lung.field(30.0)
    out = smooth_step(border / np.float32(rng.uniform(1.5, 12.0)) + np.float32(0.5))
    return np.broadcast_to(out, lung.shape).astype(np.float32)

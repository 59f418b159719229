"""A made chest whose fissures are known: the mean lungs of the prior with surfaces drawn from its modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LOBES
from hilum.core.volume import Volume
from hilum.tasks.lobes.columns import Surface, columns
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.labelling import label_lobes
from hilum.tasks.lobes.prior import load_prior
from hilum.tasks.lobes.registration import ToTemplate

#: How a patient differs from the template: turned, scaled and shifted.
TURN = np.array([[0.95, 0.06, 0.0], [-0.06, 0.9, 0.08], [0.0, -0.08, 0.85]])
SHIFT = np.array([12.0, -160.0, 70.0])
LUNG_HU, WALL_HU, PLATE_HU, NOISE_HU = -850.0, 40.0, 150.0, 15.0


@dataclass(frozen=True, eq=False)
class MadeChest:
    volume: Volume
    lungs: LabelVolume
    lobes: np.ndarray
    to_template: ToTemplate


def make_chest(
    spacing: tuple[float, float, float] = (1.5, 1.5, 1.5),
    *,
    weights: tuple[float, ...] = (1.0, -0.8, 0.6),
    plates: bool = True,
    sides: tuple[int, ...] = (1, 2),
    planes: slice = slice(None),
) -> MadeChest:
    """Draw a chest.

    Args:
        spacing: Voxel size, mm.
        weights: Weights of the first modes of the prior, in standard deviations.
        plates: Whether the fissures are drawn.
        sides: The lungs that are there.
        planes: The axial planes that are kept.
    """
    prior = load_prior()
    back = ToTemplate(np.linalg.inv(TURN), -np.linalg.solve(TURN, SHIFT), 0.0)  # patient to template
    corners = (
        prior.lungs.affine[:3, 3],
        prior.lungs.affine[:3, :3] @ np.array(prior.lungs.distances.shape[1:]),
    )
    box = np.array(np.meshgrid(*zip(corners[0], corners[0] + corners[1], strict=True))).reshape(3, -1).T
    low, high = (edge(box @ TURN.T + SHIFT, axis=0) for edge in (np.min, np.max))
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    points = back.points(np.indices(shape).reshape(3, -1).T * spacing + low)
    index = (points - prior.lungs.affine[:3, 3]).T / np.diag(prior.lungs.affine)[:3, None]
    labels = np.zeros(shape, np.uint8)
    for side in sides:
        far = ndimage.map_coordinates(
            prior.lungs.distances[side - 1].astype(np.float32), index, order=1, cval=20
        )
        labels[far.reshape(shape) < 0] = side
    coefficients = prior.mean + np.array(weights) @ prior.modes[: len(weights)]
    surfaces = {}
    for fissure in Fissure:
        frame = prior.frames[fissure]
        places = columns(frame)
        heights = frame.basis(places.reshape(-1, 2)) @ coefficients[prior.part(fissure)]
        surfaces[fissure] = Surface(frame, heights.reshape(places.shape[:2]))
    lobes = label_lobes(labels, affine, surfaces, back)
    hu = np.where(labels > 0, LUNG_HU, WALL_HU) + np.random.default_rng(0).normal(0, NOISE_HU, shape)
    if plates:
        hu[edges(lobes)] += PLATE_HU
    volume = Volume(hu[:, :, planes].astype(np.int16), affine)
    lungs = LabelVolume.on_grid_of(volume, labels[:, :, planes])
    return MadeChest(volume, lungs, lobes[:, :, planes], back)


def edges(lobes: np.ndarray) -> np.ndarray:
    """Voxels that touch another lobe on one side: a sheet of one voxel."""
    out = np.zeros(lobes.shape, bool)
    for axis in range(3):
        one = np.take(lobes, range(lobes.shape[axis] - 1), axis)
        other = np.take(lobes, range(1, lobes.shape[axis]), axis)
        touch = (one != other) & (one > 0) & (other > 0)
        out[tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))] |= touch
    return out


def dice(found: np.ndarray, truth: np.ndarray) -> list[float]:
    """Dice of each lobe."""
    return [
        float(
            2
            * ((found == value) & (truth == value)).sum()
            / max((found == value).sum() + (truth == value).sum(), 1)
        )
        for value in LOBES
    ]

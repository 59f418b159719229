"""A small tree of airways with a known size, drawn on fine voxels, blurred and sampled at 1 mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from hilum.core.volume import Volume
from support.tubes import distance_to_segment

#: Fine voxels a voxel of 1 mm, and the size of the box in mm.
FINE, SIZE = 3, (72, 40, 84)
AIR, WALL, LUNG, TISSUE = -1000.0, 30.0, -860.0, 20.0
SIGMA = 0.6


@dataclass(frozen=True)
class Tube:
    """A straight airway in RAS mm."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    lumen: float
    wall: float


TRACHEA = Tube((36, 20, 84), (36, 20, 55), 12.0, 2.0)
#: The first to the right, which is towards larger x, then the left, each with two branches.
TUBES = (
    TRACHEA,
    Tube((36, 20, 55), (48, 20, 42), 8.0, 1.2),
    Tube((36, 20, 55), (24, 20, 42), 8.0, 1.2),
    Tube((48, 20, 42), (62, 24, 26), 4.0, 0.9),
    Tube((48, 20, 42), (50, 18, 8), 5.0, 1.0),
    Tube((24, 20, 42), (10, 24, 26), 3.0, 0.7),
    Tube((24, 20, 42), (22, 18, 8), 4.0, 0.9),
)


@dataclass(frozen=True, eq=False)
class Chest:
    """A scan with its true lumen and its lungs."""

    volume: Volume
    lumen: np.ndarray
    lungs: np.ndarray


def build(noise: float = 5.0, artery: bool = False) -> Chest:
    """Draw trachea and bronchi; the trachea lies in soft tissue, the rest in lung."""
    shape = tuple(FINE * n for n in SIZE)
    at = ((np.indices(shape, dtype=np.float32).transpose(1, 2, 3, 0) + 0.5) / FINE) - 0.5
    hu = np.full(shape, LUNG, np.float32)
    distances = [distance_to_segment(at, tube.start, tube.end).astype(np.float32) for tube in TUBES]
    hu[distances[0] < 14] = TISSUE
    if artery:  # beside the left lower branch
        beside = distance_to_segment(at, (17.8, 18, 40), (17.8, 18, 8))
        hu[beside < 2.0] = 40.0
    for tube, distance in zip(TUBES, distances, strict=True):
        hu[distance < tube.lumen / 2 + tube.wall] = WALL
    inside = np.zeros(shape, np.float32)
    for tube, distance in zip(TUBES, distances, strict=True):
        hu[distance < tube.lumen / 2] = AIR
        inside[distance < tube.lumen / 2] = 1
    hu = _means(gaussian_filter(hu, SIGMA * FINE))
    hu += np.random.default_rng(0).normal(0, noise, hu.shape).astype(np.float32)
    lungs = np.zeros(SIZE, np.uint8)
    lungs[45:, :, :48], lungs[:27, :, :48] = 1, 2
    return Chest(Volume(hu, np.eye(4)), _means(inside) > 0.5, lungs)


def _means(fine: np.ndarray) -> np.ndarray:
    x, y, z = SIZE
    return np.ascontiguousarray(fine.reshape(x, FINE, y, FINE, z, FINE).mean(axis=(1, 3, 5)))

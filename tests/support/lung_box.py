"""A small made lung: a box of parenchyma with tubes, plates and balls of known size, blurred and noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS
from hilum.core.volume import ScanMeta, Volume
from support.tubes import distance_to_segment, places

SHAPE = (64, 60, 56)
PARENCHYMA_HU, BLOOD_HU, TISSUE_HU = -860.0, 42.0, 40.0
BLUR_MM = 0.65
#: Each voxel is drawn as the mean of so many points an axis.
_FINE = 3

Segment = tuple[Sequence[float], Sequence[float], float]


@dataclass
class LungBox:
    """What to draw; positions and radii in mm, tubes of blood from start to end."""

    tubes: list[Segment] = field(default_factory=list)
    airways: list[tuple[Sequence[float], Sequence[float], float, float]] = field(default_factory=list)
    balls: list[tuple[Sequence[float], float]] = field(default_factory=list)
    plates_x: list[tuple[float, float]] = field(default_factory=list)
    noise_hu: float = 15.0
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def draw(self, axes: str = "RAS", known: bool = True) -> tuple[Volume, LabelVolume]:
        """Return scan and lungs; the right half of the box is the right lung."""
        step = tuple(s / _FINE for s in self.spacing)
        shape = tuple(round(n / s) for n, s in zip(SHAPE, self.spacing, strict=True))
        fine = (shape[0] * _FINE, shape[1] * _FINE, shape[2] * _FINE)
        at = places(fine, step).astype(np.float32) + np.float32(0.5) * np.array(step, np.float32)
        hu = np.full(fine, PARENCHYMA_HU, np.float32)
        for x, thickness in self.plates_x:
            hu[np.abs(at[..., 0] - x) <= thickness / 2] = TISSUE_HU
        for centre, radius in self.balls:
            hu[np.linalg.norm(at - np.array(centre), axis=-1) <= radius] = TISSUE_HU
        for start, end, radius in self.tubes:
            hu[distance_to_segment(at, start, end) <= radius] = BLOOD_HU
        for start, end, radius, wall in self.airways:
            away = distance_to_segment(at, start, end)
            hu[away <= radius + wall] = TISSUE_HU
            hu[away <= radius] = -1000
        hu = ndimage.gaussian_filter(hu, [BLUR_MM / s for s in step])
        hu = hu.reshape(shape[0], _FINE, shape[1], _FINE, shape[2], _FINE).mean(axis=(1, 3, 5))
        hu += np.random.default_rng(3).normal(0, self.noise_hu, shape)
        lungs = np.zeros(shape, np.uint8)
        margin = tuple(
            slice(round(4 / s), n - round(4 / s)) for n, s in zip(shape, self.spacing, strict=True)
        )
        lungs[margin] = 2
        lungs[shape[0] // 2 :][lungs[shape[0] // 2 :] > 0] = 1
        affine = np.diag([*self.spacing, 1.0])
        data = np.rint(hu).astype(np.int16)
        if axes == "LPS":
            data, lungs = data[::-1, ::-1], lungs[::-1, ::-1]
            affine[0, 0], affine[1, 1] = -affine[0, 0], -affine[1, 1]
        volume = Volume(np.ascontiguousarray(data), affine, ScanMeta(name="box", spacing_known=known))
        return volume, LabelVolume.on_grid_of(volume, np.ascontiguousarray(lungs), LUNGS)

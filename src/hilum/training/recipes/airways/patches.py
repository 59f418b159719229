"""Patches for the network of the airways: drawn at thin airways and hard negatives, varied at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from hilum.training.recipes.airways.cases import UNSURE, Case

__all__ = ["Patches", "Source"]

_Shorts = npt.NDArray[np.int16]
#: Side of a patch in voxels of 1 mm.
SIDE = 64
#: Share of the patches at thin airways, and at hard negatives; the rest lies anywhere in the lungs.
_AT_THIN, _AT_HARD = 0.7, 0.2
#: A patch may lie this far from its voxel, and is magnified by up to this.
_OFF, _ZOOM = 24, 1.25
#: Parenchyma, the middle of the variation of contrast, HU.
_LUNG_HU = -850.0
#: How much a hard negative counts.
HARD_WEIGHT = 4.0


@dataclass(frozen=True, eq=False)
class Source:
    """A case as patches are cut from it.

    Attributes:
        hu: Smoothed HU.
        labels: Labels.
        thin: Flat indices of the lumen of thin airways.
        hard: Flat indices of hard negatives.
        lungs: Flat indices of some voxels of the lungs.
        weight: How often it is drawn.
    """

    hu: _Shorts
    labels: npt.NDArray[np.uint8]
    thin: npt.NDArray[np.intp]
    hard: npt.NDArray[np.intp]
    lungs: npt.NDArray[np.intp]
    weight: float

    @classmethod
    def of(cls, case: Case, weight: float) -> Source:
        """Make a source of a case."""
        lungs = np.flatnonzero(case.lungs)[::97]
        hu = np.rint(case.smoothed()).astype(np.int16)
        return cls(hu, case.labels, case.thin, case.hard, lungs, weight)


class Patches:
    """Draws patches.

    Args:
        sources: The cases.
        seed: Of the draws.
    """

    def __init__(self, sources: Sequence[Source], seed: int = 0) -> None:
        self.sources = sources
        weights = np.array([source.weight for source in sources])
        self.shares = weights / weights.sum()
        self.random = np.random.default_rng(seed)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Return HU (n, 1, x, y, z) and labels (n, x, y, z) of varied patches."""
        drawn = [self._one() for _ in range(count)]
        return torch.stack([hu for hu, _ in drawn])[:, None], torch.stack([labels for _, labels in drawn])

    def _one(self) -> tuple[Tensor, Tensor]:
        random = self.random
        source = self.sources[int(random.choice(len(self.sources), p=self.shares))]
        roll = random.random()
        places = source.thin if roll < _AT_THIN else source.lungs
        if len(source.hard) and _AT_THIN <= roll < _AT_THIN + _AT_HARD:
            places = source.hard
        centre = np.array(np.unravel_index(int(random.choice(places)), source.hu.shape))
        centre += random.integers(-_OFF, _OFF + 1, 3)
        zoom = random.uniform(1 / _ZOOM, _ZOOM) if random.random() < 0.3 else 1.0
        side = round(SIDE / zoom)
        low = np.clip(centre - side // 2, 0, np.maximum(np.array(source.hu.shape) - side, 0))
        window = tuple(slice(int(a), int(a) + side) for a in low)
        hu, labels = _cut(source.hu, window, side, -1000), _cut(source.labels, window, side, UNSURE)
        hu, labels = _turned(hu.astype(np.float32), labels, random)
        image = torch.from_numpy(hu)
        marks = torch.from_numpy(labels.astype(np.float32))
        if side != SIDE:
            image = functional.interpolate(image[None, None], (SIDE,) * 3, mode="trilinear")[0, 0]
            marks = functional.interpolate(marks[None, None], (SIDE,) * 3, mode="nearest")[0, 0]
        return torch.from_numpy(_look(image.numpy(), random)), marks.long()


def _cut(values: npt.NDArray, window: tuple[slice, ...], side: int, fill: int) -> npt.NDArray:  # type: ignore[type-arg]
    part = values[window]
    if part.shape != (side,) * 3:
        part = np.pad(part, [(0, side - n) for n in part.shape], constant_values=fill)
    return part


def _turned(
    hu: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], random: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Swap axes and mirror at random."""
    order = tuple(random.permutation(3))
    flips = tuple(slice(None, None, int(random.choice((-1, 1)))) for _ in range(3))
    return (
        np.ascontiguousarray(hu.transpose(order)[flips]),
        np.ascontiguousarray(labels.transpose(order)[flips]),
    )


def _look(hu: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Vary contrast, sharpness and noise."""
    hu = (hu - _LUNG_HU) * random.uniform(0.85, 1.15) + _LUNG_HU + random.uniform(-30, 30)
    roll = random.random()
    if roll < 0.15:
        hu = ndimage.gaussian_filter(hu, random.uniform(0.3, 0.6), truncate=3)
    elif roll < 0.4:
        hu = hu + random.uniform(0.1, 0.6) * (hu - ndimage.gaussian_filter(hu, 1.0, truncate=2))
    if random.random() < 0.5:
        grain = ndimage.gaussian_filter(
            random.standard_normal(hu.shape, np.float32), random.uniform(0.4, 0.9), truncate=3
        )
        hu = hu + grain * (random.uniform(0, 25) / float(grain.std()))
    return np.asarray(hu, np.float32)

"""Synthetic injury for the training of slices; the only file here that needs torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hilum.anatomy.body import find_levels
from hilum.core.constants import USUAL_WIDTH_MM
from hilum.core.errors import UsageError
from hilum.synthesis.lesions.diaphragm import add_diaphragm
from hilum.synthesis.lesions.make import random_injury

__all__ = ["SliceInjury"]

Array = npt.NDArray[Any]
#: (HU, labels, spacing, source of draws) to (HU, labels).
SliceChange = Callable[[Array, Array, Sequence[float], np.random.Generator], tuple[Array, Array]]


class SliceInjury:
    """Puts diseases into slices of a batch; give it to :func:`hilum.train` as ``injury``.

    Calibration and noise stay those of the slice: the diseases are made on the scale of true HU, between the
    room air and the soft tissue that are found in the slice. Their sizes assume a slice of the usual width.

    Args:
        share: Probability that a slice gets disease.
        more: Slices that replace some of the batch: HU (n, height, width) of the input's size, and their lung
            as 0 to 255. For what a dataset lacks, such as slices below the lungs.
        more_share: Probability that a slice is replaced by one of them.
        diaphragm: Probability that a slice gets the dome of a diaphragm, before disease.
        organs: Abdomen slices under half of the domes; see :func:`hilum.synthesis.lesions.add_diaphragm`.

    Raises:
        UsageError: A share is not from 0 to 1, or ``more`` has no slices.
    """

    def __init__(
        self,
        share: float = 0.5,
        more: tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]] | None = None,
        more_share: float = 0.3,
        diaphragm: float = 0.0,
        organs: Sequence[Array] = (),
    ) -> None:
        for name, value in (("share", share), ("more_share", more_share), ("diaphragm", diaphragm)):
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}, expected a number from 0 to 1.")
        if more is not None and (len(more[0]) == 0 or more[0].shape != more[1].shape):
            raise UsageError(f"more has shapes {more[0].shape} and {more[1].shape}, expected the same.")
        self.share, self.more, self.more_share, self.diaphragm = share, more, more_share, diaphragm
        self._add_diaphragm = partial(add_diaphragm, organs=organs)

    def __call__(self, hu: Tensor, lung: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Take and give HU and shares of lung, (n, 1, height, width)."""
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        slices, masks = hu.detach().cpu().numpy().copy(), lung.detach().cpu().numpy().copy()
        for i in range(len(slices)):
            if self.more is not None and rng.random() < self.more_share:
                k = int(rng.integers(len(self.more[0])))
                slices[i, 0], masks[i, 0] = self.more[0][k], self.more[1][k] / 255.0
            for probability, change in ((self.diaphragm, self._add_diaphragm), (self.share, _disease)):
                if probability and rng.random() < probability:
                    slices[i, 0], masks[i, 0] = change_slice(slices[i, 0], masks[i, 0], rng, change)
        return torch.from_numpy(slices).to(hu), torch.from_numpy(masks).to(lung)


def _disease(
    hu: Array, mask: Array, spacing: Sequence[float], rng: np.random.Generator
) -> tuple[Array, Array]:
    made = random_injury(hu, mask, spacing, rng, healthy=0.1)
    return made.hu, made.mask


def change_slice(
    image: npt.NDArray[np.float32],
    share: npt.NDArray[np.float32],
    rng: np.random.Generator,
    change: SliceChange = _disease,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Put disease, or another change, into one slice.

    Args:
        image: HU, (rows, columns), front up.
        share: Share of lung in each pixel.
        rng: Source of all draws.
        change: Takes HU, labels of the lungs, spacing and ``rng``; gives new HU and labels.
    """
    from scipy import ndimage

    lungs, count = ndimage.label(share >= 0.5)
    if count == 0:
        return image, share
    sizes = np.bincount(lungs.ravel())
    lungs[(sizes < 0.1 * sizes[1:].max())[lungs]] = 0
    # RAS: x to the patient's right is the left of the slice, y to the front is up.
    turn = (slice(None, None, -1), slice(None, None, -1))
    scan, labels = image[turn].T[:, :, None], lungs[turn].T[:, :, None]
    levels = find_levels(scan)
    scale = (levels.tissue - levels.air) / 1000.0
    true = (scan - levels.tissue) / scale
    step = USUAL_WIDTH_MM / max(image.shape)
    made, mask = change(true.astype(np.float32), labels, (step, step, step), rng)
    new = (made * scale + levels.tissue)[:, :, 0].T[turn]
    gone = ((labels > 0) & (mask == 0))[:, :, 0].T[turn]
    changed = np.abs(new - image) > 1e-3
    out = np.where(changed, new, image).astype(np.float32)
    return out, np.where(gone, 0, share).astype(np.float32)

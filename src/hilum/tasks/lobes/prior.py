"""The shape prior of the fissures, and the mean lungs whose space it lives in.

Mean and modes were made from fissure points of 100 subjects of the Chest Imaging Platform, the mean lungs
from label maps of hilum; see ``docs/models/lobes.md`` and :mod:`hilum.training.recipes.lobes`.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from hilum.core.errors import ModelError
from hilum.core.segmentation import ModelInfo
from hilum.tasks.lobes.frames import Fissure, Frame, smooth_covariance

__all__ = ["MeanLungs", "Prior", "load_prior"]

Floats = npt.NDArray[np.float64]

_PRIOR, _CARD = "lobes-prior.npz", "lobes-prior.json"


@dataclass(frozen=True, eq=False)
class MeanLungs:
    """Signed distances to the surfaces of two mean lungs, negative inside.

    Attributes:
        distances: (2, i, j, k) int8, mm: right, left; clipped.
        affine: 4 x 4, from the index (i, j, k) to RAS mm of the template.
    """

    distances: npt.NDArray[np.int8]
    affine: Floats


@dataclass(frozen=True, eq=False)
class Prior:
    """Gaussian of the coefficients of all fissures.

    Attributes:
        frames: The planes of the fissures, in the order of :class:`Fissure`.
        mean: Mean of the coefficients of all fissures, one after another, mm.
        modes: Modes of the variation, each times its standard deviation, (modes, coefficients), mm.
        smooth_share: Weight of the smooth covariance that is added to that of the modes.
        lungs: The mean lungs.
        info: Name, version and hash.
    """

    frames: tuple[Frame, ...]
    mean: Floats
    modes: Floats
    smooth_share: float
    lungs: MeanLungs
    info: ModelInfo

    def part(self, fissure: Fissure) -> slice:
        """Where the coefficients of a fissure are."""
        ends = np.cumsum([0, *(frame.size for frame in self.frames)])
        return slice(int(ends[fissure]), int(ends[fissure + 1]))

    def covariance(self) -> Floats:
        """Covariance of all coefficients, mm2."""
        out: Floats = self.modes.T @ self.modes
        for fissure in Fissure:
            block = self.part(fissure)
            out[block, block] += self.smooth_share * smooth_covariance(self.frames[fissure].shape)
        return out


@lru_cache(maxsize=1)
def load_prior() -> Prior:
    """Open the prior that hilum ships.

    Raises:
        ModelError: Its file is not the one that its card describes.
    """
    folder = resources.files("hilum.tasks.lobes") / "shipped"
    content = (folder / _PRIOR).read_bytes()
    card = json.loads((folder / _CARD).read_text())
    info = ModelInfo(card["name"], card["version"], hashlib.sha256(content).hexdigest())
    if info.sha256 != card["sha256"]:
        raise ModelError("The shape prior of the lobes is damaged.", "Install hilum again.")
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        frames = tuple(
            Frame(
                data["origins"][number].astype(float),
                data["axes"][number].astype(float),
                data["lows"][number].astype(float),
                float(data["step"]),
                (int(data["shapes"][number, 0]), int(data["shapes"][number, 1])),
            )
            for number in range(len(Fissure))
        )
        lungs = MeanLungs(data["lungs"], data["lungs_affine"].astype(float))
        return Prior(
            frames,
            data["mean"].astype(float),
            data["modes"].astype(float),
            float(data["smooth_share"]),
            lungs,
            info,
        )

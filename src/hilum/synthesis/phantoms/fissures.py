"""Fissures of one digital chest: mean and modes of real ones, and fine waves beyond the modes.

Mean and modes come from fissure points of 50 subjects of the Chest Imaging Platform (Ross 2013), whose
license lies beside the file; :mod:`hilum.training.recipes.lobes` makes it. Each fissure is a height over a
plane of the space in which the points lie, and an affine map leads there from the frame of a chest of size 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RectBivariateSpline

from hilum.synthesis.phantoms.fields import Array, Coordinates

__all__ = ["FissureShapes", "FissureSheet", "draw_fissures"]

Floats = npt.NDArray[np.float64]

#: Fissures in the order of the file.
RIGHT_OBLIQUE, RIGHT_HORIZONTAL, LEFT_OBLIQUE = range(3)
#: Modes are drawn within this many standard deviations: beyond, a lobe may vanish.
MOST_DEVIATIONS = 2.0
#: Waves along a fissure, mm: shorter than the splines of the modes can show, and than the prior of the task
#: ``lobes`` knows. Their standard deviation is chosen by eye.
WAVES_MM, WAVE_SD_MM = (62.0, 51.0, 43.0), 1.0
#: Steps of the tables of heights per mm: a look-up without interpolation is then right to 0.2 mm.
_PER_MM = 4
_LEAST_SLOPE = 0.2


@dataclass(frozen=True, eq=False)
class FissureSheet:
    """A fissure as a table of heights over a plane.

    Attributes:
        matrix: Rows lead from a point of the chest, mm, to u, v and the height over the plane, (3, 3).
        offset: Added to them, (3,) mm; u and v are then 0 where the table begins.
        heights: Heights of the fissure, (u, v) mm, :data:`_PER_MM` a mm.
        scale: Rise of the height over the fissure per mm along its normal, (u, v).
    """

    matrix: Floats
    offset: Floats
    heights: Array
    scale: Array

    def above(self, p: Coordinates) -> Array:
        """Signed distance of points above the fissure, mm to first order."""
        u, v, height = (
            sum(c * np.float32(a) for c, a in zip(p, row, strict=True)) + np.float32(start)
            for row, start in zip(self.matrix, self.offset, strict=True)
        )
        i, j = (
            np.clip(np.asarray(at) * np.float32(_PER_MM) + np.float32(0.5), 0, n - 1).astype(np.int32)
            for at, n in zip((u, v), self.heights.shape, strict=True)
        )
        place = i * np.int32(self.heights.shape[1]) + j
        return np.asarray((height - self.heights.take(place)) / self.scale.take(place))


@dataclass(frozen=True, eq=False)
class FissureShapes:
    """The fissures of one chest."""

    right_oblique: FissureSheet
    right_horizontal: FissureSheet
    left_oblique: FissureSheet


def draw_fissures(seed: int) -> FissureShapes:
    """Draw the fissures of the chest of a seed."""
    data = _shipped()
    rng = np.random.default_rng([seed, 21])
    weights = np.clip(rng.normal(size=len(data["modes_0"])), -MOST_DEVIATIONS, MOST_DEVIATIONS)
    return FissureShapes(*(_sheet(data, number, weights, rng) for number in range(3)))


def _sheet(data: dict[str, Any], number: int, weights: Floats, rng: np.random.Generator) -> FissureSheet:
    """Heights of a fissure for weights of the modes, (modes,)."""
    knots = data[f"mean_{number}"] + np.tensordot(weights, data[f"modes_{number}"], 1)
    step = float(data["step"])
    lines = [np.arange(n) * step for n in knots.shape]
    fine = [np.arange(0, line[-1], 1 / _PER_MM) for line in lines]
    heights = RectBivariateSpline(*lines, knots)(*fine)
    for length in WAVES_MM:
        turn, phase = rng.uniform(0, 2 * np.pi, 2)
        along = fine[0][:, None] * np.cos(turn) + fine[1] * np.sin(turn)
        heights += WAVE_SD_MM * np.sqrt(2 / len(WAVES_MM)) * np.cos(2 * np.pi * along / length + phase)
    axes, to_points = data["axes"][number], data["to_points"]
    matrix = axes @ to_points[:, :3]
    offset = axes @ (to_points[:, 3] - data["origins"][number]) - np.append(data["lows"][number], 0.0)
    slopes = np.gradient(heights, 1 / _PER_MM)
    rise = matrix[2] - slopes[0][..., None] * matrix[0] - slopes[1][..., None] * matrix[1]
    scale = np.maximum(np.linalg.norm(rise, axis=2), _LEAST_SLOPE)
    return FissureSheet(matrix, offset, heights.astype(np.float32), scale.astype(np.float32))


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    path = resources.files("hilum.synthesis.phantoms") / "shipped" / "fissures.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
        return {name: data[name].astype(float) for name in data.files}

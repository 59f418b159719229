"""Geometry of a lung for synthesis: depth, gravity, and smooth random fields on its grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.imaging.interpolation import along_axis
from hilum.imaging.morphology import Mask, Spacing, depth, distance_to

__all__ = ["Float", "LungSpace", "noise_level", "smooth_step"]

Float = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class LungSpace:
    """One lung in its box.

    Attributes:
        mask: The lung, (x, y, z) in RAS order, with a margin where the array has one.
        spacing: mm.
        gravity: Unit vector towards the ground, RAS.
        rng: Source of all draws.
        medial: Where the mediastinum lies along x: 1, -1, or 0 where it is not known.
    """

    mask: Mask
    spacing: Spacing
    gravity: tuple[float, float, float]
    rng: np.random.Generator
    medial: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the box."""
        x, y, z = self.mask.shape
        return x, y, z

    @cached_property
    def deep(self) -> Float:
        """Distance to the lung's surface in mm, 0 outside."""
        return depth(self.mask, self.spacing)

    @cached_property
    def outside(self) -> Float:
        """Distance to the lung in mm, 0 inside."""
        return distance_to(self.mask, self.spacing)

    def along(self, direction: tuple[float, float, float]) -> Float:
        """Place along a direction: 0 at the lung's first 2 %, 1 at its last 2 %."""
        total: Float = np.zeros((1, 1, 1), np.float32)
        for axis, (part, step) in enumerate(zip(direction, self.spacing, strict=True)):
            line = np.arange(self.shape[axis], dtype=np.float32) * np.float32(part * step)
            total = total + line.reshape([-1 if a == axis else 1 for a in range(3)])
        total = np.broadcast_to(total, self.shape).astype(np.float32)
        low, high = np.percentile(total[self.mask], [2, 98]) if self.mask.any() else (0.0, 1.0)
        out: Float = (total - np.float32(low)) / np.float32(max(high - low, 1e-3))
        return out

    @cached_property
    def low(self) -> Float:
        """How low a voxel lies: 0 on top of the lung, 1 at its lowest, by gravity."""
        return self.along(self.gravity)

    @cached_property
    def basal(self) -> Float:
        """How far towards the feet: 0 at the apex, 1 at the base; 0.5 in a single slice."""
        if self.shape[2] == 1:
            return np.full(self.shape, 0.5, np.float32)
        return self.along((0.0, 0.0, -1.0))

    def field(self, length_mm: float) -> Float:
        """Smooth random field of mean 0 and standard deviation 1 that changes over ``length_mm``."""
        size = [
            max(3, round(n * s / length_mm) + 2) if n > 1 else 1
            for n, s in zip(self.shape, self.spacing, strict=True)
        ]
        values = self.rng.standard_normal(size, np.float32)
        for axis, n in enumerate(self.shape):
            start = self.rng.random() * 0.9 if n > 1 else 0.0
            at = start + np.arange(n) * (self.spacing[axis] / length_mm)
            values = along_axis(values, axis, np.clip(at, 0, size[axis] - 1))
        inside = values[self.mask]
        sd = float(inside.std()) if inside.size else 1.0
        out: Float = (values - np.float32(inside.mean() if inside.size else 0.0)) / np.float32(max(sd, 1e-3))
        return out

    def highest(self, score: Float, share: float, edge: float) -> Float:
        """Weight 0 to 1 of the voxels with the highest score: ``share`` of the lung, with a soft edge."""
        if share <= 0 or not self.mask.any():
            return np.zeros(self.shape, np.float32)
        limit = float(np.quantile(score[self.mask], 1 - min(share, 1.0)))
        return smooth_step((score - np.float32(limit)) / np.float32(edge))

    def tubes(self, length_mm: float, width: float) -> Float:
        """Weight of thin winding tubes: where two random fields both pass zero."""
        a, b = self.field(length_mm), self.field(length_mm)
        return smooth_step(1 - (a * a + b * b) / np.float32(width * width))

    def sheets(self, length_mm: float, width: float) -> Float:
        """Weight of thin winding walls: where a random field passes zero."""
        return smooth_step(1 - np.abs(self.field(length_mm)) / np.float32(width))

    def inside_point(self, deepest_mm: float | None = None) -> tuple[float, float, float]:
        """A random voxel of the lung, at most ``deepest_mm`` below its surface."""
        where = self.mask if deepest_mm is None else self.mask & (self.deep <= deepest_mm)
        index = np.flatnonzero(where if where.any() else self.mask)
        x, y, z = np.unravel_index(int(self.rng.choice(index)), self.shape)
        return float(x), float(y), float(z)

    def ball(self, centre: tuple[float, float, float], radius_mm: float) -> Float:
        """Distance from an uneven ball's surface in mm, negative inside."""
        total = np.zeros((1, 1, 1), np.float32)
        for axis in range(3):
            stretch = self.rng.uniform(0.8, 1.25)
            line = (np.arange(self.shape[axis], dtype=np.float32) - centre[axis]) * self.spacing[axis]
            total = total + ((line / stretch) ** 2).reshape([-1 if a == axis else 1 for a in range(3)])
        out: Float = np.sqrt(total) - np.float32(radius_mm)
        return out


def smooth_step(t: Float) -> Float:
    """Rise from 0 to 1 while ``t`` goes from 0 to 1, without corners."""
    t = np.clip(t, 0, 1)
    out: Float = t * t * (3 - 2 * t)
    return out


def noise_level(hu: Float) -> float:
    """Standard deviation of the noise in soft tissue: differences of neighbours that both are tissue."""
    tissue = (hu > -50) & (hu < 130)
    both = tissue[2:] & tissue[:-2]
    step = (hu[2:] - hu[:-2])[both]
    if step.size < 50:
        return 10.0
    return float(np.clip(1.4826 * np.median(np.abs(step)) / np.sqrt(2), 2.0, 150.0))

"""Partial volume at the boundary of a mask: what of its voxels is lung, and what is wall.

A mask is made of whole voxels, and the blur of the scanner is wider than one. A voxel of the boundary is
taken as a mixture of the lung behind it and the wall before it, whose HU are local medians:

    share of lung = (HU - wall) / (lung - wall), clipped to 0..1

Inside the mask the share replaces the voxel, and outside it, where the mask counts nothing, the share is
added. Both are needed: blur moves as much lung out of the mask as wall into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.measures.bits import Bits

__all__ = ["BAND_MM", "CUBE_MM", "DENSE_HU", "RING_MM", "Boundary", "boundary_of"]

#: Depth of the boundary on either side, mm, and at least one voxel along each axis: three standard
#: deviations of the blur of a soft kernel (0.65 mm).
BAND_MM = 2.0
#: Depth of the rings behind the boundary on either side from which the medians are taken, mm, and at least
#: one voxel: deep enough for a median among small vessels, near enough to be the tissue next to the boundary.
RING_MM = 3.0
#: Edge of the cubes that the medians are taken in, mm, and at least as deep as band and ring together. A
#: median is that of a cube and its 26 neighbours, 15 mm: more than a rib is thick, less than the lung's
#: density takes to change from front to back.
CUBE_MM = 5.0
#: Lung above this median is dense to the wall, and a voxel between them tells no share: no correction, HU.
DENSE_HU = -500.0
#: A wall below this median is no tissue (air of an airway or a free gas): no correction, HU.
WALL_HU = -250.0
#: A voxel outside with more lung than this is one that the mask leaves out on purpose, as an airway.
MOST_OUTSIDE = 0.5
#: Steps of the histograms, HU; medians are interpolated within a step.
_STEP_HU = 25
#: Ends of the histograms, HU: a median at an end only has to be known as past DENSE_HU or WALL_HU.
_LUNG_HU, _WALL_HU = (-1000, -475), (-275, 150)

_Ints = npt.NDArray[np.intp]
_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Boundary:
    """Voxels of the boundary of one label, inside or outside the mask, and what they change.

    Attributes:
        index: Index of each voxel on the grid, one array an axis.
        label: Number of the label that they belong to, from 0.
        inside: Whether they belong to the mask.
        tissue: Tissue that the plain sum lacks (or has too much where negative), in voxels of 1 g/mL.
        air: Air likewise, in voxels.
        unknown: Whether a voxel of the mask has no medians near it, and so counts as it is.
    """

    index: tuple[_Ints, _Ints, _Ints]
    label: int
    inside: bool
    tissue: _Floats
    air: _Floats
    unknown: npt.NDArray[np.bool_]


def boundary_of(
    hu: npt.NDArray[Any], labels: npt.NDArray[np.uint8], spacing: tuple[float, ...], count: int
) -> Iterator[Boundary]:
    """Find the boundary of labels 1 to ``count`` and its shares of lung.

    Args:
        hu: The scan, or the box round the labels widened by :func:`margin`.
        labels: The labels there; 0 is outside.
        spacing: Voxel size along each axis, mm.
        count: Number of labels.

    Yields:
        The boundary of each label, inside and outside, one layer of cubes along the first axis after the
        other: the whole boundary would take more memory than the scan.
    """
    band = layers(BAND_MM, spacing, labels.shape)
    ring = tuple(a + b for a, b in zip(band, layers(RING_MM, spacing, labels.shape), strict=True))
    outside, every = Bits.of(labels == 0), Bits.of(labels != 0)
    near, grown = outside.dilated(band), every.dilated(band)
    cubes = _Cubes.of(labels.shape, spacing, ring)
    lung = cubes.medians(hu, (every & outside.dilated(ring)).minus(near), _LUNG_HU)
    wall = cubes.medians(hu, (outside & every.dilated(ring)).minus(grown), _WALL_HU)
    sides: list[tuple[int, bool, Bits]] = []
    left = outside
    for number in range(count):
        own = Bits.of(labels == number + 1)
        outer = own.dilated(band) & left  # a voxel between two labels counts for one of them
        left = left.minus(outer)
        sides += [(number, True, own & near), (number, False, outer)]
    for layer in cubes.layers():
        for number, inside, bits in sides:
            index = bits.index(layer)
            at = cubes.number(index)
            yield _part(hu, index, (lung[at], wall[at]), number, inside)


def layers(mm: float, spacing: tuple[float, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``mm`` in voxels of each axis: at least one, and none along an axis of one voxel."""
    return tuple(
        max(1, round(mm / step)) if size > 1 else 0 for step, size in zip(spacing, shape, strict=True)
    )


def margin(spacing: tuple[float, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many voxels round the labels :func:`boundary_of` needs along each axis."""
    return tuple(
        a + b for a, b in zip(layers(BAND_MM, spacing, shape), layers(RING_MM, spacing, shape), strict=True)
    )


def _part(
    hu: npt.NDArray[Any],
    index: tuple[_Ints, _Ints, _Ints],
    medians: tuple[_Floats, _Floats],
    number: int,
    inside: bool,
) -> Boundary:
    """Return what the boundary voxels of a label change, on one side of its surface."""
    values = hu[index].astype(np.float32)
    lung, wall = medians
    unknown = np.isnan(lung) | np.isnan(wall)
    with np.errstate(invalid="ignore"):
        mixed = (lung <= DENSE_HU) & (wall >= WALL_HU) & (values <= LIMITS.metal_hu)
    values, lung, wall = values[mixed], lung[mixed], wall[mixed]
    share = np.clip((values - wall) / (lung - wall), 0.0, 1.0)
    if not inside:
        share[share > MOST_OUTSIDE] = 0.0
    tissue, air = share * (1.0 + lung / 1000.0), share * (lung / -1000.0)
    if inside:
        tissue -= np.maximum(values, -1000.0) / 1000.0 + 1.0
        air -= np.clip(values, -1000.0, 0.0) / -1000.0
    none = np.zeros((2, mixed.size), np.float32)
    out = Boundary(index, number, inside, none[0], none[1], unknown & inside)
    out.tissue[mixed], out.air[mixed] = tissue, air
    return out


@dataclass(frozen=True)
class _Cubes:
    """Cubes of ``CUBE_MM`` over a grid: the number of the cube along each axis, by index."""

    lines: tuple[_Ints, _Ints, _Ints]

    @classmethod
    def of(cls, shape: tuple[int, ...], spacing: tuple[float, ...], least: tuple[int, ...]) -> _Cubes:
        """Lay cubes of at least ``least`` voxels from the middle: a flipped grid has the same ones."""
        lines = []
        for size, step, deep in zip(shape, spacing, least, strict=True):
            place = (np.arange(size) - (size - 1) / 2) / max(CUBE_MM / step, deep, 1)
            # Away from the middle at a tie: to even, cubes of two voxels would become of one and three.
            lines.append((np.sign(place) * np.floor(np.abs(place) + 0.5)).astype(np.intp))
        i, j, k = lines
        return cls((i - i[0], j - j[0], k - k[0]))

    @property
    def shape(self) -> tuple[int, int, int]:
        i, j, k = (int(line[-1]) + 1 for line in self.lines)
        return i, j, k

    def number(self, index: tuple[_Ints, _Ints, _Ints]) -> _Ints:
        """Return the number of the cube of each voxel."""
        i, j, k = (line[places] for line, places in zip(self.lines, index, strict=True))
        _, nj, nk = self.shape
        out: _Ints = (i * nj + j) * nk + k
        return out

    def layers(self) -> Iterator[slice]:
        """Yield the layers of cubes along the first axis."""
        first, size = self.lines[0], self.lines[0].size
        starts = [0, *(int(n) + 1 for n in np.flatnonzero(np.diff(first))), size]
        yield from (slice(*ends) for ends in pairwise(starts))

    def medians(self, hu: npt.NDArray[Any], bits: Bits, ends: tuple[int, int]) -> _Floats:
        """Return the median HU of the voxels of a mask round each cube, clipped to ``ends``.

        Args:
            hu: The scan.
            bits: The mask.
            ends: Lowest and highest median, HU.

        Returns:
            By number of the cube; NaN where there is no voxel.
        """
        counted = [self._histograms(hu, bits, layer, ends) for layer in self.layers()]
        none = np.zeros_like(counted[0])
        around = zip(counted, [none, *counted], [*counted[1:], none], strict=False)
        return np.concatenate([self._medians(one + below + above, ends) for one, below, above in around])

    def _histograms(self, hu: npt.NDArray[Any], bits: Bits, layer: slice, ends: tuple[int, int]) -> _Floats:
        """Count the voxels, and sum their HU above the low end, by cube of a layer and step of the histogram.

        Returns:
            Array (2, cubes, cubes, steps): counts and sums.
        """
        low, high = ends
        _, nj, nk = self.shape
        bins = (high - low) // _STEP_HU
        index = bits.index(layer)
        values = np.clip(hu[index].astype(np.float32), low, high) - np.float32(low)
        step = np.minimum((values / _STEP_HU).astype(np.intp), bins - 1)
        key = (self.number(index) - self.lines[0][layer.start] * nj * nk) * bins + step
        found = [np.bincount(key, weights, minlength=nj * nk * bins) for weights in (None, values)]
        return np.stack(found).astype(np.float32).reshape(2, nj, nk, bins)

    @staticmethod
    def _medians(pooled: _Floats, ends: tuple[int, int]) -> _Floats:
        """Return the medians of a layer from the histograms of it and of the layers beside it."""
        low, _ = ends
        for axis in (1, 2):
            pooled = _with_neighbours(pooled, axis)
        counts, sums = pooled.reshape(2, -1, pooled.shape[-1])
        upto = np.cumsum(counts, axis=1)
        half = upto[:, -1] / 2
        place = (upto < half[:, None]).sum(axis=1)
        rows = np.arange(len(counts))
        inside = counts[rows, place]
        with np.errstate(invalid="ignore", divide="ignore"):
            # From the mean of the step, not its middle: exact where all voxels are alike.
            part = half - (upto[rows, place] - inside / 2)
            out: _Floats = (low + (sums[rows, place] + _STEP_HU * part) / inside).astype(np.float32)
        out[half == 0] = np.nan
        return out


def _with_neighbours(counts: _Floats, axis: int) -> _Floats:
    """Add to each cube its two neighbours along an axis."""
    out = counts.copy()
    low, high = [slice(None)] * 4, [slice(None)] * 4
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    out[tuple(high)] += counts[tuple(low)]
    out[tuple(low)] += counts[tuple(high)]
    return out

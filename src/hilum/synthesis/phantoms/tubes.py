"""Branches as arrays of straight pieces, and how they cover the cells of a lattice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.synthesis.phantoms.fields import Array, Lattice, segment_distance, tube_coverage
from hilum.synthesis.phantoms.trees import Branch, Points

__all__ = ["FineTubes", "Tubes"]

#: Points along a thin tube are this far apart, as a part of a cell, and lie on this many lines.
SAMPLE_STEP, SAMPLE_LINES = 0.25, 4
#: Distances of points to pieces that are computed at once.
AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Tubes:
    """Branches as arrays, so that the few that meet a lattice are found at once.

    Attributes:
        start: Start points, (n, 3) mm.
        end: End points, (n, 3) mm.
        radius: Radii, (n,) mm.
        wall: Thickness of the walls, (n,) mm.
    """

    start: Points
    end: Points
    radius: npt.NDArray[np.float64]
    wall: npt.NDArray[np.float64]

    @classmethod
    def of(cls, branches: Sequence[Branch]) -> Tubes:
        """Gather branches; a curved one becomes its straight pieces."""
        if not any(b.path for b in branches):
            return cls(
                np.array([b.start for b in branches]).reshape(-1, 3),
                np.array([b.end for b in branches]).reshape(-1, 3),
                np.array([b.radius for b in branches]),
                np.array([b.wall for b in branches]),
            )
        start = [p for b in branches for p in (b.start, *b.path)]
        end = [p for b in branches for p in (*b.path, b.end)]
        pieces = [len(b.path) + 1 for b in branches]
        radius = np.repeat([b.radius for b in branches], pieces)
        wall = np.repeat([b.wall for b in branches], pieces)
        return cls(np.array(start), np.array(end), radius, wall)

    def take(self, chosen: npt.NDArray[np.bool_]) -> Tubes:
        """Return some of the pieces."""
        return type(self)(self.start[chosen], self.end[chosen], self.radius[chosen], self.wall[chosen])

    def coverage(self, lattice: Lattice, grow: float = 0.0) -> Array:
        """Part of each cell inside the tubes; joints are counted once.

        Args:
            lattice: Where to evaluate.
            grow: Multiple of the wall thickness to add to the radius: 0 lumen or vessel, 1 outer wall.
        """
        result = np.zeros(lattice.shape, np.float32)
        radius = self.radius + grow * self.wall
        reach = (radius + lattice.width)[:, None]
        low, high = np.minimum(self.start, self.end) - reach, np.maximum(self.start, self.end) + reach
        for i, window in lattice.windows(low, high):
            distance = segment_distance(lattice.crop(window).coordinates, self.start[i], self.end[i])
            part = result[window]
            np.maximum(part, tube_coverage(distance, float(radius[i]), lattice.width), out=part)
        return result

    def inside(self, lattice: Lattice, grow: float = 0.0) -> npt.NDArray[np.bool_]:
        """Which points of the lattice lie inside the tubes, by their exact distance to the axes.

        Args:
            lattice: Where to evaluate.
            grow: As in :meth:`coverage`.
        """
        result = np.zeros(lattice.shape, bool)
        flat = result.reshape(-1)
        radius = self.radius + grow * self.wall
        low = np.minimum(self.start, self.end) - radius[:, None]
        high = np.maximum(self.start, self.end) + radius[:, None]
        found = lattice.windows(low, high)
        rows = np.array([i for i, _ in found], int)
        first = np.array([[w.start for w in window] for _, window in found]).reshape(-1, 3)
        shape = np.array([[w.stop - w.start for w in window] for _, window in found]).reshape(-1, 3)
        for chosen, box in _alike(shape):
            offset = np.stack(np.meshgrid(*(np.arange(n) for n in box), indexing="ij"), axis=-1).reshape(
                -1, 3
            )
            for part in np.array_split(chosen, -(-len(chosen) * len(offset) // AT_ONCE)):
                index = first[part][:, None] + offset
                at = index @ lattice.matrix.T + lattice.origin
                near = self._squares(at, rows[part]) <= (radius[rows[part]] ** 2)[:, None]
                flat[np.ravel_multi_index(tuple(index[near].T), lattice.shape)] = True
        return result

    def _squares(self, at: Points, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Squared distance from points (n, k, 3) to the axis of one piece each."""
        along = (self.end - self.start)[rows][:, None]
        way = at - self.start[rows][:, None]
        length2 = np.maximum((along * along).sum(axis=2), 1e-12)
        t = np.clip((way * along).sum(axis=2) / length2, 0, 1)
        rest = way - t[..., None] * along
        return np.asarray((rest * rest).sum(axis=2))


def _alike(shape: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], tuple[int, ...]]]:
    """Rows with equal values, and these values."""
    if len(shape):
        kinds, which = np.unique(shape, axis=0, return_inverse=True)
        for number, kind in enumerate(kinds):
            yield np.flatnonzero(which.reshape(-1) == number), tuple(kind.tolist())


class FineTubes(Tubes):
    """Tubes of which many are thinner than a cell.

    A thick tube is drawn as in :class:`Tubes`. The volume of a thin one is laid down in the cells in which it
    lies, in small pieces along lines in its section; so its mass is exact and a tree of a hundred thousand
    pieces takes a second.
    """

    def coverage(self, lattice: Lattice, grow: float = 0.0) -> Array:
        """Part of each cell inside the tubes."""
        radius = self.radius + grow * self.wall
        thin = radius < lattice.width / np.sqrt(3)
        thick = Tubes(self.start[~thin], self.end[~thin], self.radius[~thin], self.wall[~thin])
        result = thick.coverage(lattice, grow)
        if thin.any():
            laid = _lay_down(self.start[thin], self.end[thin], radius[thin], lattice)
            # Where a thin branch leaves a thick one they overlap, and the thick one fills the cell.
            np.maximum(result, np.minimum(laid, np.float32(1)), out=result)
        return result


def _lay_down(start: Points, end: Points, radius: npt.NDArray[np.float64], lattice: Lattice) -> Array:
    """Volume of thin tubes in each cell, in cells."""
    reach = (radius + lattice.width)[:, None]
    low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
    met = np.array([i for i, _ in lattice.windows(low, high)], int)
    result = np.zeros(int(np.prod(lattice.shape)))
    if not len(met):
        return result.reshape(lattice.shape).astype(np.float32)
    start, along, radius = start[met], (end - start)[met], radius[met]
    length = np.linalg.norm(along, axis=1)
    counts = np.maximum(1, np.ceil(length / (SAMPLE_STEP * lattice.width))).astype(int)
    row = np.repeat(np.arange(len(met)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    axis = start[row] + along[row] * ((place + 0.5) / counts[row])[:, None]
    volume = (np.pi * radius**2 * length / counts)[row] / lattice.width**3 / SAMPLE_LINES
    inverse = np.linalg.inv(lattice.matrix)
    for aside in _section(along, radius):
        index = np.rint((axis + aside[row] - lattice.origin) @ inverse.T).astype(np.int64)
        inside = ((index >= 0) & (index < lattice.shape)).all(axis=1)
        cells = np.ravel_multi_index(tuple(index[inside].T), lattice.shape)
        result += np.bincount(cells, weights=volume[inside], minlength=len(result))
    return result.reshape(lattice.shape).astype(np.float32)


def _section(along: Points, radius: npt.NDArray[np.float64]) -> list[Points]:
    """Ways from the axis to lines that halve the section, (n, 3) mm each."""
    axis = along / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
    # Any direction that is not along the axis gives the two directions across it.
    least = np.eye(3)[np.abs(axis).argmin(axis=1)]
    first = np.cross(axis, least)
    first /= np.linalg.norm(first, axis=1)[:, None]
    second = np.cross(axis, first)
    r = (radius / np.sqrt(2))[:, None]
    turns = 2 * np.pi * (np.arange(SAMPLE_LINES) + 0.5) / SAMPLE_LINES
    return [r * (np.cos(a) * first + np.sin(a) * second) for a in turns]

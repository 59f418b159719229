"""Growth of full trees: where branches begin and end, lobe by lobe.

The rule is that of :mod:`hilum.synthesis.phantoms.trees` (host filling, Tawhai et al., J Appl Physiol 2004).
Three things are added: the first branches go to the lobes, so that no tree crosses a fissure; the plane that
splits a region lies off its centroid by chance, so that daughters differ; and each end has a flow of its own,
so that no two radii are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Anatomy, Lobe
from hilum.synthesis.phantoms.trees import Points, as_coordinates

__all__ = ["Hosts", "Plan", "Skeleton", "grow", "host_points"]

Lobes = frozenset[Lobe]

#: Part of the way to the centroid that a branch grows: the first in a lobe, and all others (Tawhai: 0.4).
FIRST_REACH, REACH = 0.22, 0.33
#: How far the splitting plane lies off the centroid, as a part of the spread of the region.
OFF_CENTRE = 0.30
#: The smaller daughter supplies at least this part of the region.
LEAST_PART = 0.15
#: A daughter leaves the direction of her parent by at most this angle.
WIDEST_DEG = 68.0
#: Flow to an end relative to the mean: lowest and highest.
END_FLOW = (0.6, 1.4)
#: Ends stay this far below the pleura and from a fissure, in mm.
PLEURA_MM, FISSURE_MM = 3.0, 2.0


@dataclass(frozen=True, eq=False)
class Hosts:
    """The points of one lung that a tree supplies.

    Attributes:
        points: (n, 3) mm.
        lobe: Lobe of each, (n,).
        flow: Flow to each, (n,), 1 on the mean.
    """

    points: Points
    lobe: npt.NDArray[np.uint8]
    flow: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plan:
    """How a tree enters a lung.

    Attributes:
        root: Where it begins, mm.
        heading: Direction in which it begins.
        splits: How a branch to several lobes divides; one to a single lobe follows the shape of its region.
        ends: Fixed end points of branches to several lobes, mm.
    """

    root: tuple[float, float, float]
    heading: tuple[float, float, float]
    splits: Mapping[Lobes, tuple[Lobes, ...]]
    ends: Mapping[Lobes, tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Straight branches; a parent comes before its children.

    Attributes:
        start: Start points, (n, 3) mm.
        end: End points, (n, 3) mm.
        parent: Index of the parent, -1 for the root, (n,).
        generation: 0 for the root, (n,).
        lobe: Lobe, 0 for a branch to several lobes, (n,).
        flow: Sum of the flows to its ends, (n,).
    """

    start: Points
    end: Points
    parent: npt.NDArray[np.int64]
    generation: npt.NDArray[np.int64]
    lobe: npt.NDArray[np.uint8]
    flow: npt.NDArray[np.float64]


def host_points(anatomy: Anatomy, side: int, step: float, rng: np.random.Generator) -> Hosts:
    """Spread points through one lung, one in each cube of edge ``step`` mm, so that no part stays empty."""
    low, high = (corner.copy() * 1.08 for corner in LUNG_BOX)
    (low if side > 0 else high)[0] = 0.0
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    grid += rng.uniform(-0.45, 0.45, grid.shape) * step
    p = as_coordinates(grid)
    inside = (anatomy.lung(p, side) < -PLEURA_MM) & (anatomy.fissures(p, side) > FISSURE_MM)
    points = grid[inside]
    return Hosts(points, anatomy.lobe(as_coordinates(points), side), rng.uniform(*END_FLOW, len(points)))


def grow(plan: Plan, hosts: Hosts, rng: np.random.Generator) -> Skeleton:
    """Grow branches until each host point has its own.

    Args:
        plan: The entry into the lung.
        hosts: The points to supply.
        rng: Draws the splitting planes.
    """
    rows: list[tuple[Points, Points, int, int, int, float]] = []
    present = frozenset(Lobe(value) for value in np.unique(hosts.lobe))
    stack: list[tuple[Points, Points, npt.NDArray[np.int64], Lobes, int, int]] = [
        (np.array(plan.root), _unit(np.array(plan.heading)), np.arange(len(hosts.points)), present, -1, 0)
    ]
    while stack:
        start, heading, mine, lobes, parent, generation = stack.pop()
        first = len(lobes) == 1 and (parent < 0 or rows[parent][4] == 0)
        end = _end(plan, hosts.points[mine], lobes, start, heading, first)
        index = len(rows)
        lobe = int(min(lobes)) if len(lobes) == 1 else 0
        rows.append((start, end, parent, generation, lobe, float(hosts.flow[mine].sum())))
        if len(mine) == 1:
            continue
        along = _unit(end - start)
        for part, group in _parts(plan, hosts, mine, lobes, along, rng):
            stack.append((end, along, part, group, index, generation + 1))
    start_, end_, parent_, generation_, lobe_, flow_ = zip(*rows, strict=True)
    return Skeleton(
        np.array(start_),
        np.array(end_),
        np.array(parent_),
        np.array(generation_),
        np.array(lobe_, np.uint8),
        np.array(flow_),
    )


def _end(plan: Plan, points: Points, lobes: Lobes, start: Points, heading: Points, first: bool) -> Points:
    """End of the branch from ``start`` to ``points``."""
    if lobes in plan.ends:
        return np.array(plan.ends[lobes])
    reach = points.mean(axis=0) - start
    length = float(np.linalg.norm(reach))
    if len(points) > 1:
        length = max(length * (FIRST_REACH if first else REACH), 1.5)
    return np.asarray(start + length * _turned(_unit(0.85 * _unit(reach) + 0.15 * heading), heading))


def _turned(along: Points, heading: Points) -> Points:
    """Bring a direction to within the widest angle of the heading of the parent."""
    cosine = float(along @ heading)
    widest = np.radians(WIDEST_DEG)
    if cosine >= np.cos(widest):
        return along
    aside = _unit(along - cosine * heading)
    return np.asarray(np.cos(widest) * heading + np.sin(widest) * aside)


def _parts(
    plan: Plan,
    hosts: Hosts,
    mine: npt.NDArray[np.int64],
    lobes: Lobes,
    along: Points,
    rng: np.random.Generator,
) -> list[tuple[npt.NDArray[np.int64], Lobes]]:
    """Divide the points of a branch between its daughters."""
    if len(lobes) > 1:
        groups = plan.splits.get(lobes, tuple(frozenset((lobe,)) for lobe in sorted(lobes)))
        return [(mine[np.isin(hosts.lobe[mine], sorted(group))], group) for group in groups]
    points = hosts.points[mine]
    spread = points - points.mean(axis=0)
    # The splitting plane holds the branch, so the daughters open to both sides of it.
    free = np.eye(3) - np.outer(along, along)
    _, vectors = np.linalg.eigh(free @ (spread.T @ spread) @ free)
    score = spread @ vectors[:, -1]
    # The sign of an eigenvector is arbitrary; this makes it the same everywhere.
    score *= 1.0 if vectors[np.argmax(np.abs(vectors[:, -1])), -1] > 0 else -1.0
    order = np.argsort(score, kind="stable")
    least = max(1, round(LEAST_PART * len(mine)))
    plane = float(rng.normal(0, OFF_CENTRE)) * float(score.std())
    cut = int(np.clip(np.count_nonzero(score < plane), least, len(mine) - least))
    return [(mine[order[:cut]], lobes), (mine[order[cut:]], lobes)]


def _unit(vector: Points) -> Points:
    """The direction of a vector."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))

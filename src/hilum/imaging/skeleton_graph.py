"""The graph of a skeleton: nodes where lines end or meet, and edges with their points in millimetres."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.imaging.paths import path_length, smooth_path

__all__ = ["Edge", "SkeletonGraph", "build_graph", "voxel_neighbours"]

_Points = npt.NDArray[np.float64]
_Values = npt.NDArray[np.float64]
_Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Edge:
    """A line between two nodes.

    Attributes:
        start: Index of the node where it begins.
        end: Index of the node where it ends; equal to ``start`` for a loop.
        points: Positions in mm from ``start`` to ``end``, both included, shape (n, 3).
        radii: Radius in mm at each point, shape (n,); 0 where it is not known.
        weights: How sure each point is, shape (n,): the larger, the surer.
    """

    start: int
    end: int
    points: _Points
    radii: _Values
    weights: _Values

    @cached_property
    def length_mm(self) -> float:
        """Length of the smoothed line in mm; the raw one would be up to 10 % too long."""
        return path_length(smooth_path(self.points))

    def reversed(self) -> Edge:
        """Return the same line from ``end`` to ``start``."""
        return Edge(self.end, self.start, self.points[::-1], self.radii[::-1], self.weights[::-1])

    def then(self, other: Edge) -> Edge:
        """Append a line that begins at the node where this one ends."""
        return Edge(
            self.start,
            other.end,
            np.concatenate([self.points, other.points[1:]]),
            np.concatenate([self.radii, other.radii[1:]]),
            np.concatenate([self.weights, other.weights[1:]]),
        )


@dataclass(frozen=True, eq=False)
class SkeletonGraph:
    """Nodes and edges of a skeleton.

    Attributes:
        nodes: Position of each node in mm, shape (n, 3). A node without edges may be left from pruning.
        radii: Radius in mm at each node, shape (n,).
        edges: The lines between them.
    """

    nodes: _Points
    radii: _Values
    edges: tuple[Edge, ...]

    @property
    def length_mm(self) -> float:
        """Sum of the lengths of the smoothed edges in mm."""
        return float(sum(edge.length_mm for edge in self.edges))

    def degrees(self) -> dict[int, int]:
        """Return how many ends of edges meet at each node that has an edge; a loop counts twice."""
        return Counter(node for edge in self.edges for node in (edge.start, edge.end))


def build_graph(
    skeleton: npt.NDArray[np.bool_],
    affine: npt.NDArray[np.float64],
    *,
    radius_mm: npt.NDArray[np.floating[Any]] | None = None,
    weight: npt.NDArray[np.floating[Any]] | None = None,
) -> SkeletonGraph:
    """Turn a skeleton into a graph.

    Voxels are neighbours if they touch by a face, edge or corner, but not where a third voxel joins them by
    shorter steps. Voxels with three or more neighbours are junctions; junctions that touch are one node, at
    the mean of their positions. A closed line without a junction gets a node at one of its voxels.

    Args:
        skeleton: Bool array (i, j, k), lines one voxel wide; see :func:`hilum.imaging.skeleton.skeletonize`.
        affine: 4 x 4 matrix from voxel index to mm.
        radius_mm: Radius in mm at each voxel, such as the distance to the outside of the mask. None: 0.
        weight: How sure each voxel is, such as a likelihood. None: the radius.

    Returns:
        The graph, with the points in the space of ``affine``.

    Raises:
        UsageError: An array has another shape than the skeleton, or not three axes.
    """
    if skeleton.ndim != 3:
        raise UsageError(f"skeleton has {skeleton.ndim} axes, expected three.")
    for name, values in (("radius_mm", radius_mm), ("weight", weight)):
        if values is not None and values.shape != skeleton.shape:
            raise UsageError(f"{name} has shape {values.shape}, expected {skeleton.shape}.")
    voxels = np.argwhere(skeleton)
    points = voxels @ affine[:3, :3].T + affine[:3, 3]
    at = tuple(voxels.T)
    radii = np.zeros(len(voxels)) if radius_mm is None else radius_mm[at].astype(np.float64)
    weights = radii if weight is None else weight[at].astype(np.float64)
    if not len(voxels):
        return SkeletonGraph(np.zeros((0, 3)), np.zeros(0), ())
    neighbours = voxel_neighbours(voxels)
    node_of = _nodes(neighbours)
    chains = _chains(neighbours, node_of)
    count = int(node_of.max()) + 1
    members = np.flatnonzero(node_of >= 0)
    sizes = np.bincount(node_of[members], minlength=count)
    centres = np.stack(
        [np.bincount(node_of[members], points[members, axis], count) / sizes for axis in range(3)], axis=1
    )
    node_radii, node_weights = np.zeros(count), np.full(count, -np.inf)
    np.maximum.at(node_radii, node_of[members], radii[members])
    np.maximum.at(node_weights, node_of[members], weights[members])
    edges = tuple(
        Edge(
            start,
            end,
            np.concatenate([centres[[start]], points[chain], centres[[end]]]),
            np.concatenate([node_radii[[start]], radii[chain], node_radii[[end]]]),
            np.concatenate([node_weights[[start]], weights[chain], node_weights[[end]]]),
        )
        for start, chain, end in chains
    )
    return SkeletonGraph(centres, node_radii, edges)


def voxel_neighbours(voxels: _Indices) -> list[list[int]]:
    """Find the neighbours of each voxel of a skeleton.

    A step along a diagonal is left out where a third voxel joins both by shorter steps, so that the corner of
    a line is no triangle.

    Args:
        voxels: Indices (n, 3), sorted as :func:`numpy.argwhere` gives them.

    Returns:
        For each voxel the positions of its neighbours in ``voxels``, sorted.
    """
    from scipy import sparse

    count = len(voxels)
    shape = voxels.max(axis=0) + 3
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    keys = (voxels + 1) @ strides
    by_step: dict[int, sparse.csr_matrix] = {}
    for offset in product((-1, 0, 1), repeat=3):
        if offset <= (0, 0, 0):  # each pair once
            continue
        wanted = keys + np.array(offset) @ strides
        found = np.minimum(np.searchsorted(keys, wanted), count - 1)
        here = np.flatnonzero(keys[found] == wanted)
        pairs = sparse.csr_matrix((np.ones(len(here), np.int32), (here, found[here])), shape=(count, count))
        kind = sum(map(abs, offset))
        by_step[kind] = by_step.get(kind, sparse.csr_matrix((count, count), dtype=np.int32)) + pairs + pairs.T
    by_face, by_edge, by_corner = by_step[1], by_step[2], by_step[3]
    short = by_face + by_edge
    kept = by_face + _without(by_edge, by_face @ by_face) + _without(by_corner, short @ short)
    kept = kept.tocsr()
    kept.eliminate_zeros()
    kept.sort_indices()
    lists = np.split(kept.indices, kept.indptr[1:-1])
    return [part.tolist() for part in lists]


def _without(steps: Any, joined: Any) -> Any:
    """Return the steps whose voxels are not joined otherwise."""
    return steps - steps.multiply(joined > 0)


def _nodes(neighbours: list[list[int]]) -> npt.NDArray[np.int64]:
    """Number the nodes: for each voxel its node, or -1 within an edge."""
    node_of = np.full(len(neighbours), -1, np.int64)
    count = 0
    for voxel, near in enumerate(neighbours):
        if node_of[voxel] >= 0 or len(near) == 2:
            continue
        node_of[voxel] = count
        stack = [voxel] if len(near) > 2 else []
        while stack:
            for other in neighbours[stack.pop()]:
                if node_of[other] < 0 and len(neighbours[other]) > 2:
                    node_of[other] = count
                    stack.append(other)
        count += 1
    return node_of


def _chains(neighbours: list[list[int]], node_of: npt.NDArray[np.int64]) -> list[tuple[int, list[int], int]]:
    """Follow the voxels between nodes, each chain once. Closed lines get a node in ``node_of``."""
    nodes: list[int] = node_of.tolist()
    seen = [node >= 0 for node in nodes]
    done: set[tuple[int, int]] = set()
    chains = []

    def follow(first: int, second: int) -> None:
        before, here, chain = first, second, []
        while nodes[here] < 0:
            seen[here] = True
            chain.append(here)
            one, other = neighbours[here]
            before, here = here, other if one == before else one
        done.add((here, before))
        chains.append((nodes[first], chain, nodes[here]))

    for voxel in np.flatnonzero(node_of >= 0).tolist():
        for near in neighbours[voxel]:
            if nodes[near] != nodes[voxel] and (voxel, near) not in done:
                follow(voxel, near)
    count = max(nodes, default=-1) + 1
    for voxel in range(len(neighbours)):
        if not seen[voxel]:  # a closed line
            nodes[voxel] = node_of[voxel] = count
            seen[voxel] = True
            count += 1
            follow(voxel, neighbours[voxel][0])
    return chains

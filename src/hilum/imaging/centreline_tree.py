"""Trees of branches: a graph without loops, directed away from its roots, with generations."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.imaging.paths import path_length, smooth_path
from hilum.imaging.skeleton_graph import Edge, SkeletonGraph

__all__ = ["Branch", "CentrelineTree", "TreeTable", "direct"]

_Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Branch:
    """A piece of a tree between two bifurcations.

    Attributes:
        points: Smoothed positions in mm, from the root's side to the tip, shape (n, 3). The first is the last
            one of the parent.
        radii: Radius in mm at each point, shape (n,).
        parent: Index of the parent branch, -1 for a root.
        generation: 0 for a root, else one more than that of the parent.
    """

    points: _Points
    radii: npt.NDArray[np.float64]
    parent: int
    generation: int

    @cached_property
    def length_mm(self) -> float:
        """Length in mm."""
        return path_length(self.points)


@dataclass(frozen=True, eq=False)
class TreeTable:
    """A tree as a table of points, as SWC files hold it.

    Attributes:
        points: Positions in mm, shape (n, 3). A parent stands before its children.
        radii: Radius in mm, shape (n,).
        parents: Row of the parent point, -1 for the first point of a root, shape (n,).
        branches: Index of the branch of each point, shape (n,).
    """

    points: _Points
    radii: npt.NDArray[np.float64]
    parents: npt.NDArray[np.int64]
    branches: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CentrelineTree:
    """Branches of one or more trees; a parent stands before its children.

    Attributes:
        branches: The branches.
    """

    branches: tuple[Branch, ...]

    @property
    def length_mm(self) -> float:
        """Sum of the lengths of all branches in mm."""
        return float(sum(branch.length_mm for branch in self.branches))

    def children(self) -> list[list[int]]:
        """Return the indices of the children of each branch."""
        out: list[list[int]] = [[] for _ in self.branches]
        for index, branch in enumerate(self.branches):
            if branch.parent >= 0:
                out[branch.parent].append(index)
        return out

    def table(self) -> TreeTable:
        """Return all points with their parents. The point where branches meet stands there once."""
        points, radii, parents, owners = [], [], [], []
        last: list[int] = []  # row of the last point of each branch
        row = 0
        for index, branch in enumerate(self.branches):
            first = 0 if branch.parent < 0 else 1
            size = len(branch.points) - first
            before = -1 if branch.parent < 0 else last[branch.parent]
            points.append(branch.points[first:])
            radii.append(branch.radii[first:])
            parents.append(np.concatenate([[before], np.arange(row, row + size - 1)])[:size])
            owners.append(np.full(size, index))
            row += size
            last.append(row - 1)
        if not points:
            empty = np.zeros(0, np.int64)
            return TreeTable(np.zeros((0, 3)), np.zeros(0), empty, empty)
        return TreeTable(
            np.concatenate(points),
            np.concatenate(radii),
            np.concatenate(parents).astype(np.int64),
            np.concatenate(owners).astype(np.int64),
        )


def direct(
    graph: SkeletonGraph, root_mm: tuple[float, float, float] | None = None, *, all_parts: bool = True
) -> CentrelineTree:
    """Direct a graph without loops away from its roots.

    Generations count junctions of the graph: run :func:`hilum.imaging.graph_cleaning.merge_junctions` first,
    so that a trifurcation counts once.

    Args:
        graph: The graph.
        root_mm: Position in mm; the tree of the nearest free end begins there. None: as for other parts.
        all_parts: Whether to direct the parts that do not hang on this tree too, each from its free end with
            the largest radius, those with the largest radius first.

    Returns:
        The branches, with smoothed points.

    Raises:
        UsageError: The graph has a loop.
    """
    at: dict[int, list[Edge]] = {}
    for edge in graph.edges:
        at.setdefault(edge.start, []).append(edge)
        at.setdefault(edge.end, []).append(edge)
    ends = sorted((node for node, edges in at.items() if len(edges) == 1), key=lambda n: (-graph.radii[n], n))
    if root_mm is not None and ends:
        away = np.linalg.norm(graph.nodes[ends] - np.asarray(root_mm), axis=1)
        ends.insert(0, ends.pop(int(np.argmin(away))))
    branches: list[Branch] = []
    used: set[int] = set()
    for node in ends[: None if all_parts else 1]:
        if node not in used:
            _grow(node, at, branches, used)
    if all_parts and len(branches) != len(graph.edges):
        raise _loop()
    return CentrelineTree(tuple(branches))


def _grow(root: int, at: dict[int, list[Edge]], branches: list[Branch], used: set[int]) -> None:
    """Append the branches that hang on a node, nearest generations first."""
    used.add(root)
    waiting: deque[tuple[int, Edge | None, int]] = deque([(root, None, -1)])
    while waiting:
        node, came, parent = waiting.popleft()
        generation = branches[parent].generation + 1 if parent >= 0 else 0
        for edge in at[node]:
            if edge is came:
                continue
            away = edge if edge.start == node else edge.reversed()
            if away.end in used:
                raise _loop()
            used.add(away.end)
            branches.append(Branch(smooth_path(away.points), away.radii, parent, generation))
            waiting.append((away.end, edge, len(branches) - 1))


def _loop() -> UsageError:
    return UsageError("graph has a loop.", "Break its loops first.")

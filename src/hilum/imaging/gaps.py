"""Gaps in tubes: free ends that face one another, and the path between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.imaging.paths import arc_length, minimal_path, smooth_path
from hilum.imaging.skeleton_graph import Edge, SkeletonGraph

__all__ = ["Bridge", "Gap", "bridge_gaps", "find_gaps"]

_Point = npt.NDArray[np.float64]
#: Longest gap in mm that is bridged.
GAP_MM = 4.0
#: Largest angle in degrees between the axis of an end and the line across the gap.
ANGLE_DEG = 45.0
#: The axis of an end is taken over this length in mm.
AXIS_MM = 5.0


@dataclass(frozen=True)
class Gap:
    """Two free ends that face one another.

    Attributes:
        one: Node of the graph.
        other: Node of another part of the graph.
        width_mm: Distance between the two points less both radii, at least 0.
        angle_deg: The larger of the angles between the axis of an end and the line across.
    """

    one: int
    other: int
    width_mm: float
    angle_deg: float


@dataclass(frozen=True, eq=False)
class Bridge:
    """The path across a gap.

    Attributes:
        gap: The gap.
        voxels: Indices of its voxels from ``gap.one`` to ``gap.other``, shape (n, 3).
        cost: Integral of the cost along it.
    """

    gap: Gap
    voxels: npt.NDArray[np.intp]
    cost: float


def find_gaps(
    graph: SkeletonGraph, *, widest_mm: float = GAP_MM, largest_angle_deg: float = ANGLE_DEG
) -> list[Gap]:
    """Find pairs of free ends that continue one another along their axes.

    Both axes must point across the gap within the angle. The narrowest gaps come first; each end has one
    partner, and no two gaps join the same two parts of the graph, so that no loop appears.

    Args:
        graph: The graph of all parts.
        widest_mm: Largest distance between the tubes in mm.
        largest_angle_deg: Largest angle in degrees.
    """
    from scipy.spatial import KDTree

    tips = _tips(graph)
    nodes = list(tips)
    if len(nodes) < 2:
        return []
    part = _parts(graph)
    places = graph.nodes[nodes]
    reach = widest_mm + 2 * float(graph.radii[nodes].max())
    found = []
    for first, second in KDTree(places).query_pairs(reach):
        one, other = sorted((nodes[first], nodes[second]))
        across = graph.nodes[other] - graph.nodes[one]
        away = float(np.linalg.norm(across))
        width = max(0.0, away - float(graph.radii[one] + graph.radii[other]))
        if part[one] == part[other] or width > widest_mm or away == 0:
            continue
        cosine = min(float(tips[one] @ across), -float(tips[other] @ across)) / away
        angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        if angle <= largest_angle_deg:
            found.append(Gap(one, other, width, angle))
    return _independent(sorted(found, key=lambda g: (g.width_mm, g.angle_deg, g.one, g.other)), part)


def bridge_gaps(
    graph: SkeletonGraph,
    cost: npt.NDArray[np.floating[Any]],
    affine: npt.NDArray[np.float64],
    *,
    widest_mm: float = GAP_MM,
    largest_angle_deg: float = ANGLE_DEG,
) -> list[Bridge]:
    """Find the minimal path across each gap of :func:`find_gaps`.

    The search stays in the box of both ends, widened by the distance between them.

    Args:
        graph: The graph of all parts, in the space of ``affine``.
        cost: Cost a mm at each voxel (i, j, k); where it is negative or not finite no path goes.
        affine: 4 x 4 matrix from voxel index to mm.
        widest_mm: Largest distance between the tubes in mm.
        largest_angle_deg: Largest angle in degrees.

    Returns:
        The gaps that have a path.
    """
    to_voxel = np.linalg.inv(affine)
    i, j, k = (float(step) for step in np.linalg.norm(affine[:3, :3], axis=0))
    spacing = np.array([i, j, k])
    bridges = []
    for gap in find_gaps(graph, widest_mm=widest_mm, largest_angle_deg=largest_angle_deg):
        ends = graph.nodes[[gap.one, gap.other]]
        voxels = np.rint(ends @ to_voxel[:3, :3].T + to_voxel[:3, 3]).astype(np.intp)
        voxels = np.clip(voxels, 0, np.array(cost.shape) - 1)
        margin = np.ceil(np.linalg.norm(ends[1] - ends[0]) / spacing).astype(np.intp)
        low = np.maximum(voxels.min(axis=0) - margin, 0)
        high = np.minimum(voxels.max(axis=0) + margin + 1, cost.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        start, end = ((int(a), int(b), int(c)) for a, b, c in voxels - low)
        path = minimal_path(cost[box], start, end, (i, j, k))
        if path is not None:
            bridges.append(Bridge(gap, path[0] + low, path[1]))
    return bridges


def _tips(graph: SkeletonGraph) -> dict[int, _Point]:
    """Return the free ends and the unit vectors in which they point outward."""
    degrees = graph.degrees()
    out: dict[int, _Point] = {}
    for edge in graph.edges:
        for line in (edge, edge.reversed()):
            if degrees[line.end] == 1:
                out[line.end] = _outward(line)
    return out


def _outward(line: Edge) -> _Point:
    points = smooth_path(line.points)
    along = arc_length(points)
    before = int(np.searchsorted(along, along[-1] - AXIS_MM, side="right")) - 1
    axis = points[-1] - points[max(0, before)]
    unit: _Point = axis / max(float(np.linalg.norm(axis)), 1e-9)
    return unit


def _parts(graph: SkeletonGraph) -> list[int]:
    """Return the number of the connected part of each node."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    count = len(graph.nodes)
    pairs = np.array([(edge.start, edge.end) for edge in graph.edges]).reshape(-1, 2)
    links = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    labels: list[int] = connected_components(links, directed=False)[1].tolist()
    return labels


def _independent(gaps: list[Gap], part: list[int]) -> list[Gap]:
    """Keep gaps in order while each end is used once and no loop closes."""
    group = {number: number for number in part}

    def root(number: int) -> int:
        while group[number] != number:
            number = group[number]
        return number

    kept: list[Gap] = []
    used: set[int] = set()
    for gap in gaps:
        one, other = root(part[gap.one]), root(part[gap.other])
        if one != other and not used & {gap.one, gap.other}:
            group[one] = other
            used |= {gap.one, gap.other}
            kept.append(gap)
    return kept

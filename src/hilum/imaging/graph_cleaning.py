"""Cleaning the graph of a skeleton: loops, spurs, and junctions that are one."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np

from hilum.imaging.skeleton_graph import Edge, SkeletonGraph

__all__ = ["SPUR_MM", "SPUR_RADII", "break_loops", "join_chains", "merge_junctions", "prune_spurs"]

#: A spur is shorter than this, in mm; the rule of airway trees, below which voxels make branches of noise.
SPUR_MM = 3.0
#: ... or than this many radii of the junction that it leaves: within the first radius it lies in its parent.
SPUR_RADII = 1.2
#: Two junctions closer than this many radii of the larger are one: thinning draws a trifurcation as two
#: bifurcations.
JUNCTION_RADII = 1.0


class _Net:
    """A graph whose edges can be removed and joined."""

    def __init__(self, graph: SkeletonGraph) -> None:
        self.nodes, self.radii = graph.nodes.copy(), graph.radii.copy()
        self.edges: dict[int, Edge] = {}
        self.at: dict[int, list[int]] = {}
        self._next = 0
        for edge in graph.edges:
            self.add(edge)

    def add(self, edge: Edge) -> int:
        """Add an edge; return its number."""
        number = self._next
        self._next += 1
        self.edges[number] = edge
        for node in (edge.start, edge.end):
            self.at.setdefault(node, []).append(number)
        return number

    def remove(self, number: int) -> Edge:
        """Remove an edge."""
        edge = self.edges.pop(number)
        for node in (edge.start, edge.end):
            self.at[node].remove(number)
        return edge

    def degree(self, node: int) -> int:
        """Number of ends of edges at a node."""
        return len(self.at.get(node, ()))

    def join(self, node: int) -> int | None:
        """Make one edge of the two that meet at a node; None where not just two different ones do."""
        numbers = self.at.get(node, [])
        if len(numbers) != 2 or numbers[0] == numbers[1]:
            return None
        one, other = (self.remove(number) for number in tuple(numbers))
        one = one if one.end == node else one.reversed()
        other = other if other.start == node else other.reversed()
        return self.add(one.then(other))

    def graph(self) -> SkeletonGraph:
        """Return what is left."""
        return SkeletonGraph(self.nodes, self.radii, tuple(self.edges.values()))


def join_chains(graph: SkeletonGraph, keep: Iterable[int] = ()) -> SkeletonGraph:
    """Join the two edges at each node where only two meet.

    Args:
        graph: The graph.
        keep: Nodes that stay.
    """
    net, kept = _Net(graph), set(keep)
    for node in range(len(net.nodes)):
        if node not in kept:
            net.join(node)
    return net.graph()


def break_loops(graph: SkeletonGraph) -> SkeletonGraph:
    """Cut each loop at its least sure point, so that a forest remains.

    Edges are taken in the order of their smallest weight, surest first (a maximum spanning forest, Kruskal
    1956). One that would close a loop is cut where its weight is smallest: both stumps stay, since two
    branches whose tips touch are one edge of the skeleton. :func:`prune_spurs` removes short stumps.

    Args:
        graph: The graph.

    Returns:
        A graph without loops. A stump ends at a new node.
    """
    parent = list(range(len(graph.nodes)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def sureness(edge: Edge) -> float:
        return float((edge.weights[1:-1] if len(edge.weights) > 2 else edge.weights).min())

    kept: list[Edge] = []
    nodes, radii = [graph.nodes], [graph.radii]
    count = len(graph.nodes)
    for edge in sorted(graph.edges, key=lambda e: (-sureness(e), len(e.points))):
        one, other = root(edge.start), root(edge.end)
        if one != other:
            parent[one] = other
            kept.append(edge)
            continue
        for stump in _stumps(edge, count):
            kept.append(stump)
            nodes.append(stump.points[-1:])
            radii.append(stump.radii[-1:])
            count += 1
    return join_chains(SkeletonGraph(np.concatenate(nodes), np.concatenate(radii), tuple(kept)))


def _stumps(edge: Edge, node: int) -> list[Edge]:
    """Return what remains of an edge cut at its smallest weight; new nodes are ``node`` and the next."""
    last = len(edge.points) - 1
    if last < 2:
        return []
    inner = np.arange(1, last)
    weakest = inner[edge.weights[1:last] == edge.weights[1:last].min()]
    cut = int(weakest[np.argmin(np.abs(weakest - last / 2))])
    out: list[Edge] = []
    for side, size in ((edge, cut), (edge.reversed(), last - cut)):
        if size >= 2:  # the node and one point more
            end = node + len(out)
            out.append(Edge(side.start, end, side.points[:size], side.radii[:size], side.weights[:size]))
    return out


def prune_spurs(
    graph: SkeletonGraph, *, shortest_mm: float = SPUR_MM, shortest_radii: float = SPUR_RADII
) -> SkeletonGraph:
    """Remove short edges that end freely, the shortest first.

    An edge from a junction to a free end is removed where it is shorter than the larger of ``shortest_mm``
    and ``shortest_radii`` times the radius at the junction. Where two edges are left at the junction they
    become one, so that a fork of two short tips loses one of them. An edge with two free ends stays.

    Args:
        graph: The graph; loops are left alone.
        shortest_mm: Length in mm below which an edge is a spur.
        shortest_radii: The same in radii of the junction.
    """
    net = _Net(graph)
    waiting: list[tuple[float, int]] = []

    def consider(number: int) -> None:
        edge = net.edges[number]
        free = [net.degree(node) == 1 for node in (edge.start, edge.end)]
        if free[0] != free[1]:
            junction = edge.end if free[0] else edge.start
            if edge.length_mm < max(shortest_mm, shortest_radii * net.radii[junction]):
                heapq.heappush(waiting, (edge.length_mm, number))

    for number in list(net.edges):
        consider(number)
    while waiting:
        _, number = heapq.heappop(waiting)
        if number not in net.edges:  # joined with another meanwhile
            continue
        edge = net.edges[number]
        junction = edge.end if net.degree(edge.start) == 1 else edge.start
        if net.degree(junction) == 1:  # its partners are gone: an edge with two free ends
            continue
        net.remove(number)
        joined = net.join(junction)
        if joined is not None:
            consider(joined)
    return net.graph()


def merge_junctions(graph: SkeletonGraph, *, within_radii: float = JUNCTION_RADII) -> SkeletonGraph:
    """Merge junctions that lie so close that they are one, such as the two of a trifurcation.

    An edge between two junctions that is shorter than ``within_radii`` times the larger radius of both is
    removed. The edges of the junction with the smaller radius are prolonged by it to the other junction, so
    that lines stay whole.

    Args:
        graph: The graph; an edge beside another one between the same two nodes stays.
        within_radii: The limit in radii.
    """
    net = _Net(graph)
    for number, edge in sorted(net.edges.items(), key=lambda item: item[1].length_mm):
        edge = net.edges.get(number, edge)
        one, other = edge.start, edge.end
        if number not in net.edges or one == other or min(net.degree(one), net.degree(other)) < 3:
            continue
        beside = set(net.at[one]) & set(net.at[other])
        if len(beside) > 1 or edge.length_mm >= within_radii * max(net.radii[one], net.radii[other]):
            continue
        short = net.remove(number)
        if net.radii[other] > net.radii[one]:
            short = short.reversed()
        for moved in tuple(net.at[short.end]):
            if moved in net.edges:
                far = net.remove(moved)
                far = far if far.start == short.end else far.reversed()
                longer = short.then(far)
                if far.end == short.end:  # a loop at this junction: both its ends move
                    longer = longer.then(short.reversed())
                net.add(longer)
    return net.graph()

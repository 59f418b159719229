"""Full trees: airways to a lumen of 1.2 mm, arteries and veins to a radius of 0.3 mm.

Each tree obeys r0^g = r1^g + r2^g, Murray's law with an exponent g of its own. The diameters of Weibel's
model from generation 1 to 6 (12.2 to 2.8 mm) give g = 2.35 for airways; the exponent is a little larger here,
so that as many branches are seen at 1 mm as the best networks find in patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hilum.synthesis.phantoms.anatomy import Anatomy, Lobe
from hilum.synthesis.phantoms.curves import (
    BESIDE_MM,
    Axes,
    Indices,
    Values,
    bend,
    beside,
    keep_apart,
    keep_inside,
)
from hilum.synthesis.phantoms.findings import AirwayFinding
from hilum.synthesis.phantoms.growth import Hosts, Plan, Skeleton, grow, host_points
from hilum.synthesis.phantoms.trees import Branch, Kind, Points, Tree

__all__ = ["THINNEST_LUMEN_MM", "THINNEST_VESSEL_MM", "grow_full_trees"]

#: Diameter of the thinnest lumen and radius of the thinnest vessel that are drawn, in mm of the scan.
THINNEST_LUMEN_MM = 1.2
THINNEST_VESSEL_MM = 0.3
#: One end of the artery and of the vein tree in each cube of this edge, in mm of the scan.
END_STEP_MM = 9.6
#: Exponent of the radii of airways, lowest and highest; radius of the trachea in mm.
AIRWAY_EXPONENT = (2.48, 2.58)
TRACHEA_RADIUS = (6.7, 7.4)
#: Radii of the left or right main artery and of all veins of a lung, in mm.
ARTERY_RADIUS, VEIN_RADIUS = 7.0, 6.8
#: Depth below pleura and fissure beyond the wall that branches keep, in mm.
DEPTH_MM = 0.8

RU, RM, RL, LU, LL = (frozenset((lobe,)) for lobe in Lobe)
LARYNX, CARINA = (1.0, -16.0, 175.0), (2.0, -22.0, 26.0)
AIRWAY_PLAN = {
    1: Plan(
        CARINA,
        (0.7, -0.1, -0.7),
        {RU | RM | RL: (RU, RM | RL)},
        {RU | RM | RL: (22.0, -24.0, 13.0), RM | RL: (37.0, -23.0, -10.0)},
    ),
    -1: Plan(CARINA, (-0.8, -0.1, -0.5), {}, {LU | LL: (-42.0, -27.0, 4.0)}),
}
#: Where the arteries begin: inside the ends of the left and right pulmonary artery of the mediastinum.
ARTERY_ROOT = {1: (38.0, -10.0, 3.0), -1: (-42.0, -21.0, 18.0)}
VEIN_ROOT = {1: (34.0, -10.0, -20.0), -1: (-37.0, -16.0, -15.0)}
VEIN_PLAN = {
    1: Plan(VEIN_ROOT[1], (1.0, 0.0, 0.0), {RU | RM | RL: (RU | RM, RL)}, {RU | RM | RL: VEIN_ROOT[1]}),
    -1: Plan(VEIN_ROOT[-1], (-1.0, 0.0, 0.0), {}, {LU | LL: VEIN_ROOT[-1]}),
}


@dataclass(eq=False)
class _Grown:
    """A tree of one lung: axes, radii and walls by branch; ``drawn`` are those that are kept."""

    skeleton: Skeleton
    axes: Axes
    radius: Values
    wall: Values
    drawn: npt.NDArray[np.bool_]
    plugged: npt.NDArray[np.bool_]

    @property
    def outer(self) -> Values:
        """Outer radius at each point of the axes."""
        return np.asarray((self.radius + self.wall)[self.axes.branch])

    def dense(self) -> tuple[Points, Values]:
        """Points at most 1 mm apart on the drawn axes and their outer radii, for keeping other trees away."""
        keep = np.flatnonzero((self.axes.before >= 0) & self.drawn[self.axes.branch])
        start, end = self.axes.points[self.axes.before[keep]], self.axes.points[keep]
        counts = np.maximum(1, np.ceil(np.linalg.norm(end - start, axis=1))).astype(int)
        row = np.repeat(np.arange(len(keep)), counts)
        place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        t = ((place + 1) / counts[row])[:, None]
        return start[row] * (1 - t) + end[row] * t, self.outer[keep][row]


def wall_mm(lumen_mm: Values) -> Values:
    """Thickness of an airway wall in mm: 0.5 at a lumen of 1.5 mm, 0.7 at 3 mm, 1.4 at 10 mm."""
    return np.asarray(0.25 + 0.19 * lumen_mm**0.8)


def grow_full_trees(anatomy: Anatomy, seed: int, findings: Mapping[AirwayFinding, float]) -> dict[Kind, Tree]:
    """Grow the trees of both lungs.

    Args:
        anatomy: The chest to fill.
        seed: Same seed, same trees.
        findings: Severity by finding.

    Returns:
        Branches by kind; the airways begin with the trachea.
    """
    rng = np.random.default_rng([seed, 12])
    size = anatomy.body.size
    exponent, trachea = float(rng.uniform(*AIRWAY_EXPONENT)), float(rng.uniform(*TRACHEA_RADIUS))
    hosts = {side: host_points(anatomy, side, END_STEP_MM / size, rng) for side in (1, -1)}
    total = sum(float(h.flow.sum()) for h in hosts.values())
    airways = _trachea(trachea, findings)
    arteries: list[Branch] = []
    veins: list[Branch] = []
    for side in (1, -1):
        obstacles: list[tuple[Points, Values]] = []
        companions: list[_Grown] = []
        for plan, part, parent in _entries(side, hosts[side], findings):
            skeleton = grow(plan, part, rng)
            airway = _airway(anatomy, skeleton, trachea, total, exponent, findings, rng)
            companions.append(airway)
            obstacles.append(airway.dense())
            airways += _branches(airway, Kind.AIRWAY, side, len(airways), parent)
        if side > 0 and AirwayFinding.CARDIAC_BRONCHUS in findings:
            airways.append(_cardiac(airways, findings[AirwayFinding.CARDIAC_BRONCHUS]))
        flow = sum(float(a.skeleton.flow[0]) for a in companions)
        for airway in companions:
            artery = _artery(anatomy, airway, side, flow, obstacles)
            obstacles.append(artery.dense())
            arteries += _branches(artery, Kind.ARTERY, side, len(arteries), -1)
        drain = grow(VEIN_PLAN[side], host_points(anatomy, side, END_STEP_MM / size, rng), rng)
        vein = _vein(anatomy, drain, obstacles, rng)
        veins += _branches(vein, Kind.VEIN, side, len(veins), -1)
    return {Kind.AIRWAY: tuple(airways), Kind.ARTERY: tuple(arteries), Kind.VEIN: tuple(veins)}


def _trachea(radius: float, findings: Mapping[AirwayFinding, float]) -> list[Branch]:
    """The trachea; in two pieces where a bronchus leaves it."""
    thickness = float(wall_mm(np.array(2 * radius))) * (1 + findings.get(AirwayFinding.THICK_WALLS, 0.0))
    top, low = np.array(LARYNX), np.array(CARINA)
    ends = [top, low]
    if AirwayFinding.TRACHEAL_BRONCHUS in findings:
        ends.insert(1, low + (top - low) * _height(findings))
    result = []
    for index, (start, end) in enumerate(pairwise(ends)):
        result.append(Branch(_point(start), _point(end), radius, thickness, 0, index - 1, Kind.AIRWAY, 0))
    return result


def _height(findings: Mapping[AirwayFinding, float]) -> float:
    """Part of the trachea below a tracheal bronchus: it leaves 12 to 35 mm above the carina."""
    return (12.0 + 23.0 * findings[AirwayFinding.TRACHEAL_BRONCHUS]) / 149.1


def _entries(
    side: int, hosts: Hosts, findings: Mapping[AirwayFinding, float]
) -> list[tuple[Plan, Hosts, int]]:
    """Plan, points and index of the parent among the airways of each airway tree of one lung."""
    if AirwayFinding.TRACHEAL_BRONCHUS not in findings:
        return [(AIRWAY_PLAN[side], hosts, 0)]
    if side < 0:
        return [(AIRWAY_PLAN[side], hosts, 1)]
    start = np.array(CARINA) + (np.array(LARYNX) - CARINA) * _height(findings)
    upper = hosts.lobe == Lobe.RIGHT_UPPER
    high = Plan(_point(start), (0.95, -0.1, 0.1), {}, {})
    usual = AIRWAY_PLAN[1]
    low = Plan(usual.root, usual.heading, {}, {RM | RL: usual.ends[RM | RL]})
    return [
        (high, Hosts(hosts.points[upper], hosts.lobe[upper], hosts.flow[upper]), 0),
        (low, Hosts(hosts.points[~upper], hosts.lobe[~upper], hosts.flow[~upper]), 1),
    ]


def _cardiac(airways: list[Branch], severity: float) -> Branch:
    """A blind bronchus from the end of the intermediate bronchus to the middle."""
    low = next(i for i, b in enumerate(airways) if b.side > 0 and b.lobe == Lobe.RIGHT_LOWER)
    parent = airways[low].parent
    start = np.array(airways[parent].end)
    end = start + (8.0 + 12.0 * severity) * np.array([-0.75, 0.1, -0.65])
    radius = 2.2
    return Branch(
        _point(start),
        _point(end),
        radius,
        float(wall_mm(np.array(2 * radius))),
        airways[parent].generation + 1,
        parent,
        Kind.AIRWAY,
        1,
    )


def _airway(
    anatomy: Anatomy,
    skeleton: Skeleton,
    trachea: float,
    total: float,
    exponent: float,
    findings: Mapping[AirwayFinding, float],
    rng: np.random.Generator,
) -> _Grown:
    """Radii, walls and axes of an airway tree; the axes run on to the ends, for the artery beside it."""
    radius = trachea * (skeleton.flow / total) ** (1 / exponent)
    radius, wide = _widened(skeleton, radius, findings.get(AirwayFinding.BRONCHIECTASIS, 0.0), rng)
    wall = wall_mm(2 * radius) * rng.uniform(0.9, 1.1, len(radius)) * np.where(wide, 1.3, 1.0)
    wall *= 1 + findings.get(AirwayFinding.THICK_WALLS, 0.0)
    limit = THINNEST_LUMEN_MM / 2 / anatomy.body.size
    drawn = np.zeros(len(radius), bool)
    for b, parent in enumerate(skeleton.parent.tolist()):
        drawn[b] = radius[b] >= limit and (parent < 0 or drawn[parent])
    axes = bend(skeleton, rng)
    room = np.where(drawn, radius + wall + 1.0, 0.5)
    keep_inside(axes, anatomy, _inner_lobe(skeleton)[axes.branch], room[axes.branch] + DEPTH_MM)
    chance = 0.15 * findings.get(AirwayFinding.MUCUS, 0.0)
    plugged = drawn & (rng.random(len(radius)) < chance) & (skeleton.generation >= 3)
    return _Grown(skeleton, axes, radius, wall, drawn, plugged)


def _widened(
    skeleton: Skeleton, radius: Values, severity: float, rng: np.random.Generator
) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Widen the airways of some segments, which begin two branches into a lobe."""
    factor = np.ones(len(radius))
    depth = _depth(skeleton)
    for b, parent in enumerate(skeleton.parent):
        if depth[b] == 2:
            chosen = rng.random() < 0.5 * severity
            factor[b] = 1 + 2 * severity * rng.uniform(0.5, 1.0) if chosen else 1.0
        elif depth[b] > 2:
            factor[b] = factor[parent]
    wide = radius * factor
    for b, parent in enumerate(skeleton.parent):
        # A widened branch does not taper, but it is not wider than its parent either.
        if factor[b] > 1:
            wide[b] = min(wide[b], wide[parent])
    return wide, factor > 1


def _depth(skeleton: Skeleton) -> Indices:
    """Branches since the lobar bronchus, which is 0; -1 before it."""
    depth = np.full(len(skeleton.parent), -1)
    for b, parent in enumerate(skeleton.parent):
        if skeleton.lobe[b]:
            depth[b] = depth[parent] + 1 if parent >= 0 else 0
    return depth


def _inner_lobe(skeleton: Skeleton) -> npt.NDArray[np.uint8]:
    """The lobe in which a branch has to lie; 0 for those of the hilum."""
    return np.where(_depth(skeleton) > 0, skeleton.lobe, 0).astype(np.uint8)


def _artery(
    anatomy: Anatomy, airway: _Grown, side: int, flow: float, obstacles: list[tuple[Points, Values]]
) -> _Grown:
    """The artery beside an airway."""
    skeleton = airway.skeleton
    radius = _vessel_radius(skeleton, ARTERY_RADIUS, flow, anatomy.body.size)
    gap = np.where(airway.drawn, airway.radius + airway.wall + radius + BESIDE_MM, 0.0)
    axes = beside(airway.axes, skeleton, gap, ARTERY_ROOT[side])
    drawn = np.ones(len(radius), bool)
    drawn[0] = False
    artery = _Grown(skeleton, axes, radius, np.zeros(len(radius)), drawn, np.zeros(len(radius), bool))
    _settle(anatomy, artery, obstacles)
    return artery


def _vein(
    anatomy: Anatomy, skeleton: Skeleton, obstacles: list[tuple[Points, Values]], rng: np.random.Generator
) -> _Grown:
    """The veins of one lung."""
    radius = _vessel_radius(skeleton, VEIN_RADIUS, float(skeleton.flow[0]), anatomy.body.size)
    axes = beside(bend(skeleton, rng), skeleton, np.zeros(len(radius)), _point(skeleton.start[0]))
    drawn = np.ones(len(radius), bool)
    drawn[0] = False
    vein = _Grown(skeleton, axes, radius, np.zeros(len(radius)), drawn, np.zeros(len(radius), bool))
    _settle(anatomy, vein, obstacles)
    return vein


def _vessel_radius(skeleton: Skeleton, root: float, flow: float, size: float) -> Values:
    """Radii whose exponent is such that the weakest end has the thinnest radius."""
    thinnest = THINNEST_VESSEL_MM / size
    exponent = np.log(flow / float(skeleton.flow.min())) / np.log(root / thinnest)
    return np.asarray(root * (skeleton.flow / flow) ** (1 / exponent))


def _settle(anatomy: Anatomy, tree: _Grown, obstacles: list[tuple[Points, Values]]) -> None:
    """Move a vessel tree away from the others and into its lobes."""
    points = np.concatenate([p for p, _ in obstacles])
    radii = np.concatenate([r for _, r in obstacles])
    lobe = _inner_lobe(tree.skeleton)[tree.axes.branch]
    for rounds in (8, 8, 16):
        keep_inside(tree.axes, anatomy, lobe, tree.outer + DEPTH_MM)
        keep_apart(tree.axes, tree.outer, points, radii, rounds)


def _branches(tree: _Grown, kind: Kind, side: int, shift: int, root: int) -> list[Branch]:
    """The drawn branches of a tree, numbered from ``shift``; those without a parent hang on ``root``."""
    number: dict[int, int] = {}
    result: list[Branch] = []
    skeleton, axes = tree.skeleton, tree.axes
    order = np.argsort(axes.branch, kind="stable")
    bounds = np.searchsorted(axes.branch[order], np.arange(len(tree.radius) + 1))
    # Generations count from the trachea, or from the main artery and the veins at the hilum.
    base = 1 if kind is Kind.AIRWAY else -1
    for b in np.flatnonzero(tree.drawn).tolist():
        own = order[bounds[b] : bounds[b + 1]]
        own = own[axes.before[own] >= 0]
        points = axes.points[np.concatenate([axes.before[own[:1]], own])]
        parent = int(skeleton.parent[b])
        number[b] = shift + len(result)
        result.append(
            Branch(
                _point(points[0]),
                _point(points[-1]),
                float(tree.radius[b]),
                float(tree.wall[b]),
                int(skeleton.generation[b]) + base,
                number.get(parent, root),
                kind,
                side,
                tuple(_point(p) for p in points[1:-1]),
                int(skeleton.lobe[b]),
                bool(tree.plugged[b]),
            )
        )
    return result


def _point(values: Points) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])

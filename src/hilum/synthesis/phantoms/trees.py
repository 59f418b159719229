"""Airway, artery and vein trees as lists of straight branches.

Trees grow by the host-filling rule of Wang, Bassingthwaighte et al. (1992) and Tawhai et al. (J Appl Physiol
2004): the points that a branch has to supply are split by a plane through their centroid, and each daughter
grows part of the way to the centroid of her half, until one point is left. Radii obey Murray's law (Murray,
Proc Natl Acad Sci 1926), r0^3 = r1^3 + r2^3, which for equal ends means r proportional to the cube root of
the number of ends that are supplied. Arteries run beside the airways, veins between them.

A finer tree only has to give the same :class:`Tree`; nothing else in the phantom knows how it was grown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Anatomy
from hilum.synthesis.phantoms.fields import Coordinates

__all__ = ["Branch", "Detail", "Kind", "Tree", "grow_trees"]

Points = npt.NDArray[np.float64]

#: Ends of an artery or a vein tree in one lung.
ENDS = 1100
#: An airway is drawn as long as it supplies at least this many ends.
AIRWAY_ENDS = 7
#: Radius in mm of the lumen of a main bronchus, of a main artery and of the sum of the veins of a lung.
ROOT_RADIUS = {"airway": 5.6, "artery": 7.0, "vein": 6.8}
#: Where each tree starts in the right lung (x > 0) and the left lung.
AIRWAY_ROOT = {1: (38.0, -24.0, 0.0), -1: (-42.0, -27.0, 4.0)}
VEIN_ROOT = {1: (34.0, -12.0, -16.0), -1: (-38.0, -16.0, -14.0)}


class Detail(str, Enum):
    """How fine the trees of a phantom are.

    ``coarse`` trees are straight and end at a lumen of 2 mm; ``full`` trees are curved, keep to their lobes
    and end at a lumen of 1.2 mm and a vessel radius of 0.3 mm.
    """

    COARSE = "coarse"
    FULL = "full"


class Kind(str, Enum):
    """Kind of a branch, by its content."""

    AIRWAY = "airway"
    ARTERY = "artery"
    VEIN = "vein"


@dataclass(frozen=True)
class Branch:
    """One straight piece of a tree, lengths in mm in the frame of a chest of size 1.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        radius: Radius of the lumen of an airway, outer radius of a vessel.
        wall: Thickness of the airway wall; 0 for vessels.
        generation: 0 for the root.
        parent: Index of the parent branch in the same tree, -1 for a root.
        kind: Airway, artery or vein.
        side: 1 right lung, -1 left lung, 0 outside the lungs.
        path: Points between start and end of a curved branch; empty for a straight one.
        lobe: Value of :class:`hilum.synthesis.phantoms.anatomy.Lobe`, 0 before the lobes and in coarse trees.
        plugged: Whether mucus fills the lumen of an airway.
    """

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float
    wall: float
    generation: int
    parent: int
    kind: Kind
    side: int
    path: tuple[tuple[float, float, float], ...] = ()
    lobe: int = 0
    plugged: bool = False

    @property
    def points(self) -> Points:
        """The axis from start to end, (n, 3) mm."""
        return np.array([self.start, *self.path, self.end])

    @property
    def length(self) -> float:
        """Length of the axis in mm."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


Tree = tuple[Branch, ...]


def host_points(anatomy: Anatomy, side: int, count: int, rng: np.random.Generator, margin: float) -> Points:
    """Spread ``count`` points evenly through one lung, at least ``margin`` mm below its surface."""
    low, high = (c.copy() for c in LUNG_BOX)
    (low if side > 0 else high)[0] = 0.0
    step = 8.0
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    grid += rng.uniform(-0.5, 0.5, grid.shape) * step
    inside = grid[anatomy.lung(as_coordinates(grid), side) < -margin]
    chosen = rng.permutation(len(inside))[:count]
    return np.asarray(inside[np.sort(chosen)])


def as_coordinates(points: Points) -> Coordinates:
    """Columns of an (n, 3) array as coordinates for the fields."""
    p = points.astype(np.float32)
    return p[:, 0], p[:, 1], p[:, 2]


@dataclass
class _Skeleton:
    start: list[Points]
    end: list[Points]
    parent: list[int]
    generation: list[int]
    ends: list[int]


def _skeleton(root: Points, heading: Points, points: Points) -> _Skeleton:
    """Grow straight branches from ``root`` until each point of ``points`` has its own."""
    out = _Skeleton([], [], [], [], [])
    # (start, heading of the parent, points to supply, parent index, generation)
    stack: list[tuple[Points, Points, Points, int, int]] = [(root, heading, points, -1, 0)]
    while stack:
        start, heading, mine, parent, generation = stack.pop()
        centroid = mine.mean(axis=0)
        reach = centroid - start
        if len(mine) == 1:
            end = mine[0]
        else:
            # The first branches run on along the hilum, later ones go 40 % of the way (Tawhai 2004).
            end = start + 0.40 * reach
        along = end - start
        length = float(np.linalg.norm(along))
        if length > 1e-6:
            # A branch does not turn sharply: the heading of the parent is partly kept.
            along = 0.8 * along / length + 0.2 * heading
            along /= max(float(np.linalg.norm(along)), 1e-6)
            if len(mine) > 1:
                end = start + max(length, 2.0) * along
        index = len(out.start)
        out.start.append(start)
        out.end.append(end)
        out.parent.append(parent)
        out.generation.append(generation)
        out.ends.append(len(mine))
        if len(mine) == 1:
            continue
        spread = mine - centroid
        covariance = spread.T @ spread
        # The splitting plane holds the branch, so the daughters open to both sides of it.
        free = np.eye(3) - np.outer(along, along)
        _, vectors = np.linalg.eigh(free @ covariance @ free)
        score = spread @ vectors[:, -1]
        order = np.argsort(score, kind="stable")
        cut = int(
            np.clip(np.count_nonzero(score < 0), max(1, len(mine) // 5), len(mine) - max(1, len(mine) // 5))
        )
        stack.append((end, along, mine[order[:cut]], index, generation + 1))
        stack.append((end, along, mine[order[cut:]], index, generation + 1))
    return out


def murray_radius(root_radius: float, ends: int, all_ends: int) -> float:
    """Radius of a branch by Murray's law when ``all_ends`` equal ends hang on the root."""
    return float(root_radius * (ends / all_ends) ** (1 / 3))


def _wall(radius: float) -> float:
    """Thickness of an airway wall in mm: about a fifth of the lumen's radius and never below 0.5 mm."""
    return 0.35 + 0.17 * radius


def _branches(skeleton: _Skeleton, kind: Kind, side: int) -> list[Branch]:
    """Turn a skeleton into branches; arteries step aside from the airway they accompany."""
    total = skeleton.ends[0]
    kept: dict[int, int] = {}
    result: list[Branch] = []
    shifts = np.zeros((len(skeleton.start), 3))
    for i, ends in enumerate(skeleton.ends):
        parent = skeleton.parent[i]
        if kind is Kind.AIRWAY and ends < AIRWAY_ENDS:
            continue
        radius = murray_radius(ROOT_RADIUS[kind.value], ends, total)
        start, end = skeleton.start[i], skeleton.end[i]
        if kind is Kind.ARTERY:
            if ends >= AIRWAY_ENDS:
                airway = murray_radius(ROOT_RADIUS["airway"], ends, total)
                aside = np.cross(end - start, (0.25, 1.0, 0.15))
                aside *= -side if parent < 0 else np.sign(aside @ shifts[parent]) or 1.0
                gap = airway + _wall(airway) + radius + 0.3
                shifts[i] = aside / max(float(np.linalg.norm(aside)), 1e-6) * gap
            start = start + (shifts[parent] if parent >= 0 else shifts[i])
            end = end + shifts[i]
        kept[i] = len(result)
        result.append(
            Branch(
                (float(start[0]), float(start[1]), float(start[2])),
                (float(end[0]), float(end[1]), float(end[2])),
                radius,
                _wall(radius) if kind is Kind.AIRWAY else 0.0,
                skeleton.generation[i],
                kept.get(parent, -1),
                kind,
                side,
            )
        )
    return result


def central_airways() -> Tree:
    """Trachea and main bronchi; outside the lungs by the label contract."""
    carina = (2.0, -22.0, 26.0)
    trachea = Branch((1.0, -16.0, 175.0), carina, 8.6, 1.5, 0, -1, Kind.AIRWAY, 0)
    right = Branch(carina, AIRWAY_ROOT[1], 6.6, 1.4, 1, 0, Kind.AIRWAY, 0)
    left = Branch(carina, AIRWAY_ROOT[-1], 5.8, 1.4, 1, 0, Kind.AIRWAY, 0)
    return trachea, right, left


def grow_trees(anatomy: Anatomy, seed: int) -> dict[Kind, Tree]:
    """Grow the trees of both lungs.

    Args:
        anatomy: The chest to fill.
        seed: Same seed, same trees.

    Returns:
        Branches by kind; the airways begin with trachea and main bronchi.
    """
    airways: list[Branch] = list(central_airways())
    arteries: list[Branch] = []
    veins: list[Branch] = []
    for side in (1, -1):
        rng = np.random.default_rng([seed, 2, side + 1])
        points = host_points(anatomy, side, ENDS, rng, margin=4.0)
        heading = np.array([side * 0.8, -0.2, -0.5])
        supply = _skeleton(np.array(AIRWAY_ROOT[side]), heading / np.linalg.norm(heading), points)
        grown = _branches(supply, Kind.AIRWAY, side)
        shift = len(airways)
        main = 1 if side > 0 else 2
        airways += [_moved(b, shift, main) for b in grown]
        arteries += [_moved(b, len(arteries), -1) for b in _branches(supply, Kind.ARTERY, side)]
        other = host_points(anatomy, side, ENDS, rng, margin=4.0)
        drain = _skeleton(np.array(VEIN_ROOT[side]), np.array([side * 1.0, 0.0, 0.0]), other)
        veins += [_moved(b, len(veins), -1) for b in _branches(drain, Kind.VEIN, side)]
    return {Kind.AIRWAY: tuple(airways), Kind.ARTERY: tuple(arteries), Kind.VEIN: tuple(veins)}


def _moved(branch: Branch, shift: int, root: int) -> Branch:
    """Re-number the parent of a branch that is appended to a longer list."""
    from dataclasses import replace

    return replace(branch, parent=branch.parent + shift if branch.parent >= 0 else root)

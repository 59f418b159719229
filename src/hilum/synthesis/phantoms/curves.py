"""Curved axes of full trees: bent, led beside an airway, kept in their lobe and apart from each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hilum.synthesis.phantoms.anatomy import Anatomy, Lobe
from hilum.synthesis.phantoms.growth import Skeleton
from hilum.synthesis.phantoms.trees import Points, as_coordinates

__all__ = ["BESIDE_MM", "Axes", "bend", "beside", "keep_apart", "keep_inside"]

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

#: Points of an axis are about this far apart, in mm; a branch has between 2 and 12 pieces.
STEP_MM, FEWEST, MOST = 2.5, 2, 12
#: How far the direction at the end of a branch leaves its chord: standard deviation of a sideways part.
SWAY = 0.28
#: Distance between the wall of an airway and the artery beside it, and between any two trees, in mm.
BESIDE_MM = 0.35
APART_MM = 0.15
#: Rounds of pushing; each halves what is left of a conflict or better.
ROUNDS = 14
#: Trees are looked up by classes of outer radius in mm, so that near thin branches do not hide wide ones.
CLASSES_MM = (0.0, 1.0, 2.0, 4.0, np.inf)


@dataclass(eq=False)
class Axes:
    """Axes of a tree as points that know the point before them.

    Attributes:
        points: (n, 3) mm; moved in place.
        before: Index of the point before, -1 at a root, (n,).
        branch: Branch of each point, (n,); the start of a branch is the last point of its parent.
        last: Last point of each branch, (branches,); -1 for a branch that is not drawn.
    """

    points: Points
    before: Indices
    branch: Indices
    last: Indices


def bend(skeleton: Skeleton, rng: np.random.Generator) -> Axes:
    """Turn straight branches into cubic curves (Hermite) that leave the parent in its direction.

    The first point is the start of the root; every branch then has its own points, without its start.
    """
    chord = skeleton.end - skeleton.start
    length = np.linalg.norm(chord, axis=1)
    along = chord / np.maximum(length, 1e-9)[:, None]
    sway = rng.normal(0, SWAY, chord.shape)
    sway -= (sway * along).sum(axis=1, keepdims=True) * along
    out = _units(along + sway)
    inward = np.where((skeleton.parent >= 0)[:, None], out[skeleton.parent], along)
    inward = _units(0.6 * inward + 0.4 * along)
    pieces = np.clip(np.ceil(length / STEP_MM), FEWEST, MOST).astype(int)
    branch = np.repeat(np.arange(len(length)), pieces)
    first = np.cumsum(pieces) - pieces
    t = ((np.arange(len(branch)) - first[branch] + 1) / pieces[branch])[:, None]
    pull = (length * 0.9)[branch][:, None]
    points = skeleton.start[branch] * (2 * t**3 - 3 * t**2 + 1) + skeleton.end[branch] * (3 * t**2 - 2 * t**3)
    points = points + pull * (inward[branch] * (t**3 - 2 * t**2 + t) + out[branch] * (t**3 - t**2))
    last = first + pieces  # Shifted by one, because the start of the root comes first.
    before = np.arange(len(branch))
    before[first] = np.where(skeleton.parent >= 0, last[skeleton.parent], 0)
    return Axes(
        np.concatenate([skeleton.start[:1], points]),
        np.concatenate([[-1], before]),
        np.concatenate([[0], branch]),
        last,
    )


def beside(axes: Axes, skeleton: Skeleton, gap: Values, root: tuple[float, float, float]) -> Axes:
    """Lead a second tree beside the first.

    It begins at ``root`` with the daughters of the first branch; that branch itself has no companion.

    Args:
        axes: The first tree.
        skeleton: Its branches.
        gap: Distance of the two axes along each branch in mm; 0 to run on alone.
        root: Where the second tree begins.
    """
    chord = _units(skeleton.end - skeleton.start)
    offset = np.zeros_like(chord)
    offset[0] = np.array(root) - axes.points[axes.last[0]]
    normal = _plane_normals(skeleton, chord)
    direction = _units(offset)
    for b in range(1, len(chord)):
        carried = direction[skeleton.parent[b]]
        # The companion lies to the side of the plane in which the daughters open, so it need not cross them.
        side = normal[b] if carried @ normal[b] >= 0 else -normal[b]
        aside = 0.6 * carried + 0.4 * side
        aside = aside - (aside @ chord[b]) * chord[b]
        norm = float(np.linalg.norm(aside))
        direction[b] = aside / norm if norm > 1e-6 else carried
        offset[b] = gap[b] * direction[b]
    keep = np.flatnonzero(axes.branch > 0)
    branch = axes.branch[keep]
    share = _share(axes)[keep][:, None]
    ease = share * share * (3 - 2 * share)
    shift = offset[skeleton.parent[branch]] * (1 - ease) + offset[branch] * ease
    # All points of the first branch become the one root.
    number = np.zeros(len(axes.points), int)
    number[keep] = np.arange(len(keep)) + 1
    last = number[axes.last]
    last[0] = -1
    return Axes(
        np.concatenate([[root], axes.points[keep] + shift]),
        np.concatenate([[-1], number[axes.before[keep]]]),
        np.concatenate([branch[:1] * 0, branch]),
        last,
    )


def _plane_normals(skeleton: Skeleton, chord: Points) -> Points:
    """Normal of the plane of the two daughters of each branch; 0 without them."""
    normal = np.zeros_like(chord)
    daughters: dict[int, int] = {}
    for b in range(1, len(chord)):
        parent = int(skeleton.parent[b])
        if parent in daughters:
            normal[parent] = np.cross(chord[daughters[parent]], chord[b])
        else:
            daughters[parent] = b
    return _units(normal)


def _share(axes: Axes) -> Values:
    """How far along its branch each point lies, above 0 to 1."""
    counts = np.bincount(axes.branch, minlength=len(axes.last))
    order = np.arange(len(axes.branch))
    own = axes.last[axes.branch] - order
    return np.asarray(1 - own / np.maximum(counts[axes.branch], 1))


def keep_inside(axes: Axes, anatomy: Anatomy, lobe: npt.NDArray[np.uint8], margin: Values) -> None:
    """Move points into their lobe, in place.

    Args:
        axes: The tree.
        anatomy: The chest.
        lobe: Lobe in which each point has to lie, 0 for none, (n,).
        margin: Depth below pleura and fissure that each point needs, (n,) mm.
    """
    for _ in range(ROUNDS):
        move = np.zeros_like(axes.points)
        for value in Lobe:
            mine = np.flatnonzero(lobe == value)
            if len(mine):
                move[mine] = _inward(anatomy, value, axes.points[mine], margin[mine])
        if not move.any():
            return
        axes.points += _shared(axes, move)


def _inward(anatomy: Anatomy, lobe: Lobe, points: Points, margin: Values) -> Points:
    """Way from each point to the wanted depth in a lobe, 0 where it is deep enough."""

    def field(at: Points) -> Values:
        p = as_coordinates(at)
        return np.maximum(anatomy.lung(p, lobe.side), anatomy.lobe_field(p, lobe)).astype(float)

    missing = field(points) + margin
    move = np.zeros_like(points)
    bad = np.flatnonzero(missing > 0)
    if len(bad):
        steps = np.eye(3)
        slope = np.stack([field(points[bad] + s) - field(points[bad] - s) for s in steps], axis=1)
        # A step is never longer than 4 mm: far outside the field is no distance.
        move[bad] = -_units(slope) * np.minimum(missing[bad] + 0.1, 4.0)[:, None]
    return move


def keep_apart(
    axes: Axes, radius: Values, others: Points, others_radius: Values, rounds: int = ROUNDS
) -> None:
    """Move the points of a tree away from other trees, in place.

    Args:
        axes: The tree to move.
        radius: Outer radius at each point, (n,) mm.
        others: Points on the axes of the trees that stay, about 1 mm apart, (m, 3) mm.
        others_radius: Outer radius at each, (m,) mm.
        rounds: Rounds of pushing.
    """
    look = [_neighbours(others[part], others_radius[part]) for part in _by_size(others_radius)]
    child = np.flatnonzero(axes.before >= 0)
    start = axes.before[child]
    for _ in range(rounds):
        middle = (axes.points[child] + axes.points[start]) / 2
        at = np.concatenate([axes.points, middle])
        size = np.concatenate([radius, radius[child]])
        push = np.zeros_like(at)
        for nearest in look:
            own = nearest(at, size)
            longer = (own**2).sum(axis=1) > (push**2).sum(axis=1)
            push[longer] = own[longer]
        if not push.any():
            return
        move, half = push[: len(radius)], push[len(radius) :]
        for ends in (child, start):
            longer = (half**2).sum(axis=1) > (move[ends] ** 2).sum(axis=1)
            move[ends[longer]] = half[longer]
        move[axes.before < 0] = 0
        axes.points += _shared(axes, move)


def _by_size(radius: Values) -> list[Indices]:
    parts = [np.flatnonzero((radius >= a) & (radius < b)) for a, b in pairwise(CLASSES_MM)]
    return [part for part in parts if len(part)]


def _neighbours(points: Points, radius: Values) -> Callable[[Points, Values], Points]:
    """Return a function that gives the push away from the nearest of ``points``; 0 far from them."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    count = min(6, len(points))
    widest = float(radius.max())

    def push(at: Points, size: Values) -> Points:
        reach = widest + float(size.max()) + APART_MM
        distance, index = tree.query(at, k=np.arange(1, count + 1), distance_upper_bound=reach)
        missing = np.append(radius, -1e3)[index] + size[:, None] + APART_MM - distance
        amount = missing.max(axis=1)
        bad = np.flatnonzero(amount > 0)
        result = np.zeros_like(at)
        # The sum over the neighbours leads round an airway and its artery together.
        weight = np.maximum(missing[bad], 0)
        away = at[bad][:, None] - points[np.minimum(index[bad], len(points) - 1)]
        away *= (weight / np.maximum(distance[bad].clip(max=reach), 1e-6))[..., None]
        result[bad] = _units(away.sum(axis=1)) * (amount[bad] + 0.05)[:, None]
        return result

    return push


def _shared(axes: Axes, move: Points) -> Points:
    """Let neighbours follow by a part, so that axes stay smooth."""
    inner = np.flatnonzero(axes.before >= 0)
    before = axes.before[inner]
    follow = np.zeros_like(move)
    weight = np.zeros(len(move))
    np.add.at(follow, inner, move[before])
    np.add.at(follow, before, move[inner])
    np.add.at(weight, inner, 1.0)
    np.add.at(weight, before, 1.0)
    follow /= np.maximum(weight, 1)[:, None]
    still = ~move.any(axis=1)
    result = move.copy()
    result[still] = 0.5 * follow[still]
    result[axes.before < 0] = 0
    return result


def _units(vectors: Points) -> Points:
    """Directions of vectors, 0 for those without length."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)[:, None])

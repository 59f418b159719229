"""Lines of made airways in a real lung: beside its vessels, and trees of the digital chest at its airways."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask, depth
from hilum.imaging.paths import smooth_path
from hilum.imaging.skeleton import skeletonize
from hilum.imaging.skeleton_graph import Edge, build_graph
from hilum.training.recipes.airways.paint import Tube

__all__ = ["Drawn", "beside_vessels", "read_drawn", "transplanted"]

_Floats = npt.NDArray[np.float32]
_Points = npt.NDArray[np.float64]
_GRID = (1.0, 1.0, 1.0)
#: Vessels are brighter than this in the lungs, HU, and have at least this many voxels.
_VESSEL_HU, _VESSEL_VOXELS = -500.0, 50
#: Vessels beside which an airway is drawn: least length in mm, least and largest radius in mm.
_LENGTH_MM, _RADII_MM = 6.0, (0.7, 4.0)
#: Diameter of the lumen as a share of the vessel's, and limits in mm.
_RATIO, _LUMEN_MM = (0.4, 0.9), (1.0, 5.0)
#: Share of a branch of a transplanted tree that may lie in vessels or outside the lungs.
_BLOCKED = 0.15


def wall_mm(lumen_mm: float) -> float:
    """Thickness of a usual wall in mm: 0.5 at a lumen of 1.5 mm, 1.1 at 6 mm."""
    return 0.3 + 0.135 * lumen_mm


def beside_vessels(
    hu: _Floats, lungs: Mask, taken: Mask, share: float, random: np.random.Generator
) -> list[Tube]:
    """Return airways along some vessels, of their shape and nearly their width.

    Args:
        hu: Smoothed HU on voxels of 1 mm.
        lungs: The lungs.
        taken: Airways that are there already.
        share: Share of the vessels that get one.
        random: Draws which.
    """
    import cc3d

    vessels = cc3d.dust((hu > _VESSEL_HU) & lungs & ~taken, threshold=_VESSEL_VOXELS, connectivity=26) > 0
    graph = build_graph(skeletonize(vessels), np.eye(4), radius_mm=depth(vessels, _GRID))
    sides: dict[int, _Points] = {}
    out: list[Tube] = []
    for edge in graph.edges:
        chosen = random.random() < share
        side = sides.get(edge.start, sides.get(edge.end, random.standard_normal(3)))
        sides[edge.start] = sides[edge.end] = side  # on one side along the whole tree
        radius = float(np.median(edge.radii))
        if not chosen or edge.length_mm < _LENGTH_MM or not _RADII_MM[0] <= radius <= _RADII_MM[1]:
            continue
        out.append(_beside(edge, radius, side, random))
    return out


def _beside(edge: Edge, radius: float, side: _Points, random: np.random.Generator) -> Tube:
    lumen = float(np.clip(2 * radius * random.uniform(*_RATIO), *_LUMEN_MM))
    wall = wall_mm(lumen) * random.uniform(0.6, 1.3)
    points = smooth_path(edge.points)
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = side - (along @ side)[:, None] * along
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return Tube(points + across * (radius + lumen / 2 + wall + random.uniform(-0.2, 0.6)), lumen / 2, wall)


@dataclass(frozen=True, eq=False)
class Drawn:
    """The airways of a digital chest, one row a branch.

    Attributes:
        start: Start points in mm, shape (n, 3).
        end: End points in mm, shape (n, 3).
        diameter: Diameters of the lumen in mm, shape (n,).
        parent: Row of the parent of each, -1 for none.
    """

    start: _Points
    end: _Points
    diameter: npt.NDArray[np.float64]
    parent: npt.NDArray[np.int_]

    def below(self, root: int) -> list[int]:
        """Rows of a branch and of all that hangs on it, parents first."""
        rows = [root]
        for row in range(root + 1, len(self.parent)):
            if int(self.parent[row]) in rows:
                rows.append(row)
        return rows


def read_drawn(table: Path) -> Drawn:
    """Read the airways of the table of branches that ``hilum phantom`` writes."""
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "airway"]
    start, end = (np.array([[float(r[f"{e}_{a}"]) for a in "xyz"] for r in rows]) for e in ("start", "end"))
    diameter = np.array([float(row["diameter_mm"]) for row in rows])
    return Drawn(start, end, diameter, np.array([int(row["parent"] or -1) for row in rows]))


def transplanted(
    hu: _Floats,
    lungs: Mask,
    ends: list[tuple[_Points, _Points]],
    drawn: Drawn,
    random: np.random.Generator,
) -> list[Tube]:
    """Return trees of a digital chest that go on from places in a real lung, with arteries beside them.

    Args:
        hu: Smoothed HU on voxels of 1 mm.
        lungs: The lungs.
        ends: Position in mm and direction of each place.
        drawn: The airways of the digital chest.
        random: Draws which trees, how they are turned, and how they bend.
    """
    roots = np.flatnonzero((drawn.diameter > 1.6) & (drawn.diameter < 5.0))
    free = lungs & (hu < _VESSEL_HU)
    out: list[Tube] = []
    for place, direction in ends:
        rows = drawn.below(int(random.choice(roots)))[:40]
        origin, axis = drawn.start[rows[0]], drawn.end[rows[0]] - drawn.start[rows[0]]
        turn = _rotation(axis, direction, random) * random.uniform(0.85, 1.15)
        width, side = random.uniform(0.8, 1.2), random.standard_normal(3)
        good: set[int] = set()
        for row in rows:
            if row != rows[0] and int(drawn.parent[row]) not in good:
                continue
            ends_mm = (np.stack([drawn.start[row], drawn.end[row]]) - origin) @ turn.T + place
            points = _bent(ends_mm, random)
            index = np.rint(points).astype(int)
            inside = ((index >= 0) & (index < hu.shape)).all(axis=1)
            if not inside.all() or np.mean(free[tuple(index.T)]) < 1 - _BLOCKED:
                continue
            good.add(row)
            out += _with_artery(points, float(drawn.diameter[row]) * width, side, random)
    return out


def _with_artery(points: _Points, lumen: float, side: _Points, random: np.random.Generator) -> list[Tube]:
    wall = wall_mm(lumen) * random.uniform(0.6, 1.3)
    along = points[-1] - points[0]
    across = side - (side @ along) / max(float(along @ along), 1e-9) * along
    across /= max(float(np.linalg.norm(across)), 1e-9)
    artery = (lumen / 2 + wall) * random.uniform(0.7, 1.1)
    beside = Tube(points + across * (artery + lumen / 2 + wall), artery, 0.0)
    return [Tube(points, lumen / 2, wall), beside]


def _bent(ends: _Points, random: np.random.Generator) -> _Points:
    length = float(np.linalg.norm(ends[1] - ends[0]))
    share = np.linspace(0, 1, max(3, round(length / 1.5)))[:, None]
    sag = random.standard_normal(3) * 0.06 * length
    return np.asarray(ends[0] + (ends[1] - ends[0]) * share + np.sin(np.pi * share) * sag)


def _rotation(axis: _Points, direction: _Points, random: np.random.Generator) -> _Points:
    """A rotation that brings one direction to another, turned round it at random."""

    def frame(along: _Points) -> _Points:
        first = along / max(float(np.linalg.norm(along)), 1e-9)
        second = np.cross(first, random.standard_normal(3))
        second /= max(float(np.linalg.norm(second)), 1e-9)
        return np.stack([first, second, np.cross(first, second)], axis=1)

    return np.asarray(frame(direction) @ frame(axis).T)

"""The artery beside each branch of the airways, and its diameter.

Arteries run beside airways, veins between them. The vessel that runs parallel to a branch close to its wall,
over most of its middle, is taken as its artery. Its diameter is that of a solid cylinder, blurred as the scan
blurs, fitted to sections across it (see :mod:`hilum.tasks.airways.tube_fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hilum.core.volume import spacing_of
from hilum.imaging.graph_cleaning import prune_spurs
from hilum.imaging.morphology import Mask, depth
from hilum.imaging.paths import arc_length, smooth_path
from hilum.imaging.skeleton import skeletonize
from hilum.imaging.skeleton_graph import build_graph
from hilum.tasks.airways.blur import Blur
from hilum.tasks.airways.calibre_values import BranchCalibre
from hilum.tasks.airways.sections import Interpolated, sections_of
from hilum.tasks.airways.tree import AirwayBranch
from hilum.tasks.airways.tube_fit import fit_solids

if TYPE_CHECKING:
    from scipy.spatial import KDTree

__all__ = ["ARTERY_RULE", "LUMENS_MM", "RATIOS", "arteries_of"]

_Values = npt.NDArray[np.float64]
#: Branches that an artery is looked for, by the diameter of their lumen in mm, low <= diameter < high: below,
#: the wall of an airway passes for a vessel; above, bronchi lie at the hilum, where arteries leave them.
LUMENS_MM = (2.0, 8.0)
#: Widest gap in mm between the wall of an airway and its artery: they share a sheath.
GAP_MM = 3.0
#: How far mask and skeleton of a vessel may reach into the wall, mm: a voxel or two.
_OVERLAP_MM = 1.5
#: Least cosine between the directions of an airway and its artery: 37 degrees.
_PARALLEL = 0.8
#: Half the distance along an airway within which a point of a vessel lies beside a point of it, mm.
_BESIDE_MM = 1.5
#: Share of the middle of a branch that the artery must run beside.
COVERED = 0.6
#: Lumen by artery, low to high, that is plausible: a narrower lumen is collapsed or lies beside a wide vein,
#: a wider one beside a twig.
RATIOS = (0.3, 3.0)
#: Distance in mm between the points at which neighbours are looked for.
_STEP_MM = 1.0
#: Vessels farther from all airways than this, mm, are not looked at.
_FAR_MM = 14.0
#: Vessels reach to this share of a voxel beyond the wall of an airway at least: what lies within is wall.
_IN_WALL_VOXELS = 0.5
#: Thickness of a wall that could not be measured: of this many mm and share of the radius of the lumen.
_USUAL_WALL = (0.35, 0.15)
#: Blood is read this deep in vessels, mm, in so many voxels; else it is without contrast agent, in HU.
_BLOOD_DEPTH_MM, _BLOOD_VOXELS, _BLOOD_HU = 2.5, 100, 40.0
#: Radius of the mask in mm below which vessels are fitted together, and length of the rays of both groups.
_GROUPS = ((2.5, 7.0), (np.inf, 12.0))

#: How the artery is found, in words.
ARTERY_RULE = (
    f"artery: a vessel that runs parallel within {np.degrees(np.arccos(_PARALLEL)):.0f} degrees, no farther "
    f"than {GAP_MM:g} mm from the wall, beside at least {100 * COVERED:g} % of the middle of the branch; of "
    "several that with the least gap less its diameter; "
    f"branches with a lumen of {LUMENS_MM[0]:g} to below {LUMENS_MM[1]:g} mm"
)


@dataclass(frozen=True, eq=False)
class _Vessels:
    """Centrelines of the vessels near airways, and all their points.

    Attributes:
        lines: Smoothed centrelines in RAS mm.
        radii: Radius of the mask at their points in mm.
        points: All points, shape (n, 3).
        tangents: Unit vectors there.
        widths: Radii there.
        owner: Line of each point.
        at_mm: Distance from the start of the line.
        blood_hu: HU of blood.
    """

    lines: list[_Values]
    radii: list[_Values]
    points: _Values
    tangents: _Values
    widths: _Values
    owner: npt.NDArray[np.intp]
    at_mm: _Values
    blood_hu: float


def arteries_of(
    branches: Sequence[AirwayBranch],
    calibres: Sequence[BranchCalibre | None],
    vessels: Mask,
    scan: Interpolated,
    hu: npt.NDArray[np.floating[Any]],
    affine: _Values,
    blur: Blur,
) -> list[float | None]:
    """Measure the artery beside each branch.

    Args:
        branches: The branches.
        calibres: Their lumen and wall.
        vessels: Bool array (i, j, k): the vessels.
        scan: The scan, for sections.
        hu: The scan on the grid of ``vessels``.
        affine: 4 x 4 matrix from voxel index of that grid to RAS mm.
        blur: The blur of the scan.

    Returns:
        Diameter of the artery of each branch in mm; None where the branch is out of range, none was found, or
        it could not be measured.
    """
    out: list[float | None] = [None] * len(branches)
    from scipy.spatial import KDTree

    wanted = {
        n: calibre
        for n, calibre in enumerate(calibres)
        if calibre is not None
        and calibre.lumen_mm is not None
        and LUMENS_MM[0] <= calibre.lumen_mm < LUMENS_MM[1]
    }
    if not wanted:
        return out
    found = _vessels(branches, calibres, vessels, hu, affine)
    if found is None:
        return out
    tree = KDTree(found.points)
    parts = {n: part for n in wanted if (part := _beside(branches[n], wanted[n], found, tree)) is not None}
    for n, diameter in _diameters(parts, found, scan, blur).items():
        plausible = RATIOS[0] <= (wanted[n].lumen_mm or 0.0) / diameter <= RATIOS[1]
        out[n] = diameter if plausible else None
    return out


def _vessels(
    branches: Sequence[AirwayBranch],
    calibres: Sequence[BranchCalibre | None],
    vessels: Mask,
    hu: npt.NDArray[np.floating[Any]],
    affine: _Values,
) -> _Vessels | None:
    """Thin the vessels near airways to lines; None where there are none."""
    near = _without_walls(branches, calibres, vessels, affine)
    if not near.any():
        return None
    radius = depth(np.pad(near, 1), spacing_of(affine))[1:-1, 1:-1, 1:-1]
    deep = hu[radius > _BLOOD_DEPTH_MM]
    deep = deep[deep > 0]
    graph = prune_spurs(build_graph(skeletonize(near), affine, radius_mm=radius))
    lines = [smooth_path(edge.points) for edge in graph.edges]
    if not lines:
        return None
    return _Vessels(
        lines,
        [edge.radii for edge in graph.edges],
        np.concatenate(lines),
        np.concatenate([_tangents(line) for line in lines]),
        np.concatenate([edge.radii for edge in graph.edges]),
        np.repeat(np.arange(len(lines)), [len(line) for line in lines]),
        np.concatenate([arc_length(line) for line in lines]),
        float(np.median(deep)) if deep.size >= _BLOOD_VOXELS else _BLOOD_HU,
    )


def _without_walls(
    branches: Sequence[AirwayBranch],
    calibres: Sequence[BranchCalibre | None],
    vessels: Mask,
    affine: _Values,
) -> Mask:
    """Take the walls of airways and what is far from all airways out of the vessels."""
    from scipy.spatial import KDTree

    points = np.concatenate([branch.points for branch in branches])
    outer = np.concatenate(
        [np.full(len(b.points), _outer_mm(b, c)) for b, c in zip(branches, calibres, strict=True)]
    )
    voxels = np.argwhere(vessels)
    places = voxels @ affine[:3, :3].T + affine[:3, 3]
    away, nearest = KDTree(points).query(places, distance_upper_bound=_FAR_MM)
    known = np.isfinite(away)
    margin = _IN_WALL_VOXELS * max(spacing_of(affine))
    kept = known.copy()
    kept[known] = away[known] > outer[nearest[known]] + margin
    out = np.zeros_like(vessels)
    out[tuple(voxels[kept].T)] = True
    return out


def _outer_mm(branch: AirwayBranch, calibre: BranchCalibre | None) -> float:
    """Outer radius of a branch in mm."""
    radius = float(np.median(branch.mask_radii))
    if calibre is not None and calibre.lumen_mm is not None:
        radius = calibre.lumen_mm / 2
    if calibre is not None and calibre.wall_mm is not None:
        return radius + calibre.wall_mm
    return radius + _USUAL_WALL[0] + _USUAL_WALL[1] * radius


def _tangents(line: _Values) -> _Values:
    steps = np.gradient(line, axis=0) if len(line) > 1 else np.zeros((1, 3))
    length = np.linalg.norm(steps, axis=1, keepdims=True)
    return np.asarray(steps / np.maximum(length, 1e-9), np.float64)


def _beside(
    branch: AirwayBranch, calibre: BranchCalibre, found: _Vessels, tree: KDTree
) -> tuple[int, float, float] | None:
    """Find the vessel beside a branch: its line, and where the part beside begins and ends on it, in mm."""
    along = arc_length(branch.points)
    low, high = calibre.middle_mm
    stations = np.arange(low, max(high, low + _STEP_MM / 2), _STEP_MM)
    places = np.stack([np.interp(stations, along, branch.points[:, axis]) for axis in range(3)], axis=1)
    ahead = _tangents(branch.points)
    tangents = np.stack([np.interp(stations, along, ahead[:, axis]) for axis in range(3)], axis=1)
    outer = _outer_mm(branch, calibre)
    rows = []
    for station, (place, tangent) in enumerate(zip(places, tangents, strict=True)):
        close = np.array(tree.query_ball_point(place, _FAR_MM), np.intp)
        away = found.points[close] - place
        gap = np.linalg.norm(away, axis=1) - outer - found.widths[close]
        good = (gap <= GAP_MM) & (gap >= -_OVERLAP_MM)
        good &= np.abs(away @ tangent) <= _BESIDE_MM
        good &= np.abs(found.tangents[close] @ tangent) >= _PARALLEL
        chosen = close[good]
        here = np.full(len(chosen), station)
        columns = (found.owner[chosen], here, gap[good], found.at_mm[chosen], found.widths[chosen])
        rows.append(np.stack(columns, axis=1))
    table = np.concatenate(rows)
    best: tuple[float, int, float, float] | None = None
    for line in np.unique(table[:, 0]):
        mine = table[table[:, 0] == line]
        if len(np.unique(mine[:, 1])) < COVERED * len(stations):
            continue
        start, end = float(mine[:, 3].min()), float(mine[:, 3].max())
        # A wider vessel a little farther off is rather the artery than a twig that touches the wall.
        rank = float(np.median(mine[:, 2])) - 2 * float(np.median(mine[:, 4]))
        entry = (rank, int(line), start, end)
        best = entry if best is None else min(best, entry)
    return None if best is None else best[1:]


def _diameters(
    parts: dict[int, tuple[int, float, float]], found: _Vessels, scan: Interpolated, blur: Blur
) -> dict[int, float]:
    """Measure the arteries of branches, by the number of the branch."""
    out = {}
    low_mm = 0.0
    for high_mm, reach in _GROUPS:
        lines, radii, numbers = [], [], []
        for number, (line, start, end) in parts.items():
            along = arc_length(found.lines[line])
            inside = (along >= start - _STEP_MM) & (along <= end + _STEP_MM)
            width = found.radii[line][inside]
            if inside.sum() >= 2 and low_mm <= float(np.median(width)) < high_mm:
                lines.append(found.lines[line][inside])
                radii.append(width)
                numbers.append(number)
        low_mm = high_mm
        if not lines:
            continue
        sections = sections_of(scan, lines, radii, numbers, reach)
        diameters = fit_solids(sections, blur, solid_hu=found.blood_hu)
        for number in numbers:
            known = diameters[(sections.branch == number) & np.isfinite(diameters)]
            if len(known):
                out[number] = float(np.median(known))
    return out

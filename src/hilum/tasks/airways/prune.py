"""The guard against leaks: branches without a wall round them, or wider than an airway can be, are removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airway_rim import RIM, rim_share, tangents_of
from hilum.imaging.centreline_tree import Branch, CentrelineTree, direct
from hilum.imaging.graph_cleaning import break_loops, merge_junctions, prune_spurs
from hilum.imaging.morphology import Mask, bounding_box, components, depth
from hilum.imaging.skeleton import centrelines
from hilum.imaging.skeleton_graph import build_graph
from hilum.tasks.airways.prepare import AirwayScan

__all__ = ["PRUNING", "Pruned", "PruningRules", "prune_leaks", "tree_of"]

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PruningRules:
    """Rules of the guard; chosen on phantoms of seeds 100 to 102 and by looking at scans.

    Attributes:
        walled: Least share of the length of a branch, with all that hangs on it, that has a wall round it.
        wide_mm: A branch is wider than its parent only if it leaks; checked from this radius on, mm ...
        wider: ... where its median radius is larger than its parent's by this factor: its area by a half.
        sure_mm: Wider airways, by radius in mm, are left alone: main bronchi lie against soft tissue.
    """

    walled: float = 0.7
    wide_mm: float = 1.5
    wider: float = 1.25
    sure_mm: float = 4.0


#: The rules in use.
PRUNING = PruningRules()


@dataclass(frozen=True, eq=False)
class Pruned:
    """A tree without its leaks.

    Attributes:
        lumen: Bool array (x, y, z).
        removed: What was removed.
        branches: Branches that are left.
        length_mm: Their length in mm.
        walled: Share of that length with a wall round it.
    """

    lumen: Mask
    removed: Mask
    branches: int
    length_mm: float
    walled: float


def tree_of(lumen: Mask, weight: _Floats, scan: AirwayScan) -> CentrelineTree:
    """Return the centrelines of the tree that hangs on the top of the trachea.

    Args:
        lumen: Bool array (x, y, z).
        weight: How sure each voxel is; loops are cut where it is least.
        scan: The scan, for its spacing and its trachea.

    Returns:
        Branches with points in mm from the centre of the first voxel.
    """
    radius = depth(np.pad(lumen, 1), scan.spacing)[1:-1, 1:-1, 1:-1]
    affine = np.diag([*scan.spacing, 1.0])
    graph = build_graph(centrelines(lumen, scan.spacing), affine, radius_mm=radius, weight=weight)
    graph = merge_junctions(prune_spurs(break_loops(graph)))
    top = np.argwhere(scan.seed)
    start = top[np.argmax(top[:, 2])] * np.array(scan.spacing)
    return direct(graph, (float(start[0]), float(start[1]), float(start[2])), all_parts=False)


def prune_leaks(lumen: Mask, likelihood: _Floats, scan: AirwayScan, rules: PruningRules = PRUNING) -> Pruned:
    """Remove branches that are leaks, with what hangs on them.

    Args:
        lumen: Bool array (x, y, z).
        likelihood: How likely each voxel is lumen.
        scan: The scan.
        rules: The rules.
    """
    box = bounding_box(lumen, 2 * max(scan.spacing), scan.spacing)
    assert box is not None  # the trachea is in it
    part = AirwayScan(
        scan.hu[box], scan.smooth[box], scan.spacing, scan.lungs[box], scan.seed[box] & lumen[box],
        scan.noise_hu, scan.box, scan.volume,
    )  # fmt: skip
    tree = tree_of(lumen[box], likelihood[box], part)
    walled = [_walled_mm(branch, part, rules) for branch in tree.branches]
    bad = _leaks(tree, walled, rules)
    kept = _without(lumen[box], tree, bad, part)
    whole = np.zeros(lumen.shape, bool)
    whole[box] = kept
    left = [index for index in range(len(bad)) if not bad[index]]
    length = sum(tree.branches[index].length_mm for index in left)
    seen = sum(walled[index] for index in left)
    return Pruned(whole, lumen & ~whole, len(left), length, seen / length if length else 0.0)


def _walled_mm(branch: Branch, scan: AirwayScan, rules: PruningRules) -> float:
    """Length of the part of a branch that has a wall round it, in mm."""
    if len(branch.points) < 2 or float(np.median(branch.radii)) >= rules.sure_mm:
        return branch.length_mm
    share = rim_share(scan.smooth, scan.spacing, branch.points, tangents_of(branch.points), branch.radii)
    return branch.length_mm * float(np.mean(share >= RIM.rays_share))


def _leaks(tree: CentrelineTree, walled: list[float], rules: PruningRules) -> list[bool]:
    """Return which branches are removed."""
    count = len(tree.branches)
    length = np.array([branch.length_mm for branch in tree.branches])
    below, seen = length.copy(), np.array(walled)
    bad = [False] * count
    for index in range(count - 1, -1, -1):  # children stand after their parents
        branch = tree.branches[index]
        bare = seen[index] < rules.walled * below[index]
        if branch.parent >= 0 and (bare or _wider(tree, index, rules)):
            bad[index] = True
        elif branch.parent >= 0:
            below[branch.parent] += below[index]
            seen[branch.parent] += seen[index]
    for index, branch in enumerate(tree.branches):
        if branch.parent >= 0 and bad[branch.parent]:
            bad[index] = True
    return bad


def _wider(tree: CentrelineTree, index: int, rules: PruningRules) -> bool:
    branch = tree.branches[index]
    mine, parent = np.median(branch.radii), np.median(tree.branches[branch.parent].radii)
    return bool(mine >= rules.wide_mm and mine < rules.sure_mm and mine > rules.wider * parent)


def _without(lumen: Mask, tree: CentrelineTree, bad: list[bool], scan: AirwayScan) -> Mask:
    """Remove the voxels that are nearest to a removed branch, and what then hangs on nothing."""
    from scipy.spatial import KDTree

    if not any(bad):
        return lumen
    table = tree.table()
    voxels = np.argwhere(lumen)
    nearest = KDTree(table.points).query(voxels * np.array(scan.spacing))[1]
    gone = np.array(bad)[table.branches[nearest]]
    out = lumen.copy()
    out[tuple(voxels[gone].T)] = False
    labels, _ = components(out, 26)
    hanging = np.zeros(int(labels.max()) + 1, bool)
    hanging[np.unique(labels[scan.seed & out])] = True
    hanging[0] = False
    kept: Mask = hanging[labels]
    return kept

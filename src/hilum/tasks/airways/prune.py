"""The guard against leaks: branches without a wall round them are removed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airway_rim import RIM, rim_share, tangents_of
from hilum.imaging.centreline_tree import Branch, CentrelineTree, direct
from hilum.imaging.graph_cleaning import break_loops, merge_junctions, prune_spurs
from hilum.imaging.morphology import Mask, bounding_box, components, depth, open_
from hilum.imaging.skeleton import centrelines
from hilum.imaging.skeleton_graph import build_graph
from hilum.tasks.airways.prepare import AirwayScan

__all__ = ["PRUNING", "Pruned", "PruningRules", "prune_leaks", "tree_of"]

_Floats = npt.NDArray[np.float32]
#: Airways of more than this radius in mm lose no voxel to a line that noise draws in them.
_WIDE_MM = 3.0


@dataclass(frozen=True)
class PruningRules:
    """Rules of the guard; chosen on phantoms of seeds 100 to 102 and by looking at scans.

    Attributes:
        walled: Least share of the length of a branch, with all that hangs on it, that has a wall round it.
        rise_hu: A wall is brighter than the lumen by at least this, HU. Smoothing by the noise of a low dose
            leaves this much of a thin one.
        noisy_hu, sure: In scans with more noise than this, HU, what the classifier gives at least this
            likelihood counts as walled: it sees walls that noise hides from single rays. What grew by
            threshold does not.
        sure_mm: Wider airways, by radius in mm, are left alone: main bronchi lie against soft tissue.
    """

    walled: float = 0.7
    rise_hu: float = 70.0
    noisy_hu: float = 32.0
    sure: float = 0.8
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


def prune_leaks(
    lumen: Mask, trunk: Mask, likelihood: _Floats, scan: AirwayScan, rules: PruningRules = PRUNING
) -> Pruned:
    """Remove branches that are leaks, with what hangs on them.

    Args:
        lumen: Bool array (x, y, z).
        trunk: The part of it that grew by threshold.
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
    limit = rules.sure if scan.noise_hu > rules.noisy_hu else np.inf
    sure = np.where(trunk[box], 0.0, likelihood[box]) >= limit
    seen = [max(w, _sure_mm(b, sure, part)) for w, b in zip(walled, tree.branches, strict=True)]
    bad = _leaks(tree, seen, rules)
    kept = _without(lumen[box], tree, bad, part)
    whole = np.zeros(lumen.shape, bool)
    whole[box] = kept
    left = [index for index in range(len(bad)) if not bad[index]]
    length = sum(tree.branches[index].length_mm for index in left)
    share = sum(walled[index] for index in left) / length if length else 0.0
    return Pruned(whole, lumen & ~whole, len(left), length, share)


def _walled_mm(branch: Branch, scan: AirwayScan, rules: PruningRules) -> float:
    """Length of the part of a branch that has a wall round it, in mm."""
    if len(branch.points) < 2 or float(np.median(branch.radii)) >= rules.sure_mm:
        return branch.length_mm
    wall = replace(RIM, rise_hu=rules.rise_hu)
    share = rim_share(
        scan.smooth, scan.spacing, branch.points, tangents_of(branch.points), branch.radii, wall
    )
    return branch.length_mm * float(np.mean(share >= RIM.rays_share))


def _sure_mm(branch: Branch, sure: Mask, scan: AirwayScan) -> float:
    """Length of the part of a branch that the classifier is sure of, in mm."""
    voxels = np.rint(branch.points / np.array(scan.spacing)).astype(np.intp)
    voxels = np.clip(voxels, 0, np.array(sure.shape) - 1)
    return branch.length_mm * float(np.mean(sure[tuple(voxels.T)]))


def _leaks(tree: CentrelineTree, walled: list[float], rules: PruningRules) -> list[bool]:
    """Return which branches are removed."""
    count = len(tree.branches)
    length = np.array([branch.length_mm for branch in tree.branches])
    below, seen = length.copy(), np.array(walled)
    bad = [False] * count
    for index in range(count - 1, -1, -1):  # children stand after their parents
        branch = tree.branches[index]
        if branch.parent >= 0 and seen[index] < rules.walled * below[index]:
            bad[index] = True
        elif branch.parent >= 0:
            below[branch.parent] += below[index]
            seen[branch.parent] += seen[index]
    for index, branch in enumerate(tree.branches):
        if branch.parent >= 0 and bad[branch.parent]:
            bad[index] = True
    return bad


def _without(lumen: Mask, tree: CentrelineTree, bad: list[bool], scan: AirwayScan) -> Mask:
    """Remove the voxels of removed branches that lie in no other, and what then hangs on nothing."""
    from scipy.spatial import KDTree

    table = tree.table()
    gone = np.array(bad, bool)[table.branches]
    if not gone.any():
        return lumen
    voxels = np.argwhere(lumen)
    places = voxels * np.array(scan.spacing)
    away, nearest = KDTree(table.points[gone]).query(places)
    to_kept, kept_nearest = KDTree(table.points[~gone]).query(places)
    slack = 0.5 * max(scan.spacing)
    inside_kept = to_kept <= table.radii[~gone][kept_nearest] + slack
    wide = open_(lumen, _WIDE_MM, scan.spacing)[tuple(voxels.T)]
    drop = ~wide & (away < to_kept) & (away <= 1.5 * table.radii[gone][nearest] + 2 * slack) & ~inside_kept
    out = lumen.copy()
    out[tuple(voxels[drop].T)] = False
    labels, _ = components(out, 26)
    hanging = np.zeros(int(labels.max()) + 1, bool)
    hanging[np.unique(labels[scan.seed & out])] = True
    hanging[0] = False
    kept: Mask = hanging[labels]
    return kept

"""The airways of a digital chest, drawn at 1 mm: their graph against the table of branches."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.evaluation.trees import score_tree
from hilum.imaging.centreline_tree import CentrelineTree, direct
from hilum.imaging.graph_cleaning import break_loops, merge_junctions, prune_spurs
from hilum.imaging.morphology import depth
from hilum.imaging.skeleton import centrelines
from hilum.imaging.skeleton_graph import build_graph
from hilum.synthesis.phantoms.anatomy import Body
from hilum.synthesis.phantoms.lung import ChestModel
from hilum.synthesis.phantoms.trees import Branch, Kind
from support.tubes import distance_to_segment

SPACING = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def branches() -> tuple[Branch, ...]:
    return ChestModel(Body.draw(3, 1.0, False, False), 3, {}).trees[Kind.AIRWAY]


@pytest.fixture(scope="module")
def drawn(branches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask, diameter at each voxel, and the position of the first voxel."""
    ends = np.array([point for branch in branches for point in (branch.start, branch.end)])
    origin = ends.min(axis=0) - 12
    shape = tuple(np.ceil(ends.max(axis=0) + 12 - origin).astype(int))
    mask, diameter = np.zeros(shape, bool), np.zeros(shape, np.float32)
    for branch in branches:
        pair = np.array([branch.start, branch.end]) - origin
        low = np.floor(pair.min(axis=0) - branch.radius).astype(int)
        high = np.ceil(pair.max(axis=0) + branch.radius).astype(int) + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        at = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
        inside = distance_to_segment(at, *pair) <= branch.radius
        mask[box] |= inside
        diameter[box] = np.where(inside, np.maximum(diameter[box], 2 * branch.radius), diameter[box])
    return mask, diameter, origin


@pytest.fixture(scope="module")
def tree(branches, drawn) -> CentrelineTree:
    mask, _, origin = drawn
    affine = np.eye(4)
    affine[:3, 3] = origin
    graph = build_graph(centrelines(mask, SPACING), affine, radius_mm=depth(mask, SPACING))
    return direct(merge_junctions(prune_spurs(break_loops(graph))), branches[0].start)


def test_the_tree_is_one_and_starts_with_trachea_and_main_bronchi(tree):
    assert [branch.parent for branch in tree.branches].count(-1) == 1
    trachea, *mains = tree.branches[:3]
    assert [trachea.generation, *(main.generation for main in mains)] == [0, 1, 1]
    assert np.median(trachea.radii) == pytest.approx(8.6, abs=0.8)
    assert trachea.length_mm == pytest.approx(150, abs=12)
    assert sorted(np.median(main.radii) for main in mains) == pytest.approx([5.8, 6.6], abs=0.8)


def test_each_branch_of_the_table_has_a_centreline_with_its_radius(tree, branches):
    points, radii = tree.table().points, tree.table().radii
    longer = [b for b in branches if np.linalg.norm(np.subtract(b.end, b.start)) > max(6, 3 * b.radius)]
    assert len(longer) > 150
    away, error = [], []
    for branch in longer:
        middle = (np.array(branch.start) + branch.end) / 2
        distance = np.linalg.norm(points - middle, axis=1)
        away.append(distance.min())
        error.append(radii[int(np.argmin(distance))] - branch.radius)
    assert np.mean(np.array(away) < 2.0) > 0.97
    assert np.median(np.abs(error)) < 0.5


def test_length_and_number_of_branches_are_those_of_the_table_without_short_ends(tree, branches):
    total = sum(float(np.linalg.norm(np.subtract(b.end, b.start))) for b in branches)
    assert 0.85 * total < tree.length_mm < 1.02 * total
    assert 0.7 * len(branches) < len(tree.branches) < len(branches)


def test_a_tree_without_its_thin_branches_finds_the_wide_bins_only(drawn):
    mask, diameter, _ = drawn
    scores = score_tree(mask & (diameter >= 3), mask, SPACING, diameter_mm=diameter)
    thin = next(part for part in scores.bins if part.low_mm == 2.0)
    assert scores.from_diameter(3.0).td == 1
    assert scores.from_diameter(3.0).bd > 0.9
    assert thin.bd < 0.2
    assert scores.precision == 1
    assert scores.centreline_leakage == 0

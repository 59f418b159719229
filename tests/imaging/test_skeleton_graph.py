from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hilum.core.errors import UsageError
from hilum.imaging.centreline_tree import CentrelineTree, direct
from hilum.imaging.graph_cleaning import break_loops, join_chains, merge_junctions, prune_spurs
from hilum.imaging.morphology import components, depth
from hilum.imaging.skeleton import centrelines, skeletonize
from hilum.imaging.skeleton_graph import SkeletonGraph, build_graph
from support.tubes import draw_tubes, grid_affine, unit

EYE = np.eye(4)


def graph_of(voxels, weight=None) -> SkeletonGraph:
    """Graph of the listed voxels, as a skeleton."""
    voxels = np.asarray(voxels)
    mask = np.zeros(voxels.max(axis=0) + 2, bool)
    mask[tuple(voxels.T)] = True
    return build_graph(mask, EYE, weight=None if weight is None else weight(mask))


def line(start, step, count):
    return np.asarray(start) + np.arange(count)[:, None] * np.asarray(step)


def tube_graph(mask, spacing) -> SkeletonGraph:
    return build_graph(centrelines(mask, spacing), grid_affine(spacing), radius_mm=depth(mask, spacing))


def cleaned(mask, spacing) -> SkeletonGraph:
    return merge_junctions(prune_spurs(break_loops(tube_graph(mask, spacing))))


def test_a_straight_line_is_one_edge_of_its_length():
    graph = graph_of(line((1, 1, 1), (1, 0, 0), 11))
    assert len(graph.nodes) == 2
    assert [edge.length_mm for edge in graph.edges] == pytest.approx([10.0])
    assert (graph.edges[0].points[:, 0] == np.arange(1, 12)).all()


def test_a_corner_is_no_junction():
    graph = graph_of(np.concatenate([line((1, 1, 1), (1, 0, 0), 6), line((6, 2, 1), (0, 1, 0), 6)]))
    assert len(graph.edges) == 1
    assert len(graph.edges[0].points) == 12


def test_a_t_is_three_edges_that_meet_in_one_node():
    graph = graph_of(np.concatenate([line((1, 8, 1), (1, 0, 0), 15), line((8, 1, 1), (0, 1, 0), 7)]))
    assert len(graph.edges) == 3
    assert sorted(graph.degrees().values()) == [1, 1, 1, 3]
    assert graph.length_mm == pytest.approx(21.0)


def test_points_lie_in_the_space_of_the_affine():
    affine = np.array([[0, -0.7, 0, 10], [0.7, 0, 0, -5], [0, 0, 2.0, 3], [0, 0, 0, 1.0]])
    mask = np.zeros((4, 4, 9), bool)
    mask[2, 1] = True
    edge = build_graph(mask, affine).edges[0]
    assert edge.points[0] == pytest.approx([9.3, -3.6, 3.0])
    assert edge.length_mm == pytest.approx(16.0)


@pytest.mark.parametrize("voxels", [[(1, 1, 1)], [(1, 1, 1), (1, 1, 4)]])
def test_lone_voxels_are_nodes_without_edges(voxels):
    graph = graph_of(voxels)
    assert len(graph.nodes) == len(voxels)
    assert graph.edges == ()
    assert direct(break_loops(graph)).branches == ()


def test_an_empty_skeleton_is_an_empty_tree():
    empty = np.zeros((3, 4, 5), bool)
    graph = break_loops(build_graph(skeletonize(empty), EYE))
    tree = direct(merge_junctions(prune_spurs(graph)), (0, 0, 0))
    assert len(graph.nodes) == len(tree.branches) == len(tree.table().points) == 0


def square(size=9):
    side = line((1, 1, 1), (1, 0, 0), size)
    far = line((1, size, 1), (1, 0, 0), size)
    return np.concatenate([side, far, side[:, [1, 0, 2]], far[:, [1, 0, 2]]])


def test_a_closed_line_is_a_loop_and_is_broken_at_its_smallest_weight():
    def weight(mask):
        values = np.ones(mask.shape)
        values[5, 9, 1] = 0.1
        return values

    graph = graph_of(square(), weight)
    assert [edge.start == edge.end for edge in graph.edges] == [True]
    with pytest.raises(UsageError, match="loop"):
        direct(graph)
    broken = break_loops(graph)
    assert len(broken.edges) == 1
    assert len(direct(broken).branches) == 1
    gone = {tuple(p) for p in graph.edges[0].points} - {tuple(p) for p in broken.edges[0].points}
    assert gone == {(5.0, 9.0, 1.0)}


def test_a_loop_in_a_tree_leaves_both_branches_up_to_the_weak_point():
    ring = square(21)
    stem = line((11, 1, 1), (0, 1, 0), 21)
    graph = graph_of(np.concatenate([stem, ring + np.array([0, 21, 0])]))
    # All weights are equal, so the ring is cut opposite of the stem.
    tree = direct(break_loops(graph), (11, 0, 1))
    assert sorted(branch.generation for branch in tree.branches) == [0, 1, 1]
    lengths = sorted(branch.length_mm for branch in tree.branches[1:])
    assert lengths[1] - lengths[0] < 3
    assert sum(lengths) == pytest.approx(78, abs=6)  # smoothing rounds the corners


def test_spurs_go_and_the_stem_becomes_one_edge_again():
    stem = line((1, 10, 5), (1, 0, 0), 40)
    spurs = [line((x, 11, 5), (0, 1, 0), 2) for x in (10, 20, 30)]
    graph = graph_of(np.concatenate([stem, *spurs]))
    assert len(graph.edges) == 7
    pruned = prune_spurs(graph)
    assert len(pruned.edges) == 1
    assert pruned.length_mm == pytest.approx(39.0, abs=0.5)


def test_a_spur_within_its_parent_goes_and_a_branch_that_leaves_it_stays():
    stem, side = line((1, 10, 5), (1, 0, 0), 40), line((20, 11, 5), (0, 1, 0), 8)
    voxels = np.concatenate([stem, side])
    mask = np.zeros(voxels.max(axis=0) + 2, bool)
    mask[tuple(voxels.T)] = True
    for radius, edges in ((2.0, 3), (8.0, 1)):
        graph = build_graph(mask, EYE, radius_mm=np.full(mask.shape, radius))
        assert len(prune_spurs(graph).edges) == edges


def test_a_fork_of_two_short_tips_keeps_its_stem():
    stem = line((1, 10, 5), (1, 0, 0), 20)
    tips = [line((21, 11, 5), (1, 1, 0), 1), line((21, 9, 5), (1, -1, 0), 2)]
    pruned = prune_spurs(graph_of(np.concatenate([stem, *tips])))
    assert len(pruned.edges) == 1
    assert pruned.length_mm > 20


def test_a_lone_short_line_is_no_spur():
    assert len(prune_spurs(graph_of(line((1, 1, 1), (1, 0, 0), 3))).edges) == 1


@settings(max_examples=40, deadline=None)
@given(arrays(bool, (6, 7, 8), elements=st.booleans()))
def test_any_mask_becomes_a_forest_that_keeps_its_parts(mask):
    skeleton = skeletonize(mask)
    assert not (skeleton & ~mask).any()
    graph = break_loops(build_graph(skeleton, EYE, radius_mm=depth(mask, (1, 1, 1))))
    tree = direct(graph)
    assert len(tree.branches) == len(graph.edges)
    parts = len(components(skeleton, 26)[1]) - 1
    roots = sum(branch.parent < 0 for branch in tree.branches)
    alone = set(range(len(graph.nodes))) - set(graph.degrees())
    assert parts <= roots + len(alone)
    pruned = direct(merge_junctions(prune_spurs(graph)))
    assert sum(branch.parent < 0 for branch in pruned.branches) == roots
    check_table(pruned)


def check_table(tree: CentrelineTree) -> None:
    table = tree.table()
    assert (table.parents < np.arange(len(table.points))).all()
    inner = table.parents >= 0
    steps = np.linalg.norm(table.points[inner] - table.points[table.parents[inner]], axis=1)
    assert steps.sum() == pytest.approx(tree.length_mm)


DIRECTIONS = [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 2, 3), (-2, 1, 4)]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 1.0), (0.6, 0.8, 1.5)])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_tube_is_one_branch_of_its_length_in_any_direction(direction, spacing):
    shape = tuple(int(np.ceil(56 / step)) for step in spacing)
    middle, half = np.array([28.0, 28, 28]), 20 * unit(direction)
    mask = draw_tubes(shape, spacing, [(middle - half, middle + half, 2.5)])
    graph = cleaned(mask, spacing)
    assert len(graph.edges) == 1
    # Round ends make the tube 45 mm long; the line ends within two radii of the surface.
    assert 35.5 < graph.length_mm < 45
    away = np.linalg.norm(np.cross(graph.edges[0].points - middle, unit(direction)), axis=1)
    assert np.median(away) < max(spacing)


Y_STEM, Y_TIPS = (30.0, 30.0, 4.0), [(12.0, 30.0, 52.0), (48.0, 30.0, 52.0)]
Y_FORK = (30.0, 30.0, 28.0)


def tree_of(mask, spacing, root) -> CentrelineTree:
    return direct(cleaned(mask, spacing), root)


def test_a_y_is_a_parent_with_two_children():
    spacing = (0.8, 0.8, 1.0)
    segments = [(Y_STEM, Y_FORK, 3.5), *((Y_FORK, tip, 2.5) for tip in Y_TIPS)]
    tree = tree_of(draw_tubes((75, 75, 58), spacing, segments), spacing, Y_STEM)
    assert [(b.parent, b.generation) for b in tree.branches] == [(-1, 0), (0, 1), (0, 1)]
    assert np.linalg.norm(tree.branches[0].points[-1] - Y_FORK) < 3
    assert tree.branches[0].length_mm == pytest.approx(24, abs=4)
    for branch in tree.branches[1:]:
        assert branch.length_mm == pytest.approx(30, abs=4)
        assert (branch.points[0] == tree.branches[0].points[-1]).all()
    assert np.median(tree.branches[0].radii) == pytest.approx(3.5, abs=0.8)
    check_table(tree)


@pytest.mark.parametrize("turn", [0, 20, 45])
def test_a_trifurcation_counts_once(turn):
    spacing = (1.0, 1.0, 1.0)
    fork = np.array([30.0, 30.0, 24.0])
    angles = np.radians(turn + np.array([0, 120, 240]))
    tips = [fork + np.array([18 * np.cos(a), 18 * np.sin(a), 24]) for a in angles]
    segments = [((30.0, 30.0, 4.0), fork, 3.5), *((fork, tip, 2.2) for tip in tips)]
    tree = tree_of(draw_tubes((60, 60, 56), spacing, segments), spacing, (30, 30, 4))
    assert [branch.generation for branch in tree.branches] == [0, 1, 1, 1]


def test_two_bifurcations_apart_count_twice():
    segments = [
        ((30.0, 30.0, 4.0), (30.0, 30.0, 56.0), 3.0),
        ((30.0, 30.0, 20.0), (52.0, 30.0, 34.0), 2.0),
        ((30.0, 30.0, 36.0), (8.0, 30.0, 52.0), 2.0),
    ]
    tree = tree_of(draw_tubes((60, 60, 60), (1, 1, 1), segments), (1, 1, 1), (30, 30, 4))
    assert sorted(branch.generation for branch in tree.branches) == [0, 1, 1, 2, 2]


def test_parts_without_the_root_have_their_own_or_are_left_out():
    mask = draw_tubes(
        (50, 20, 20), (1, 1, 1), [((4, 10, 10), (20, 10, 10), 2), ((30, 10, 10), (45, 10, 10), 3)]
    )
    graph = cleaned(mask, (1, 1, 1))
    both = direct(graph, (0, 10, 10))
    assert [branch.parent for branch in both.branches] == [-1, -1]
    assert both.branches[0].points[0][0] < 6
    assert len(direct(graph, (0, 10, 10), all_parts=False).branches) == 1
    # Without a root the thickest part comes first.
    assert direct(graph).branches[0].points[0][0] > 25


def test_joining_chains_keeps_what_is_asked_for():
    graph = prune_spurs(graph_of(line((1, 1, 1), (1, 0, 0), 11)))
    cut = SkeletonGraph(
        np.concatenate([graph.nodes, [[6.0, 1, 1]]]),
        np.zeros(3),
        tuple(
            type(graph.edges[0])(a, b, np.array([p, q], float), np.zeros(2), np.zeros(2))
            for a, b, p, q in ((0, 2, (1, 1, 1), (6, 1, 1)), (2, 1, (6, 1, 1), (11, 1, 1)))
        ),
    )
    assert len(join_chains(cut).edges) == 1
    assert len(join_chains(cut, keep=[2]).edges) == 2


def test_arrays_of_other_shapes_are_refused():
    mask = np.zeros((3, 3, 3), bool)
    with pytest.raises(UsageError, match="radius_mm"):
        build_graph(mask, EYE, radius_mm=np.zeros((3, 3, 2)))
    with pytest.raises(UsageError, match="axes"):
        build_graph(mask[0], EYE)
    with pytest.raises(UsageError, match="axes"):
        skeletonize(mask[0])

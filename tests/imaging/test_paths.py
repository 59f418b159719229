from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.errors import UsageError
from hilum.imaging.gaps import bridge_gaps, find_gaps
from hilum.imaging.morphology import depth
from hilum.imaging.paths import arc_length, minimal_path, path_length, smooth_path
from hilum.imaging.skeleton import centrelines, skeletonize
from hilum.imaging.skeleton_graph import SkeletonGraph, build_graph
from support.tubes import draw_tubes, grid_affine, unit


@pytest.mark.parametrize("direction", [(1, 0, 0), (1, 2, 3), (3, -2, 1), (5, 1, 1), (2, 2, 1)])
def test_a_digital_line_has_its_true_length_once_smoothed(direction):
    points = np.rint(np.linspace(0, 1, 401)[:, None] * 40 * unit(direction))
    points = points[np.r_[True, np.diff(points, axis=0).any(axis=1)]]
    true = np.linalg.norm(points[-1])
    assert path_length(smooth_path(points)) == pytest.approx(true, rel=0.015)
    assert path_length(points) >= path_length(smooth_path(points)) - 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_smoothing_keeps_ends_and_number_of_points_and_lengthens_nothing(count, seed):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    smoothed = smooth_path(points)
    assert smoothed.shape == points.shape
    if count:
        assert (smoothed[[0, -1]] == points[[0, -1]]).all()
        assert arc_length(points)[-1] == pytest.approx(path_length(points))
    assert len(arc_length(points)) == count


def test_straight_lines_stay_where_they_are():
    points = np.outer(np.arange(12.0), [1, 2, 3])
    assert smooth_path(points) == pytest.approx(points)


def test_minimal_path_keeps_to_where_the_cost_is_low():
    cost = np.full((20, 20, 5), 10.0)
    cost[2, :, 2] = cost[:, 17, 2] = 1.0
    path, total = minimal_path(cost, (2, 2, 2), (17, 17, 2), (1, 1, 1))
    assert tuple(path[0]) == (2, 2, 2)
    assert tuple(path[-1]) == (17, 17, 2)
    assert (cost[tuple(path.T)] == 1).all()
    assert total == pytest.approx(29.4, abs=0.1)  # the corner is cut by one diagonal


def test_minimal_path_counts_millimetres():
    straight = minimal_path(np.ones((3, 3, 9)), (1, 1, 0), (1, 1, 8), (0.7, 0.7, 2.5))
    assert straight[1] == pytest.approx(20.0)


def test_no_path_leads_through_walls():
    cost = np.ones((9, 9, 9))
    cost[4] = np.inf
    assert minimal_path(cost, (1, 1, 1), (8, 1, 1), (1, 1, 1)) is None
    cost[4] = -1
    assert minimal_path(cost, (1, 1, 1), (8, 1, 1), (1, 1, 1)) is None
    assert minimal_path(cost, (4, 1, 1), (8, 1, 1), (1, 1, 1)) is None
    with pytest.raises(UsageError, match="end"):
        minimal_path(cost, (1, 1, 1), (9, 1, 1), (1, 1, 1))


SPACING = (0.8, 0.8, 1.0)


def parts(*segments) -> tuple[SkeletonGraph, np.ndarray]:
    mask = draw_tubes((70, 60, 50), SPACING, segments)
    lines = centrelines(mask, SPACING)
    return build_graph(lines, grid_affine(SPACING), radius_mm=depth(mask, SPACING)), mask


def test_a_gap_along_the_axis_is_bridged():
    graph, mask = parts(((6, 24, 10), (24, 24, 22), 2.0), ((30, 24, 26), (48, 24, 38), 2.0))
    (gap,) = find_gaps(graph)
    assert gap.angle_deg < 30
    cost = np.where(mask, 0.1, 1.0)
    (bridge,) = bridge_gaps(graph, cost, grid_affine(SPACING))
    joined = mask.copy()
    joined[tuple(bridge.voxels.T)] = True
    assert len(build_graph(skeletonize(joined), grid_affine(SPACING)).edges) == 1
    steps = np.abs(np.diff(bridge.voxels, axis=0)).max(axis=1)
    assert (steps == 1).all()
    assert bridge.cost > 0


def test_a_wide_gap_is_not_bridged():
    graph, _ = parts(((6, 24, 20), (18, 24, 20), 2.0), ((34, 24, 20), (48, 24, 20), 2.0))
    assert find_gaps(graph) == []
    assert len(find_gaps(graph, widest_mm=16)) == 1


def test_tubes_side_by_side_are_not_joined():
    graph, _ = parts(((6, 20, 20), (40, 20, 20), 1.5), ((6, 26, 20), (40, 26, 20), 1.5))
    assert find_gaps(graph) == []


def test_an_end_that_meets_a_tube_across_is_not_joined_to_its_end():
    graph, _ = parts(((6, 24, 20), (24, 24, 20), 1.5), ((30, 24, 20), (30, 44, 20), 1.5))
    assert find_gaps(graph) == []


def test_an_end_has_one_partner_the_nearest():
    graph, _ = parts(
        ((4, 24, 20), (20, 24, 20), 1.5), ((25, 24, 20), (40, 18, 20), 1.5), ((27, 26, 20), (44, 34, 20), 1.5)
    )
    gaps = find_gaps(graph)
    assert len(gaps) == 1
    assert graph.nodes[gaps[0].other][1] == pytest.approx(24, abs=1.5)


def test_no_ends_no_gaps():
    empty = build_graph(np.zeros((4, 4, 4), bool), np.eye(4))
    assert find_gaps(empty) == []
    lone = np.zeros((4, 4, 4), bool)
    lone[1, 1, 1] = lone[3, 3, 3] = True
    assert bridge_gaps(build_graph(lone, np.eye(4)), np.ones((4, 4, 4)), np.eye(4)) == []


def test_a_wall_in_the_gap_leaves_it_open():
    graph, mask = parts(((6, 24, 20), (22, 24, 20), 2.0), ((28, 24, 20), (48, 24, 20), 2.0))
    assert len(find_gaps(graph)) == 1
    cost = np.where(mask, 0.1, np.inf)
    assert bridge_gaps(graph, cost, grid_affine(SPACING)) == []


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 1.0)])
def test_centrelines_reach_the_ends_that_thinning_loses(spacing):
    """A stem an even number of voxels wide, straight along an axis: Lee's thinning eats it from its end."""
    fork = (30.4, 30.4, 28.0)
    segments = [((30.4, 30.4, 4.0), fork, 3.5), (fork, (12, 30, 52), 2.5), (fork, (48, 30, 52), 2.5)]
    mask = draw_tubes((75, 75, 58), spacing, segments)
    lines = centrelines(mask, spacing)
    assert not (lines & ~mask).any()
    ends = (np.argwhere(lines) * spacing)[:, 2]
    assert ends.min() < 4.0 + 3.5
    assert ends.max() > 52 - 2 * 2.5


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
def test_centrelines_keep_the_parts_of_any_mask(seed, share):
    from hilum.imaging.morphology import components

    mask = np.random.default_rng(seed).random((9, 8, 7)) < share
    lines = centrelines(mask, (0.7, 0.8, 1.5))
    assert not (lines & ~mask).any()
    assert len(components(lines, 26)[1]) == len(components(skeletonize(mask), 26)[1])

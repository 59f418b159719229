from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hilum.core.errors import InputError, UsageError
from hilum.evaluation.tree_metrics import TREE_METRICS, tree_values
from hilum.evaluation.trees import branch_labels, cl_dice, score_tree
from hilum.imaging.skeleton import skeletonize
from support.tubes import draw_tubes

SPACING = (0.8, 0.8, 1.0)
SHAPE = (76, 76, 60)
STEM = ((30.1, 30.2, 4.1), (29.6, 29.7, 28.0), 3.5)
LEFT = ((29.6, 29.7, 28.0), (12.2, 30.1, 52.0), 2.4)
RIGHT = ((29.6, 29.7, 28.0), (48.3, 29.5, 52.2), 2.4)


def tubes(*segments):
    return draw_tubes(SHAPE, SPACING, segments)


@pytest.fixture(scope="module")
def whole():
    return tubes(STEM, LEFT, RIGHT)


def test_the_reference_itself_has_perfect_scores(whole):
    scores = score_tree(whole, whole, SPACING)
    assert scores.whole.td == scores.whole.td_mm == scores.whole.bd == 1
    assert scores.precision == scores.dice == scores.cl_dice == 1
    assert scores.leakage == scores.centreline_leakage == scores.centreline_leakage_mm == 0
    assert scores.leakage_ml == 0
    assert scores.whole.branches == 3


def test_a_missing_branch_costs_its_length_and_one_of_three_branches(whole):
    scores = score_tree(tubes(STEM, LEFT), whole, SPACING)
    assert scores.whole.branches_found == 2
    line = skeletonize(whole)
    assert scores.whole.td == pytest.approx((line & tubes(STEM, LEFT)).sum() / line.sum())
    assert 0.55 < scores.whole.td < 0.75
    assert scores.precision == 1
    assert scores.cl_dice < 0.85


def test_a_branch_counts_from_80_percent_on():
    line = np.zeros((5, 5, 24), bool)
    line[2, 2, 2:22] = True  # a skeleton already, of 20 voxels
    for found, branches in ((15, 0), (16, 1)):
        part = line.copy()
        part[2, 2, 2 + found :] = False
        scores = score_tree(part, line, (1, 1, 1))
        assert (scores.whole.voxels, scores.whole.voxels_found) == (20, found)
        assert (scores.whole.branches, scores.whole.branches_found) == (1, branches)


def test_what_is_added_is_leakage(whole):
    leak = ((12.2, 30.1, 52.0), (12.2, 52.0, 52.0), 2.4)
    found = tubes(STEM, LEFT, RIGHT, leak)
    scores = score_tree(found, whole, SPACING)
    extra = np.count_nonzero(found & ~whole)
    assert scores.leakage == pytest.approx(extra / whole.sum())
    assert scores.leakage_ml == pytest.approx(extra * 0.64 / 1000)
    assert scores.precision == pytest.approx(whole.sum() / found.sum())
    assert scores.whole.bd == 1
    # About 20 of 85 mm are added.
    assert scores.centreline_leakage_mm == pytest.approx(0.24, abs=0.06)
    assert 0 < scores.centreline_leakage < 0.4


def test_ignored_voxels_are_neither_right_nor_wrong(whole):
    leak = ((12.2, 30.1, 52.0), (12.2, 52.0, 52.0), 2.4)
    scores = score_tree(tubes(STEM, LEFT, RIGHT, leak), whole, SPACING, ignore=tubes(leak))
    assert scores.precision == 1
    assert scores.leakage == scores.centreline_leakage == 0
    assert score_tree(whole, whole, SPACING, ignore=np.ones(SHAPE, bool)).whole.td == 1


def test_only_the_largest_part_of_one_tree_counts(whole):
    far = tubes(((50, 52, 6), (50, 52, 20), 2.0))
    assert score_tree(whole | far, whole, SPACING).precision == 1
    assert score_tree(whole | far, whole, SPACING, one_tree=False).precision < 1
    both = score_tree(whole, whole | far, SPACING, one_tree=False)
    assert both.whole.branches == 4
    assert both.whole.branches_found == 3
    assert score_tree(whole, whole | far, SPACING).whole.td == 1


def test_bins_follow_the_diameter_and_add_up(whole):
    scores = score_tree(tubes(STEM, LEFT), whole, SPACING, diameter_mm=np.where(tubes(STEM), 7.0, 4.8))
    wide, narrow = scores.from_diameter(5.0), scores.bins[-2]
    assert (narrow.low_mm, narrow.high_mm) == (3.0, 5.0)
    assert (wide.branches, wide.bd) == (1, 1)
    assert (narrow.branches, narrow.bd) == (2, 0.5)
    assert narrow.td < 0.7 < wide.td
    assert scores.whole.voxels == sum(part.voxels for part in scores.bins)
    assert scores.bins[0].td is scores.bins[0].bd is None
    with pytest.raises(UsageError, match="low_mm"):
        scores.from_diameter(4.0)


def test_lengths_in_mm_are_those_of_the_tubes_at_any_spacing():
    for spacing in ((1.0, 1.0, 1.0), (0.7, 0.9, 2.0)):
        line = np.zeros((5, 5, 24), bool)
        line[2, 2, 2:22] = True
        scores = score_tree(line, line, spacing)
        assert scores.whole.length_mm == pytest.approx(19 * spacing[2])


def test_junctions_and_short_pieces_are_no_branches():
    cross = np.zeros((21, 21, 5), bool)
    cross[10, 2:19, 2] = cross[2:19, 10, 2] = True
    labels, count = branch_labels(cross)
    assert count == 4
    assert labels[10, 10, 2] == 0
    short = np.zeros((9, 9, 9), bool)
    short[4, 4, 2:6] = True
    assert branch_labels(short)[1] == 0
    short[4, 4, 6] = True
    assert branch_labels(short)[1] == 1


def test_an_empty_prediction_finds_nothing_and_an_empty_reference_is_refused(whole):
    empty = np.zeros(SHAPE, bool)
    scores = score_tree(empty, whole, SPACING)
    assert (scores.whole.td, scores.whole.bd, scores.leakage, scores.dice) == (0, 0, 0, 0)
    assert scores.precision is None
    assert scores.cl_dice is None
    with pytest.raises(InputError, match="no tree"):
        score_tree(whole, empty, SPACING)


def test_a_reference_of_one_voxel_has_scores():
    dot = np.zeros((4, 4, 4), bool)
    dot[1, 1, 1] = True
    scores = score_tree(dot, dot, (1, 2, 4))
    assert scores.whole.td == scores.precision == 1
    assert scores.whole.bd is None
    assert scores.whole.length_mm == pytest.approx(2.0)


def test_cl_dice_ignores_thickness_and_sees_a_cut(whole):
    thin = tubes(*((a, b, r - 0.9) for a, b, r in (STEM, LEFT, RIGHT)))
    assert cl_dice(thin, whole) > 0.97
    cut = whole.copy()
    cut[:, :, 36:44] = False
    assert cl_dice(cut, whole) < 0.95
    assert cl_dice(whole, np.zeros_like(whole)) is None
    apart = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    apart[0][1, 1], apart[1][7, 7] = True, True
    assert cl_dice(*apart) == 0
    with pytest.raises(UsageError, match="shape"):
        cl_dice(whole, whole[1:])


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (6, 7, 5)), arrays(bool, (6, 7, 5)), st.booleans())
def test_scores_of_any_masks_stay_in_their_range(prediction, reference, one_tree):
    reference[3, 3, 3] = True
    scores = score_tree(prediction, reference, (0.7, 0.8, 1.5), one_tree=one_tree)
    whole = scores.whole
    for share in (whole.td, whole.td_mm, whole.bd, scores.precision, scores.dice, scores.cl_dice):
        assert share is None or 0 <= share <= 1
    assert scores.leakage >= 0
    assert scores.skeleton_outside_mm <= scores.skeleton_prediction_mm + 1e-9
    if not one_tree:
        assert scores.cl_dice == cl_dice(prediction, reference) or math.isclose(
            scores.cl_dice, cl_dice(prediction, reference)
        )


def test_what_does_not_fit_is_refused(whole):
    with pytest.raises(UsageError, match="prediction"):
        score_tree(whole[1:], whole, SPACING)
    with pytest.raises(UsageError, match="ignore"):
        score_tree(whole, whole, SPACING, ignore=whole[1:])
    with pytest.raises(UsageError, match="bins_mm"):
        score_tree(whole, whole, SPACING, bins_mm=(0, 2, 2))


def test_each_metric_has_a_value_or_a_reason(whole):
    values = tree_values(score_tree(tubes(STEM, LEFT), whole, SPACING))
    assert list(values) == list(TREE_METRICS)
    assert all(value.value is not None and value.reason is None for value in values.values())
    assert values["leakage_volume"].unit == "mL"
    empty = tree_values(score_tree(np.zeros(SHAPE, bool), whole, SPACING))
    assert "prediction" in empty["tree_precision"].reason
    assert "prediction" in empty["cl_dice"].reason
    assert empty["td"].value == 0
    dot = np.zeros((4, 4, 4), bool)
    dot[1, 1, 1] = True
    assert "branch" in tree_values(score_tree(dot, dot, (1, 1, 1)))["bd"].reason


def test_values_from_a_diameter_on_are_those_of_its_bins(whole):
    scores = score_tree(tubes(STEM, LEFT), whole, SPACING, diameter_mm=np.where(tubes(STEM), 7.0, 4.8))
    assert tree_values(scores, 5.0)["bd"].value == 1
    assert tree_values(scores)["bd"].value == pytest.approx(2 / 3)
    thin = score_tree(whole, whole, SPACING, diameter_mm=np.full(SHAPE, 2.5))
    assert "diameter" in tree_values(thin, 5.0)["td"].reason

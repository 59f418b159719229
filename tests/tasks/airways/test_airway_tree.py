from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import InputError, UsageError
from hilum.core.labels import Lobe
from hilum.tasks.airways.tree import AirwayTree, build_tree
from support.tubes import draw_tubes


@pytest.fixture(scope="module")
def tree(tubes) -> AirwayTree:
    return build_tree(tubes.lumen, np.eye(4), tubes.lungs)


def test_generations_and_sides_count_from_the_trachea(tree) -> None:
    places = [(branch.generation, branch.side) for branch in tree.branches]
    assert sorted(places) == [
        (0, "none"), (1, "left"), (1, "right"), (2, "left"), (2, "left"), (2, "right"), (2, "right")
    ]  # fmt: skip
    assert tree.branches[0].points[0, 2] > tree.branches[0].points[-1, 2]
    assert all(branch.parent < index for index, branch in enumerate(tree.branches))


def test_lengths_are_those_of_the_drawn_axes(tree) -> None:
    assert tree.branches[0].length_mm == pytest.approx(28, abs=4)
    for side in ("right", "left"):
        main = tree.main_bronchus(side)
        assert main is not None
        # Where a wide tube forks is known to its radius.
        assert main.length_mm == pytest.approx(17.7, abs=4)
        assert len([branch for branch in tree.of(side) if branch.generation == 2]) == 2


def test_the_volume_of_the_mask_is_divided_among_the_branches(tree, tubes) -> None:
    assert sum(branch.mask_ml for branch in tree.branches) == pytest.approx(tubes.lumen.sum() / 1000)
    assert tree.dropped_ml == 0


def test_the_tree_does_not_depend_on_the_order_of_the_axes(tree, tubes) -> None:
    turned = np.ascontiguousarray(tubes.lumen.transpose(2, 0, 1)[::-1])
    lungs = np.ascontiguousarray(tubes.lungs.transpose(2, 0, 1)[::-1])
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -1, 1, 1, 1
    affine[2, 3] = tubes.lumen.shape[2] - 1
    found = build_tree(turned, affine, lungs)
    assert [(b.generation, b.side) for b in found.branches].count((2, "left")) == 2
    assert found.length_mm == pytest.approx(tree.length_mm, rel=0.05)


def test_a_bronchus_that_leaves_the_trachea_is_of_the_first_generation() -> None:
    # Right upper bronchus from the trachea, 15 mm above the bifurcation that parts the lungs.
    shape = (80, 30, 70)
    lumen = draw_tubes(
        shape,
        (1, 1, 1),
        [
            ((40, 15, 69), (40, 15, 35), 5),
            ((40, 15, 50), (65, 15, 45), 2),
            ((40, 15, 35), (60, 15, 5), 3),
            ((40, 15, 35), (20, 15, 5), 3),
        ],
    )
    lungs = np.zeros(shape, np.uint8)
    lungs[48:], lungs[:32] = 1, 2
    found = build_tree(lumen, np.eye(4), lungs)
    assert sorted((b.generation, b.side) for b in found.branches) == [
        (0, "none"), (0, "none"), (1, "left"), (1, "right"), (1, "right")
    ]  # fmt: skip


def test_short_parts_beside_the_trachea_that_reach_no_lung_are_left_out(tubes) -> None:
    bulge = draw_tubes(tubes.lumen.shape, (1, 1, 1), [((36, 20, 68), (36, 31, 68), 2.5)])
    found = build_tree(tubes.lumen | bulge, np.eye(4), tubes.lungs)
    assert len(found.branches) == 7
    assert len(found.trachea) == 1


def test_long_parts_beside_the_trachea_that_reach_no_lung_are_left_out_too(tubes) -> None:
    beside = draw_tubes(
        tubes.lumen.shape, (1, 1, 1), [((36, 20, 60), (36, 31, 64), 2), ((36, 31, 64), (36, 33, 81), 2)]
    )
    found = build_tree(tubes.lumen | beside, np.eye(4), tubes.lungs)
    assert len(found.branches) == 7


def lobes_of(tubes) -> np.ndarray:
    """The right lung divided in front and behind between its two bronchi, the left one not at all."""
    lobes = np.zeros(tubes.lungs.shape, np.uint8)
    lobes[tubes.lungs == 1] = Lobe.RIGHT_UPPER
    lobes[:55][tubes.lungs[:55] == 1] = Lobe.RIGHT_LOWER
    lobes[tubes.lungs == 2] = Lobe.LEFT_LOWER
    return lobes


def test_a_branch_gets_the_lobe_that_it_lies_in(tubes) -> None:
    found = build_tree(tubes.lumen, np.eye(4), tubes.lungs, lobes=lobes_of(tubes))
    assert sorted((b.side, b.lobe) for b in found.branches if b.generation == 2) == [
        ("left", "left_lower_lobe"),
        ("left", "left_lower_lobe"),
        ("right", "right_lower_lobe"),
        ("right", "right_upper_lobe"),
    ]
    assert len(found.of_lobe("left_lower_lobe")) == 2
    assert {b.lobe for b in found.branches if b.generation < 2} == {""}


def test_the_bronchus_of_a_lobe_that_lies_outside_the_lungs_gets_the_lobe_of_its_branches(tubes) -> None:
    lobes = lobes_of(tubes)
    lobes[:, :, 25:] = 0
    found = build_tree(tubes.lumen, np.eye(4), tubes.lungs, lobes=lobes)
    upper = [b for b in found.branches if b.generation == 2 and b.points[-1, 0] > 55]
    assert [b.lobe for b in upper] == [""]  # it ends where the lobes begin
    fork = draw_tubes(
        tubes.lumen.shape, (1, 1, 1), [((50, 18, 20), (60, 18, 6), 1.5), ((50, 18, 20), (50, 28, 6), 1.5)]
    )
    lobes[tubes.lungs == 1] = Lobe.RIGHT_LOWER
    lobes[:, :, 18:] = 0
    found = build_tree(tubes.lumen | fork, np.eye(4), tubes.lungs, lobes=lobes)
    lower = [b for b in found.branches if b.generation == 2 and b.points[-1, 0] < 55 and b.side == "right"]
    assert [b.lobe for b in lower] == ["right_lower_lobe"]


def test_air_that_does_not_hang_on_the_tree_is_dropped_and_told(tubes) -> None:
    apart = draw_tubes(tubes.lumen.shape, (1, 1, 1), [((5, 5, 80), (5, 9, 80), 2)])
    found = build_tree(tubes.lumen | apart, np.eye(4), tubes.lungs)
    assert len(found.branches) == 7
    assert found.dropped_ml == pytest.approx(apart.sum() / 1000)


def test_an_empty_mask_and_lungs_of_another_shape_are_refused(tubes) -> None:
    with pytest.raises(InputError, match="No airways were found"):
        build_tree(np.zeros((9, 9, 9), bool), np.eye(4), np.zeros((9, 9, 9), np.uint8))
    with pytest.raises(UsageError, match="must have the shape"):
        build_tree(tubes.lumen, np.eye(4), tubes.lungs[1:])

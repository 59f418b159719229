from __future__ import annotations

import numpy as np
import pytest

from hilum.tasks.airways.grow import GROWTH, grow_tree

SPACING = (1.0, 1.0, 1.0)


def line_of(likelihood: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """A trunk with a line of voxels that leaves it."""
    values = np.zeros((20, 20, 60), np.float32)
    trunk = np.zeros(values.shape, bool)
    trunk[8:12, 8:12, :5] = True
    values[trunk] = 1.0
    values[10, 10, 5 : 5 + len(likelihood)] = likelihood
    return values, trunk


def length(likelihood: list[float]) -> int:
    values, trunk = line_of(likelihood)
    grown = grow_tree(values, trunk, SPACING)
    assert grown[trunk].all()
    return int(np.count_nonzero(grown & ~trunk))


def test_lumen_that_hangs_on_the_trunk_is_joined() -> None:
    assert length([0.9] * 10) == 10


def test_a_short_gap_is_crossed_by_the_likeliest_voxels() -> None:
    assert length([0.9] * 5 + [0.3] * 3 + [0.9] * 6) == 14


@pytest.mark.parametrize("gap", [[0.3] * 8, [0.12] * 3, [0.0]])
def test_a_long_an_unlikely_or_an_empty_gap_is_not_crossed(gap: list[float]) -> None:
    assert length([0.9] * 5 + gap + [0.9] * 6) == 5


def test_what_lies_beyond_a_gap_is_left_where_it_is_shorter_than_a_branch() -> None:
    assert length([0.9] * 5 + [0.3] * 2 + [0.9] * 2) == 5


def test_nothing_is_added_where_nothing_is_likely() -> None:
    assert length([GROWTH.lumen - 0.01] * 10) == 0


def test_a_cavity_of_the_lumen_is_filled_and_a_hole_that_is_open_is_not() -> None:
    likelihood = np.zeros((20, 12, 12), np.float32)
    likelihood[2:18, 3:9, 3:9] = 0.9
    likelihood[10, 6, 6] = 0.0
    likelihood[14, 6, 6:] = 0.0
    trunk = np.zeros(likelihood.shape, bool)
    trunk[2, 3:9, 3:9] = True
    found = grow_tree(likelihood, trunk, (1.0, 1.0, 1.0))
    assert found[10, 6, 6]
    assert not found[14, 6, 6]

from __future__ import annotations

import pytest

from hilum.core.units import TrueMm
from hilum.imaging.working import WorkingGrid

SPACING = (TrueMm(0.7), TrueMm(0.8), TrueMm(1.1))


def test_an_adult_has_the_same_working_and_true_millimetres():
    grid = WorkingGrid.of(SPACING)
    assert grid.working == grid.true == SPACING
    assert grid.working_ml(1000) == grid.true_ml(1000)


def test_amounts_of_a_magnified_child_are_those_of_the_child():
    grid = WorkingGrid.of(SPACING, magnification=3.0)
    assert grid.working == pytest.approx([2.1, 2.4, 3.3])
    assert grid.true == pytest.approx(SPACING)
    assert grid.true_ml(1000) == pytest.approx(0.616)
    assert grid.working_ml(1000) == pytest.approx(27 * 0.616)


def test_blocks_keep_the_magnification():
    blocks = WorkingGrid.of(SPACING, magnification=2.0).blocks((3, 3, 2))
    assert blocks.true == pytest.approx([2.1, 2.4, 2.2])
    assert blocks.magnification == 2.0

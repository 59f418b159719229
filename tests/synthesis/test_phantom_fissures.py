"""Fissures of digital chests."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Anatomy, Body
from hilum.synthesis.phantoms.fields import Lattice
from hilum.synthesis.phantoms.fissures import draw_fissures

VOXEL_MM = 4.0
LATTICE = Lattice(np.eye(3) * VOXEL_MM, LUNG_BOX[0], (76, 55, 78))


def test_two_seeds_have_other_fissures_and_one_seed_the_same() -> None:
    first, again, other = (draw_fissures(seed).left_oblique.heights for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 1.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_height_above_a_fissure_is_a_distance(seed: int) -> None:
    shapes, p = draw_fissures(seed), LATTICE.coordinates
    right, left = (Anatomy(Body()).lung(p, side) < 0 for side in (1, -1))
    sheets = ((shapes.right_oblique, right), (shapes.right_horizontal, right), (shapes.left_oblique, left))
    for sheet, inside in sheets:
        above = np.broadcast_to(sheet.above(p), LATTICE.shape)
        slope = np.linalg.norm(np.stack(np.gradient(above, VOXEL_MM)), axis=0)
        near = inside & (np.abs(above) < VOXEL_MM)
        assert np.median(slope[near]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("seed", range(6))
def test_every_lobe_is_there(seed: int) -> None:
    anatomy, p = Anatomy(Body.draw(seed, 1.0, False, False), draw_fissures(seed)), LATTICE.coordinates
    shares = []
    for side, lobes in ((1, (1, 2, 3)), (-1, (4, 5))):
        lung = anatomy.lung(p, side) < 0
        lobe = np.broadcast_to(anatomy.lobe(p, side), LATTICE.shape)[lung]
        shares += [float((lobe == value).mean()) for value in lobes]
    assert min(shares) > 0.05


def test_chests_without_drawn_fissures_have_plain_ones() -> None:
    """Their lungs, and all that was measured on them before, stay as they were."""
    point = tuple(np.array([v], np.float32) for v in (-70.0, 0.0, -24.0))
    assert Anatomy(Body()).fissures((point[0], point[1], point[2]), -1) == pytest.approx(0.0)

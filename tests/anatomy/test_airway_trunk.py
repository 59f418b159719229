from __future__ import annotations

import numpy as np

from hilum.anatomy.airway_trunk import grow_trunk

SPACING = (1.0, 1.0, 1.0)


def chest_with_hole(hole_hu: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A lung of 512 mL at -860 HU with an airway through tissue that ends in it, and a hole in its wall."""
    hu = np.zeros((100, 100, 140), np.float32)
    hu[10:90, 10:90, 10:90] = -860.0
    hu[44:56, 44:56, 40:90] = 0.0
    tube = np.zeros(hu.shape, bool)
    tube[47:53, 47:53, 45:130] = True
    hu[tube] = -1000.0
    hu[53:56, 49:51, 60:62] = hole_hu
    seed = tube.copy()
    seed[:, :, :110] = False
    return hu, seed, tube


def test_the_trunk_is_the_whole_airway_and_no_lung_where_the_wall_is_closed() -> None:
    hu, seed, tube = chest_with_hole(0.0)
    trunk = grow_trunk(hu, seed, SPACING)
    assert np.array_equal(trunk.lumen, tube)
    assert trunk.threshold_hu == -850.0


def test_the_threshold_stays_below_that_at_which_the_lung_is_entered() -> None:
    hu, seed, tube = chest_with_hole(-900.0)
    trunk = grow_trunk(hu, seed, SPACING)
    assert trunk.threshold_hu == -860.0  # the lung, of -860 HU, joins at -850
    assert 0 < np.count_nonzero(trunk.lumen & ~tube) <= 12


def test_a_trachea_brighter_than_every_threshold_is_left_as_it_is() -> None:
    hu, seed, _ = chest_with_hole(0.0)
    hu[hu < -900] = -800.0
    trunk = grow_trunk(hu, seed, SPACING)
    assert np.array_equal(trunk.lumen, seed)

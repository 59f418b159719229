from __future__ import annotations

import numpy as np

from hilum.core.volume import Volume
from hilum.tasks.airways.prepare import AirwayScan
from hilum.tasks.airways.prune import prune_leaks

SPACING = (1.0, 1.0, 1.0)


def scan_with(side_branch: np.ndarray, wall: bool) -> tuple[AirwayScan, np.ndarray]:
    """A walled tube along z with a branch along x, walled or not, in lung."""
    shape = (60, 40, 80)
    x, y, z = np.indices(shape)
    main = (np.hypot(x - 15, y - 20) <= 3) & (z >= 5) & (z < 75)
    rim = (np.hypot(x - 15, y - 20) <= 5) & (z >= 3)
    hu = np.full(shape, -860.0, np.float32)
    hu[rim] = 0.0
    if wall:
        hu[(np.hypot(y - 20, z - 30) <= 4) & (x > 15) & (x < 57)] = 0.0
    lumen = main | side_branch
    hu[lumen] = -900.0
    seed = main & (z > 65)
    volume = Volume(hu, np.eye(4))
    box = tuple(slice(0, size) for size in shape)
    return AirwayScan(hu, hu, SPACING, np.ones(shape, bool), seed, 0.0, box, volume), lumen


def side_branch(radius: float) -> np.ndarray:
    x, y, z = np.indices((60, 40, 80))
    return (np.hypot(y - 20, z - 30) <= radius) & (x >= 15) & (x < 55)


def test_a_branch_with_a_wall_stays() -> None:
    scan, lumen = scan_with(side_branch(2.0), wall=True)
    pruned = prune_leaks(lumen, lumen, lumen.astype(np.float32), scan)
    assert np.array_equal(pruned.lumen, lumen)
    assert pruned.walled > 0.9
    assert pruned.branches == 3


def test_a_branch_without_a_wall_is_removed() -> None:
    scan, lumen = scan_with(side_branch(2.0), wall=False)
    pruned = prune_leaks(lumen, lumen, lumen.astype(np.float32), scan)
    assert not pruned.lumen[30:, 20, 30].any()
    assert pruned.lumen[15, 20, 6:70].all()
    assert np.array_equal(pruned.lumen | pruned.removed, lumen)


def test_a_branch_that_grows_wider_than_its_parent_is_removed() -> None:
    x, y, z = np.indices((60, 40, 80))
    narrow = (np.hypot(y - 20, z - 30) <= 1.5) & (x >= 15) & (x < 35)
    wide = (np.hypot(y - 20, z - 30) <= 3.6) & (x >= 35) & (x < 58)
    fork = (np.hypot(y - 20, z - 30 - (x - 33)) <= 1.5) & (x >= 33) & (x < 50)
    scan, lumen = scan_with(narrow | wide | fork, wall=True)
    pruned = prune_leaks(lumen, lumen, lumen.astype(np.float32), scan)
    assert not pruned.lumen[50, 20, 30]
    assert pruned.lumen[25, 20, 30]

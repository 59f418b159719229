"""Vessels cut into trees."""

from __future__ import annotations

import numpy as np

from hilum.core.labels import Lung
from hilum.tasks.lobes.vessel_trees import find_vessel_trees


def chest() -> tuple[np.ndarray, np.ndarray]:
    """A trunk of radius 5 mm along x, with two thin branches that leave it upwards and downwards."""
    x, y, z = np.indices((60, 40, 80))
    trunk = (y - 20) ** 2 + (z - 40) ** 2 <= 25
    branches = ((x - 30) ** 2 + (y - 20) ** 2 <= 4) & (np.abs(z - 40) < 30)
    return trunk | branches, np.full(trunk.shape, Lung.RIGHT.value, np.uint8)


def test_branches_of_a_wide_vessel_are_trees_of_their_own() -> None:
    vessels, lungs = chest()
    found = find_vessel_trees(vessels, lungs, np.eye(4), [Lung.RIGHT])[Lung.RIGHT]
    assert set(found.tree.tolist()) == {0, 1}
    above = found.points[:, 2] > 40
    assert len(set(found.tree[above].tolist())) == len(set(found.tree[~above].tolist())) == 1


def test_noise_is_no_tree() -> None:
    lungs = np.full((20, 20, 20), Lung.LEFT.value, np.uint8)
    specks = np.zeros(lungs.shape, bool)
    specks[::4, ::4, ::4] = True
    found = find_vessel_trees(specks, lungs, np.eye(4), [Lung.LEFT])[Lung.LEFT]
    assert len(found.points) == 0


def test_a_lung_without_vessels_has_no_trees() -> None:
    lungs = np.full((20, 20, 20), Lung.LEFT.value, np.uint8)
    found = find_vessel_trees(np.zeros(lungs.shape, bool), lungs, np.eye(4), [Lung.RIGHT, Lung.LEFT])
    assert [len(found[side].tree) for side in (Lung.RIGHT, Lung.LEFT)] == [0, 0]

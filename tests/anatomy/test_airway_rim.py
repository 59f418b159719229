from __future__ import annotations

import numpy as np
import pytest

from hilum.anatomy.airway_rim import RIM, rim_share, tangents_of


@pytest.fixture
def line() -> np.ndarray:
    return np.stack([np.full(30, 20.0), np.full(30, 20.0), np.arange(5.0, 35.0)], axis=1)


def tube(inner: float, outer: float, part: float = 360.0) -> np.ndarray:
    """A tube along z with a wall over ``part`` degrees."""
    x, y = np.indices((41, 41)) - 20.0
    away = np.hypot(x, y)
    angle = np.degrees(np.arctan2(y, x)) % 360
    plane = np.where((away <= outer) & (away > inner) & (angle <= part), 0.0, -870.0)
    plane[away <= inner] = -900.0
    return np.repeat(plane[:, :, None], 40, axis=2).astype(np.float32)


def test_every_ray_finds_the_wall_of_a_tube(line) -> None:
    share = rim_share(tube(2.0, 4.0), (1, 1, 1), line, tangents_of(line), np.full(30, 2.0))
    assert share.shape == (30,)
    assert share.min() == 1.0


def test_a_vessel_on_one_side_is_no_wall(line) -> None:
    share = rim_share(tube(2.0, 4.0, part=90.0), (1, 1, 1), line, tangents_of(line), np.full(30, 2.0))
    assert share.max() < RIM.rays_share
    assert share.min() > 0.15


def test_no_ray_finds_a_wall_in_even_lung(line) -> None:
    hu = np.full((41, 41, 40), -870.0, np.float32)
    assert not rim_share(hu, (1, 1, 1), line, tangents_of(line), np.full(30, 2.0)).any()


def test_millimetres_are_those_of_the_voxels(line) -> None:
    hu = tube(2.0, 4.0)
    fine = rim_share(hu, (0.5, 0.5, 1.0), line * [0.5, 0.5, 1.0], tangents_of(line), np.full(30, 1.0))
    assert fine.min() == 1.0
    far = rim_share(hu, (3.0, 3.0, 1.0), line * [3.0, 3.0, 1.0], tangents_of(line), np.full(30, 0.5))
    assert far.max() == 0.0  # the wall begins beyond 3.5 mm

"""Distances and neighbours give the same growth; blocks come back to voxels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hilum.imaging.blocks import native_planes, reduce_volume
from hilum.imaging.morphology import depth, dilate, distance_to, erode, touching


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (0.7, 2.3, 5.0)])
@pytest.mark.parametrize("radius", [0.5, 2.1, 3.0, 5.1, 9.0])
def test_few_neighbours_and_distances_agree(spacing: tuple[float, float, float], radius: float) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(24, 20, 16)), 2) > 0
    assert np.array_equal(dilate(mask, radius, spacing), distance_to(mask, spacing) <= radius)
    assert np.array_equal(erode(mask, radius, spacing), depth(mask, spacing) > radius)


def test_the_border_of_the_array_is_not_an_edge() -> None:
    full = np.ones((5, 5, 5), bool)
    assert erode(full, 2.1, (2, 2, 2)).all()
    assert not dilate(~full, 2.1, (2, 2, 2)).any()


def test_touching_takes_the_six_neighbours() -> None:
    mask = np.random.default_rng(4).random((9, 8, 7)) > 0.9
    assert np.array_equal(touching(mask), ndimage.binary_dilation(mask))


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_block_means_and_the_way_back(kind: type) -> None:
    ramp = np.add.outer(np.add.outer(np.arange(31) * 7, np.arange(22) * 3), np.arange(9) * 11).astype(kind)
    reduced = reduce_volume(ramp, (0.75, 0.75, 1.1))
    fx, fy, fz = reduced.factors
    assert (fx, fy, fz) == (3, 3, 2)
    assert reduced.hu[1, 2, 3] == pytest.approx(ramp[3:6, 6:9, 6:8].mean())
    assert reduced.hu[-1, 0, 0] == pytest.approx(ramp[[30, 30, 30], :3, :2].mean())
    back = np.stack(list(native_planes(reduced.hu, reduced)), axis=2)
    inner = (slice(3, -3), slice(3, -3), slice(2, -3))
    assert back.shape == ramp.shape
    assert np.allclose(back[inner], ramp[inner], atol=1e-2)

"""Resampling to isotropic voxels and back keeps positions."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.imaging.isogrid import IsoGrid


@pytest.mark.parametrize("spacing", [(2.1, 2.1, 5.0), (0.7, 1.4, 3.0), (2.5, 2.5, 2.5), (4.0, 2.0, 1.0)])
def test_a_ramp_in_mm_stays_a_ramp(spacing: tuple[float, float, float]) -> None:
    shape = (31, 24, 17)
    grid = IsoGrid(shape, spacing, 2.5)
    for axis in range(3):
        at = (np.arange(shape[axis]) - (shape[axis] - 1) / 2) * spacing[axis]
        ramp = np.broadcast_to(at.reshape([-1 if a == axis else 1 for a in range(3)]), shape)
        isotropic = grid.to_iso(ramp.astype(np.float32))
        assert isotropic.shape == grid.size
        expected = (np.arange(grid.size[axis]) - (grid.size[axis] - 1) / 2) * 2.5
        line = isotropic.mean(axis=tuple(a for a in range(3) if a != axis))
        inner = np.abs(expected) <= at[-1]
        assert np.allclose(line[inner], expected[inner], atol=1e-3)
        back = grid.from_iso(isotropic)
        assert back.shape == shape
        middle = np.abs(at) <= min(at[-1], expected[-1]) - 2.5
        assert np.allclose(
            back.mean(axis=tuple(a for a in range(3) if a != axis))[middle], at[middle], atol=1e-3
        )


def test_the_same_grid_is_left_alone_and_classes_are_kept() -> None:
    values = np.random.default_rng(0).random((2, 8, 9, 10)).astype(np.float32)
    grid = IsoGrid((8, 9, 10), (2.5, 2.5, 2.5), 2.5)
    assert grid.from_iso(values) is values
    assert IsoGrid((16, 9, 10), (1.25, 2.5, 2.5), 2.5).from_iso(values).shape == (2, 16, 9, 10)

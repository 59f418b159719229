from __future__ import annotations

import numpy as np
import pytest

from hilum.synthesis.phantoms.fields import (
    Lattice,
    coverage,
    ellipsoid,
    section,
    segment_distance,
    smooth_max,
    smooth_min,
    tube_coverage,
)


def lattice(step: float, half: float = 12.0) -> Lattice:
    n = int(2 * half / step)
    return Lattice(np.eye(3) * step, np.full(3, -half + 0.5 * step) + 0.013, (n, n, n))


@pytest.mark.parametrize("radius", [0.4, 0.7, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("step", [0.7, 1.0, 1.5])
def test_a_tube_keeps_its_volume_for_any_cell_size(radius: float, step: float) -> None:
    # An oblique tube much longer than the lattice, so that no cap is inside.
    grid = lattice(step)
    direction = np.array([0.36, 0.48, 0.8])
    distance = segment_distance(grid.coordinates, -60 * direction, 60 * direction)
    section_mm2 = tube_coverage(distance, radius, step)[:, :, :].sum(axis=(0, 1)).mean() * step**2
    # The plane z = const cuts the tube at cos = 0.8.
    assert section_mm2 == pytest.approx(np.pi * radius**2 / 0.8, rel=0.03)


def test_ellipsoid_volume() -> None:
    grid = lattice(1.0)
    inside = coverage(ellipsoid(grid.coordinates, (0.3, -0.2, 0.1), (9, 7, 5), turn_deg=30, tilt_deg=20), 1.0)
    assert inside.sum() == pytest.approx(4 / 3 * np.pi * 9 * 7 * 5, rel=0.01)


@pytest.mark.parametrize("squareness", [0.0, 0.3, 0.6])
def test_section_is_a_distance_near_its_surface(squareness: float) -> None:
    x = np.linspace(-140, 140, 561, dtype=np.float32)[:, None]
    y = np.linspace(-100, 100, 401, dtype=np.float32)[None, :]
    field = section(x, y, np.float32(130), np.float32(88), squareness)
    gx, gy = np.gradient(field, 0.5)
    near = np.abs(field) < 2
    assert np.hypot(gx, gy)[near] == pytest.approx(1.0, abs=0.08)
    assert field[280, 200] < -50
    assert field[0, 0] > 5


def test_smooth_edges_lie_outside_the_sharp_ones() -> None:
    a, b = np.float32([[-3.0, 0.0, 4.0]]), np.float32([[2.0, 0.0, 4.5]])
    assert (smooth_max(a, b, 2) >= np.maximum(a, b)).all()
    assert (smooth_min(a, b, 2) <= np.minimum(a, b)).all()
    assert smooth_max(a, b, 2)[0, 0] == 2.0


def test_windows_hold_every_point_of_an_oblique_lattice() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    grid = Lattice(turn * 1.3, turn @ [-10.0, -9.0, -8.0], (16, 15, 14))
    low, high = np.array([-4.0, -3, -6]), np.array([3.0, 5, 2])
    window = grid.window((low, high))
    assert window is not None
    x, y, z = (np.broadcast_to(c, grid.shape) for c in grid.coordinates)
    inside = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]) & (z > low[2]) & (z < high[2])
    marked = np.zeros(grid.shape, bool)
    marked[window] = True
    assert inside.any()
    assert not (inside & ~marked).any()
    cropped = grid.crop(window).coordinates
    assert np.broadcast_to(cropped[0], marked[window].shape) == pytest.approx(x[window], abs=1e-4)
    assert grid.window((low + 500, high + 500)) is None

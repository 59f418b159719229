from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hilum.core.errors import UsageError
from hilum.imaging.mesh import Mesh, decimate, smooth, surface_mesh
from support.tubes import draw_tubes, grid_affine, places

SPACING = (0.8, 0.8, 1.2)


def ball(radius=12.0, shape=(40, 40, 30)):
    middle = (np.array(shape) - 1) / 2 * SPACING
    return np.linalg.norm(places(shape, SPACING) - middle, axis=-1) <= radius


def is_closed(mesh: Mesh) -> bool:
    """Whether each edge belongs to two triangles, once in each direction."""
    pairs = np.concatenate([mesh.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    counts = Counter(map(tuple, pairs.tolist()))
    return all(count == 1 and counts[b, a] == 1 for (a, b), count in counts.items())


def test_a_ball_has_its_volume_and_area_and_is_closed():
    mask = ball()
    mesh = surface_mesh(mask, grid_affine(SPACING))
    assert is_closed(mesh)
    assert mesh.volume_ml == pytest.approx(mask.sum() * np.prod(SPACING) / 1000, rel=0.02)
    assert mesh.area_mm2 == pytest.approx(4 * np.pi * 12**2, rel=0.04)


def test_smoothing_takes_the_steps_out_and_keeps_the_volume():
    raw, smoothed = (surface_mesh(ball(), grid_affine(SPACING), smoothing=n) for n in (0, 10))
    middle = raw.vertices.mean(axis=0)
    spread = [np.linalg.norm(m.vertices - middle, axis=1).std() for m in (raw, smoothed)]
    assert spread[1] < 0.6 * spread[0]
    assert smoothed.volume_ml == pytest.approx(raw.volume_ml, rel=0.02)


def test_a_thin_tube_does_not_vanish():
    mask = draw_tubes((12, 12, 40), SPACING, [((4.8, 4.8, 6), (4.8, 4.8, 40), 1.0)])
    mesh = surface_mesh(mask, grid_affine(SPACING))
    raw = surface_mesh(mask, grid_affine(SPACING), smoothing=0)
    assert mesh.volume_ml > 0.85 * raw.volume_ml


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, 1), (1, 1, -1)])
def test_triangles_face_outward_in_any_orientation_of_the_grid(signs):
    affine = np.diag([*(np.array(signs) * SPACING), 1.0])
    affine[:3, 3] = (5, -7, 100)
    mesh = surface_mesh(ball(6), affine)
    assert mesh.volume_ml > 0
    middle = affine @ [19.5, 19.5, 14.5, 1]
    assert mesh.vertices.mean(axis=0) == pytest.approx(middle[:3], abs=0.1)


def test_decimation_keeps_shape_with_fewer_triangles():
    mesh = surface_mesh(ball(), grid_affine(SPACING))
    small = decimate(mesh, 0.2)
    assert len(small.faces) == pytest.approx(0.2 * len(mesh.faces), rel=0.05)
    assert small.volume_ml == pytest.approx(mesh.volume_ml, rel=0.02)
    assert decimate(mesh, 1.0) is mesh


def test_masks_at_the_border_and_of_one_voxel_are_closed():
    for mask in (np.ones((3, 3, 3), bool), np.ones((1, 1, 1), bool)):
        mesh = surface_mesh(mask, np.eye(4), smoothing=0)
        assert is_closed(mesh)
        assert mesh.volume_ml > 0


def test_an_empty_mask_has_no_triangles():
    mesh = surface_mesh(np.zeros((4, 4, 4), bool), np.eye(4), keep=0.5)
    assert len(mesh.faces) == len(mesh.vertices) == 0
    assert mesh.volume_ml == mesh.area_mm2 == 0
    assert smooth(mesh, 3) is mesh


@pytest.mark.parametrize("keep", [0, -1, 1.5, float("nan")])
def test_shares_that_cannot_be_kept_are_refused(keep):
    with pytest.raises(UsageError, match="keep"):
        surface_mesh(ball(), np.eye(4), keep=keep)

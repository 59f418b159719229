"""Affine registration of lungs to the mean lungs, and the geometry of the fissures' frames."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.tasks.lobes.frames import Fissure, smooth_covariance
from hilum.tasks.lobes.prior import load_prior
from hilum.tasks.lobes.registration import register

from .made_chest import MadeChest


def moved_mm(made: MadeChest, lungs: np.ndarray) -> float:
    """Largest difference of the found map from the true one over the corners of the lungs' box, mm."""
    found = register(lungs, made.volume.affine, load_prior().lungs)
    index = np.argwhere(made.lungs.data)
    corners = np.array(np.meshgrid(*zip(index.min(axis=0), index.max(axis=0), strict=True))).reshape(3, -1).T
    points = corners @ made.volume.affine[:3, :3].T + made.volume.affine[:3, 3]
    return float(np.linalg.norm(found.points(points) - made.to_template.points(points), axis=1).max())


def test_a_known_affine_map_is_found(made: MadeChest) -> None:
    assert moved_mm(made, made.lungs.data) < 6


def test_one_lung_alone_is_laid_on_its_own_mean(made: MadeChest) -> None:
    lungs = np.where(made.lungs.data == 2, 2, 0).astype(np.uint8)
    found = register(lungs, made.volume.affine, load_prior().lungs)
    index = np.argwhere(lungs)[::500]
    points = index @ made.volume.affine[:3, :3].T + made.volume.affine[:3, 3]
    off = np.linalg.norm(found.points(points) - made.to_template.points(points), axis=1)
    assert np.median(off) < 5


def test_a_stray_piece_of_the_other_lung_does_not_move_a_lung(made: MadeChest) -> None:
    right = np.where(made.lungs.data == 1, 1, 0).astype(np.uint8)
    stray = right.copy()
    stray[:20, :20, :20] = 2
    template = load_prior().lungs
    alone, with_it = (register(lungs, made.volume.affine, template) for lungs in (right, stray))
    assert with_it.matrix == pytest.approx(alone.matrix, abs=0.02)


def test_points_go_to_the_template_and_back(made: MadeChest) -> None:
    points = np.array([[10.0, -20.0, 30.0], [100.0, 0.0, -250.0]])
    assert made.to_template.back(made.to_template.points(points)) == pytest.approx(points)


def test_the_normal_of_a_plane_stays_its_normal_when_it_is_moved(made: MadeChest) -> None:
    plane = np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 20.0], [0.0, 50.0, -10.0]])
    normal = np.cross(plane[1] - plane[0], plane[2] - plane[0])
    moved = made.to_template.points(plane)
    (turned,) = made.to_template.normals(normal[None] / np.linalg.norm(normal))
    assert (moved[1:] - moved[0]) @ turned == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("fissure", list(Fissure))
def test_a_frame_keeps_distances_and_its_weights_add_up_to_one(fissure: Fissure) -> None:
    frame = load_prior().frames[fissure]
    points = np.array([[10.0, 100.0, -200.0], [60.0, 140.0, -150.0]])
    local = frame.local(points)
    assert frame.points(local) == pytest.approx(points, abs=1e-3)
    assert np.linalg.norm(local[1] - local[0]) == pytest.approx(
        np.linalg.norm(points[1] - points[0]), rel=1e-5
    )
    weights = frame.basis(local[:, :2])
    assert weights.sum(axis=1) == pytest.approx([1, 1])
    assert (weights >= 0).all()


def test_heights_of_a_linear_surface_are_linear() -> None:
    frame = load_prior().frames[Fissure.RIGHT_OBLIQUE]
    n, m = frame.shape
    coefficients = np.add.outer(2.0 * np.arange(n), -1.0 * np.arange(m)).ravel()
    uv = frame.low + frame.step * np.array([[0.5, 0.5], [1.5, 2.0], [2.25, 3.75]])
    heights = frame.basis(uv) @ coefficients
    assert heights == pytest.approx([2 * 1.5 - 1.5, 2 * 2.5 - 3.0, 2 * 3.25 - 4.75])


def test_a_smooth_surface_varies_more_by_a_tilt_than_by_waves() -> None:
    covariance = smooth_covariance((6, 6))
    tilt = np.add.outer(np.arange(6.0), np.zeros(6)).ravel() - 2.5
    wave = np.add.outer(np.array([1.0, -1, 1, -1, 1, -1]), np.zeros(6)).ravel()
    variance = [float(shape @ covariance @ shape / (shape @ shape)) for shape in (tilt, wave)]
    assert variance[0] > 10 * variance[1]

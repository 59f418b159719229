from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hilum.tasks.airways.classifier import Network, likelihood, load_classifier
from hilum.tasks.airways.features import candidates, line_features, rim_hu, voxel_features

SPACING = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def lung() -> np.ndarray:
    """Lung with an airway of 3 mm along z at (15, 20) and a vessel of 4 mm at (30, 20)."""
    x, y = np.indices((45, 40))
    plane = np.full((45, 40), -860.0, np.float32)
    plane[np.hypot(x - 15, y - 20) <= 2.6] = 0.0
    plane[np.hypot(x - 15, y - 20) <= 1.5] = -1000.0
    plane[np.hypot(x - 30, y - 20) <= 2.0] = 40.0
    return ndimage.gaussian_filter(np.repeat(plane[:, :, None], 50, axis=2), 0.6)


def place(x: int, y: int, z: int = 25) -> int:
    return int(np.ravel_multi_index((x, y, z), (45, 40, 50)))


def test_the_lumen_is_a_candidate_and_lung_far_from_any_wall_is_not(lung) -> None:
    index, curved = candidates(lung, SPACING, np.ones(lung.shape, bool))
    assert curved.shape == (len(index), 8)
    assert np.all(np.diff(index) > 0)
    found = set(index.tolist())
    assert {place(15, 20, z) for z in range(10, 40)} <= found
    assert place(30, 20) not in found  # the vessel is bright
    assert place(40, 35) not in found


def test_candidates_do_not_depend_on_how_the_scan_is_cut_into_slabs(lung, monkeypatch) -> None:
    whole = candidates(lung, SPACING, np.ones(lung.shape, bool))
    monkeypatch.setattr("hilum.tasks.airways.features._PLANES", 11)
    parts = candidates(lung, SPACING, np.ones(lung.shape, bool))
    assert np.array_equal(whole[0], parts[0])
    assert np.allclose(whole[1], parts[1], atol=1e-4)


def test_the_rim_is_bright_round_a_lumen_and_not_beside_a_vessel(lung) -> None:
    rim = rim_hu(lung, SPACING, np.array([place(15, 20), place(27, 20)]))
    assert rim[0] > 300
    assert rim[1] < 50


def test_features_are_finite_at_the_border_of_the_scan(lung) -> None:
    index = np.array([0, lung.size - 1, place(15, 20, 0)])
    seen = voxel_features(lung, SPACING, index, np.zeros((3, 8), np.float32))
    assert len(seen) == 3
    assert np.isfinite(seen).all()


def test_a_line_goes_on_and_a_single_voxel_does_not() -> None:
    image = np.zeros((30, 30, 30), np.float32)
    image[10, 10, 3:27] = 1.0
    image[20, 20, 15] = 1.0
    spots = np.ravel_multi_index(([10, 20], [10, 20], [15, 15]), image.shape)
    along = line_features(image, SPACING, spots)[:, 1]
    assert along[0] == pytest.approx(2.0)
    assert along[1] == pytest.approx(0.0)


def test_a_network_is_dense_layers_with_relu_and_a_logistic_output() -> None:
    layers = (
        (np.array([[1.0, -1.0]], np.float32), np.zeros(2, np.float32)),
        (np.array([[2.0], [1.0]], np.float32), np.array([0.5], np.float32)),
    )
    network = Network(np.array([1.0], np.float32), np.array([2.0], np.float32), layers)
    out = network(np.array([[5.0], [-3.0]], np.float32))
    assert out == pytest.approx(1 / (1 + np.exp([-4.5, -2.5])))


def test_the_shipped_classifier_prefers_the_lumen_to_what_lies_round_it(lung) -> None:
    where = np.ones(lung.shape, bool)
    trunk = np.zeros(lung.shape, bool)
    trunk[14:17, 19:22, 45:] = True
    likely = likelihood(lung, SPACING, where, trunk, load_classifier())
    assert likely[trunk].min() == 1.0
    assert likely[15, 20, 10:40].min() > 0.5
    away = np.hypot(*(np.indices((45, 40)) - np.array([15, 20])[:, None, None])) > 4
    assert likely[away].max() < 0.5

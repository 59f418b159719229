from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hilum.core.errors import UsageError
from hilum.imaging import hessian as module
from hilum.imaging.hessian import (
    GaussianKernels,
    eigenvalues_3x3,
    hessian,
    hessian_blocks,
    map_eigenvalues,
    smallest_eigenvector,
)
from hilum.imaging.shape_filters import Contrast, plateness, tubeness
from support.tubes import gaussian_plate, gaussian_tube, places

SHAPE = (41, 41, 41)
CENTRE = (20, 20, 20)
DIRECTIONS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 2, 3), (-3, 1, 2)]
SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 1.0), (0.6, 0.8, 1.2)]


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 3.0])
def test_derivatives_of_a_parabola_are_exact_at_any_scale(sigma):
    spacing = (0.7, 1.0, 2.5)
    x, y, z = np.moveaxis(places((33, 33, 17), spacing), -1, 0)
    parabola = 5 + 2 * x + 0.5 * x**2 - 1.5 * y**2 + 0.25 * z**2 + 0.3 * x * y - 0.2 * x * z + 0.1 * y * z
    middle = hessian(parabola, spacing, sigma)[:, 16, 16, 8] / sigma**2
    assert middle == pytest.approx([1.0, -3.0, 0.5, 0.3, -0.2, 0.1], abs=0.02)


def test_a_constant_has_no_derivatives_not_even_at_the_border():
    assert np.abs(hessian(np.full((9, 8, 7), -1000.0), (1, 1, 1), 1.5)).max() < 1e-2


def test_derivatives_agree_with_scipy_at_wide_scales():
    image = np.random.default_rng(0).normal(size=(24, 20, 18))
    ours = hessian(image, (1, 1, 1), 2.0)
    for index, order in enumerate(module._ORDERS):
        other = 4.0 * ndimage.gaussian_filter(image, 2.0, order=order, mode="nearest", truncate=6.0)
        assert np.abs(ours[index] - other).max() < 0.06 * np.abs(other).max()


def test_smoothing_kernel_sums_to_one():
    for width in (0.1, 0.7, 2.0):
        half = GaussianKernels.make(width, 1.0).halves[0]
        assert half[0] + 2 * half[1:].sum() == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1000, 1000, width=32), min_size=6, max_size=6))
def test_closed_form_eigenvalues_are_those_of_lapack(entries):
    xx, yy, zz, xy, xz, yz = entries
    expected = np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])[::-1]
    found = np.array(eigenvalues_3x3([np.array([v], np.float32) for v in entries])).ravel()
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max() + 1e-6
    assert (np.diff(found) <= 1e-3 * np.abs(expected).max() + 1e-6).all()


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_tube_answers_with_a_quarter_of_its_contrast_in_any_direction(direction, spacing):
    tube = 300 * gaussian_tube(SHAPE, spacing, direction, 2.0)
    assert tubeness(tube, spacing, [2.0])[CENTRE] == pytest.approx(75, rel=0.03)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("normal", DIRECTIONS)
def test_plate_answers_with_its_curvature_in_any_direction(normal, spacing):
    plate = 100 * gaussian_plate(SHAPE, spacing, normal, 1.5)
    best = 100 * 2 / (3 * np.sqrt(3))  # at scale sqrt(2) sigma
    assert plateness(plate, spacing, [1.5 * np.sqrt(2)])[CENTRE] == pytest.approx(best, rel=0.03)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_tube_is_no_plate_and_a_plate_no_tube(direction):
    tube = gaussian_tube(SHAPE, (1, 1, 1), direction, 2.0)
    plate = gaussian_plate(SHAPE, (1, 1, 1), direction, 2.0)
    assert plateness(tube, (1, 1, 1), [2.0])[CENTRE] < 0.01
    assert tubeness(plate, (1, 1, 1), [2.0])[CENTRE] < 0.01


def test_a_blob_answers_less_than_a_tube_of_its_contrast():
    at = places(SHAPE, (1, 1, 1)) - 20
    blob = np.exp(-(at**2).sum(axis=-1) / (2 * 2.0**2))
    tube = gaussian_tube(SHAPE, (1, 1, 1), (1, 2, 3), 2.0)
    assert tubeness(blob, (1, 1, 1), [2.0])[CENTRE] < 0.2 * tubeness(tube, (1, 1, 1), [2.0])[CENTRE]


def test_the_scale_of_a_tube_answers_most():
    tube = gaussian_tube(SHAPE, (1, 1, 1), (1, 1, 1), 2.0)
    scales = [1.0, 1.5, 2.0, 2.8, 4.0]
    values = [tubeness(tube, (1, 1, 1), [scale])[CENTRE] for scale in scales]
    assert scales[int(np.argmax(values))] == 2.0
    assert tubeness(tube, (1, 1, 1), scales)[CENTRE] == pytest.approx(max(values))


def test_dark_tubes_answer_as_bright_ones_of_the_other_sign():
    image = np.random.default_rng(1).normal(size=(20, 18, 16)).astype(np.float32)
    for filtered in (tubeness, plateness):
        dark = filtered(image, (1, 1, 1), [1.0], contrast="dark")
        assert np.allclose(dark, filtered(-image, (1, 1, 1), [1.0], contrast=Contrast.BRIGHT), atol=2e-3)


def test_lumen_answers_dark_and_wall_bright():
    at = places((31, 31, 31), (1, 1, 1)) - 15
    away = np.hypot(at[..., 0], at[..., 1])
    airway = np.where(away < 3, -1000.0, np.where(away < 4.5, 0.0, -850.0))
    assert tubeness(airway, (1, 1, 1), [2.0], contrast="dark")[15, 15, 15] > 50
    assert tubeness(airway, (1, 1, 1), [2.0])[15, 15, 15] == 0


def test_blocks_mask_and_memory_order_change_no_value(monkeypatch):
    image = np.random.default_rng(2).normal(size=(50, 70, 20)).astype(np.int16) * 50
    mask = np.random.default_rng(3).random(image.shape) < 0.2
    mask[:17] = False
    whole = tubeness(image, (0.7, 0.8, 1.0), [0.8, 1.6])
    part = tubeness(np.asfortranarray(image), (0.7, 0.8, 1.0), [0.8, 1.6], mask=mask)
    assert (part == np.where(mask, whole, 0)).all()
    monkeypatch.setattr(module, "_BLOCK", (7, 11))
    assert (tubeness(image, (0.7, 0.8, 1.0), [0.8, 1.6]) == whole).all()


def test_a_single_voxel_and_a_single_slice_have_a_response():
    assert tubeness(np.ones((1, 1, 1)), (1, 1, 1), [1.0]).shape == (1, 1, 1)
    line = np.zeros((30, 30, 1))
    line[15] = 1
    assert plateness(line, (1, 1, 1), [1.0])[15, 15, 0] > 0.1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"image": np.zeros((3, 3))}, "image"),
        ({"image": np.zeros((3, 0, 3))}, "image"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"scales": []}, "scales"),
        ({"scales": [float("nan")]}, "scales"),
        ({"mask": np.zeros((2, 2, 2), bool)}, "mask"),
        ({"contrast": "grey"}, "contrast"),
    ],
)
def test_what_is_not_allowed_is_named(arguments, word):
    given = {"image": np.zeros((3, 3, 3)), "spacing": (1, 1, 1), "scales": [1.0], **arguments}
    with pytest.raises(UsageError, match=word):
        tubeness(given.pop("image"), given.pop("spacing"), given.pop("scales"), **given)


def test_any_response_can_be_mapped():
    image = places((9, 9, 9), (1, 1, 1))[..., 0] ** 2
    trace = map_eigenvalues(image, (1, 1, 1), [1.0], lambda e: np.abs(e[0] + e[1] + e[2]))
    assert trace[4, 4, 4] == pytest.approx(2.0, rel=0.02)


def test_the_blocks_hand_over_the_derivatives_inside_the_mask():
    rng = np.random.default_rng(3)
    image, mask = rng.normal(0, 30, (20, 140, 9)).astype(np.float32), rng.random((20, 140, 9)) < 0.1
    mask[:, 128:] = False  # a block without a voxel of the mask is left out
    spacing = (1.0, 0.8, 2.0)
    parts = hessian_blocks(image, spacing, 1.5, mask, lambda index, found: (index, np.stack(found)))
    index = np.concatenate([part[0] for part in parts])
    assert len(index) == mask.sum()
    assert mask[tuple(index.T)].all()
    whole = hessian(image, spacing, 1.5)
    got = np.concatenate([part[1] for part in parts], axis=1)
    assert got == pytest.approx(whole[(slice(None), *index.T)], abs=1e-3)


def test_the_direction_of_the_smallest_eigenvalue_is_that_of_numpy():
    rng = np.random.default_rng(4)
    entries = rng.normal(0, 50, (6, 200)).astype(np.float32)
    vectors = smallest_eigenvector(list(entries), eigenvalues_3x3(list(entries))[2])
    xx, yy, zz, xy, xz, yz = entries
    matrices = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=1).reshape(-1, 3, 3)
    expected = np.linalg.eigh(matrices.astype(float))[1][:, :, 0]
    assert np.abs((vectors * expected).sum(axis=1)).min() > 0.99

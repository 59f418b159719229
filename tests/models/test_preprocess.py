"""Slices into the input of a network and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.errors import UsageError
from hilum.models.preprocess import fit_slice, from_input, normalise, resize, to_input

WINDOW = (-1024.0, 400.0)


def test_halving_takes_the_mean_of_blocks() -> None:
    picture = np.arange(64, dtype=np.float32).reshape(8, 8)
    blocks = picture.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(picture, (4, 4)), blocks, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.integers(1, 40)] * 2))
def test_resizing_keeps_a_constant(source: tuple[int, int], target: tuple[int, int]) -> None:
    out = resize(np.full(source, 7.5, np.float32), target)
    assert out.shape == target
    np.testing.assert_allclose(out, 7.5, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 80),
    st.integers(2, 80),
    st.floats(0.2, 8),
    st.floats(0.2, 8),
    st.sampled_from([(32, 32), (64, 96)]),
)
def test_aspect_is_kept_in_mm(rows: int, cols: int, dy: float, dx: float, size: tuple[int, int]) -> None:
    fit = fit_slice((rows, cols), size, (dy, dx))
    assert max(i / s for i, s in zip(fit.inner, size, strict=True)) == 1.0
    assert all(o + i <= s for o, i, s in zip(fit.offset, fit.inner, size, strict=True))
    scale = min(size[0] / (rows * dy), size[1] / (cols * dx))
    assert fit.inner[0] == pytest.approx(max(1, rows * dy * scale), abs=0.51)
    assert fit.inner[1] == pytest.approx(max(1, cols * dx * scale), abs=0.51)


def test_a_map_comes_back_to_its_place() -> None:
    row, col = np.mgrid[:120, :90]
    disc = (((row - 40) / 25) ** 2 + ((col - 60) / 18) ** 2 < 1).astype(np.float32)
    hu = (np.where(disc, -800, 40)[None]).astype(np.int16)
    fit = fit_slice((120, 90), (64, 64))
    inside = to_input(hu, fit, WINDOW) < -380
    # The padding is air, and only outside of the slice.
    fit_cols = slice(fit.offset[1], fit.offset[1] + fit.inner[1])
    assert inside[0, :, : fit.offset[1]].all()
    only = np.zeros_like(inside)
    only[:, :, fit_cols] = inside[:, :, fit_cols]
    back = from_input(only.astype(np.float32), fit)[0] >= 0.5
    assert back.shape == disc.shape
    assert 2 * (back & (disc > 0)).sum() / (back.sum() + disc.sum()) > 0.97


def test_values_outside_of_the_window_do_not_bleed() -> None:
    hu = np.full((1, 64, 64), -1000, np.int16)
    low, high = hu.copy(), hu.copy()
    low[0, ::2] = -3000
    high[0, ::2] = 30000
    fit = fit_slice((64, 64), (32, 32))
    assert to_input(low, fit, WINDOW).min() == pytest.approx(-1012, abs=0.1)
    assert to_input(high, fit, WINDOW).max() == pytest.approx(-300, abs=0.1)


def test_voxels_that_are_not_numbers_count_as_air() -> None:
    hu = np.full((1, 32, 32), np.nan, np.float32)
    np.testing.assert_array_equal(to_input(hu, fit_slice((32, 32), (32, 32)), WINDOW), WINDOW[0])


def test_normalised_to_minus_one_to_one() -> None:
    hu = np.array([[[-1024.0, -312.0, 400.0]]], np.float32)
    np.testing.assert_allclose(normalise(hu, WINDOW), [[[-1, 0, 1]]], atol=1e-6)


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (np.nan, 1.0)])
def test_impossible_spacing_is_refused(spacing: tuple[float, float]) -> None:
    with pytest.raises(UsageError):
        fit_slice((10, 10), (32, 32), spacing)

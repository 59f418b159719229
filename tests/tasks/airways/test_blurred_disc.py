from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ncx2

from hilum.tasks.airways.blurred_disc import blurred_disc

PLACES = np.linspace(0.2, 30, 97)
SIZES = np.clip(PLACES + np.linspace(-3, 3, 97), 0.1, None)


def exact(place: np.ndarray, size: np.ndarray) -> np.ndarray:
    return ncx2.cdf(size**2, 2, place**2)


def test_a_blurred_disc_is_a_noncentral_chi_square_distribution() -> None:
    assert blurred_disc(PLACES, SIZES).value == pytest.approx(exact(PLACES, SIZES), abs=0.0015)


def test_its_derivatives_are_those_of_its_value() -> None:
    found, step = blurred_disc(PLACES, SIZES), 1e-3
    by_size = (exact(PLACES, SIZES + step) - exact(PLACES, SIZES - step)) / (2 * step)
    by_place = (exact(PLACES + step, SIZES) - exact(PLACES - step, SIZES)) / (2 * step)
    assert found.by_size == pytest.approx(by_size, abs=0.035)
    assert found.by_place == pytest.approx(by_place, abs=0.035)


def test_a_very_wide_disc_has_a_straight_edge() -> None:
    found = blurred_disc(np.array([99.0, 100.0, 101.0]), np.array(100.0)).value
    assert found == pytest.approx([0.84, 0.5, 0.16], abs=0.01)


def test_a_disc_is_full_in_its_middle_and_empty_far_outside() -> None:
    found = blurred_disc(np.array([0.0, 20.0]), np.array([10.0, 10.0])).value
    assert found == pytest.approx([1.0, 0.0], abs=1e-3)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hilum.measures import Sample

INTS = hnp.arrays(np.int16, st.integers(1, 60), elements=st.integers(-1100, 400))


def weighted(values):
    steps, counts = np.unique(values, return_counts=True)
    return Sample(steps, counts)


@given(INTS, st.sampled_from([0.05, 0.15, 0.5, 0.85, 0.95]))
def test_quantile_is_that_of_numpy(values, fraction):
    expected = np.quantile(values.astype(float), fraction)
    assert weighted(values).quantile(fraction) == pytest.approx(expected, abs=1e-9)
    assert Sample(np.sort(values).astype(np.float32)).quantile(fraction) == pytest.approx(expected, abs=1e-9)


@given(INTS)
def test_moments_are_those_of_scipy(values):
    sample = weighted(values)
    assert sample.size == values.size
    assert sample.mean == pytest.approx(values.mean(dtype=float), abs=1e-9)
    for order in (2, 3, 4):
        expected = ((values - values.mean(dtype=float)) ** order).mean()
        assert sample.moment(order) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_intervals_are_half_open(kind):
    sample = Sample(np.array([-951, -950, -949, 100], kind))
    assert sample.count(None, -950) == 1
    assert sample.count(-950, 100) == 2
    assert sample.count(100, None) == 1
    assert sample.total(lambda hu: hu, -950, -949) == -950


def test_many_values_are_summed_in_pieces():
    values = np.sort(np.random.default_rng(0).normal(-800, 90, 200_000).astype(np.float32))
    sample = Sample(values)
    assert sample.mean == pytest.approx(values.mean(dtype=float), rel=1e-12)
    assert sample.moment(2) == pytest.approx(values.var(dtype=float), rel=1e-9)

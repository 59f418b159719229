from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from hilum.tasks.airways.classifier import read_network
from hilum.training.recipes.airways.fit import as_arrays, fit_network


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are true inside a ring, which no plane divides."""
    random = np.random.default_rng(3)
    features = random.normal(5.0, 2.0, (6000, 2)).astype(np.float32)
    truth = np.hypot(*(features - 5.0).T) < 2.0
    return features, truth, np.ones(len(truth), np.float32)


@pytest.fixture(scope="module")
def network(rows):
    return fit_network(*rows, hidden=(12,), epochs=1)


def test_a_ring_is_learned(rows, network) -> None:
    features, truth, _ = rows
    assert np.mean((network(features) > 0.5) == truth) > 0.95


def test_the_same_seed_gives_the_same_network(rows, network) -> None:
    again = fit_network(*rows, hidden=(12,), epochs=1)
    assert np.array_equal(network(rows[0]), again(rows[0]))


def test_the_file_holds_the_same_network(rows, network, tmp_path) -> None:
    np.savez_compressed(tmp_path / "weights.npz", **as_arrays({"rays": network}))
    with np.load(tmp_path / "weights.npz") as stored:
        back = read_network(stored, "rays")
    assert np.array_equal(back(rows[0]), network(rows[0]))

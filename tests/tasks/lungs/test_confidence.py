"""The confidence: what its features see, and that lungs without air never pass as sure."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import NotAChestError
from hilum.core.volume import Volume
from hilum.models.card import Calibration
from hilum.models.registry import open_model
from hilum.synthesis.phantoms import make_phantom
from hilum.tasks.lungs.confidence import UNCERTAIN, chance_of_failure, signs_of_scan
from hilum.tasks.lungs.iso_scan import IsoScan
from hilum.tasks.lungs.model import LearnedLungs
from hilum.tasks.lungs.predict import Probabilities

pytest.importorskip("openvino")
STEP = 3.5


@pytest.fixture(scope="module")
def scan() -> IsoScan:
    phantom = make_phantom(seed=31, spacing=(STEP,) * 3, orientation="RAS")
    return IsoScan.of(phantom.volume.canonical(), STEP)


def ball(scan: IsoScan, centre: float, radius: float) -> np.ndarray:
    """A ball at a share of each axis, in voxels."""
    at = np.indices(scan.hu.shape) - centre * np.array(scan.hu.shape)[:, None, None, None]
    return np.asarray((at**2).sum(axis=0) <= radius**2)


def signs(scan: IsoScan, lungs: np.ndarray, fluid: np.ndarray) -> dict[str, float]:
    none = np.zeros_like(lungs)
    return signs_of_scan(Probabilities(lungs, none, fluid, none, none, 1.0), lungs >= 0.5, scan)


def test_sure_lungs_in_two_pieces_give_no_sign_of_doubt(scan: IsoScan) -> None:
    lungs = (ball(scan, 0.3, 8) | ball(scan, 0.7, 8)).astype(np.float32)
    found = signs(scan, lungs, np.zeros_like(lungs))
    for name in ("soft", "mirror", "unsure_deep", "unsure_dense", "stray", "fluid_or_lung"):
        assert found[name] == pytest.approx(0, abs=1e-6)


def test_each_sign_grows_with_what_it_names(scan: IsoScan) -> None:
    lungs = (ball(scan, 0.3, 8) | ball(scan, 0.7, 8)).astype(np.float32)
    third = ball(scan, 0.5, 3)
    apart = signs(scan, np.maximum(lungs, third.astype(np.float32)), np.zeros_like(lungs))
    assert apart["stray"] == pytest.approx(third.sum() / (third.sum() + lungs.sum()))
    doubtful = lungs * np.float32(0.6)
    inside = signs(scan, doubtful, np.zeros_like(lungs))
    assert inside["unsure_deep"] > 0.5
    assert inside["fluid_or_lung"] == 0
    shared = signs(scan, doubtful, lungs - doubtful)
    assert shared["fluid_or_lung"] == pytest.approx(0.4, abs=1e-3)
    surface = lungs.copy()
    surface[ball(scan, 0.3, 8) & ~ball(scan, 0.3, 7.4)] = 0.6
    assert signs(scan, surface, np.zeros_like(lungs))["unsure_deep"] < 0.05


def test_more_of_a_sign_never_lowers_the_chance_of_failure(model: LearnedLungs) -> None:
    calibration = open_model("lungs").card.confidence
    assert isinstance(calibration, Calibration)
    none = dict.fromkeys(calibration.weights, 0.0)
    assert chance_of_failure(none, calibration) < 0.01
    for name in calibration.weights:
        assert chance_of_failure(none | {name: 1.0}, calibration) >= chance_of_failure(none, calibration)
    assert chance_of_failure(dict.fromkeys(calibration.weights, 1.0), calibration) > 0.99


@pytest.mark.parametrize(
    ("seed", "dense_hu"),
    [(31, 20.0), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((32, 40.0), (33, 70.0)))],
)
def test_two_lungs_without_air_are_refused_or_flagged(
    seed: int, dense_hu: float, model: LearnedLungs
) -> None:
    phantom = make_phantom(seed=seed, spacing=(3.0, 3.0, 3.0), orientation="RAS")
    noise = np.random.default_rng(seed).normal(0, 15, phantom.labels.shape)
    white = np.where(phantom.labels > 0, dense_hu + noise, phantom.volume.hu).astype(np.int16)
    try:
        found = model(Volume(white, phantom.volume.affine, phantom.volume.meta))
    except NotAChestError:
        return
    assert found.confidence is not None
    assert found.confidence.failure >= UNCERTAIN
    assert found.confidence.where is not None

"""The truth against itself, against renderings, and against what is known of lungs."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.labels import Side
from hilum.synthesis.phantoms import Phantom, make_phantom
from hilum.synthesis.phantoms.anatomy import LUNG_BOX, Anatomy, Body
from hilum.synthesis.phantoms.grid import CENTRE_MM, FIELD_MM
from hilum.synthesis.phantoms.injury import parse_injury
from hilum.synthesis.phantoms.lung import ChestModel
from hilum.synthesis.phantoms.truth import integrate, integrate_at

QUANTITIES = ("volume_ml", "air_ml", "mass_g")


def test_truth_has_converged() -> None:
    severity = parse_injury({"effusion": 0.6, "consolidation": 0.5, "emphysema": 0.5})
    model = ChestModel(Body.draw(3, 1.0, False, False), 3, severity)
    used, finer = integrate(model), integrate(model, (1.2, 1.8))
    for region in Side:
        for quantity in QUANTITIES:
            best = getattr(finer.regions[region], quantity)
            assert getattr(used.regions[region], quantity) == pytest.approx(best, rel=1e-3), (
                region,
                quantity,
            )


@pytest.mark.slow
def test_truth_has_converged_to_the_limit() -> None:
    model = ChestModel(Body.draw(3, 1.0, False, False), 3, {})
    used, plain = integrate(model), integrate_at(model, 0.7)
    for quantity in QUANTITIES:
        best = getattr(plain.lungs, quantity)
        # The plain sum at 0.7 mm itself still lacks about 0.1 % of the mass.
        assert getattr(used.lungs, quantity) == pytest.approx(best, rel=2e-3), quantity


def test_air_and_tissue_fill_the_lung(healthy: Phantom) -> None:
    for region in healthy.truth.regions.values():
        # The mass of tissue denser than water exceeds its volume: blood of 42 HU adds 4 % of the vessels.
        assert region.air_ml + region.mass_g == pytest.approx(region.volume_ml, rel=5e-3)
        assert region.air_ml + region.mass_g >= region.volume_ml


def test_both_lungs_are_the_sum_of_right_and_left(healthy: Phantom) -> None:
    truth = healthy.truth
    for quantity in QUANTITIES:
        both = getattr(truth.right_lung, quantity) + getattr(truth.left_lung, quantity)
        assert getattr(truth.lungs, quantity) == pytest.approx(both)


@pytest.mark.parametrize("seed", range(4))
def test_lungs_are_those_of_an_adult(seed: int) -> None:
    truth = integrate_at(ChestModel(Body.draw(seed, 1.0, False, False), seed, {}), 3.0)
    assert 3000 < truth.lungs.volume_ml < 6500
    assert 550 < truth.lungs.mass_g < 1200
    assert truth.right_lung.volume_ml > truth.left_lung.volume_ml
    assert -870 < -1000 + 1000 * truth.lungs.mass_g / truth.lungs.volume_ml < -800
    assert 60 < truth.tissues_ml["vessel"] < 400


def test_size_scales_volume_and_mass_with_its_cube() -> None:
    small, large = (
        integrate_at(ChestModel(Body.draw(0, s, False, False), 0, {}), 4.0).lungs for s in (0.5, 1.0)
    )
    assert large.volume_ml / small.volume_ml == pytest.approx(8.0, rel=1e-6)
    assert large.mass_g / small.mass_g == pytest.approx(8.0, rel=1e-6)


@pytest.mark.parametrize(("region", "value"), [("right_lung", 1), ("left_lung", 2), ("lungs", None)])
def test_labels_agree_with_the_truth(healthy: Phantom, measured, region: str, value: int | None) -> None:
    got = measured(healthy, value)
    assert got["volume_ml"] == pytest.approx(healthy.truth.regions[region].volume_ml, rel=5e-3)
    assert healthy.truth.labelled is not None
    for quantity in QUANTITIES:
        true = getattr(healthy.truth.labelled[region], quantity)
        assert got[quantity] == pytest.approx(true, rel=1e-3), quantity


def test_partial_volume_bias_falls_with_the_voxel(measured) -> None:
    """Whole voxels at the pleura carry chest wall into the mask, about 1/8 voxel deep."""
    excess = {}
    for step in (4.0, 2.0):
        phantom = make_phantom(spacing=(step,) * 3, noise_hu=0.0)
        excess[step] = measured(phantom)["mass_g"] - phantom.truth.lungs.mass_g
    assert excess[4.0] / excess[2.0] == pytest.approx(2.0, abs=0.35)
    assert 0 < excess[2.0] < 0.10 * phantom.truth.lungs.mass_g


@pytest.mark.slow
def test_one_millimetre_scan(measured) -> None:
    phantom = make_phantom(spacing=(1.0, 1.0, 1.0))
    got = measured(phantom)
    assert phantom.truth.labelled is not None
    for quantity in QUANTITIES:
        assert got[quantity] == pytest.approx(getattr(phantom.truth.labelled["lungs"], quantity), rel=1e-3)
    assert got["volume_ml"] == pytest.approx(phantom.truth.lungs.volume_ml, rel=2e-3)
    assert got["air_ml"] == pytest.approx(phantom.truth.lungs.air_ml, rel=1e-2)
    assert got["mass_g"] == pytest.approx(phantom.truth.lungs.mass_g, rel=5e-2)


def test_truth_as_plain_data(healthy: Phantom) -> None:
    import json

    data = json.loads(json.dumps(healthy.truth.as_dict()))
    assert set(data["regions"]) == {side.value for side in Side}
    assert data["regions"]["lungs"]["mass_g"] == healthy.truth.lungs.mass_g
    assert np.isfinite(list(data["tissues_ml"].values())).all()


@pytest.mark.parametrize("seed", range(12))
def test_the_boxes_hold_the_lungs_of_every_seed(seed: int) -> None:
    anatomy = Anatomy(Body.draw(seed, 1.0, False, False))
    low, high = LUNG_BOX[0] * 1.08, LUNG_BOX[1] * 1.08
    axes = [np.arange(a - 12, b + 12, 4.0, dtype=np.float32) for a, b in zip(low, high, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = np.argwhere(np.minimum(anatomy.lung((x, y, z), 1), anatomy.lung((x, y, z), -1)) < 2)
    first, last = (
        np.array([axis[i] for axis, i in zip(axes, e, strict=True)]) for e in (inside.min(0), inside.max(0))
    )
    assert (first > low).all()
    assert (last < high).all()
    assert (first > CENTRE_MM - FIELD_MM / 2 + 5).all()
    assert (last < CENTRE_MM + FIELD_MM / 2 - 5).all()

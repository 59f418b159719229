"""Disease of the pleural space: fluid and gas leave the lung, and nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hilum.imaging.morphology import depth, distance_to
from hilum.synthesis.lesions import PleuralCase, PleuralKind, add_pleura, random_pleura
from hilum.synthesis.lesions.flattened import flatten_diaphragm
from hilum.synthesis.lesions.pleura import PLEURAL_SHARES
from hilum.synthesis.phantoms import make_phantom

SPACING = (4.0, 4.0, 4.0)
SUPINE = (0.0, -1.0, 0.0)
Array = npt.NDArray[Any]
GASEOUS = (PleuralKind.PNEUMOTHORAX, PleuralKind.HYDROPNEUMOTHORAX)


@pytest.fixture(scope="module")
def chest() -> tuple[Array, Array]:
    phantom = make_phantom(seed=3, spacing=SPACING, orientation="RAS", noise_hu=10.0)
    return phantom.volume.hu, phantom.labels


def put(chest: tuple[Array, Array], kind: PleuralKind, seed: int = 0) -> PleuralCase:
    return add_pleura(*chest, SPACING, {1: kind}, np.random.default_rng(seed), gravity=SUPINE)


@pytest.mark.parametrize("kind", list(PleuralKind))
def test_fluid_gas_and_lung_share_no_voxel_and_draws_repeat(kind: PleuralKind, chest: Any) -> None:
    case, again, other = put(chest, kind), put(chest, kind), put(chest, kind, seed=1)
    assert np.array_equal(case.hu, again.hu)
    assert np.array_equal(case.lungs, again.lungs)
    assert not np.array_equal(case.hu, other.hu)
    assert not (case.fluid & case.gas).any()
    assert not case.lungs[case.fluid | case.gas].any()
    assert case.gas.any() == (kind in GASEOUS)
    assert case.fluid.any() == (kind is not PleuralKind.PNEUMOTHORAX)
    # Of the other lung only a rim moves, where a diaphragm is pressed flat.
    assert ((case.lungs == 2) != (chest[1] == 2)).sum() < 0.03 * (chest[1] == 2).sum()
    assert case.kinds == {1: kind}


@pytest.mark.parametrize("kind", list(PleuralKind))
def test_fluid_has_the_hu_of_fluid_and_gas_that_of_gas(kind: PleuralKind, chest: Any) -> None:
    for seed in range(3):
        case = put(chest, kind, seed)
        inner = depth(case.fluid, SPACING) > SPACING[0]
        if inner.any():
            assert -10 < np.median(case.hu[inner]) < 70
        if case.gas.any():
            assert np.median(case.hu[case.gas]) < -950


def test_fluid_beside_dense_lung_shows_no_dark_line_between_them(chest: Any) -> None:
    seen = 0
    for seed in range(8):
        case = put(chest, PleuralKind.CRESCENT, seed)
        beside = (case.lungs == 1) & (distance_to(case.fluid, SPACING) <= SPACING[0])
        next_ = (case.lungs == 1) & (distance_to(case.fluid, SPACING) > 2 * SPACING[0])
        next_ &= distance_to(case.fluid, SPACING) <= 3 * SPACING[0]
        if np.median(case.hu[next_]) > 0:  # collapsed three voxels deep
            seen += 1
            assert np.median(case.hu[beside]) > -60
    assert seen >= 2


def test_lung_is_compressed_beside_fluid_and_stays_lung(chest: Any) -> None:
    case = put(chest, PleuralKind.LOCULATED, 2)
    near = (case.lungs == 1) & (distance_to(case.fluid, SPACING) <= 8)
    assert case.hu[near].mean() > chest[0][near].mean() + 30


def test_thin_fluid_is_thin_and_lies_low(chest: Any) -> None:
    for seed in range(4):
        case = put(chest, PleuralKind.CRESCENT, seed)
        thick = depth(chest[1] > 0, SPACING)[case.fluid]
        assert np.median(thick) <= 24
        y = np.nonzero(case.fluid)[1].mean()
        assert y < np.nonzero(chest[1] == 1)[1].mean()  # y grows to the front


def test_gas_rises_and_has_a_level_over_fluid(chest: Any) -> None:
    case = put(chest, PleuralKind.HYDROPNEUMOTHORAX, 4)
    assert np.nonzero(case.gas)[1].min() > np.nonzero(case.fluid)[1].max()


def test_a_flat_diaphragm_gives_the_lung_room_and_keeps_the_other_lung(chest: Any) -> None:
    hu, mask = chest[0].astype(np.float32), chest[1]
    new, labels = flatten_diaphragm(hu, mask, 1, SPACING, 0.8)
    assert (labels == 1).sum() > 1.02 * (mask == 1).sum()
    assert (labels == 2).sum() == pytest.approx((mask == 2).sum(), rel=0.03)
    floors = [(m == 1).argmax(2)[(m == 1).any(2)] for m in (mask, labels)]
    assert np.std(floors[1]) < np.std(floors[0])
    assert new[labels == 1].mean() < -600
    assert new.shape == hu.shape
    flat = flatten_diaphragm(hu[:, :, :4], mask[:, :, :4], 1, SPACING, 0.8)
    assert np.array_equal(flat[0], hu[:, :, :4])


def test_all_kinds_are_drawn_and_a_slice_or_no_lung_is_no_error(chest: Any) -> None:
    hu, mask = chest
    kinds = set()
    for seed in range(60):
        case = random_pleura(hu[:, :, 40:48], mask[:, :, 40:48], SPACING, np.random.default_rng(seed))
        kinds |= set(case.kinds.values())
    assert kinds == set(PLEURAL_SHARES) == set(PleuralKind)
    one = random_pleura(hu[:, :, 40:41], mask[:, :, 40:41], SPACING, np.random.default_rng(0))
    assert one.hu.shape == (*hu.shape[:2], 1)
    none = random_pleura(hu, np.zeros_like(mask), SPACING, np.random.default_rng(0))
    assert not none.fluid.any()
    assert none.kinds == {}

"""Synthetic injury: the mask stays right, the grams are known, and no dark rim gives the lung away."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hilum.core.errors import UsageError
from hilum.synthesis.lesions import abdomen_slices, add_diaphragm, add_injury, random_injury
from hilum.synthesis.lesions.kinds import RECIPES
from hilum.synthesis.pathology import Pathology
from hilum.synthesis.phantoms import make_phantom

SPACING = (4.0, 4.0, 4.0)
DENSE = [k for k in RECIPES if k not in (Pathology.EMPHYSEMA, Pathology.PNEUMOTHORAX)]
LEAVING = (Pathology.EFFUSION, Pathology.PNEUMOTHORAX)
Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def chest() -> tuple[Array, Array]:
    phantom = make_phantom(seed=3, spacing=SPACING, orientation="RAS", noise_hu=10.0)
    return phantom.volume.hu, phantom.labels


def tissue_grams(hu: Array, mask: Array) -> float:
    """Grams in the mask by the formula of the measure: density 1 + HU / 1000."""
    return float((1 + hu[mask > 0].astype(np.float64) / 1000).sum() * np.prod(SPACING) / 1000)


@pytest.mark.parametrize("kind", list(RECIPES))
def test_same_seed_same_bytes_and_another_seed_another_disease(kind: Pathology, chest: Any) -> None:
    first, again, other = (add_injury(*chest, SPACING, kind=kind, severity=0.6, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.hu, again.hu)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.hu, other.hu)
    assert first.hu.dtype == chest[0].dtype


@pytest.mark.parametrize("kind", list(RECIPES))
def test_nothing_changes_away_from_the_lungs_and_at_severity_0(kind: Pathology, chest: Any) -> None:
    from hilum.imaging.morphology import distance_to

    hu, mask = chest
    none = add_injury(hu, mask, SPACING, kind=kind, severity=0.0, seed=1)
    assert np.array_equal(none.hu, hu)
    assert np.array_equal(none.mask, mask)
    assert none.grams_added == 0
    much = add_injury(hu, mask, SPACING, kind=kind, severity=1.0, seed=1)
    far = distance_to(mask > 0, SPACING) > 8
    assert np.array_equal(much.hu[far], hu[far])
    assert np.array_equal(much.mask[mask == 0], mask[mask == 0])


@pytest.mark.parametrize("kind", list(RECIPES))
def test_only_fluid_and_free_gas_leave_the_mask(kind: Pathology, chest: Any) -> None:
    hu, mask = chest
    result = add_injury(hu, mask, SPACING, kind=kind, severity=0.7, seed=5)
    gone = (mask > 0) & (result.mask == 0)
    if kind not in LEAVING:
        assert not gone.any()
        return
    share = gone.sum() / (mask > 0).sum()
    assert 0.1 < share < 0.9
    middle = float(np.median(result.hu[gone]))
    assert -5 < middle < 25 if kind is Pathology.EFFUSION else middle < -950
    place = np.nonzero(gone)[1].mean() - np.nonzero(mask)[1].mean()  # y grows to the front
    assert place < 0 if kind is Pathology.EFFUSION else place > 0


@pytest.mark.parametrize("kind", LEAVING)
def test_no_vessel_swims_in_fluid_or_free_gas(kind: Pathology, chest: Any) -> None:
    from hilum.imaging.morphology import depth

    hu, mask = chest[0].copy(), chest[1]
    inner = depth(mask > 0, SPACING) > 8
    hu[inner] = np.where(np.indices(hu.shape)[0][inner] % 3 == 0, 60, hu[inner])  # vessels everywhere
    result = add_injury(hu, mask, SPACING, kind=kind, severity=0.7, seed=5)
    gone = (result.mask == 0) & inner
    assert gone.sum() > 500
    away = np.abs(result.hu[gone] - float(np.median(result.hu[gone])))
    assert (away > 35).mean() < 0.1  # its edge is soft; vessels were a third


@pytest.mark.parametrize("kind", DENSE)
def test_the_grams_added_are_those_measured_and_grow_with_severity(kind: Pathology, chest: Any) -> None:
    hu, mask = chest
    before, last = tissue_grams(hu, mask), 0.0
    for severity in (0.25, 0.6, 1.0):
        result = add_injury(hu, mask, SPACING, kind=kind, severity=severity, seed=2)
        measured = tissue_grams(result.hu, mask) - before
        assert measured == pytest.approx(result.grams_added, rel=0.02)
        if kind is not Pathology.MASS:  # masses are few, their positions random
            assert measured > last
        last = measured


def test_a_white_lung_has_no_dark_rim(chest: Any) -> None:
    from hilum.imaging.morphology import distance_to

    hu, mask = chest
    result = add_injury(hu, mask, SPACING, kind="white_out", severity=1.0, seed=1)
    rim = (distance_to(mask > 0, SPACING) <= 4.0) & (mask == 0)
    before, after = (float(np.mean(a[rim] < -250)) for a in (hu, result.hu))
    assert before > 0.05
    assert after < 0.3 * before


def test_new_tissue_has_the_noise_of_the_scan() -> None:
    phantom = make_phantom(seed=3, spacing=SPACING, orientation="RAS", noise_hu=40.0)
    hu, mask = phantom.volume.hu, phantom.labels
    result = add_injury(hu, mask, SPACING, kind="white_out", severity=1.0, seed=1)
    from hilum.imaging.morphology import erode

    deep = erode(mask > 0, 8.0, SPACING)
    step = np.diff(result.hu.astype(float), axis=0)[deep[1:] & deep[:-1]]
    liver = (hu > 0) & (hu < 110)
    real = np.diff(hu.astype(float), axis=0)[liver[1:] & liver[:-1]]
    assert 0.5 < np.median(np.abs(step)) / np.median(np.abs(real)) < 2


def test_a_single_slice_can_be_injured(chest: Any) -> None:
    hu, mask = (a[:, :, a.shape[2] // 2 : a.shape[2] // 2 + 1] for a in chest)
    for kind in RECIPES:
        result = add_injury(hu, mask, SPACING, kind=kind, severity=0.7, seed=1)
        assert not np.array_equal(result.hu, hu), kind


def test_random_mixtures_follow_the_generator(chest: Any) -> None:
    a, b = (random_injury(*chest, SPACING, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(a.hu, b.hu)
    assert a.kinds == b.kinds
    drawn = [random_injury(*chest, SPACING, np.random.default_rng(s)).kinds for s in range(6)]
    assert len({str(d) for d in drawn}) == 6


@pytest.mark.parametrize(
    "change",
    [{"kind": "plague"}, {"severity": 1.5}, {"spacing": (1.0, 0.0, 1.0)}, {"mask": np.zeros((2, 2, 2))}],
)
def test_wrong_arguments_are_named(change: dict[str, Any], chest: Any) -> None:
    arguments: dict[str, Any] = {
        "hu": chest[0],
        "mask": chest[1],
        "spacing": SPACING,
        "kind": "mass",
        "severity": 0.5,
        "seed": 0,
        **change,
    }
    with pytest.raises(UsageError, match=next(iter(change))):
        add_injury(**arguments)


def test_dome_is_tissue_taken_out_of_one_lung(chest: tuple[Array, Array]) -> None:
    hu, labels = (a[:, :, chest[0].shape[2] // 2, None] for a in chest)
    for seed in range(12):
        new, mask = add_diaphragm(hu, labels, SPACING, np.random.default_rng(seed))
        again, _ = add_diaphragm(hu, labels, SPACING, np.random.default_rng(seed))
        assert np.array_equal(new, again)
        gone = (labels > 0) & (mask == 0)
        assert len(np.unique(labels[gone])) == 1
        assert 0.01 < gone.sum() / (labels == labels[gone][0]).sum() < 0.95
        if gone.sum() > 50:  # of small ones all is border, which is blurred
            assert -60 < np.median(new[gone]) < 160
        kept = mask > 0  # blurred at the border, but lung away from it
        assert np.array_equal(mask[kept], labels[kept])
        assert np.median(np.abs(new - hu)[kept]) < 1


def test_half_of_the_domes_show_an_abdomen_slice(chest: tuple[Array, Array]) -> None:
    hu, labels = chest
    abdomens = abdomen_slices(hu, labels, SPACING[2])
    low = int(np.flatnonzero(labels.any(axis=(0, 1)))[0])
    assert 0 < len(abdomens) <= low
    assert all((abdomen > -300).mean() > 0.5 for abdomen in abdomens)  # cut to the body
    assert abdomen_slices(hu[:, :, low:], labels[:, :, low:], SPACING[2]) == []
    flat = [a[:, :, a.shape[2] // 2, None] for a in chest]
    marked = [np.full_like(abdomen, 300) for abdomen in abdomens]
    seen = 0
    for seed in range(12):
        new, mask = add_diaphragm(*flat, SPACING, np.random.default_rng(seed), marked)
        gone = (flat[1] > 0) & (mask == 0)
        seen += bool(gone.sum() > 50 and np.median(new[gone]) > 250)
    assert 3 <= seen <= 9


def test_no_dome_without_room() -> None:
    hu, mask = np.full((40, 40, 1), 30, np.int16), np.zeros((40, 40, 1), np.uint8)
    for size in (0, 3):  # no lung, and one of 9 mm
        mask[10 : 10 + size, 10 : 10 + size] = 1
        new, same = add_diaphragm(hu, mask, (3.0, 3.0, 3.0), np.random.default_rng(0))
        assert np.array_equal(new, hu)
        assert np.array_equal(same, mask)

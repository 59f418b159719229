from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from hilum.anatomy import Classic
from hilum.anatomy.body import optimal_threshold
from hilum.core.errors import InputError, NotAChestError
from hilum.core.labels import Lung
from hilum.core.volume import ScanMeta, Volume
from hilum.imaging.overlap import dice
from support.plain_chest import build_chest


def side_dice(found, true):
    return [dice(found == side, true == side) for side in (1, 2)]


def test_finds_both_lungs_and_cuts_the_trachea(chest):
    found = Classic()(chest.volume)
    assert found.labels.data.dtype == np.uint8
    assert found.labels.data.shape == chest.volume.shape
    assert min(side_dice(found.labels.data, chest.lungs)) > 0.97
    assert np.count_nonzero(found.labels.data[chest.trachea]) < 0.02 * chest.trachea.sum()


def test_vessels_inside_the_lung_belong_to_it(chest):
    vessels = (chest.lungs > 0) & (chest.volume.hu > -300)
    found = Classic()(chest.volume)
    assert np.mean(found.labels.data[vessels] > 0) > 0.95


def test_landmarks_are_those_of_the_scan(chest):
    landmarks = Classic()(chest.volume).landmarks
    assert landmarks.outside_air_hu == pytest.approx(-1000, abs=5)
    assert landmarks.tracheal_air_hu == pytest.approx(-1000, abs=10)
    assert landmarks.trachea_ml == pytest.approx(chest.trachea.sum() * 0.036, rel=0.3)


def test_lungs_that_touch_in_front_are_parted():
    touching = build_chest(touching=True)
    found = Classic()(touching.volume)
    assert min(side_dice(found.labels.data, touching.lungs)) > 0.94


def test_stomach_gas_is_not_lung(chest):
    found = Classic()(chest.volume)
    stomach = (chest.volume.hu < -900) & (chest.lungs == 0)
    stomach[:, :, 20:] = False
    stomach[:30] = stomach[80:] = False
    assert stomach.sum() > 50
    assert np.count_nonzero(found.labels.data[stomach]) < 0.05 * stomach.sum()


@pytest.mark.parametrize("flip", [(1, -1), (-1, 1), (-1, -1)], ids=["prone", "feet first", "both"])
def test_prone_and_feet_first_patients(chest, flip):
    """The patient lies otherwise in the scanner, so table and gravity are on the other side of the body."""
    volume = chest.volume
    hu = volume.hu.copy()
    tabletop = (hu > -300) & (np.abs(volume.affine[1, 3] + 3.0 * np.arange(hu.shape[1]) + 112) < 6)[
        None, :, None
    ]
    hu[tabletop] = -1000
    hu2, true = hu, chest.lungs
    if flip[0] < 0:  # prone: turned about the long axis, so right and left change sides in the array
        hu2, true = hu2[::-1, ::-1], true[::-1, ::-1]
    if flip[1] < 0:
        hu2, true = hu2[::-1, :, ::-1], true[::-1, :, ::-1]
    affine = volume.affine.copy()
    for axis, turned in ((0, flip[0] * flip[1] < 0), (1, flip[0] < 0), (2, flip[1] < 0)):
        if turned:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
    found = Classic()(Volume(np.ascontiguousarray(hu2), affine))
    assert min(side_dice(found.labels.data, true)) > 0.96


def orientations():
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            yield order, signs


@pytest.mark.parametrize(("order", "signs"), list(orientations()), ids=str)
def test_right_stays_right_in_every_orientation(chest_coarse, order, signs):
    import nibabel as nib

    volume, true = chest_coarse
    ornt = np.array([[o, s] for o, s in zip(order, signs, strict=True)], float)
    hu = nib.apply_orientation(volume.hu, ornt)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(ornt, volume.shape)
    turned = Volume(np.ascontiguousarray(hu), affine)
    found = Classic()(turned).labels.data
    assert found.shape == turned.shape
    assert min(side_dice(found, nib.apply_orientation(true, ornt))) > 0.94
    right = turned.affine @ [*np.mean(np.nonzero(found == Lung.RIGHT), axis=1), 1]
    left = turned.affine @ [*np.mean(np.nonzero(found == Lung.LEFT), axis=1), 1]
    assert right[0] > left[0]


@pytest.fixture(scope="module")
def chest_coarse():
    made = build_chest(spacing=(5.0, 5.0, 6.0), noise=3.0)
    return made.volume, made.lungs


def test_oblique_grid(chest):
    angle = np.deg2rad(12)
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    found = Classic()(Volume(chest.volume.hu, turn @ chest.volume.affine))
    assert min(side_dice(found.labels.data, chest.lungs)) > 0.97


def test_single_slice_without_a_scale(chest):
    k = chest.volume.shape[2] // 2 - 8
    plane = Volume(
        np.ascontiguousarray(chest.volume.hu[:, :, k : k + 1]),
        np.eye(4),
        ScanMeta(spacing_known=False),
    )
    found = Classic()(plane)
    assert dice(found.labels.data > 0, chest.lungs[:, :, k : k + 1] > 0) > 0.95


def test_single_coronal_slice(chest):
    j = chest.volume.shape[1] // 2
    plane = Volume(np.ascontiguousarray(chest.volume.hu[:, j : j + 1]), chest.volume.affine)
    found = Classic()(plane)
    assert found.labels.data.shape == plane.shape
    assert min(side_dice(found.labels.data, chest.lungs[:, j : j + 1])) > 0.95


def test_single_sagittal_slice_is_refused(chest):
    plane = Volume(np.ascontiguousarray(chest.volume.hu[75:76]), chest.volume.affine)
    with pytest.raises(InputError, match="sagittal"):
        Classic()(plane)


def test_a_lung_alone_is_on_its_side():
    single = build_chest(only_right=True)
    found = Classic()(single.volume).labels.data
    assert not (found == Lung.LEFT).any()
    assert dice(found == Lung.RIGHT, single.lungs == 1) > 0.97


def test_lung_cut_by_a_tight_crop_is_kept(chest):
    cropped = Volume(np.ascontiguousarray(chest.volume.hu[16:-16, 14:-14]), chest.volume.affine)
    found = Classic()(cropped)
    assert min(side_dice(found.labels.data, chest.lungs[16:-16, 14:-14])) > 0.95


@pytest.mark.parametrize(
    "hu",
    [
        np.full((40, 40, 30), -1000, np.int16),
        np.full((40, 40, 30), 40, np.int16),
        np.random.default_rng(1).normal(0, 400, (40, 40, 30)).astype(np.int16),
    ],
    ids=["air", "water", "noise"],
)
def test_a_scan_that_is_not_a_chest_is_refused(hu):
    with pytest.raises(NotAChestError):
        Classic()(Volume(hu, np.diag([5.0, 5, 5, 1])))


def test_abdomen_with_bowel_gas_is_refused(chest):
    hu = np.where(chest.lungs > 0, np.int16(40), chest.volume.hu)
    hu[chest.trachea] = 40
    hu[40:70, 45:60, 10:60] = -1000
    with pytest.raises(NotAChestError):
        Classic()(Volume(hu, chest.volume.affine))


def test_same_input_same_bytes(chest):
    first, second = Classic()(chest.volume), Classic()(chest.volume)
    assert first.labels.data.tobytes() == second.labels.data.tobytes()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_threshold_lies_half_way_up_to_the_last_value_below_the_limit(share: float) -> None:
    values = np.full(1000, -850, np.float32)
    values[: int(1000 * share)] = np.nextafter(np.float32(300), np.float32(0))
    assert optimal_threshold(values) == pytest.approx(-380)  # of (-850 + 300) / 2, clipped
    values[: int(1000 * share)] = 0
    assert optimal_threshold(values) == pytest.approx(-425, abs=3)

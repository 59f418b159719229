"""Masks with one label for both lungs: sides are assigned where they are certain, and withheld elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.plain_chest import build_chest

import hilum
from hilum.anatomy.given import part_sides
from hilum.core.errors import InputError
from hilum.core.volume import Volume
from hilum.io.vocabulary import BOTH


@pytest.fixture(scope="module")
def chest():
    return build_chest(spacing=(6.0, 6.0, 8.0))


@pytest.fixture(scope="module")
def touching():
    return build_chest(spacing=(5.0, 5.0, 8.0), touching=True)


def codes(flags):
    return {flag.code for flag in flags}


@pytest.mark.parametrize("value", [1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_one_label_in_two_pieces_becomes_right_and_left(chest, value, flip):
    volume, lungs = chest.volume, chest.lungs
    if flip:  # the same chest, first axis to the left
        affine = volume.affine @ np.diag([-1.0, 1, 1, 1])
        affine[:, 3] += volume.affine[:, 0] * (volume.shape[0] - 1)
        volume, lungs = Volume(volume.hu[::-1], affine), lungs[::-1]
    labels, flags = part_sides((lungs > 0).astype(np.uint8) * np.uint8(value), volume, mapped=False)
    np.testing.assert_array_equal(labels, lungs)
    assert codes(flags) == {"sides_parted"}


def test_measures_of_one_label_are_those_of_two(chest):
    both = hilum.measure(chest.volume, (chest.lungs > 0).astype(np.uint8))
    two = hilum.measure(chest.volume, chest.lungs)
    assert both.measures.as_dict() == two.measures.as_dict()
    assert "sides_parted" in codes(both.flags)
    assert "sides_parted" not in codes(two.flags)


def test_small_islands_of_one_label_go_to_the_nearer_lung(chest):
    mask = (chest.lungs > 0).astype(np.uint8)
    mask[1, 1, 1], mask[-2, 1, 1] = 1, 1
    labels, flags = part_sides(mask, chest.volume, mapped=False)
    assert codes(flags) == {"sides_parted"}
    assert (labels[1, 1, 1], labels[-2, 1, 1]) == (2, 1)


def test_lungs_that_touch_a_little_are_told_apart(chest):
    mask = (chest.lungs > 0).astype(np.uint8)
    x, y, z = (n // 2 for n in mask.shape)
    mask[x - 6 : x + 6, y + 2, z + 2] = 1  # a bridge of one voxel
    labels, flags = part_sides(mask, chest.volume, mapped=False)
    assert codes(flags) == {"sides_parted"}
    wrong = np.count_nonzero((labels != chest.lungs) & (chest.lungs > 0))
    assert wrong < 0.01 * np.count_nonzero(chest.lungs)


def test_lungs_that_grow_together_are_measured_together_and_their_sides_withheld(touching):
    mask = touching.lungs > 0
    x, y, _ = (n // 2 for n in mask.shape)
    mask[x - 8 : x + 9, y - 8 : y + 8, 12:30] = True  # the mediastinum was taken in
    result = hilum.measure(touching.volume, mask.astype(np.uint8))
    assert "sides_unknown" in codes(result.flags)
    assert not codes(result.flags) & {"side_ratio", "lung_missing", "mask_fragmented"}
    volume = {name: result.measures[name]["volume"] for name in ("lungs", "right_lung", "left_lung")}
    ml = np.count_nonzero(mask) * touching.volume.voxel_volume_ml
    assert volume["lungs"].value == pytest.approx(ml)
    assert volume["right_lung"].value is None
    assert volume["left_lung"].value is None
    assert "not sure" in volume["right_lung"].reason


def test_sides_are_withheld_where_the_orientation_is_unknown(chest):
    scan = replace(chest.volume, meta=replace(chest.volume.meta, orientation_known=False))
    result = hilum.measure(scan, (chest.lungs > 0).astype(np.uint8))
    assert "sides_unknown" in codes(result.flags)
    assert result.measures["right_lung"]["volume"].value is None
    assert result.measures["lungs"]["volume"].value > 0


def test_a_single_lung_keeps_the_side_of_its_label(chest):
    right = (chest.lungs == 1).astype(np.uint8)
    labels, flags = part_sides(right, chest.volume, mapped=False)
    assert labels is right
    assert flags == ()
    result = hilum.measure(chest.volume, (chest.lungs == 2).astype(np.uint8), labels="1=left")
    assert result.measures["left_lung"]["volume"].value > 0


def test_a_single_lung_on_the_wrong_side_is_withheld(chest):
    result = hilum.measure(chest.volume, (chest.lungs == 2).astype(np.uint8))
    assert "left_right_suspect" in codes(result.flags)
    assert result.measures["right_lung"]["volume"].value is None


def test_a_label_for_both_lungs_is_never_assigned_to_one_side(chest):
    """Half of a mask is not a lung: the sum is measured, the sides and the thirds are withheld."""
    right = (chest.lungs == 1).astype(np.uint8)
    result = hilum.measure(chest.volume, right, labels="both")
    assert "sides_unknown" in codes(result.flags)
    ml = np.count_nonzero(right) * chest.volume.voxel_volume_ml
    assert result.measures["lungs"]["volume"].value == pytest.approx(ml)
    assert result.measures["lungs_apical"]["volume"].value is None
    assert result.measures["right_lung"]["volume"].value is None


def test_a_single_lung_in_a_cropped_slice_keeps_the_side_of_its_label(chest):
    """If the slice was cropped to one side, its middle is not that of the body."""
    half = chest.volume.shape[0] // 2 - 2
    volume = Volume(chest.volume.hu[half:], chest.volume.affine, chest.volume.meta)
    labels, flags = part_sides((chest.lungs[half:] == 1).astype(np.uint8), volume, mapped=False)
    assert set(np.unique(labels)) == {0, 1}
    assert flags == ()


def test_a_label_of_a_side_stays_beside_a_label_without_side(chest):
    mixed = chest.lungs.copy()
    mixed[:, :, 20:][mixed[:, :, 20:] > 0] = BOTH
    labels, flags = part_sides(mixed, chest.volume, mapped=True)
    np.testing.assert_array_equal(labels, chest.lungs)
    assert codes(flags) == {"sides_unknown"}


def test_two_labels_are_taken_as_they_are(chest):
    labels, flags = part_sides(chest.lungs, chest.volume, mapped=False)
    assert labels is chest.lungs
    assert flags == ()


def test_two_parts_of_one_lung_are_not_two_lungs(chest):
    mask = (chest.lungs == 1).astype(np.uint8)
    mask[:, :, mask.shape[2] // 2] = 0  # an upper and a lower piece, one above the other
    labels, flags = part_sides(mask, chest.volume, mapped=False)
    assert set(np.unique(labels)) == {0, 1}
    assert flags == ()


def test_the_sides_of_a_single_slice_are_assigned_too(chest):
    k = chest.lungs.shape[2] // 2
    scan = Volume(chest.volume.hu[:, :, k : k + 1], chest.volume.affine, chest.volume.meta)
    labels, flags = part_sides((chest.lungs[:, :, k : k + 1] > 0).astype(np.uint8), scan, mapped=False)
    np.testing.assert_array_equal(labels, chest.lungs[:, :, k : k + 1])
    assert codes(flags) == {"sides_parted"}


def test_an_array_is_read_with_a_vocabulary_as_a_file_is(chest):
    lobes = np.array([0, 13, 10], np.uint8)[chest.lungs]
    found = hilum.measure(chest.volume, lobes, labels="totalsegmentator")
    true = hilum.measure(chest.volume, chest.lungs)
    assert found.measures.as_dict() == true.measures.as_dict()
    assert found.run.arguments["labels"] == "totalsegmentator"
    assert "labels_mapped" in codes(found.flags)
    with pytest.raises(InputError, match="other than 0, 1 and 2"):
        hilum.measure(chest.volume, lobes)

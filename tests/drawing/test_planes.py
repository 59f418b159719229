"""Positions of structures in the slices shown."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import Lung
from hilum.core.volume import Volume
from hilum.drawing.slices import Plane, choose, obliquity, scale_bar_cm, shown_box, slice_image, windowed
from support.results import survey_of

SPACING = (2.0, 3.0, 5.0)
ORIENTATIONS = [
    "".join(letters)
    for axes in permutations((("R", "L"), ("A", "P"), ("S", "I")))
    for letters in product(*axes)
]


def reoriented(result, axcodes: str):
    """The same scan with its axes in another order."""
    to = nib.orientations.axcodes2ornt(tuple(axcodes))
    change = nib.orientations.ornt_transform(nib.io_orientation(result.volume.affine), to)
    affine = result.volume.affine @ nib.orientations.inv_ornt_aff(change, result.volume.shape)
    volume = Volume(nib.apply_orientation(result.volume.hu, change), affine)
    outcome = result.outcomes["lungs"]
    labels = nib.apply_orientation(outcome.segmentation.labels.data, change)
    segmentation = replace(outcome.segmentation, labels=LabelVolume.on_grid_of(volume, labels))
    return replace(result, volume=volume, outcomes={"lungs": replace(outcome, segmentation=segmentation)})


@pytest.fixture
def marked(boxes):
    """The boxes, with corners of the right lung painted: front bright (100), head brighter (150)."""
    hu = boxes.volume.hu.copy()
    hu[26:36, 22:26, 5:19] = 100
    hu[26:36, 6:26, 15:19] = 150
    return replace(boxes, volume=replace(boxes.volume, hu=hu))


def halves(grey: np.ndarray, axis: int) -> tuple[float, float]:
    first, second = np.array_split(grey.astype(float), 2, axis=axis)
    return first.mean(), second.mean()


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_right_is_left_front_and_head_are_up(marked, axcodes):
    found = survey_of(reoriented(marked, axcodes))

    axial = slice_image(found, Plane.AXIAL, 10).grey
    left, right = np.array_split(axial, 2, axis=1)
    dark_left, dark_right = int(left.min()), int(right.min())
    assert dark_left == windowed(np.array([-800]))[0], "the patient's right lung is on the left of the slice"
    assert dark_right == windowed(np.array([-600]))[0]
    lung = axial[:, axial.min(axis=0) == dark_left]
    front = np.flatnonzero((lung == windowed(np.array([100]))[0]).any(axis=1))
    back = np.flatnonzero((lung == dark_left).any(axis=1))
    assert front.max() < back.min(), "the front is up"

    coronal = slice_image(found, Plane.CORONAL, 10).grey
    head = np.flatnonzero((coronal == windowed(np.array([150]))[0]).any(axis=1))
    feet = np.flatnonzero((coronal == dark_left).any(axis=1))
    assert head.max() < feet.min(), "the head is up"
    assert np.flatnonzero((coronal == dark_left).any(axis=0)).max() < coronal.shape[1] / 2

    sagittal = slice_image(found, Plane.SAGITTAL, 30).grey
    front = np.flatnonzero((sagittal == windowed(np.array([100]))[0]).any(axis=0))
    back = np.flatnonzero((sagittal == dark_left).any(axis=0))
    assert front.max() < back.min(), "the front is on the left"


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "SAR", "PIL"])
def test_outlines_lie_on_the_voxel_borders(boxes, axcodes):
    found = survey_of(reoriented(boxes, axcodes))
    shown = slice_image(found, Plane.AXIAL, 10)
    box = shown_box(found)
    for lung, (low, high) in ((Lung.RIGHT, (26, 36)), (Lung.LEFT, (4, 14))):
        (loop,) = shown.outlines[lung]
        assert np.allclose(loop[0], loop[-1]), "the loop is closed"
        assert loop[:, 0].min() == pytest.approx((box[0].stop - high) * SPACING[0])
        assert loop[:, 0].max() == pytest.approx((box[0].stop - low) * SPACING[0])
        assert loop[:, 1].min() == pytest.approx((box[1].stop - 26) * SPACING[1])
        assert loop[:, 1].max() == pytest.approx((box[1].stop - 6) * SPACING[1])


def test_slices_are_cropped_to_the_body(boxes):
    found = survey_of(boxes)
    sides = [(part.stop - part.start) * step for part, step in zip(shown_box(found), SPACING, strict=True)]
    assert slice_image(found, Plane.AXIAL, 10).size_mm == (sides[0], sides[1])
    assert slice_image(found, Plane.CORONAL, 10).size_mm == (sides[0], sides[2])
    assert slice_image(found, Plane.SAGITTAL, 10).size_mm == (sides[1], sides[2])


def test_letters_match_the_turn():
    assert Plane.AXIAL.letters == ("R", "L", "A", "P")
    assert Plane.CORONAL.letters == ("R", "L", "H", "F")
    assert Plane.SAGITTAL.letters == ("A", "P", "H", "F")


@pytest.mark.parametrize(("axcodes", "number"), [("RAS", 11), ("LPS", 11), ("LPI", 24 - 10)])
def test_slice_numbers_are_those_of_the_file(boxes, axcodes, number):
    shown = slice_image(survey_of(reoriented(boxes, axcodes)), Plane.AXIAL, 10)
    assert shown.number == (number, 24)
    assert shown.file_axis == 3


def test_slice_number_of_another_axis_order(boxes):
    shown = slice_image(survey_of(reoriented(boxes, "IPR")), Plane.AXIAL, 10)
    assert (shown.file_axis, shown.number) == (1, (14, 24))


def test_chosen_slices_pass_through_the_lungs(chest):
    found = survey_of(chest)
    chosen = choose(found)
    assert [len(chosen[plane]) for plane in (Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL)] == [3, 2, 2]
    for plane in (Plane.AXIAL, Plane.CORONAL):
        for index in chosen[plane]:
            assert all(slice_image(found, plane, index).outlines.values()), "both lungs are in the slice"
    right, left = chosen[Plane.SAGITTAL]
    assert slice_image(found, Plane.SAGITTAL, right).outlines[Lung.RIGHT]
    assert slice_image(found, Plane.SAGITTAL, left).outlines[Lung.LEFT]
    assert list(chosen[Plane.AXIAL]) == sorted(chosen[Plane.AXIAL], reverse=True), "from the apex down"


def test_one_lung_has_one_sagittal_slice(chest, make_result):
    labels = np.where(chest.segmentations["lungs"].labels.data == Lung.LEFT, 2, 0).astype(np.uint8)
    found = survey_of(make_result(chest.volume, labels))
    (index,) = choose(found)[Plane.SAGITTAL]
    assert slice_image(found, Plane.SAGITTAL, index).outlines[Lung.LEFT]


def test_without_lungs_the_middle_is_shown(boxes, make_result):
    found = survey_of(make_result(boxes.volume, np.zeros(boxes.volume.shape, np.uint8)))
    assert choose(found) == {Plane.AXIAL: (12,), Plane.CORONAL: (16,), Plane.SAGITTAL: (20,)}


def test_a_single_slice_is_shown_in_its_own_plane_only(boxes, make_result):
    volume = Volume(boxes.volume.hu[:, :, 10:11], boxes.volume.affine)
    found = survey_of(make_result(volume, boxes.segmentations["lungs"].labels.data[:, :, 10:11]))
    assert choose(found) == {Plane.AXIAL: (0,)}


def test_window_is_clipped_and_linear():
    assert windowed(np.array([-2000, -1350, -600, 150, 3000], np.int16)).tolist() == [0, 0, 128, 255, 255]
    assert windowed(np.array([np.nan], np.float32)).tolist() == [0]


@pytest.mark.parametrize(("width", "length"), [(350.0, 10.0), (300.0, 5.0), (100.0, 2.0), (4.0, 0.1)])
def test_scale_bar_is_round_and_fits(width, length):
    assert scale_bar_cm(width) == length


def test_obliquity():
    turn = np.eye(4)
    angle = np.radians(12.0)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    hu = np.zeros((4, 4, 4), np.int16)
    assert obliquity(Volume(hu, turn @ np.diag([0.7, 0.7, 3.0, 1.0]))) == pytest.approx(12.0)
    assert obliquity(Volume(hu, np.diag([-0.7, 0.7, 3.0, 1.0]))) == pytest.approx(0.0, abs=1e-6)

"""Reading series whose slices are missing, uneven, doubled, tilted or displaced."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import GeometryError
from hilum.io.dicom import read_dicom


def test_a_missing_slice_is_refused_with_its_place_and_the_way_on(dicom, folder):
    slices = dicom.series(10)
    del slices[4]
    dicom.save_all(slices, folder)
    with pytest.raises(GeometryError) as met:
        read_dicom(folder)
    assert met.value.message.startswith("1 slice is missing at z = -92.0 mm")
    assert "resample=True" in met.value.hint
    assert met.value.exit_code == 4


def test_several_missing_slices_are_counted(dicom, folder):
    slices = dicom.series(30)
    dicom.save_all([s for n, s in enumerate(slices) if n not in (4, 5, 20)], folder)
    with pytest.raises(GeometryError, match=r"3 slices are missing in 2 places, first at z = -92\.0 mm"):
        read_dicom(folder)


def test_resample_fills_a_gap_by_linear_interpolation(dicom, folder):
    slices = dicom.series(10)
    dicom.save_all([s for n, s in enumerate(slices) if n != 4], folder)
    volume = read_dicom(folder, resample=True)
    truth = dicom.truth(range(10)).astype(float)
    truth[..., 4] = np.rint((truth[..., 3] + truth[..., 5]) / 2)
    np.testing.assert_array_equal(volume.hu, truth)
    assert volume.hu.dtype == np.int16
    assert volume.spacing[2] == pytest.approx(2.0)
    assert {"missing_slices", "resampled"} <= dicom.codes(volume)
    assert "1 of 10 slices" in dict(volume.meta.notes)["resampled"]


def test_uneven_slices_are_refused_and_can_be_resampled(dicom, folder):
    places = [0.0, 2.0, 4.0, 6.0, 9.0, 12.0, 15.0, 18.0]
    slices = dicom.series(8)
    for ds, z in zip(slices, places, strict=True):
        ds.ImagePositionPatient = [-20.0, -30.0, z]
    dicom.save_all(slices, folder)
    with pytest.raises(GeometryError, match="not evenly spaced: neighbours lie 2 to 3 mm apart"):
        read_dicom(folder)
    volume = read_dicom(folder, resample=True)
    assert volume.spacing[2] * (volume.shape[2] - 1) == pytest.approx(18.0)
    np.testing.assert_array_equal(volume.hu[..., -1], dicom.chest(7).T)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_accepted(dicom, folder):
    slices = dicom.series(40)
    for k, ds in enumerate(slices):
        ds.ImagePositionPatient = [-20.0, -30.0, round(k * 0.625, 1)]
    dicom.save_all(slices, folder)
    assert read_dicom(folder).spacing[2] == pytest.approx(0.625, abs=0.002)


def test_equal_images_at_one_place_are_dropped_with_a_note(dicom, folder):
    slices = dicom.series(8)
    dicom.save_all([*slices, slices[3], slices[3]], folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert "2 images that repeat others" in dict(volume.meta.notes)["duplicates_dropped"]


def test_a_folder_copied_into_itself_reads_as_one(dicom, folder):
    slices = dicom.series(8)
    dicom.save_all(slices, folder / "a")
    dicom.save_all(slices, folder / "b", seed=3)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(8)))


@pytest.mark.parametrize("resample", [False, True])
def test_different_images_at_one_place_are_refused(dicom, folder, resample):
    slices = dicom.series(8)
    other = dicom.series(8)[3]
    dicom.put_hu(other, dicom.chest(3) + 7)
    paths = dicom.save_all([*slices, other], folder)
    with pytest.raises(GeometryError, match=r"Two different images lie at z = -94\.0 mm") as met:
        read_dicom(folder, resample=resample)
    assert paths[3].name in str(met.value)
    assert paths[-1].name in str(met.value)


def test_a_tilted_gantry_is_refused_with_its_angle(dicom, folder):
    dicom.save_all(dicom.tilted(12.0), folder)
    with pytest.raises(GeometryError, match=r"tilted by 12\.0 degrees"):
        read_dicom(folder)


@pytest.mark.parametrize("degrees", [12.0, -20.0])
def test_a_tilted_gantry_resampled_puts_tissue_where_it_was(dicom, folder, degrees):
    slices = dicom.tilted(degrees)
    dicom.save_all(slices, folder)
    volume = read_dicom(folder, resample=True)
    directions = volume.affine[:3, :3] / volume.spacing
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-9)
    assert volume.hu.shape[1] > 32  # the plane grew, nothing is cut off
    for k in (0, 5, 11):
        # The centre of the right lung of this slice, half a voxel away from its edges at least.
        lps = np.array(slices[k].ImagePositionPatient, float) + np.array([10 * 0.5, 15 * 0.75, 0])
        place = np.linalg.inv(volume.affine) @ [-lps[0], -lps[1], lps[2], 1.0]
        assert volume.hu[tuple(np.rint(place[:3]).astype(int))] == -850


def test_a_small_tilt_is_kept_as_a_sheared_grid(dicom, folder):
    slices = dicom.tilted(0.8, count=40)
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    assert "small_tilt" in dicom.codes(volume)
    last = volume.affine @ [0, 0, 39, 1]
    x, y, z = (float(v) for v in slices[-1].ImagePositionPatient)
    np.testing.assert_allclose(last[:3], (-x, -y, z), atol=1e-6)


def test_slices_that_jump_sideways_are_refused(dicom, folder):
    slices = dicom.series(10)
    for ds in slices[5:]:
        ds.ImagePositionPatient[0] = -10.0
    dicom.save_all(slices, folder)
    with pytest.raises(GeometryError, match="shifted sideways"):
        read_dicom(folder)
    volume = read_dicom(folder, resample=True)
    assert volume.shape == (32 + 20, 32, 10)
    np.testing.assert_array_equal(volume.hu[20:, :, 9], dicom.chest(9).T)

"""Reading whole series: order, geometry, selection by the user, and every trap on the way."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError, UsageError
from hilum.io.dicom import read_dicom
from support.real_data import real_folder


def test_series_in_any_file_order_comes_out_from_feet_to_head(dicom, folder):
    dicom.save_all(dicom.series(8), folder / "deep" / "er")
    volume = read_dicom(folder)
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    # RAS of DICOM's LPS: columns lie 0.5 mm apart, rows 0.75 mm.
    expected = np.diag([-0.5, -0.75, 2.0, 1.0])
    expected[:3, 3] = (20.0, 30.0, -100.0)
    np.testing.assert_allclose(volume.affine, expected)
    assert volume.axcodes == ("L", "P", "S")
    assert volume.hu.transpose(2, 1, 0).flags.c_contiguous


def test_meta_describes_the_scan_and_not_the_patient(dicom, folder, has_no_canary):
    paths = dicom.save_all(dicom.series(8, ContrastBolusAgent=f"{dicom.canary} 300"), folder)
    meta = read_dicom(folder).meta
    assert (meta.name, meta.source_format, meta.modality) == ("case", "dicom", "CT")
    assert (meta.kernel, meta.kvp, meta.slice_thickness) == ("B40f", 120.0, 2.0)
    assert (meta.patient_position, meta.contrast, meta.body_part) == ("HFS", True, "CHEST")
    assert meta.manufacturer == "ACME One"
    assert meta.series_uid == "1.2.3.4.5"
    assert meta.files == tuple(str(p) for p in paths)
    assert meta.notes == ()
    has_no_canary(meta)


def test_slices_stored_from_head_to_feet_give_the_same_volume(dicom, folder, tmp_path):
    slices = dicom.series(8)
    dicom.save_all(slices, folder)
    for n, ds in enumerate(reversed(slices)):
        ds.InstanceNumber = n + 1
    dicom.save_all(slices, tmp_path / "down", seed=2)
    up, down = read_dicom(folder), read_dicom(tmp_path / "down")
    np.testing.assert_array_equal(up.hu, down.hu)
    np.testing.assert_array_equal(up.affine, down.affine)


@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP", "FFP"])
def test_patient_position_changes_nothing_but_prone_orientation_does(dicom, folder, position):
    prone = position.endswith("P")
    axes = (-1, 0, 0, 0, -1, 0) if prone else (1, 0, 0, 0, 1, 0)
    dicom.save_all(dicom.series(8, orientation=axes, PatientPosition=position), folder)
    volume = read_dicom(folder)
    assert volume.axcodes == (("R", "A", "S") if prone else ("L", "P", "S"))
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))


def test_columns_that_run_up_still_go_from_feet_to_head(dicom, folder):
    dicom.save_all(dicom.series(8, orientation=(1, 0, 0, 0, -1, 0)), folder)
    volume = read_dicom(folder)
    assert volume.axcodes == ("L", "A", "S")
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))


def random_axes(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q


@pytest.mark.parametrize("seed", range(6))
def test_oblique_affine_puts_each_voxel_where_dicom_says(dicom, folder, seed):
    row, column, _ = random_axes(seed).T
    normal = np.cross(row, column)
    slices = dicom.series(8, orientation=(*row, *column), step=normal * 2.0)
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    for k, i, j in product((0, 7), (0, 31), (0, 31)):
        lps = np.array(slices[k].ImagePositionPatient, float) + row * 0.5 * i + column * 0.75 * j
        place = np.linalg.inv(volume.affine) @ [-lps[0], -lps[1], lps[2], 1.0]
        index = tuple(np.rint(place[:3]).astype(int))
        np.testing.assert_allclose(place[:3], index, atol=1e-3)
        assert volume.hu[index] == dicom.chest(k)[j, i]


def test_localizer_and_other_files_around_are_left_out(dicom, folder):
    slices = dicom.series(8)
    scout = dicom.base(
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[0, 1, 0, 0, 0, -1]
    )
    report = dicom.base(Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Rows=None, Columns=None)
    dicom.save_all([*slices, scout, report], folder)
    (folder / "README.txt").write_text("not DICOM " * 50)
    (folder / ".hidden").write_bytes(b"x" * 500)
    dicom.save(dicom.base(SOPClassUID="1.2.840.10008.1.3.10", Modality=None, Rows=None), folder / "DICOMDIR")
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert dict(volume.meta.notes)["images_left_out"].endswith("1 of kind 'localizer'.")


def test_a_scout_without_its_mark_is_known_by_its_plane(dicom, folder):
    scout = dicom.base(ImageOrientationPatient=[1, 0, 0, 0, 0, -1], SeriesInstanceUID="1.2.9", SeriesNumber=1)
    dicom.save_all([*dicom.series(8), scout], folder)
    assert read_dicom(folder).shape == (32, 32, 8)


def test_time_points_in_one_series_are_kept_apart(dicom, folder):
    early = dicom.series(8, TemporalPositionIndex=1)
    late = dicom.series(8, TemporalPositionIndex=2)
    for k, ds in enumerate(late):
        dicom.put_hu(ds, dicom.chest(k) + 5)
        ds.InstanceNumber = 9 + k
    dicom.save_all([*late, *early], folder)
    first, second = read_dicom(folder), read_dicom(folder, series="3:2")
    np.testing.assert_array_equal(first.hu, dicom.truth(range(8)))
    np.testing.assert_array_equal(second.hu, dicom.truth(range(8)) + 5)
    assert "time points" in dict(first.meta.notes)["series_divided"]


def test_two_acquisitions_that_overlap_are_kept_apart(dicom, folder):
    chest = dicom.series(12, AcquisitionNumber=1)
    abdomen = dicom.series(6, AcquisitionNumber=2, origin=(-20.0, -30.0, -106.0))
    dicom.save_all([*abdomen, *chest], folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(12)))
    assert "acquisitions" in dict(volume.meta.notes)["series_divided"]


def test_phases_without_any_mark_are_distinguished_by_instance_numbers(dicom, folder):
    phases = [dicom.series(6) for _ in range(2)]
    for k in range(6):
        phases[0][k].InstanceNumber, phases[1][k].InstanceNumber = 2 * k + 1, 2 * k + 2
        dicom.put_hu(phases[1][k], dicom.chest(k) + 5)
    dicom.save_all([*phases[1], *phases[0]], folder)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(6)))


def test_images_of_another_orientation_in_the_series_are_not_mixed_in(dicom, folder):
    coronal = dicom.series(5, orientation=(1, 0, 0, 0, 0, -1), step=(0, 2, 0))
    dicom.save_all([*dicom.series(8), *coronal], folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert "series_divided" in dicom.codes(volume)


def test_a_coronal_series_states_the_axis_of_its_slices(dicom, folder):
    dicom.save_all(dicom.series(12, orientation=(1, 0, 0, 0, 0, -1), step=(0, 2, 0)), folder)
    volume = read_dicom(folder)
    assert volume.meta.slice_axis == 2
    assert volume.canonical().meta.slice_axis == 1  # from back to front


def test_one_file_is_one_slice(dicom, folder):
    paths = dicom.save_all(dicom.series(8), folder)
    volume = read_dicom(paths[3])
    assert volume.shape == (32, 32, 1)
    np.testing.assert_array_equal(volume.hu[..., 0], dicom.chest(3).T)
    assert volume.spacing == pytest.approx((0.5, 0.75, 2.0))
    assert volume.affine[2, 3] == -94.0
    assert volume.meta.name == paths[3].stem


def test_files_of_ones_own_choice_are_read_as_if_they_lay_alone_in_a_folder(dicom, folder):
    first = dicom.save_all(dicom.series(8), folder / "a")
    other = dicom.save_all(dicom.series(9, StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"), folder / "b")
    volume = read_dicom((*first[4:], *first[:4]))
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert (volume.meta.name, volume.meta.files) == ("a", tuple(str(p) for p in first))
    assert volume.meta.notes == ()
    with pytest.raises(UsageError, match="2 studies"):
        read_dicom([*first, *(str(p) for p in other)])


def test_a_named_file_that_is_missing_or_not_dicom_is_refused(dicom, folder):
    paths = dicom.save_all(dicom.series(3), folder)
    (folder / "note.txt").write_text("not DICOM " * 50)
    with pytest.raises(InputError, match=r"note\.txt is not a DICOM file"):
        read_dicom([*paths, folder / "note.txt"])
    with pytest.raises(InputError, match="case is not a DICOM file"):
        read_dicom([*paths, folder])
    with pytest.raises(InputError, match=r"gone\.dcm does not exist"):
        read_dicom([*paths, folder / "gone.dcm"])
    with pytest.raises(InputError, match="No DICOM file was named"):
        read_dicom([])


def test_one_coronal_file_is_read_when_it_is_asked_for(dicom, folder):
    path = dicom.save(dicom.base(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), folder / "c.dcm")
    assert read_dicom(path).axcodes == ("L", "I", "P")


def test_a_file_without_suffix_and_preamble(dicom, folder):
    path = dicom.save(dicom.base(), folder / "x.dcm")
    bare = folder / "IM000001"
    bare.write_bytes(_without_meta(path.read_bytes()))
    path.unlink()
    np.testing.assert_array_equal(read_dicom(bare).hu[..., 0], dicom.chest(0).T)
    np.testing.assert_array_equal(read_dicom(folder).hu[..., 0], dicom.chest(0).T)


def _without_meta(data: bytes) -> bytes:
    """Cut preamble and meta header (group 2) off; its length stands at byte 140."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def test_enhanced_multi_frame_with_frames_in_any_order(dicom, folder):
    slices = dicom.series(6)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k), intercept=-1000 - k)
    path = dicom.save(dicom.enhanced(slices, [3, 0, 5, 1, 4, 2]), folder / "e.dcm")
    for source in (path, folder):
        volume = read_dicom(source)
        np.testing.assert_array_equal(volume.hu, dicom.truth(range(6)))
        assert volume.spacing == pytest.approx((0.5, 0.75, 2.0))
        assert volume.affine[2, 3] == -100.0
        assert (volume.meta.kernel, volume.meta.files) == ("B30f", (str(path),))


def test_enhanced_multi_frame_with_time_points(dicom, folder):
    early, late = (dicom.series(5, TemporalPositionIndex=n) for n in (1, 2))
    for k, ds in enumerate(late):
        dicom.put_hu(ds, dicom.chest(k) + 5)
    path = dicom.save(dicom.enhanced([*early, *late], [0, 5, 1, 6, 2, 7, 3, 8, 9, 4]), folder / "e.dcm")
    np.testing.assert_array_equal(read_dicom(path).hu, dicom.truth(range(5)))
    second = read_dicom(path, series="3:2")
    np.testing.assert_array_equal(second.hu, dicom.truth(range(5)) + 5)
    assert "time points" in dict(second.meta.notes)["series_divided"]


def test_enhanced_multi_frame_with_a_frame_missing(dicom, folder):
    dicom.save(dicom.enhanced(dicom.series(8), [0, 1, 2, 4, 5, 6, 7]), folder / "e.dcm")
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_dicom(folder)


def test_mr_is_refused_by_name(dicom, folder):
    dicom.save_all(dicom.series(4, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), folder)
    with pytest.raises(InputError, match="modality is MR, not CT"):
        read_dicom(folder)


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "MIP"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"RescaleType": "MGML"}, "given in MGML"),
        ({"BitsStored": 8, "HighBit": 7}, "8-bit"),
        ({"SamplesPerPixel": 3, "PixelData": b"\0" * 32 * 32 * 6, "PlanarConfiguration": 0}, "colour"),
    ],
)
def test_images_without_hu_are_refused(dicom, folder, tags, sentence):
    dicom.save(dicom.base(**tags), folder / "a.dcm")
    for source in (folder, folder / "a.dcm"):
        with pytest.raises(InputError, match=sentence):
            read_dicom(source)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_slices_without_a_place_are_refused(dicom, folder, keyword):
    slices = dicom.series(4)
    for ds in slices:
        delattr(ds, keyword)
    dicom.save_all(slices, folder)
    with pytest.raises(GeometryError, match=keyword):
        read_dicom(folder)


def test_directions_that_are_not_at_right_angles_are_refused(dicom, folder):
    dicom.save_all(dicom.series(4, orientation=(1, 0, 0, 0.5, 0.5, 0)), folder)
    with pytest.raises(GeometryError, match="right angle"):
        read_dicom(folder)


def test_a_truncated_file_of_the_series_is_named(dicom, folder):
    paths = dicom.save_all(dicom.series(8), folder)
    paths[2].write_bytes(paths[2].read_bytes()[:-600])
    with pytest.raises(InputError) as met:
        read_dicom(folder)
    assert f"{paths[2].name} is truncated" in met.value.message
    paths[2].write_bytes(paths[2].read_bytes()[:-1400])
    with pytest.raises(InputError, match=f"{paths[2].name} is truncated"):
        read_dicom(folder)


def test_a_file_with_a_corrupted_header_is_reported(dicom, folder):
    paths = dicom.save_all(dicom.series(8), folder)
    paths[7].write_bytes(paths[7].read_bytes()[:200])
    volume = read_dicom(folder)
    assert volume.shape[2] == 7
    assert paths[7].name in dict(volume.meta.notes)["files_unreadable"]
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    with pytest.raises(GeometryError, match="1 slice is missing") as met:
        read_dicom(folder)
    assert paths[3].name in met.value.hint


def test_only_broken_files(dicom, folder):
    path = dicom.save(dicom.base(), folder / "a.dcm")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"a\.dcm is broken"):
        read_dicom(folder)


def test_no_dicom_at_all(folder, tmp_path):
    (folder / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="case holds no DICOM"):
        read_dicom(folder)
    with pytest.raises(InputError, match="is not a DICOM file"):
        read_dicom(folder / "a.txt")
    with pytest.raises(InputError, match="does not exist"):
        read_dicom(tmp_path / "nowhere")


def test_of_several_studies_none_is_picked(dicom, folder):
    dicom.save_all(dicom.series(8), folder / "a")
    dicom.save_all(dicom.series(6, StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"), folder / "b")
    with pytest.raises(UsageError, match="2 studies, perhaps of several patients") as met:
        read_dicom(folder)
    assert "8 slices" in met.value.hint
    assert "6 slices" in met.value.hint
    assert read_dicom(folder, series="1.9.1").shape[2] == 6


def test_a_study_without_ct_does_not_make_a_choice_of_studies(dicom, folder):
    dicom.save_all(dicom.series(8), folder / "a")
    dicom.save_all(dicom.series(6, StudyInstanceUID="1.9", Modality="MR"), folder / "b")
    assert read_dicom(folder).shape[2] == 8


def test_descriptions_do_not_enter_the_program_unasked(dicom, folder):
    from hilum.io.dicom.headers import read_header

    path = dicom.save(dicom.base(), folder / "a.dcm")
    assert read_header(path)[0].description == ""
    asked, _ = read_header(path, descriptions=True)
    assert asked.description == dicom.canary
    assert dicom.canary not in repr(asked)


def test_no_error_and_no_note_holds_an_identifier(dicom, tmp_path, has_no_canary, recwarn, caplog):
    """Every way to fail, with the canary in all identifying tags."""
    gap = dicom.series(8)
    del gap[3]
    different = [*dicom.series(4), dicom.put_hu(dicom.series(4)[2], dicom.chest(9))]
    cases = {
        "gap": gap,
        "different": different,
        "tilt": dicom.tilted(12.0),
        "mr": dicom.series(3, Modality="MR"),
        "rescale": dicom.series(3, RescaleSlope=None, RescaleIntercept=None, PixelRepresentation=0),
        "place": dicom.series(3, PixelSpacing=None),
    }
    for name, slices in cases.items():
        dicom.save_all(slices, tmp_path / name)
        with pytest.raises((GeometryError, InputError)) as met:
            read_dicom(tmp_path / name)
        has_no_canary(met.value)
    with pytest.raises(UsageError) as usage:
        read_dicom(tmp_path / "gap", series="77")
    has_no_canary(usage.value)
    volume = read_dicom(tmp_path / "gap", resample=True)
    has_no_canary(volume)
    has_no_canary(caplog.text)
    for warning in recwarn.list:
        has_no_canary(warning.message)


def test_a_broken_length_does_not_carry_names_into_messages(dicom, folder, has_no_canary):
    """The modality of this file runs on over the tags behind it."""
    path = dicom.save(dicom.base(), folder / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x60\x00CS") + 6
    path.write_bytes(data[:at] + (150).to_bytes(2, "little") + data[at + 2 :])
    assert dicom.canary.encode() in data[at : at + 150]
    try:
        has_no_canary(read_dicom(path))
    except InputError as error:
        has_no_canary(error)


@pytest.mark.real
def test_real_series_equal_simpleitk():
    """Voxels and place of the public series agree with SimpleITK's reader."""
    import SimpleITK as sitk

    data = real_folder("dicom")
    for folder in ("lungdx-a0002/2", "lungdx-a0002/3", "abdomen-ts"):
        volume = read_dicom(data / folder)
        image = sitk.ReadImage(list(volume.meta.files))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), volume.hu)
        np.testing.assert_allclose(image.GetSpacing(), volume.spacing, rtol=1e-6)
        x, y, z = image.GetOrigin()
        np.testing.assert_allclose(volume.affine[:3, 3], (-x, -y, z), atol=1e-6)

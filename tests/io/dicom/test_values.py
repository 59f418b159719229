"""Whether stored values are HU, by the headers: missing and odd rescales, units, signs."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import InputError
from hilum.io.dicom import read_dicom


def unsigned(dicom, count: int = 6, intercept: float = -1024, **tags):
    slices = dicom.series(count, PixelRepresentation=0, **tags)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k), intercept=intercept)
    return slices


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("lost", [("RescaleIntercept",), ("RescaleSlope", "RescaleIntercept")])
def test_slices_that_lack_the_rescale_of_the_others_are_refused_and_counted(dicom, folder, signed, lost):
    slices = dicom.series(6, PixelRepresentation=signed)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k), intercept=-1024)
    for ds in slices[2:4]:
        for keyword in lost:
            delattr(ds, keyword)
    paths = dicom.save_all(slices, folder)
    with pytest.raises(InputError, match="2 of 6 images have no rescale intercept") as met:
        read_dicom(folder)
    assert any(path.name in met.value.message for path in paths[2:4])
    assert met.value.exit_code == 3


def test_a_lost_rescale_beside_one_that_changes_nothing_is_taken_as_that(dicom, folder):
    slices = dicom.series(6)
    del slices[2].RescaleSlope, slices[2].RescaleIntercept
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(6)))
    assert dict(volume.meta.notes)["no_rescale"].startswith("1 of 6 images have no rescale")


@pytest.mark.parametrize("slope", [None, ""])
def test_a_missing_slope_beside_an_intercept_is_one(dicom, folder, slope):
    slices = unsigned(dicom)
    for ds in slices:
        if slope is None:
            del ds.RescaleSlope
        else:
            ds.RescaleSlope = slope
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(6)))
    assert dict(volume.meta.notes)["slope_assumed"].startswith(
        "6 of 6 images have a rescale intercept but no"
    )


def test_a_missing_slope_beside_slopes_that_are_not_one_is_refused(dicom, folder):
    slices = unsigned(dicom)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k) // 2 * 2, slope=2, intercept=-1024)
    del slices[1].RescaleSlope
    paths = dicom.save_all(slices, folder)
    with pytest.raises(InputError, match="1 of 6 images have no rescale slope") as met:
        read_dicom(folder)
    assert paths[1].name in met.value.message


@pytest.mark.parametrize("name", ["slope", "intercept"])
@pytest.mark.parametrize("value", ["1e30", "-1e300"])
def test_a_rescale_beyond_all_numbers_is_refused(dicom, folder, name, value):
    slices = dicom.series(3)
    setattr(slices[1], f"Rescale{name.capitalize()}", value)
    paths = dicom.save_all(slices, folder)
    with pytest.raises(InputError, match=r"has the rescale slope .* which give no HU") as met:
        read_dicom(folder)
    assert f"{name} {float(value):g}" in met.value.message
    assert paths[1].name in met.value.message
    with pytest.raises(InputError, match="give no HU"):
        read_dicom(paths[1])


@pytest.mark.parametrize(
    "name",
    ["HU", "Hu", "HU_MOD", "hounsfield", "HOUNSFIELD UNIT", "Hounsfield Units", "Houndsfield Unit",
     "[hnsf'U]", "HU HU", "US", "UNSPECIFIED", "none", "", " "],
)  # fmt: skip
def test_hounsfield_units_in_all_spellings_are_read(dicom, folder, name):
    dicom.save_all(dicom.series(3, RescaleType=name), folder)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(3)))


@pytest.mark.parametrize("name", ["normalized", "CT", "MGML", "Z_EFF", "ED", "PCT", "OD", "1", "%"])
def test_other_units_stay_refused(dicom, folder, name):
    dicom.save_all(dicom.series(3, RescaleType=name), folder)
    with pytest.raises(InputError, match="not in HU"):
        read_dicom(folder)


def test_unspecified_units_that_are_not_hu_are_detected_by_the_values(dicom, folder):
    slices = dicom.series(3, RescaleType="UNSPECIFIED")
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k) // 100 + 12)
    dicom.save_all(slices, folder)
    with pytest.raises(InputError, match="values"):
        read_dicom(folder)


def test_signed_values_that_the_header_calls_unsigned_are_named(dicom, folder):
    slices = dicom.series(4)
    for ds in slices:
        ds.PixelRepresentation = 0  # the bytes stay those of signed values
    dicom.save_all(slices, folder)
    with pytest.raises(InputError, match=r"calls the pixels unsigned, but .* are negative") as met:
        read_dicom(folder)
    assert "PixelRepresentation" in met.value.hint


def test_padding_of_unsigned_values_is_not_taken_for_negative_ones(dicom, folder):
    slices = unsigned(dicom, 4)
    for ds in slices:
        raw = np.frombuffer(ds.PixelData, np.uint16).reshape(32, 32).copy()
        raw[:4] = 63536  # -2000 in 16 bits, an eighth of the image, and no tag says so
        ds.PixelData = raw.tobytes()
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    assert "clipped" in dicom.codes(volume)
    np.testing.assert_array_equal(volume.hu[:, 4:], dicom.truth(range(4))[:, 4:])


def test_a_transfer_syntax_that_is_not_a_uid_is_reported_by_hilum_alone(dicom, folder, recwarn):
    for path in dicom.save_all(dicom.series(3), folder):
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008..2.1.\0"))
    with pytest.raises(InputError, match="broken"):
        read_dicom(folder)
    assert [str(w.message) for w in recwarn] == []

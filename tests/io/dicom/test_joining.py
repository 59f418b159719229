"""Series of one slice each: joined where they are one scan with broken UIDs, and never otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import generate_uid

from hilum.core.errors import GeometryError
from hilum.io.dicom import read_dicom


def apart(slices, *keywords: str):
    """Give each slice UIDs of its own."""
    for ds in slices:
        for keyword in keywords:
            setattr(ds, keyword, generate_uid())
    return slices


@pytest.mark.parametrize(
    ("keywords", "word"),
    [
        (("SeriesInstanceUID",), "series"),
        (("StudyInstanceUID",), "study"),
        (("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"), "study"),
    ],
)
def test_slices_with_uids_of_their_own_that_fit_together_are_one_scan(dicom, folder, keywords, word):
    dicom.save_all(apart(dicom.series(12), *keywords), folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(12)))
    assert dict(volume.meta.notes) == {
        "series_joined": f"12 slices with a {word} UID of their own each fit together as one scan and were "
        "read as one; make sure that they are of one patient."
    }


def test_a_slice_that_is_missing_among_them_is_still_missing(dicom, folder):
    slices = apart(dicom.series(12), "SeriesInstanceUID")
    dicom.save_all([*slices[:5], *slices[6:]], folder)
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_dicom(folder)


@pytest.mark.parametrize(
    "change",
    ["numbers", "distances", "kernel", "sideways", "few", "strangers", "places"],
)
def test_single_slices_of_different_series_are_not_joined(dicom, folder, change):
    slices = apart(dicom.series(8), "SeriesInstanceUID")
    for k, ds in enumerate(slices):
        if change == "numbers":
            ds.InstanceNumber = 1
        if change == "distances":
            ds.ImagePositionPatient[2] = -100.0 + k * k
        if change == "kernel":
            ds.ConvolutionKernel = f"B{20 + k}f"
        if change == "sideways":
            ds.ImagePositionPatient[0] = -20.0 + 3.0 * (k % 3)
        if change == "strangers":
            ds.FrameOfReferenceUID = generate_uid()
        if change == "places":
            ds.ImagePositionPatient[2] = -100.0 + 2.0 * (k // 2)
    dicom.save_all(slices[:4] if change == "few" else slices, folder)
    volume = read_dicom(folder)
    assert volume.shape[2] == 1
    assert "series_joined" not in dicom.codes(volume)


def test_a_whole_series_beside_them_is_not_touched(dicom, folder):
    dicom.save_all(dicom.series(15), folder / "a")
    dicom.save_all(apart(dicom.series(12), "SeriesInstanceUID"), folder / "b")
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(15)))
    assert "series_joined" not in dicom.codes(volume)

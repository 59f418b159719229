"""Several scans of one chest in one series: distinguished by their headers, joined, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import GeometryError
from hilum.io.dicom import read_dicom
from support.gdcm_encoding import gdcm_compress


def two_scans(dicom, offset: float, step: float = 6.0, *, first=None, second=None):
    """Two scans of 10 slices each, the second moved along the patient and 5 HU denser."""
    scans = []
    for n, tags in enumerate((first or {}, second or {})):
        slices = dicom.series(10, step=(0, 0, step), origin=(-20.0, -30.0, -100.0 + n * offset), **tags)
        for k, ds in enumerate(slices):
            dicom.put_hu(ds, dicom.chest(k) + 5 * n)
            ds.InstanceNumber = 10 * n + k + 1
            ds.SliceThickness = str(step)
        scans.append(slices)
    return scans


def check_parts(dicom, folder, word: str) -> None:
    first, second = read_dicom(folder), read_dicom(folder, series="3:2")
    np.testing.assert_array_equal(first.hu, dicom.truth(range(10)))
    np.testing.assert_array_equal(second.hu, dicom.truth(range(10)) + 5)
    for volume in (first, second):
        note = dict(volume.meta.notes)["series_divided"]
        assert note == (f"The series holds 2 stacks of images that differ in {word}; they are kept apart.")


@pytest.mark.parametrize(
    ("keyword", "values", "word"),
    [
        ("AcquisitionNumber", (1, 2), "acquisitions"),
        ("TemporalPositionIdentifier", (1, 2), "time points"),
        ("NominalPercentageOfCardiacPhase", (30, 70), "cardiac phases"),
        ("TriggerTime", (100, 200), "trigger times"),
        ("AcquisitionTime", ("120001", "120002.5"), "acquisition times"),
    ],
)
@pytest.mark.parametrize("offset", [0.0, 2.0])
def test_two_breath_holds_on_top_of_each_other_or_interleaved_are_kept_apart(
    dicom, folder, keyword, values, word, offset
):
    early, late = two_scans(dicom, offset, first={keyword: values[0]}, second={keyword: values[1]})
    for k, ds in enumerate(late):
        ds.InstanceNumber = k + 1  # so that instance numbers do not distinguish them
    dicom.save_all([*late, *early], folder)
    check_parts(dicom, folder, word)


def test_an_interleaved_part_that_lacks_a_slice_is_not_blended_with_the_other(dicom, folder):
    early, late = two_scans(dicom, 2.0, second={"AcquisitionNumber": 2})
    dicom.save_all([*early[:4], *early[5:], *late], folder)
    np.testing.assert_array_equal(read_dicom(folder, series="3:1").hu, dicom.truth(range(10)) + 5)
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_dicom(folder, series="3:2")


@pytest.mark.parametrize("resample", [False, True])
def test_indistinguishable_interleaved_scans_are_never_interpolated(dicom, folder, resample):
    early, late = two_scans(dicom, 2.0)
    dicom.save_all([*early, *late], folder)
    with pytest.raises(GeometryError, match="2 even stacks that interleave") as met:
        read_dicom(folder, resample=resample)
    assert "resample=True" not in met.value.hint


def test_slices_taken_in_pairs_with_gaps_are_one_scan(dicom, folder):
    """A protocol of thin slices: pairs 2 mm apart, every 10 mm; the slices do not overlap."""
    early, late = two_scans(dicom, 2.0, step=10.0)
    for ds in (*early, *late):
        ds.SliceThickness = "2.0"
    dicom.save_all([*early, *late], folder)
    with pytest.raises(GeometryError, match="not evenly spaced") as met:
        read_dicom(folder)
    assert "resample=True" in met.value.hint


def test_an_even_stack_is_one_scan_for_any_numbering(dicom, folder):
    slices = dicom.series(12)
    for k, ds in enumerate(slices):
        ds.AcquisitionNumber, ds.AcquisitionTime, ds.TriggerTime = k % 2, f"12{k:02d}00", 100 * (k % 2)
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(12)))
    assert volume.meta.notes == ()


def test_a_missing_slice_stays_a_missing_slice_where_acquisitions_alternate(dicom, folder):
    slices = dicom.series(12)
    for k, ds in enumerate(slices):
        ds.AcquisitionNumber = k % 2
    dicom.save_all([*slices[:5], *slices[6:]], folder)
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_dicom(folder)


@pytest.mark.parametrize("keyword", ["TriggerTime", "AcquisitionTime"])
def test_times_that_differ_between_all_images_tell_scans_apart_by_their_order(dicom, folder, keyword):
    early, late = two_scans(dicom, 0.0)
    for k in range(10):
        setattr(early[k], keyword, str(120000 + k))
        setattr(late[k], keyword, str(120100 + k))
        early[k].InstanceNumber = late[k].InstanceNumber = k + 1
    dicom.save_all([*late, *early], folder)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(10)))
    np.testing.assert_array_equal(read_dicom(folder, series="3:2").hu, dicom.truth(range(10)) + 5)


@pytest.mark.parametrize("shared", [1, 2])
def test_acquisitions_that_follow_each_other_and_share_a_place_are_one_scan(dicom, folder, shared):
    slices = dicom.series(20)
    again = dicom.series(20)[12 - shared : 12]
    for ds in slices[12:]:
        ds.AcquisitionNumber = 2
    for ds in again:
        ds.AcquisitionNumber = 2
        dicom.put_hu(ds, dicom.chest(0) + 9)
    dicom.save_all([*again, *slices], folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(20)))
    places = "1 place" if shared == 1 else "2 places"
    assert volume.meta.notes == (
        (
            "overlap_dropped",
            f"2 acquisitions follow each other and share {places}; the image of the longer one was kept.",
        ),
    )


def test_an_acquisition_number_for_each_image_divides_nothing(dicom, folder):
    slices = [*dicom.series(8), dicom.put_hu(dicom.series(8)[3], dicom.chest(0))]
    for k, ds in enumerate(slices):
        ds.AcquisitionNumber = k
    dicom.save_all(slices, folder)
    with pytest.raises(GeometryError, match="Two different images lie at"):
        read_dicom(folder)


def test_indistinguishable_overlapping_scans_are_counted(dicom, folder):
    early, late = two_scans(dicom, 0.0)
    for k, ds in enumerate(late):
        ds.InstanceNumber = k + 1
    dicom.save_all([*early, *late], folder / "all")
    with pytest.raises(GeometryError, match=r"2 images lie at each of 10 places and differ \(first") as met:
        read_dicom(folder / "all")
    assert "Export each scan as a series of its own" in met.value.hint
    dicom.save_all([*early, *late[:3], *late[:1]], folder / "some")
    with pytest.raises(GeometryError, match="Several images lie at each of 3 places and differ"):
        read_dicom(folder / "some")


def test_positions_that_are_all_equal_are_lost(dicom, folder):
    slices = dicom.series(8, step=(0, 0, 0))
    for k, ds in enumerate(slices):
        ds.AcquisitionTime = f"1200{k:02d}"
    dicom.save_all(slices, folder)
    with pytest.raises(
        GeometryError, match=r"All 8 images give one position .* the place of the slices is lost"
    ):
        read_dicom(folder)


def test_copies_of_a_whole_series_are_compared_in_one_process(dicom, folder, monkeypatch):
    """Not one start of the decoder for each pair."""
    from hilum.io.dicom import decoding

    starts = []
    start = decoding._start
    monkeypatch.setattr(decoding, "_start", lambda: starts.append(1) or start())
    for name in ("a", "b"):
        for path in dicom.save_all(dicom.series(5), folder / name):
            gdcm_compress(path, "1.2.840.10008.1.2.4.70")
    volume = read_dicom(folder)
    assert dicom.codes(volume) == {"duplicates_dropped"}
    assert starts == [1]

"""Which of several series is read, and how the user says which."""

from __future__ import annotations

import pytest

from hilum.core.errors import InputError, UsageError
from hilum.io.dicom import read_dicom
from hilum.io.dicom.kernels import sharpness
from hilum.io.dicom.reader import stacks_of
from hilum.io.dicom.scan import scan
from hilum.io.dicom.select import choose_each


def save(dicom, folder, *many):
    """Write series given as dicts of ``number``, ``count`` and tags."""
    for options in many:
        tags = dict(options)
        number, count = tags.pop("number"), tags.pop("count", 8)
        uid = tags.pop("uid", f"1.2.3.{number}00{number}")
        slices = dicom.series(count, SeriesNumber=number, SeriesInstanceUID=uid, **tags)
        dicom.save_all(slices, folder / f"s{number}-{uid[-4:]}", seed=number or 0)


def chosen(folder, **options) -> tuple[str, str]:
    volume = read_dicom(folder, **options)
    return volume.meta.series_uid, dict(volume.meta.notes).get("series_chosen", "")


def test_a_single_series_needs_no_word(dicom, folder):
    save(dicom, folder, {"number": 3})
    assert chosen(folder) == ("1.2.3.3003", "")


def test_axial_before_coronal(dicom, folder):
    save(
        dicom, folder,
        {"number": 1, "count": 12, "orientation": (1, 0, 0, 0, 0, -1), "step": (0, 2, 0)},
        {"number": 2},
    )  # fmt: skip
    uid, why = chosen(folder)
    assert uid == "1.2.3.2002"
    assert why.endswith("of 2 CT stacks is read: it is axial.")


def test_most_slices_first(dicom, folder):
    save(
        dicom, folder,
        {"number": 1, "ConvolutionKernel": "B30f"},
        {"number": 2, "count": 12, "ConvolutionKernel": "B70f"},
    )  # fmt: skip
    uid, why = chosen(folder)
    assert uid == "1.2.3.2002"
    assert "Series 2 (12 slices of 2 mm, kernel B70f) of 2" in why
    assert "the most slices" in why


def test_nearly_as_many_slices_count_as_equal(dicom, folder):
    save(
        dicom, folder,
        {"number": 1, "count": 20, "ConvolutionKernel": "B30f"},
        {"number": 2, "count": 21, "ConvolutionKernel": "B70f"},
    )  # fmt: skip
    uid, why = chosen(folder)
    assert uid == "1.2.3.1001"
    assert "its kernel is the softest" in why


def test_thinnest_before_softest(dicom, folder):
    save(
        dicom, folder,
        {"number": 1, "SliceThickness": "3", "ConvolutionKernel": "SOFT"},
        {"number": 2, "SliceThickness": "1.25", "ConvolutionKernel": "BONE"},
    )  # fmt: skip
    uid, why = chosen(folder)
    assert uid == "1.2.3.2002"
    assert "the thinnest" in why


def test_a_length_that_fits_a_chest_before_many_slices(dicom, folder):
    save(
        dicom, folder,
        {"number": 1, "count": 20, "step": (0, 0, 1.0), "SliceThickness": "1"},
        {"number": 2, "count": 12, "step": (0, 0, 10.0), "SliceThickness": "10"},
    )  # fmt: skip
    uid, why = chosen(folder)
    assert uid == "1.2.3.2002"
    assert "long enough for a chest" in why


def test_another_part_of_the_body_comes_last(dicom, folder):
    save(dicom, folder, {"number": 1, "count": 12, "BodyPartExamined": "HEAD"}, {"number": 2})
    assert chosen(folder)[0] == "1.2.3.2002"
    assert read_dicom(folder, series="1").shape[2] == 12


def test_original_before_derived(dicom, folder):
    save(dicom, folder, {"number": 1, "ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, {"number": 2})
    assert chosen(folder)[0] == "1.2.3.2002"


def test_ties_go_to_the_lowest_number_and_then_the_uid(dicom, folder):
    save(dicom, folder, {"number": 5}, {"number": 4, "uid": "1.2.9"}, {"number": 4, "uid": "1.2.8"})
    assert chosen(folder)[0] == "1.2.8"


def test_a_damaged_series_is_not_silently_replaced(dicom, folder):
    from hilum.core.errors import GeometryError

    save(dicom, folder, {"number": 1})
    slices = dicom.series(14, SeriesNumber=2, SeriesInstanceUID="1.2.3.2002")
    del slices[5]
    dicom.save_all(slices, folder / "two")
    with pytest.raises(GeometryError):
        read_dicom(folder)
    assert read_dicom(folder, series="1").shape[2] == 8


@pytest.mark.parametrize("asked", ["1.2.3.1001", "1001", "#1", "1", " 1 "])
def test_ways_to_ask(dicom, folder, asked):
    save(dicom, folder, {"number": 1, "ConvolutionKernel": "B70f"}, {"number": 2})
    uid, why = chosen(folder, series=asked)
    assert uid == "1.2.3.1001"
    assert why == "Series 1 was asked for."


def test_asking_by_the_beginning_of_a_uid(dicom, folder):
    save(dicom, folder, {"number": 1, "uid": "1.7.1"}, {"number": 2, "uid": "1.8.1"})
    assert chosen(folder, series="1.7")[0] == "1.7.1"


def test_a_request_for_a_missing_series_lists_the_existing_ones(dicom, folder):
    save(dicom, folder, {"number": 1}, {"number": 2, "count": 3})
    with pytest.raises(UsageError, match="No series fits '9'") as met:
        read_dicom(folder, series="9")
    assert "series 1 (UID ...1.2.3.1001; volume, 8 slices of 2 mm, kernel B40f)" in met.value.hint
    assert "series 2" in met.value.hint
    with pytest.raises(UsageError, match=r"2 series fit '1\.2\.3'"):
        read_dicom(folder, series="1.2.3")
    with pytest.raises(UsageError, match="No series fits"):
        read_dicom(folder, series="1:4")
    with pytest.raises(UsageError):
        read_dicom(folder, series="")


def test_a_request_for_a_series_that_is_not_ct(dicom, folder):
    save(dicom, folder, {"number": 1}, {"number": 2, "Modality": "PT"})
    with pytest.raises(InputError, match="modality is PT"):
        read_dicom(folder, series="2")


def test_a_folder_without_ct_counts_what_is_there(dicom, folder):
    save(dicom, folder, {"number": 1, "Modality": "MR"}, {"number": 2, "Modality": "PT"})
    with pytest.raises(InputError, match=r"no CT volume among the 2 series \(1 of MR, 1 of PT\)"):
        read_dicom(folder)


def test_the_file_order_does_not_matter(dicom, folder, tmp_path):
    many = [{"number": n, "uid": f"1.2.{n}"} for n in (3, 1, 2)]
    save(dicom, folder, *many)
    save(dicom, tmp_path / "other", *reversed(many))
    assert chosen(folder) == chosen(tmp_path / "other")


@pytest.mark.parametrize(
    "order",
    [
        ("B20f", "B40f", "B50f", "B70f", "B80s"),
        ("Br36d", "Br40d", "Bl57d", "Br64d"),
        ("I26f", "I50f", "I70f"),
        ("SOFT", "STANDARD", "DETAIL", "CHEST", "LUNG", "BONE", "BONEPLUS", "EDGE"),
        ("A", "B", "C", "D", "E"),
        ("B", "YA", "YB", "YC"),
        ("FC03", "FC52", "FC30"),
        ("STANDARD", "B70f"),
        ("B40f", "LUNG"),
    ],
)
def test_kernels_are_ranked_from_soft_to_sharp(order):
    ranks = [sharpness(name) for name in order]
    assert None not in ranks
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


@pytest.mark.parametrize("name", ["", "?", "MY KERNEL", "12345"])
def test_unknown_kernels_have_no_rank(name):
    assert sharpness(name) is None


def two_studies(dicom, folder):
    save(
        dicom, folder,
        {"number": 1, "count": 12, "ConvolutionKernel": "B70f"},
        {"number": 2, "count": 12, "ConvolutionKernel": "B30f"},
        {"number": 3, "StudyInstanceUID": "1.9"},
        {"number": 4, "StudyInstanceUID": "1.8", "Modality": "MR"},
    )  # fmt: skip
    return stacks_of(scan(folder), folder)


def test_one_stack_of_each_study_with_ct(dicom, folder):
    chosen = choose_each(two_studies(dicom, folder))
    assert [c.stack.head.number for c in chosen] == [2, 3]
    assert "its kernel is the softest" in chosen[0].why
    assert chosen[1].why == ""


def test_a_series_that_was_asked_for_is_looked_up_in_each_study(dicom, folder):
    stacks = two_studies(dicom, folder)
    assert [c.stack.head.number for c in choose_each(stacks, "1")] == [1]
    assert [c.stack.head.number for c in choose_each(stacks, "1.2.3.3003")] == [3]
    with pytest.raises(UsageError, match="No series fits '#9'"):
        choose_each(stacks, "#9")

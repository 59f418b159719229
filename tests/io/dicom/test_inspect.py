"""What ``hilum inspect`` lists."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from hilum.core.errors import InputError, UsageError
from hilum.io.inspect import inspect


@pytest.fixture
def mixed(dicom, folder):
    """A CT of two kernels, one with a gap, a localizer, a PET, a report and a broken file."""
    dicom.save_all(dicom.series(8, SeriesNumber=2, SeriesInstanceUID="1.2"), folder / "a")
    sharp = dicom.series(8, SeriesNumber=3, SeriesInstanceUID="1.3", ConvolutionKernel="B70f")
    del sharp[4]
    dicom.save_all(sharp, folder / "b")
    scout = {
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
    }
    dicom.save(dicom.base(SeriesNumber=1, SeriesInstanceUID="1.1", **scout), folder / "s.dcm")
    dicom.save_all(dicom.series(5, SeriesNumber=4, SeriesInstanceUID="1.4", Modality="PT"), folder / "c")
    report = {"Modality": "SR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "Rows": None, "Columns": None}
    dicom.save(dicom.base(SeriesNumber=5, SeriesInstanceUID="1.5", **report), folder / "r.dcm")
    broken = dicom.save(dicom.base(), folder / "z.dcm")
    broken.write_bytes(broken.read_bytes()[:200])
    return folder


def test_every_series_has_its_row(mixed):
    rows = inspect(mixed)
    assert [(r.number, r.modality, r.kind, r.slices) for r in rows] == [
        (1, "CT", "localizer", 1),
        (2, "CT", "volume", 8),
        (3, "CT", "volume", 7),
        (4, "PT", "other modality", 5),
        (5, "SR", "no image", None),
        (None, "", "unreadable file", None),
    ]
    assert [r.number for r in rows if r.chosen] == [2]
    assert "Series 2 (8 slices of 2 mm, kernel B40f)" in rows[1].why
    assert [code for code, _ in rows[2].problems] == ["missing_slices"]
    assert "z.dcm" in rows[5].problems[0][1]


def test_geometry_of_a_row(mixed):
    row = inspect(mixed)[1]
    assert (row.rows, row.cols, row.spacing) == (32, 32, (0.5, 0.75))
    assert (row.step, row.extent_mm, row.thickness) == (2.0, 16.0, 2.0)
    assert (row.orientation, row.kernel, row.uid) == ("axial", "B40f", "1.2")


def test_series_marks_another_one(mixed):
    assert [r.number for r in inspect(mixed, series="3") if r.chosen] == [3]
    with pytest.raises(UsageError):
        inspect(mixed, series="9")


def test_nothing_to_choose(dicom, folder):
    dicom.save_all(dicom.series(5, Modality="MR"), folder)
    (row,) = inspect(folder)
    assert not row.chosen
    assert row.problems == (("not_ct", "The modality is MR, not CT."),)


def test_json_and_table_hold_no_identifier(mixed, dicom, has_no_canary):
    for row in inspect(mixed):
        data = row.as_dict()
        has_no_canary(json.dumps(data))
        has_no_canary(row)
        has_no_canary(row.row())
        assert "description" not in data
        assert len(row.row()) == 10
    entry = inspect(mixed, descriptions=True)[1]
    assert entry.description == dicom.canary
    assert entry.as_dict()["description"] == dicom.canary


def test_parts_of_a_divided_series(dicom, folder):
    dicom.save_all(dicom.series(4, TemporalPositionIndex=1), folder / "a")
    dicom.save_all(dicom.series(4, TemporalPositionIndex=2), folder / "b")
    rows = inspect(folder)
    assert [(r.part, r.slices, r.chosen) for r in rows] == [(1, 4, True), (2, 4, False)]
    assert rows[1].row()[1].startswith("3:2")


def test_a_file_and_a_zip(dicom, folder, tmp_path):
    paths = dicom.save_all(dicom.series(4), folder)
    (row,) = inspect(paths[0])
    assert (row.kind, row.slices, row.step, row.chosen) == ("slice", 1, None, True)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    assert [(r.format, r.slices) for r in inspect(tmp_path / "a.zip")] == [("dicom", 4)]


def test_a_nifti_file(dicom, tmp_path):
    import nibabel as nib

    nib.save(nib.Nifti1Image(dicom.truth(range(8)), np.diag([-0.5, -0.75, 2.0, 1.0])), tmp_path / "a.nii.gz")
    (row,) = inspect(tmp_path / "a.nii.gz")
    assert (row.format, row.kind, row.slices, row.orientation, row.chosen) == (
        "nifti",
        "volume",
        8,
        "axial",
        True,
    )
    assert (row.spacing, row.step, row.extent_mm) == (pytest.approx((0.5, 0.75)), 2.0, 16.0)
    json.dumps(row.as_dict())


def test_a_missing_path(tmp_path, folder):
    with pytest.raises(InputError):
        inspect(tmp_path / "nothing")
    with pytest.raises(InputError):
        inspect(folder)


def test_the_order_is_stable(mixed, tmp_path):
    import shutil

    moved = tmp_path / "moved"
    for n, file in enumerate(sorted((f for f in mixed.rglob("*") if f.is_file()), reverse=True)):
        (moved / f"{n % 3}").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, moved / f"{n % 3}" / f"{n}.dcm")
    first, second = ([r.as_dict() for r in inspect(p)][:5] for p in (mixed, moved))
    assert first == second


def test_a_folder_of_volumes_has_a_row_for_each(dicom, tmp_path, capsys):
    import nibabel as nib

    from hilum.cli.app import run

    (tmp_path / "deep").mkdir()
    for name in ("a.nii.gz", "deep/b.nii", "a_lungs.nii.gz"):
        nib.save(nib.Nifti1Image(dicom.truth(range(8)), np.diag([-1.0, -1, 2, 1])), tmp_path / name)
    (tmp_path / "c.nrrd").write_bytes(b"NRRD0004\nrubbish")
    rows = inspect(tmp_path)
    assert [(r.file, r.kind, r.chosen) for r in rows] == [
        ("a.nii.gz", "volume", True),
        ("c.nrrd", "unreadable file", False),
        ("deep/b.nii", "volume", True),
        ("a_lungs.nii.gz", "mask", False),
    ]
    assert "truncated" in rows[1].problems[0][1]
    assert run(["inspect", str(tmp_path)]) == 0
    assert "deep/b.nii" in capsys.readouterr().out
    dicom.save_all(dicom.series(8), tmp_path / "dicom")
    assert [r.file for r in inspect(tmp_path)] == ["", *(r.file for r in rows)]

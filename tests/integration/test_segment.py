from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import hilum
from hilum.cli.app import run
from hilum.imaging.overlap import dice
from support.dicom_series import CANARY, write_series
from support.plain_chest import build_chest

FILES = [
    "lungs.nii.gz",
    "lungs_labels.txt",
    "measures.csv",
    "measures.json",
    "report.html",
    "run.json",
    "thumbnail.png",
]
NO_REPORT = [name for name in FILES if name not in ("report.html", "thumbnail.png")]


def files_in(folder: Path) -> list[str]:
    """Names of results; the uncertainty map is there exactly where the segmentation is flagged."""
    names = sorted(p.name for p in folder.iterdir())
    codes = [flag["code"] for flag in json.loads((folder / "measures.json").read_text("utf-8"))["quality"]]
    assert ("uncertainty.nii.gz" in names) == ("segmentation_uncertain" in codes)
    return [name for name in names if name != "uncertainty.nii.gz"]


@pytest.fixture(scope="module")
def chest():
    return build_chest(spacing=(4.0, 4.0, 5.0))


@pytest.fixture(scope="module")
def scan(chest, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "chest one.nii.gz"
    nib.save(nib.Nifti1Image(chest.volume.hu, chest.volume.affine), path)
    return path


@pytest.fixture(scope="module")
def done(scan, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert run(["segment", str(scan), "-o", str(out), "--quiet"]) == 0
    return out / "chest_one"


def test_the_files_are_those_of_the_contract(done):
    assert files_in(done) == FILES
    assert sorted(p.name for p in done.parent.iterdir()) == ["chest_one", "sources.csv"]


def test_mask_lies_on_the_grid_of_the_scan(done, scan, chest):
    mask, ct = nib.load(done / "lungs.nii.gz"), nib.load(scan)
    assert mask.shape == ct.shape
    assert np.allclose(mask.affine, ct.affine)
    assert mask.get_data_dtype() == np.uint8
    found = np.asanyarray(mask.dataobj)
    assert min(dice(found == side, chest.lungs == side) for side in (1, 2)) > 0.96


def test_measures_json_holds_the_contract(done, chest):
    written = json.loads((done / "measures.json").read_text())
    assert set(written) == {"schema", "hilum", "quality", "formulae", "tasks"}
    assert written["hilum"] == hilum.__version__
    for region in ("right_lung", "left_lung", "lungs"):
        volume = written["tasks"]["lungs"]["regions"][region]["volume"]
        assert volume["unit"] == "mL"
    true = np.count_nonzero(chest.lungs) * chest.volume.voxel_volume_ml
    assert written["tasks"]["lungs"]["regions"]["lungs"]["volume"]["value"] == pytest.approx(true, rel=0.03)


def test_csv_and_json_hold_the_same_values(done):
    written = json.loads((done / "measures.json").read_text())
    with (done / "measures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"task", "region", "measure", "value", "unit", "formula_id"} <= set(rows[0])
    for row in rows:
        value = written["tasks"]["lungs"]["regions"][row["region"]][row["measure"]]["value"]
        assert (row["value"] == "") == (value is None)
        if value is not None:
            assert float(row["value"]) == pytest.approx(value)


def test_run_json_states_the_provenance(done):
    written = json.loads((done / "run.json").read_text())
    assert written["tasks"]["lungs"]["model"]["name"] == "lungs"
    assert written["arguments"]["source"] == "chest one.nii.gz"
    assert {"read", "segment", "check", "measure"} <= set(written["timings_s"])
    assert written["input"]["shape"] == list(build_chest(spacing=(4.0, 4.0, 5.0)).volume.shape)


def test_report_is_one_file_that_stands_alone(done):
    page = (done / "report.html").read_text()
    for outside in ("http://", "https://", 'src="/', "<script src"):
        assert outside not in page.replace("http://www.w3.org", "")
    assert "not for diagnosis" in page.lower()


def test_same_input_same_bytes(scan, done, tmp_path):
    assert run(["segment", str(scan), "-o", str(tmp_path), "--quiet", "--no-report"]) == 0
    for name in ("lungs.nii.gz", "measures.json", "measures.csv"):
        assert (tmp_path / "chest_one" / name).read_bytes() == (done / name).read_bytes()


def test_a_result_is_replaced_as_a_whole(scan, tmp_path):
    for _ in range(2):
        assert run(["segment", str(scan), "-o", str(tmp_path), "--quiet", "--no-report"]) == 0
    assert files_in(tmp_path / "chest_one") == NO_REPORT


def test_in_a_pipe_there_is_one_line_a_scan_and_no_bar(scan, tmp_path, capsys):
    assert run(["segment", str(scan), "-o", str(tmp_path), "--no-report"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("chest_one: right ")
    assert "\x1b" not in "".join(out)


def test_json_on_stdout_is_json_and_writes_nothing(scan, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["segment", str(scan), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["tasks"]["lungs"]["regions"]["right_lung"]["volume"]["value"] > 0
    assert list(tmp_path.iterdir()) == []


def test_one_bad_input_does_not_stop_the_others(scan, tmp_path, capsys):
    absent = str(scan.with_name("absent.nii"))
    assert run(["segment", absent, str(scan), "-o", str(tmp_path / "out"), "--no-report"]) == 3
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names - {"scans.parquet", "scans.xlsx"} == {  # those two need the extra "tables"
        "chest_one",
        "failed.csv",
        "index.html",
        "measures_long.csv",
        "scans.csv",
        "sources.csv",
    }
    assert "absent" in capsys.readouterr().err


def test_nrrd_and_several_formats(scan, chest, tmp_path):
    import SimpleITK as sitk

    assert (
        run(["segment", str(scan), "-o", str(tmp_path), "-q", "--no-report", "--format", "nifti,nrrd"]) == 0
    )
    one = np.asanyarray(nib.load(tmp_path / "chest_one" / "lungs.nii.gz").dataobj)
    other = sitk.ReadImage(str(tmp_path / "chest_one" / "lungs.seg.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(other).transpose(2, 1, 0), one)
    assert other.GetOrigin() == pytest.approx((chest.volume.affine[:3, 3] * [-1, -1, 1]).tolist())


def test_dicom_in_no_patient_out(chest, tmp_path, capsys):
    write_series(tmp_path / "case", chest.volume)
    assert run(["segment", str(tmp_path / "case"), "-o", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / "case"
    mask = nib.load(folder / "lungs.nii.gz")
    found = hilum.Volume(np.asanyarray(mask.dataobj).astype(np.int16), mask.affine).canonical().hu
    assert min(dice(found == side, chest.lungs == side) for side in (1, 2)) > 0.96
    said = capsys.readouterr()
    for text in (said.out, said.err, *(p.read_bytes().decode("latin-1") for p in folder.iterdir())):
        assert CANARY not in text
        assert "CANARY-ID" not in text


def test_dicom_seg_on_request_from_a_folder_and_from_a_zip_alike(chest, tmp_path):
    import highdicom as hd

    write_series(tmp_path / "case", chest.volume)
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "case")
    inputs = [str(tmp_path / "case"), str(tmp_path / "packed.zip")]
    out = tmp_path / "out"
    assert run(["segment", *inputs, "-o", str(out), "--format", "dicom-seg", "-q", "--no-report"]) == 0
    folder, packed = (hd.seg.segread(out / name / "lungs.dcm") for name in ("case", "packed"))
    assert folder.number_of_segments == 2
    assert folder.SOPInstanceUID == packed.SOPInstanceUID
    assert folder.PixelData == packed.PixelData


def test_measure_with_a_given_mask(scan, chest, tmp_path, capsys):
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(chest.lungs, chest.volume.affine), mask)
    assert run(["measure", str(scan), str(mask), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    true = np.count_nonzero(chest.lungs == 1) * chest.volume.voxel_volume_ml
    assert printed["tasks"]["lungs"]["regions"]["right_lung"]["volume"]["value"] == pytest.approx(
        true, rel=1e-6
    )


@pytest.mark.parametrize("what", ["values", "grid"])
def test_measure_refuses_a_mask_that_does_not_fit(scan, chest, tmp_path, what, capsys):
    labels = chest.lungs * 3 if what == "values" else chest.lungs[:-2]
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(labels, chest.volume.affine), mask)
    code = run(["measure", str(scan), str(mask), "-o", str(tmp_path / "out")])
    assert code == (3 if what == "values" else 4)
    assert not (tmp_path / "out").exists()


def test_a_chest_cut_at_the_top_gives_no_volume(chest, tmp_path, capsys):
    cut = hilum.Volume(np.ascontiguousarray(chest.volume.hu[:, :, :38]), chest.volume.affine)
    result = hilum.segment(cut)
    assert "cut_top" in {flag.code for flag in result.flags}
    for region in ("right_lung", "left_lung", "lungs"):
        value = result.measures[region]["volume"]
        assert value.value is None
        assert value.reason


def test_api_writes_nothing(chest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hilum.segment(chest.volume)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_into_the_same_folder(scan, tmp_path, capsys):
    from hilum.io import OutputFolder

    with OutputFolder(tmp_path / "chest_one") as out:
        (out / "run.json").write_text("{}")
        assert run(["segment", str(scan), "-o", str(tmp_path), "--no-report"]) == 6
    assert capsys.readouterr().err.startswith("hilum: error:")
    assert [p.name for p in (tmp_path / "chest_one").iterdir()] == ["run.json"]


def test_unwritable_output(scan, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert run(["segment", str(scan), "-o", str(tmp_path / "file"), "--no-report"]) == 6
    assert (tmp_path / "file").read_text() == "in the way"
    assert len(capsys.readouterr().err.strip().splitlines()) <= 2


def test_full_disk(scan, tmp_path, capsys, monkeypatch):
    import errno

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hilum.results.write_csv", full)
    assert run(["segment", str(scan), "-o", str(tmp_path / "out"), "--no-report"]) == 6
    assert "space" in capsys.readouterr().err
    assert not (tmp_path / "out" / "chest_one").exists()


def test_usage_errors(scan, tmp_path, capsys):
    for arguments in (
        ["segment", str(scan)],
        ["segment", str(scan), "-o", str(tmp_path / "o"), "--model", "nothing"],
        ["segment", str(scan), "-o", str(tmp_path / "o"), "--task", "liver"],
        ["segment", str(scan), "-o", str(tmp_path / "o"), "--format", "png"],
        ["segment", str(scan), "-o", str(tmp_path / "o"), "--device", "abacus"],
        ["segment", str(scan), "-o", str(tmp_path / "o"), "--format", "dicom-seg"],
        ["nothing"],
    ):
        assert run(arguments) == 2, arguments
    assert not (tmp_path / "o").exists()


def test_a_bug_is_one_sentence(scan, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hilum.tasks.lungs.spec.compute", lambda *a: 1 / 0)
    assert run(["segment", str(scan), "-o", str(tmp_path / "out")]) == 1
    assert "bug" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "start", ["", "from hilum.cli.app import run; run(['--help'])"], ids=["import", "help"]
)
def test_import_and_help_are_light(start):
    import subprocess
    import sys

    heavy = {"numpy", "scipy", "nibabel", "pydicom", "SimpleITK", "matplotlib", "torch"}
    code = f"import sys, hilum; {start}\nprint(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"

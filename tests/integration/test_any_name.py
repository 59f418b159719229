"""Names of files and folders may be any bytes: all work is done, and what is written is valid UTF-8."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

import hilum
from hilum.cli.app import run
from hilum.datasets.pairs import find_pairs
from hilum.io import OutputFolder, write_csv, write_json, write_text
from hilum.io.safe_text import utf8_safe
from support.dicom_series import write_series
from support.plain_chest import build_chest

NAME = os.fsdecode(b"M\xfcller")  # Latin-1, as old archives have it
SHOWN = r"M\xfcller"


@pytest.fixture(scope="module")
def chest():
    return build_chest(spacing=(5.0, 5.0, 6.0))


@pytest.fixture
def place(tmp_path) -> Path:
    folder = tmp_path / NAME
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    return folder


def texts(folder: Path) -> dict[str, str]:
    """Read all text files as strict UTF-8."""
    return {
        p.name: p.read_bytes().decode() for p in folder.iterdir() if p.suffix in (".json", ".csv", ".html")
    }


@pytest.mark.parametrize("kind", ["nifti", "folder", "zip"])
def test_a_scan_of_any_name_is_measured(chest, place, kind):
    given = place / (NAME + {"nifti": ".nii.gz", "folder": "", "zip": ".zip"}[kind])
    if kind == "nifti":
        nib.save(nib.Nifti1Image(chest.volume.hu, chest.volume.affine), given)
    elif kind == "folder":
        write_series(given, chest.volume)
        (given / "im0003.dcm").rename(given / f"{NAME}.dcm")
    else:
        write_series(place / "series", chest.volume)
        Path(shutil.make_archive(str(place / "packed"), "zip", place / "series")).rename(given)
    out = place / f"out {NAME}"
    assert run(["segment", str(given), "-o", str(out), "--model", "classic", "-q"]) == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    assert folder.name.isascii()
    written = texts(folder)
    suffix = given.name.removeprefix(NAME)
    assert json.loads(written["run.json"])["arguments"]["source"] == SHOWN + suffix
    assert SHOWN in written["report.html"]


def test_a_mask_of_any_name_is_measured(chest, place):
    scan, mask = place / f"{NAME}.nii", place / f"{NAME}-mask.nii"
    nib.save(nib.Nifti1Image(chest.volume.hu, chest.volume.affine), scan)
    nib.save(nib.Nifti1Image(chest.lungs, chest.volume.affine), mask)
    assert run(["measure", str(scan), str(mask), "-o", str(place / "out"), "-q"]) == 0
    (folder,) = (path for path in (place / "out").iterdir() if path.is_dir())
    assert json.loads(texts(folder)["run.json"])["arguments"]["mask"] == f"{SHOWN}-mask.nii"


def test_an_umlaut_works_without_a_locale(chest, tmp_path):
    scan = tmp_path / "Müller.nii.gz"
    nib.save(nib.Nifti1Image(chest.volume.hu, chest.volume.affine), scan)
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    done = subprocess.run(
        [sys.executable, "-m", "hilum", "segment", os.fsencode(scan), "-o", "out", "--model", "classic"],
        cwd=tmp_path,
        env={**os.environ, **plain, "PYTHONPATH": str(Path(hilum.__file__).parents[1])},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"right 1." in done.stdout
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert json.loads(texts(folder)["run.json"])["arguments"]["source"] == "Müller.nii.gz"


def test_different_names_stay_different():
    names = ["a\udcfc", "a\udcfd", "a\ud800", "a\udcc3\udcbc", "a"]
    assert [utf8_safe(name) for name in names] == [r"a\xfc", r"a\xfd", r"a\ud800", "aü", "a"]


def test_writers_write_any_name(tmp_path):
    text = utf8_safe(NAME)
    write_json(tmp_path / "a.json", {NAME: [NAME]})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {text: [text]}
    write_csv(tmp_path / "a.csv", ["name", "number"], [[NAME, 1]])
    assert list(csv.reader((tmp_path / "a.csv").open(encoding="utf-8")))[1] == [text, "1"]
    assert write_text(tmp_path / "a.txt", NAME).read_text("utf-8") == text


def test_results_go_into_a_folder_of_any_name(place):
    with OutputFolder(place / NAME) as out:
        write_json(out / "run.json", {"hilum": "0"})
    assert [path.name for path in (place / NAME).iterdir()] == ["run.json"]


def test_subjects_of_any_name_stay_apart(chest, place):
    for name in (NAME, os.fsdecode(b"M\xfdller")):
        for role in ("ct", "lungs"):
            (place / f"{name}_{role}.nii.gz").touch()
    assert [subject.name for subject in find_pairs(place)] == [SHOWN, r"M\xfdller"]


def test_a_dataset_may_have_a_folder_of_any_name(chest, place):
    pytest.importorskip("pyarrow")
    nib.save(nib.Nifti1Image(chest.volume.hu, chest.volume.affine), place / "a_ct.nii.gz")
    nib.save(nib.Nifti1Image(chest.lungs, chest.volume.affine), place / "a_lungs.nii.gz")
    assert run(["prepare", str(place), "-o", str(place / NAME), "--plane", "axial", "-q"]) == 0
    assert (place / NAME / "index.parquet").stat().st_size > 0

"""Many scans in one call: nothing silent, nobody else's folder."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import hilum
from hilum.cli.app import run
from support.dicom_series import CANARY, write_series
from support.plain_chest import build_chest

QUICK = ["--model", "classic", "--no-report"]


@pytest.fixture(scope="module")
def chest():
    return build_chest(spacing=(6.0, 6.0, 8.0)).volume


@pytest.fixture(scope="module")
def other(chest):
    return hilum.Volume(chest.hu + np.int16(5), chest.affine)


def save(volume: hilum.Volume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.hu, volume.affine), path)
    return path


def segment(*arguments: object) -> int:
    return run(["segment", *QUICK, *map(str, arguments)])


def table(path: Path) -> dict[str, dict[str, str]]:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(newline="") as file:
        return {row["scan"]: row for row in csv.DictReader(file)}


def folders(out: Path) -> list[str]:
    return sorted(str(p.parent.relative_to(out)) for p in out.rglob("run.json"))


def cut(path: Path, chest) -> Path:
    save(chest, path)
    path.write_bytes(path.read_bytes()[:300])
    return path


def test_every_failure_is_reported_and_the_exit_code_is_that_of_the_first(chest, tmp_path, capsys):
    good = save(chest, tmp_path / "good.nii.gz")
    water = save(hilum.Volume(np.zeros_like(chest.hu), chest.affine), tmp_path / "water.nii.gz")
    bad = [cut(tmp_path / "cut.nii.gz", chest), tmp_path / "absent.nii.gz", water]
    assert segment(bad[0], good, *bad[1:], "-o", tmp_path / "out") == 3
    said = capsys.readouterr()
    for name in ("cut", "absent", "water"):
        assert f"hilum: error: {name}: " in said.err
    assert f"4 scans: 1 measured, 3 failed ({tmp_path / 'out' / 'failed.csv'})" in said.err.splitlines()
    failed = table(tmp_path / "out" / "failed.csv")
    assert {name: row["code"] for name, row in failed.items()} == {"cut": "3", "absent": "3", "water": "3"}
    assert failed["cut"]["path"] == str(bad[0])
    assert all(row["message"] and row["hint"] for row in failed.values())
    assert folders(tmp_path / "out") == ["good"]


def test_quiet_still_reports_failures(chest, tmp_path, capsys):
    good = save(chest, tmp_path / "good.nii.gz")
    assert segment(good, tmp_path / "no.nii", "-o", tmp_path / "out", "-q") == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith("2 scans: 1 measured, 1 failed")


def test_a_scan_that_was_mended_leaves_the_table_of_failures(chest, tmp_path):
    good, bad = save(chest, tmp_path / "good.nii.gz"), cut(tmp_path / "bad.nii.gz", chest)
    out = tmp_path / "out"
    assert segment(good, bad, "-o", out, "-q") == 3
    save(chest, bad)
    assert segment(good, bad, "-o", out, "-q") == 0
    assert not (out / "failed.csv").exists()
    assert set(table(out / "sources.csv")) == {"good", "bad"}


def test_a_bug_in_one_scan_does_not_take_the_others_along(chest, tmp_path, capsys, monkeypatch):
    one, two = save(chest, tmp_path / "one.nii.gz"), save(chest, tmp_path / "two.nii.gz")
    from hilum.batch import jobs

    real = jobs.run

    def fails_once(source, *args, **kwargs):
        if source.name == "one":
            raise ZeroDivisionError("of a test")
        return real(source, *args, **kwargs)

    monkeypatch.setattr(jobs, "run", fails_once)
    assert segment(one, two, "-o", tmp_path / "out") == 1
    assert "one: this is a bug in hilum (ZeroDivisionError: of a test)" in capsys.readouterr().err
    assert folders(tmp_path / "out") == ["two"]
    assert table(tmp_path / "out" / "failed.csv")["one"]["code"] == "1"


def test_a_lone_scan_that_fails_leaves_nothing(chest, tmp_path):
    assert segment(cut(tmp_path / "cut.nii.gz", chest), "-o", tmp_path / "out") == 3
    assert not (tmp_path / "out").exists()


def test_folders_are_named_by_the_path_below_the_common_root(chest, other, tmp_path):
    one, two = save(chest, tmp_path / "p1" / "scan.nii.gz"), save(other, tmp_path / "p2" / "scan.nii.gz")
    out = tmp_path / "out"
    assert segment(one, two, "-o", out, "-q") == 0
    assert folders(out) == ["p1/scan", "p2/scan"]
    rows = table(out / "sources.csv")
    assert {name: row["path"] for name, row in rows.items()} == {"p1/scan": str(one), "p2/scan": str(two)}
    for name, volume in (("p1/scan", chest), ("p2/scan", other)):
        manifest = json.loads((out / name / "run.json").read_text())
        assert manifest["fingerprint"] == rows[name]["sha256"] == volume.fingerprint()
        assert manifest["input"]["name"] == name


def test_another_scan_never_takes_over_a_folder(chest, other, tmp_path, capsys):
    one, two = save(chest, tmp_path / "p1" / "scan.nii.gz"), save(other, tmp_path / "p2" / "scan.nii.gz")
    out = tmp_path / "out"
    assert segment(one, "-o", out, "-q") == 0
    before = (out / "scan" / "measures.json").read_bytes()
    assert segment(two, "-o", out, "-q") == 6
    assert "scan holds the results of another scan, so they are not replaced." in capsys.readouterr().err
    assert (out / "scan" / "measures.json").read_bytes() == before
    assert segment(one, "-o", out, "-q") == 0  # the same scan replaces its own
    assert segment(two, "-o", out, "-q", "--overwrite") == 0
    assert (out / "scan" / "measures.json").read_bytes() != before


def test_measure_does_not_take_over_a_folder_either(chest, other, tmp_path):
    one, two = save(chest, tmp_path / "p1" / "scan.nii.gz"), save(other, tmp_path / "p2" / "scan.nii.gz")
    out = tmp_path / "out"
    assert segment(one, "-o", out, "-q") == 0
    mask = shutil.copy(out / "scan" / "lungs.nii.gz", tmp_path / "lungs.nii.gz")
    assert run(["measure", str(two), str(mask), "-o", str(out), "-q", "--no-report"]) == 6
    assert run(["measure", str(one), str(mask), "-o", str(out), "-q", "--no-report"]) == 0
    assert set(table(out / "sources.csv")) == {"scan"}


def test_results_never_lie_inside_those_of_another_scan(chest, other, tmp_path):
    outer, inner = save(chest, tmp_path / "p1.nii.gz"), save(other, tmp_path / "p1" / "scan.nii.gz")
    third = save(other, tmp_path / "p3.nii.gz")
    out = tmp_path / "out"
    assert segment(outer, inner, "-o", out, "-q") == 0
    assert (
        folders(out) == ["p1", "p1-2/scan"] or folders(out) == ["p1", "p1/scan-2"] or len(folders(out)) == 2
    )
    assert not any(a != b and b.startswith(a + "/") for a in folders(out) for b in folders(out))
    again = tmp_path / "again"
    assert segment(outer, "-o", again, "-q") == 0
    assert segment(inner, third, "-o", again, "-q") == 6
    assert folders(again) == ["p1", "p3"]


def test_a_folder_of_volumes_gives_all_and_reports_what_is_left_out(chest, other, tmp_path, capsys):
    save(chest, tmp_path / "in" / "a" / "ct.nii.gz")
    save(other, tmp_path / "in" / "b.nii.gz")
    save(other, tmp_path / "in" / "b_lungs.nii.gz")
    assert segment(tmp_path / "in", "-o", tmp_path / "in" / "out") == 0
    said = capsys.readouterr()
    assert "in: 1 file named as a mask was left out (b_lungs.nii.gz)." in said.err
    assert "2 scans: 2 measured, 0 failed" in said.out
    assert folders(tmp_path / "in" / "out") == ["a/ct", "b"]
    assert segment(tmp_path / "in", "-o", tmp_path / "in" / "out", "-q") == 0  # results are not input
    assert folders(tmp_path / "in" / "out") == ["a/ct", "b"]


def test_patterns_are_expanded_where_no_shell_did(chest, other, tmp_path, capsys):
    save(chest, tmp_path / "in" / "a.nii.gz")
    save(other, tmp_path / "in" / "b.nii.gz")
    save(other, tmp_path / "in" / "brackets[1].nii.gz")
    out = tmp_path / "out"
    assert segment(tmp_path / "in" / "*.nii.gz", tmp_path / "in" / "a.nii.gz", "-o", out, "-q") == 0
    assert folders(out) == ["a", "b", "brackets_1"]
    assert segment(tmp_path / "in" / "brackets[1].nii.gz", "-o", tmp_path / "one", "-q") == 0
    assert segment(tmp_path / "in" / "*.mha", "-o", out, "-q") == 3
    assert "No file fits" in capsys.readouterr().err


def test_each_study_of_a_dicom_root_has_a_folder_of_its_own(chest, other, tmp_path, capsys):
    root, out = tmp_path / "root", tmp_path / "out"
    uids = [write_series(root / name / "3", v) for name, v in (("PAT_A", chest), ("PAT_B", other))]
    assert segment(root, "-o", out) == 0
    said = capsys.readouterr()
    assert "2 scans: 2 measured, 0 failed" in said.out
    assert folders(out) == ["PAT_A/3", "PAT_B/3"]
    rows = table(out / "sources.csv")
    assert [rows[name]["series_uid"] for name in ("PAT_A/3", "PAT_B/3")] == uids
    assert rows["PAT_A/3"]["sha256"] != rows["PAT_B/3"]["sha256"]
    for text in (said.out, said.err, *(p.read_text("latin-1") for p in out.rglob("*") if p.is_file())):
        assert CANARY not in text
    hashes = {
        json.loads((out / n / "run.json").read_text())["input"]["series_uid_hash"] for n in folders(out)
    }
    assert len(hashes) == 2
    assert not hashes & set(uids)


def test_the_series_uid_is_written_in_the_clear_on_request_only(chest, tmp_path):
    uid = write_series(tmp_path / "case", chest)
    for option, key in ((), "series_uid_hash"), (("--keep-uids",), "series_uid"):
        out = tmp_path / key
        assert segment(tmp_path / "case", "-o", out, "-q", *option) == 0
        text = (out / "case" / "run.json").read_text()
        assert (uid in text) == bool(option)
        assert key in json.loads(text)["input"]


def test_studies_in_one_flat_folder_or_zip_are_distinguished_by_a_salted_hash(chest, other, tmp_path):
    flat, out = tmp_path / "flat", tmp_path / "out"
    for name, volume in (("a", chest), ("b", other)):
        write_series(tmp_path / name, volume)
        flat.mkdir(exist_ok=True)
        for file in (tmp_path / name).iterdir():
            file.rename(flat / f"{name}{file.name}")
    assert segment(flat, "-o", out, "-q") == 0
    names = folders(out)
    assert len(names) == 2
    assert all(name.startswith("study-") and len(name) == len("study-") + 8 for name in names)
    assert stat.S_IMODE((out / "salt.txt").stat().st_mode) == 0o600
    zipped = shutil.make_archive(str(tmp_path / "flat"), "zip", flat)
    assert segment(zipped, "-o", out, "-q") == 0
    assert folders(out) == names  # the same studies, the same folders
    assert segment(flat, "-o", tmp_path / "elsewhere", "-q") == 0
    assert folders(tmp_path / "elsewhere") != names  # another salt


def test_one_refuses_several_scans_and_lists_them(chest, other, tmp_path, capsys):
    for name, volume in (("PAT_A", chest), ("PAT_B", other)):
        write_series(tmp_path / "root" / name, volume)
    assert segment(tmp_path / "root", "--one", "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "root holds 2 scans, not one." in said
    assert "PAT_A (series 1, " in said
    assert not (tmp_path / "out").exists()
    assert segment(tmp_path / "root" / "PAT_A", "--one", "-o", tmp_path / "out", "-q") == 0
    with pytest.raises(hilum.UsageError, match="2 studies") as met:
        hilum.segment(tmp_path / "root", model="classic")
    assert "series 1" in met.value.hint


def test_code_ids_keep_every_name_out_of_the_results(chest, other, tmp_path, capsys):
    one = save(chest, tmp_path / "Smith" / "Smith_John.nii.gz")
    two = save(other, tmp_path / "Smith" / "Smith_Jane.nii.gz")
    bad = cut(tmp_path / "Smith" / "Smith_Jim.nii.gz", chest)
    out = tmp_path / "out"
    assert segment(one, two, bad, "-o", out, "--code-ids", "--report") == 3
    assert folders(out) == ["0", "1"]
    for file in (p for p in out.rglob("*") if p.is_file()):
        assert b"Smith" not in file.read_bytes()
    dictionary = tmp_path / "out.subjects.json"
    assert stat.S_IMODE(dictionary.stat().st_mode) == 0o600
    assert list(json.loads(dictionary.read_text()).values()) == [str(one), str(two), str(bad)]
    assert segment(two, "-o", out, "--code-ids", "-q") == 0  # the same scan, the same number
    assert folders(out) == ["0", "1"]
    capsys.readouterr()


def test_json_of_several_scans_is_a_list_in_which_failures_stand(chest, tmp_path, capsys):
    good = save(chest, tmp_path / "good.nii.gz")
    assert segment(good, tmp_path / "no.nii", "--json") == 3
    printed = json.loads(capsys.readouterr().out)
    assert printed[0]["tasks"]["lungs"]["regions"]["lungs"]["volume"]["value"] > 0
    assert printed[1]["name"] == "no"
    assert printed[1]["error"]["code"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good.nii.gz"]


def test_a_foreign_table_is_refused_before_the_work(chest, tmp_path, capsys):
    good = save(chest, tmp_path / "good.nii.gz")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sources.csv").write_text("mine,not yours\n")
    assert segment(good, "-o", tmp_path / "out") == 6
    assert "sources.csv in" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["sources.csv"]


def test_a_link_to_a_folder_is_followed_and_an_index_stands_for_its_folder(chest, tmp_path):
    save(chest, tmp_path / "disk" / "a.nii.gz")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert segment(tmp_path / "in", "-o", tmp_path / "out", "-q") == 0
    assert folders(tmp_path / "out") == ["in"]
    assert table(tmp_path / "out" / "sources.csv")["in"]["path"] == str(
        tmp_path / "in" / "linked" / "a.nii.gz"
    )


def test_corrupted_files_of_no_study_are_reported(chest, other, tmp_path, capsys):
    for name, volume in (("A", chest), ("B", other), ("C", other)):
        write_series(tmp_path / "root" / name, volume)
    for file in (tmp_path / "root" / "C").iterdir():
        file.write_bytes(file.read_bytes()[:200])
    assert segment(tmp_path / "root", "-o", tmp_path / "out", "-q") == 0
    assert folders(tmp_path / "out") == ["A", "B"]
    assert segment(tmp_path / "root", "-o", tmp_path / "out") == 0
    assert "files or folders could not be read and belong to none of the scans" in capsys.readouterr().err

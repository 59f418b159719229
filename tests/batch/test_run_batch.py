"""Batches: what is done is not done again, what fails costs one scan, and what is stopped goes on."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import hilum
from hilum.batch import jobs
from hilum.cli.app import run
from hilum.core.errors import UsageError
from hilum.io import OutputFolder
from hilum.tables import write_tables
from support.dicom_series import write_series
from support.plain_chest import build_chest
from support.work import badly

QUICK = {"model": "classic", "report": False}


@pytest.fixture(scope="module")
def chest():
    return build_chest(spacing=(6.0, 6.0, 8.0)).volume


@pytest.fixture
def scans(chest, tmp_path) -> Path:
    """Three scans that differ."""
    for number in range(3):
        save(chest, tmp_path / "in" / f"s{number}.nii.gz", number)
    return tmp_path / "in"


@pytest.fixture
def done(monkeypatch) -> list[str]:
    """Names of the scans that are segmented in this process."""
    names: list[str] = []
    real = jobs.run

    def noted(source, *args, **kwargs):
        names.append(source.name)
        return real(source, *args, **kwargs)

    monkeypatch.setattr(jobs, "run", noted)
    return names


def save(volume: hilum.Volume, path: Path, more: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.hu + np.int16(more), volume.affine), path)
    return path


def batch(inputs: object, out: Path, **options) -> list[hilum.Outcome]:
    return list(hilum.run_batch(inputs, out, **{**QUICK, **options}))


#: They show the seconds that each scan took, which a second run does not repeat.
TIMED = ("scans.parquet", "scans.xlsx", "index.html")


def content(out: Path) -> dict[str, bytes]:
    """All files of a folder of results; of run.json and the table of scans without their times."""
    found = {}
    for file in out.rglob("*"):
        if file.is_file() and file.name not in TIMED:
            found[file.relative_to(out).as_posix()] = file.read_bytes()
            if file.name == "scans.csv":
                with file.open(newline="") as table:
                    kept = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(table)]
                found["scans.csv"] = json.dumps(kept).encode()
            if file.name == "run.json":
                run = json.loads(file.read_text())
                del run["started"], run["timings_s"]
                found[file.relative_to(out).as_posix()] = json.dumps(run).encode()
    return found


def rows(path: Path) -> list[dict[str, str]]:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def named(outcomes: Sequence[hilum.Outcome]) -> dict[str, hilum.Outcome]:
    return {outcome.name: outcome for outcome in outcomes}


# -- resuming -----------------------------------------------------------------------------------------------


def test_what_is_done_is_not_done_again(scans, tmp_path, done):
    first = batch(scans, tmp_path / "out")
    before = content(tmp_path / "out")
    second = batch(scans, tmp_path / "out", resume=True)
    assert done == ["s0", "s1", "s2"]
    assert all(outcome.before for outcome in second)
    assert content(tmp_path / "out") == before
    for one, two in zip(first, second, strict=True):
        assert one.measures == two.measures
        assert one.fingerprint == two.fingerprint
        assert [str(flag.message) for flag in one.flags] == [flag.message for flag in two.flags]


def test_without_resume_all_is_done_again(scans, tmp_path, done):
    batch(scans, tmp_path / "out")
    batch(scans, tmp_path / "out")
    assert done == ["s0", "s1", "s2"] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "lungs"},
        {"formats": ["nrrd"]},
        {"report": True},
        {"calibrate": True},
        {"task": "lungs,pleura"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_other_options_are_another_job(scans, tmp_path, monkeypatch, changed):
    keys = []
    monkeypatch.setattr(jobs, "run", lambda source, *args, **kwargs: keys.append(source.name) or 1 / 0)
    batch(scans / "s0.nii.gz", tmp_path / "out", resume=True)
    monkeypatch.undo()
    batch(scans / "s0.nii.gz", tmp_path / "out")
    (outcome,) = batch(scans / "s0.nii.gz", tmp_path / "out", resume=True)
    assert outcome.before
    monkeypatch.setattr(jobs, "run", lambda source, *args, **kwargs: keys.append(source.name) or 1 / 0)
    batch(scans / "s0.nii.gz", tmp_path / "out", resume=True, **changed)
    assert keys == ["s0", "s0"]


def test_another_version_of_code_or_models_is_another_job(scans, tmp_path, done, monkeypatch):
    batch(scans, tmp_path / "out")
    monkeypatch.setattr("hilum.batch.keys.__version__", "9.9")
    batch(scans, tmp_path / "out", resume=True)
    assert done == ["s0", "s1", "s2"] * 2


def test_a_file_that_changed_is_done_again_although_size_and_time_are_the_same(scans, chest, tmp_path, done):
    raw = tmp_path / "in" / "raw.nii"
    save(chest, raw)
    batch(scans, tmp_path / "out")
    before = raw.stat()
    save(chest, raw, 7)
    os.utime(raw, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert raw.stat().st_size == before.st_size
    done.clear()
    outcomes = named(batch(scans, tmp_path / "out", resume=True))
    assert done == ["raw"]
    assert outcomes["raw"].error is None
    assert [outcomes[name].before for name in ("s0", "s1", "s2", "raw")] == [True, True, True, False]


def test_another_scan_in_the_folder_is_refused_with_resume_too(scans, chest, tmp_path):
    batch(scans / "s0.nii.gz", tmp_path / "out")
    other = save(chest, tmp_path / "elsewhere" / "s0.nii.gz", 50)
    (outcome,) = batch(other, tmp_path / "out", resume=True)
    assert isinstance(outcome.error, hilum.OutputError)


def test_a_result_that_lost_a_file_is_done_again(scans, tmp_path, done):
    batch(scans, tmp_path / "out")
    (tmp_path / "out" / "s1" / "lungs.nii.gz").unlink()
    done.clear()
    batch(scans, tmp_path / "out", resume=True)
    assert done == ["s1"]
    assert (tmp_path / "out" / "s1" / "lungs.nii.gz").exists()


def test_failures_are_tried_again(scans, chest, tmp_path, done):
    bad = tmp_path / "in" / "s1.nii.gz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:300])
    outcomes = named(batch(scans, tmp_path / "out"))
    assert outcomes["s1"].error.exit_code == 3
    assert [row["scan"] for row in rows(tmp_path / "out" / "failed.csv")] == ["s1"]
    bad.write_bytes(whole)
    done.clear()
    outcomes = named(batch(scans, tmp_path / "out", resume=True))
    assert done == ["s1"]
    assert not (tmp_path / "out" / "failed.csv").exists()


def test_what_a_killed_run_left_is_removed_and_its_rows_come_back(scans, tmp_path, done):
    out = tmp_path / "out"
    batch(scans, out)
    before = content(out)
    folder = OutputFolder(out / "s1")
    folder.__enter__()
    (folder.staging / "half").write_text("x")
    folder._lock.release()  # as the system does when a process ends
    shutil.move(out / "s2", out / f".hilum-{hashlib.sha256(b's2').hexdigest()[:12]}.old")
    (out / "sources.csv").unlink()
    done.clear()
    batch(scans, out, resume=True)
    assert done == []
    assert content(out) == before


def test_dicom_rows_come_back_with_their_series(chest, tmp_path, done):
    uids = [write_series(tmp_path / "in" / name, chest) for name in ("a", "b")]
    out = tmp_path / "out"
    batch(tmp_path / "in", out)
    before = content(out)
    (out / "sources.csv").unlink()
    batch(tmp_path / "in", out, resume=True)
    assert done == ["a", "b"]
    assert content(out) == before
    assert [row["series_uid"] for row in rows(out / "sources.csv")] == uids


# -- several processes --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_several_processes_give_the_same_bytes_also_from_zips(scans, chest, tmp_path):
    write_series(scans / "dicom", chest)
    for name in ("one", "two"):
        write_series(tmp_path / name, hilum.Volume(chest.hu + np.int16(3), chest.affine))
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in ("one", "two"):
            for file in sorted((tmp_path / name).iterdir()):
                archive.write(file, f"{name}/{file.name}")
    inputs = [scans, tmp_path / "in.zip"]
    (tmp_path / "pool").mkdir()
    outcomes = batch(inputs, tmp_path / "here")
    assert [outcome.error for outcome in outcomes] == [None] * 6
    shutil.copy(tmp_path / "here" / "salt.txt", tmp_path / "pool" / "salt.txt")
    said: list[str] = []
    pooled = batch(inputs, tmp_path / "pool", jobs=2, notify=said.append)
    assert [outcome.error for outcome in pooled] == [None] * 6
    assert sorted(outcome.index for outcome in pooled) == list(range(6))
    assert content(tmp_path / "pool") == content(tmp_path / "here")
    assert [line for line in said if line.startswith("2 scans at a time, 1 thread each, at most ")]


@pytest.mark.slow
def test_one_bad_scan_of_each_kind_costs_only_itself(chest, tmp_path):
    for number, name in enumerate(
        ("good-1", "hang-1", "good-2", "grow-1", "crash-1", "cut", "water", "good-3")
    ):
        save(chest, tmp_path / "in" / f"{name}.nii.gz", number)
    cut = tmp_path / "in" / "cut.nii.gz"
    cut.write_bytes(cut.read_bytes()[:300])
    save(hilum.Volume(np.zeros_like(chest.hu), chest.affine), tmp_path / "in" / "water.nii.gz")
    out = tmp_path / "out"
    limits = {"time_limit": 60.0, "memory_limit": 0.75}
    outcomes = named(batch(tmp_path / "in", out, jobs=2, work=badly, **limits))
    codes = {name: outcome.error.exit_code for name, outcome in outcomes.items() if outcome.error}
    assert codes == {"hang-1": 7, "grow-1": 7, "crash-1": 7, "cut": 3, "water": 3}
    failed = {row["scan"]: row for row in rows(out / "failed.csv")}
    assert {name: int(row["code"]) for name, row in failed.items()} == codes
    assert all(row["message"] and row["hint"] for row in failed.values())
    assert [row["scan"] for row in rows(out / "sources.csv")] == ["good-1", "good-2", "good-3"]
    assert not list(out.rglob(".hilum-*"))
    again = named(batch(tmp_path / "in", out, jobs=1, resume=True))
    assert {name for name, outcome in again.items() if outcome.before} == {"good-1", "good-2", "good-3"}
    assert {name for name, outcome in again.items() if outcome.error} == {"cut", "water"}


def test_a_batch_that_is_closed_stops_and_leaves_nothing_half_written(scans, tmp_path):
    out = tmp_path / "out"
    with hilum.run_batch(scans, out, jobs=2, **QUICK) as running:
        first = next(running)
    assert first.error is None
    assert running.counts.total == 3
    assert [row["scan"] for row in rows(out / "sources.csv")][:1]
    assert not list(out.rglob(".hilum-*"))
    assert all((path / "run.json").exists() for path in out.iterdir() if path.is_dir())
    outcomes = batch(scans, out, resume=True)
    assert named(outcomes)[first.name].before
    assert len(outcomes) == 3


# -- parts, covariates, arguments ---------------------------------------------------------------------------


def test_parts_together_give_what_the_whole_gives(scans, tmp_path):
    batch(scans, tmp_path / "whole")
    for part in ("1/2", "2/2"):
        batch(scans, tmp_path / "parts", part=part)
    assert not (tmp_path / "parts" / "scans.csv").exists()
    write_tables(tmp_path / "parts")
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_a_batch_ends_with_its_tables_and_gives_a_data_frame(scans, tmp_path):
    pytest.importorskip("pandas")
    frame = hilum.run_batch(scans, tmp_path / "out", **QUICK).to_frame()
    assert list(frame["scan"]) == ["s0", "s1", "s2"]
    assert (frame["lungs_volume_ml"] > 1000).all()
    with (tmp_path / "out" / "scans.csv").open(newline="") as file:
        assert [row["scan"] for row in csv.DictReader(file)] == ["s0", "s1", "s2"]
    with pytest.raises(UsageError, match="not written"):
        hilum.run_batch(scans, None, **QUICK).to_frame()


def test_columns_of_a_table_of_inputs_are_kept_for_their_owner(scans, tmp_path):
    table = tmp_path / "study.csv"
    table.write_text("age,scan\n61,in/s0.nii.gz\n62,in/absent.nii.gz\n63,in/s2.nii.gz\n")
    out = tmp_path / "out"
    outcomes = named(batch(table, out))
    assert "line 3 of study.csv" in outcomes["absent"].error.message
    kept = rows(out / "covariates.csv")
    assert list(kept[0]) == ["scan", "age"]
    assert {row["scan"]: row["age"] for row in kept} == {"s0": "61", "absent": "62", "s2": "63"}
    table.write_text("scan,site\nin/s2.nii.gz,A\nin/s1.nii.gz,B\n")
    batch(table, out)
    kept = {row["scan"]: (row["age"], row["site"]) for row in rows(out / "covariates.csv")}
    assert kept["s1"] == ("", "B")
    assert kept["s2"] == ("", "A")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jobs": 0}, "jobs is '0'"),
        ({"jobs": "many"}, "jobs is 'many'"),
        ({"part": "0/3"}, "part is '0/3'"),
        ({"part": "4/3"}, "part is '4/3'"),
        ({"part": "3"}, "part is '3'"),
        ({"model": "none-such"}, "no model none-such"),
        ({"task": "liver"}, "task is 'liver'"),
    ],
)
def test_arguments_are_checked_before_any_work(scans, tmp_path, options, said):
    with pytest.raises(hilum.HilumError, match=said):
        hilum.run_batch(scans, tmp_path / "out", **{**QUICK, **options})


def test_the_command_counts_what_was_done_before_and_its_code_is_that_of_the_first_failure(
    scans, chest, tmp_path, capsys
):
    words = ["segment", str(scans), "-o", str(tmp_path / "out"), "--model", "classic", "--no-report"]
    assert run([*words, "--resume"]) == 0
    save(hilum.Volume(np.zeros_like(chest.hu), chest.affine), scans / "t.nii.gz")
    (scans / "u.nii.gz").write_bytes(b"")
    capsys.readouterr()
    assert run([*words, "--resume", "--jobs", "2"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    last = said.err.splitlines()[-1]
    assert last == (f"5 scans: 0 measured, 3 were done before, 2 failed ({tmp_path / 'out' / 'failed.csv'})")

"""Scans and results at URLs: as on this machine, and what was cut off is done again."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import hilum
from hilum.batch.remote import RemoteResults
from hilum.cli.app import run
from hilum.core.errors import InputError, MissingExtraError, OutputError, UsageError
from hilum.io.remote import RemoteScan
from hilum.tables.remote import WRITING
from support.dicom_series import write_series
from support.plain_chest import build_chest

fsspec = pytest.importorskip("fsspec")

QUICK = {"model": "classic", "report": False}
#: They show seconds, which another run does not repeat.
TIMED = ("scans.parquet", "scans.xlsx", "index.html", "scans.csv")
#: They name the place of the scans, or are drawn by chance.
OWN = ("sources.csv", "failed.csv", "salt.txt")


@pytest.fixture(scope="module")
def chest():
    return build_chest(spacing=(6.0, 6.0, 8.0)).volume


@pytest.fixture
def scans(chest, tmp_path) -> Path:
    """Two volumes that differ, one below a folder, and what is none beside them."""
    for number, name in enumerate(("a.nii.gz", "ward/b.nii.gz")):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(chest.hu + np.int16(number), chest.affine), path)
    (tmp_path / "in" / "a_mask.nii.gz").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("none")
    return tmp_path / "in"


@pytest.fixture
def bucket():
    """A file system in memory."""
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


@pytest.fixture
def tagged(bucket, monkeypatch):
    """The file system in memory with an entity tag of each file, as S3 has it; lists what is copied."""
    copied: list[str] = []
    info, find, get = bucket.info, bucket.find, bucket.get

    def with_tag(path: str, **options):
        about = info(path, **options)
        if about["type"] == "file":
            about = {**about, "ETag": hashlib.md5(bucket.cat_file(path)).hexdigest()}
        return about

    def with_tags(path: str, *rest, detail: bool = False, **options):
        found = find(path, *rest, **options)
        return {file: with_tag(file) for file in found} if detail else found

    def noted(paths, *rest, **options):
        copied.extend(paths)
        return get(paths, *rest, **options)

    monkeypatch.setattr(bucket, "info", with_tag)
    monkeypatch.setattr(bucket, "find", with_tags)
    monkeypatch.setattr(bucket, "get", noted)
    return copied


def batch(inputs: object, out: object, **options) -> list[hilum.Outcome]:
    return list(hilum.run_batch(inputs, out, **{**QUICK, **options}))


def content(out: Path) -> dict[str, bytes]:
    """All files of a folder of results but those that are its own; manifests without their times."""
    found = {}
    for file in out.rglob("*"):
        if file.is_file() and file.name not in (*TIMED, *OWN):
            found[file.relative_to(out).as_posix()] = file.read_bytes()
        if file.name == "run.json":
            manifest = json.loads(file.read_text())
            del manifest["started"], manifest["timings_s"]
            found[file.relative_to(out).as_posix()] = json.dumps(manifest).encode()
    return found


def copied(files, place: str, to: Path) -> Path:
    files.get(place, str(to), recursive=True)
    return to


def test_results_of_scans_at_urls_are_those_of_files(scans, tmp_path, bucket):
    bucket.put(str(scans), "/ct", recursive=True)
    said: list[str] = []
    away = batch("memory://ct", "memory://results", notify=said.append)
    here = batch(scans, tmp_path / "out")
    assert [(o.name, o.error) for o in away] == [(o.name, None) for o in here]
    assert [o.folder for o in away] == ["memory://results/a", "memory://results/ward/b"]
    assert any("a_mask.nii.gz" in sentence for sentence in said)
    got = copied(bucket, "/results", tmp_path / "got")
    assert content(got) == content(tmp_path / "out")
    tables = {file.name for file in (tmp_path / "out").iterdir()}
    assert {file.name for file in got.iterdir()} == {*tables, "salt.txt"}
    assert "memory://ct/ward/b.nii.gz" in (got / "sources.csv").read_text()


def test_urls_serve_as_inputs_alone_and_as_output_alone(scans, tmp_path, bucket):
    bucket.put(str(scans), "/ct", recursive=True)
    (one,) = batch("memory://ct/a.nii.gz", tmp_path / "one")
    assert (one.name, one.folder) == ("a", tmp_path / "one" / "a")
    assert [o.name for o in batch("memory://ct/**/*b.nii.gz", tmp_path / "some")] == ["b"]
    (two,) = batch(scans / "a.nii.gz", "memory://two")
    assert two.error is None
    assert bucket.exists("/two/a/run.json")
    assert content(copied(bucket, "/two", tmp_path / "two")) == content(tmp_path / "one")


def test_what_is_done_at_a_url_is_not_done_again(scans, tmp_path, bucket):
    batch(scans, "memory://results")
    before = bucket.modified("/results/a/run.json")
    salt = bucket.cat_file("/results/salt.txt") if bucket.exists("/results/salt.txt") else None
    again = batch(scans, "memory://results", resume=True)
    assert [o.before for o in again] == [True, True]
    assert bucket.modified("/results/a/run.json") == before
    assert salt is None or bucket.cat_file("/results/salt.txt") == salt
    other = batch(scans, "memory://results", resume=True, calibrate=True)
    assert [o.before for o in other] == [False, False]


def test_a_scan_that_is_done_is_not_copied_again_where_its_file_system_has_tags(
    scans, tmp_path, bucket, tagged
):
    bucket.put(str(scans), "/ct", recursive=True)
    before = {out: batch("memory://ct", out) for out in ("memory://results", tmp_path / "out")}
    first = content(tmp_path / "out")
    tagged.clear()
    for out, former in before.items():
        again = batch("memory://ct", out, resume=True)
        assert [(o.before, o.measures) for o in again] == [(True, o.measures) for o in former]
    assert not [path for path in tagged if path.startswith("/ct")]
    assert content(tmp_path / "out") == first
    bucket.pipe_file("/ct/a.nii.gz", bucket.cat_file("/ct/ward/b.nii.gz"))
    changed = batch("memory://ct", "memory://results", resume=True)
    assert [o.before for o in changed] == [False, True]
    other = batch("memory://ct", "memory://results", resume=True, calibrate=True)
    assert [o.before for o in other] == [False, False]


def test_a_dicom_series_that_is_done_is_not_copied_again_unless_a_slice_changed(
    chest, tmp_path, bucket, tagged
):
    write_series(tmp_path / "ct", chest)
    bucket.put(str(tmp_path / "ct"), "/ct", recursive=True)
    batch("memory://ct", tmp_path / "out")
    tagged.clear()
    assert [o.before for o in batch("memory://ct", tmp_path / "out", resume=True)] == [True]
    assert not [path for path in tagged if path.startswith("/ct")]
    (tmp_path / "out" / "sources.csv").unlink()  # its UID stands nowhere else
    (again,) = batch("memory://ct", tmp_path / "out", resume=True)
    assert again.before
    assert again.series_uid
    bucket.rm_file(max(bucket.find("/ct")))
    assert [o.before for o in batch("memory://ct", tmp_path / "out", resume=True)] == [False]


def test_a_scan_whose_tag_is_another_but_whose_bytes_are_not_is_not_done_again(
    scans, tmp_path, bucket, tagged
):
    bucket.put(str(scans), "/ct", recursive=True)
    batch("memory://ct", tmp_path / "out")
    manifest = tmp_path / "out" / "a" / "run.json"
    entries = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**entries, "url_key": "0" * 64}))
    tagged.clear()
    assert [o.before for o in batch("memory://ct", tmp_path / "out", resume=True)] == [True, True]
    assert [path for path in tagged if path.startswith("/ct")] == ["/ct/a.nii.gz"]


def test_tags_tell_one_content_only_where_they_say_so(bucket, monkeypatch):
    bucket.pipe_file("/ct/a.nii.gz", b"scan")
    stamps = []
    for tag in (
        {},
        {"ETag": ""},
        {"ETag": 'W/"1"'},
        {"ETag": '"1"'},
        {"etag": '"2"'},
        {"md5Hash": "3", "etag": "4"},
    ):
        monkeypatch.setattr(bucket, "info", lambda path, tag=tag: {"size": 4, "type": "file", **tag})
        stamps.append(RemoteScan.at("memory://ct/a.nii.gz").stamp())
    assert [bool(stamp) for stamp in stamps] == [False, False, False, True, True, True]
    assert len(set(stamps)) == 4


def test_results_that_were_cut_off_while_they_were_sent_are_made_again(scans, tmp_path, bucket):
    batch(scans, "memory://results")
    whole = content(copied(bucket, "/results", tmp_path / "whole"))
    bucket.rm("/results/a/run.json")
    bucket.pipe_file("/results/a/old.csv", b"")
    bucket.pipe_file("/elsewhere", b"")
    names = [
        *(path.removeprefix("/results/") for path in bucket.find("/results/a")),
        "a/run.json",
        "../elsewhere",
    ]
    bucket.pipe_file(f"/results/a/{WRITING}", json.dumps(names).encode())
    again = batch(scans, "memory://results", resume=True)
    assert [(o.before, o.error) for o in again] == [(False, None), (True, None)]
    assert content(copied(bucket, "/results", tmp_path / "again")) == whole
    assert bucket.exists("/elsewhere")


def test_files_of_others_at_a_url_are_not_touched_and_the_url_is_named(scans, bucket):
    bucket.pipe_file("/results/a/letter.txt", b"dear")
    (refused,) = batch(scans / "a.nii.gz", "memory://results")
    assert isinstance(refused.error, OutputError)
    assert str(refused.error.message).startswith("memory://results/a is not empty")
    assert bucket.cat_file("/results/a/letter.txt") == b"dear"


def test_results_of_another_scan_at_a_url_are_not_replaced(scans, bucket):
    batch(scans / "a.nii.gz", "memory://results")
    nib.save(nib.load(scans / "ward" / "b.nii.gz"), scans / "a.nii.gz")
    (refused,) = batch(scans / "a.nii.gz", "memory://results")
    assert isinstance(refused.error, OutputError)
    assert "another scan" in str(refused.error)
    (replaced,) = batch(scans / "a.nii.gz", "memory://results", overwrite=True)
    assert replaced.error is None


def test_a_url_that_is_not_there_costs_that_scan_only(scans, tmp_path, bucket):
    bucket.put(str(scans), "/ct", recursive=True)
    lines = tmp_path / "list.txt"
    lines.write_text("memory://ct/a.nii.gz\nmemory://ct/none.nii.gz\n")
    good, bad = batch(f"@{lines}", tmp_path / "out")
    assert good.error is None
    assert isinstance(bad.error, InputError)
    assert "memory://ct/none.nii.gz does not exist" in str(bad.error)


def test_a_lone_scan_that_fails_leaves_nothing_at_a_url(tmp_path, bucket):
    (tmp_path / "bad.nii.gz").write_bytes(b"cut off")
    (bad,) = batch(tmp_path / "bad.nii.gz", "memory://results")
    assert bad.error is not None
    assert not bucket.find("/results")


def test_each_folder_with_dicom_files_at_a_url_is_a_scan(chest, tmp_path, bucket):
    for name in ("p1/ct", "p2"):
        write_series(tmp_path / "in" / name, chest)
    bucket.put(str(tmp_path / "in"), "/ct", recursive=True)
    away = batch("memory://ct", tmp_path / "away")
    assert [(o.name, o.error) for o in away] == [("p1/ct", None), ("p2", None)]
    (one,) = batch("memory://ct/p2", tmp_path / "one")
    assert one.error is None
    local = batch(tmp_path / "in" / "p2", tmp_path / "local")[0]
    assert one.fingerprint == local.fingerprint


def test_parts_of_a_batch_share_their_tables_and_their_salt(scans, bucket):
    for part in ("1/2", "2/2"):
        batch(scans, "memory://results", part=part)
        salt = bucket.cat_file("/results/salt.txt")
    assert bucket.cat_file("/results/sources.csv").count(b"\n") == 3
    assert salt == bucket.cat_file("/results/salt.txt")
    assert not bucket.exists("/results/scans.csv")


def test_the_table_of_results_at_a_url_can_be_read(scans, bucket):
    pytest.importorskip("pandas")
    frame = hilum.run_batch(scans, "memory://results", **QUICK).to_frame()
    assert list(frame["scan"]) == ["a", "ward/b"]


def test_file_names_that_lead_out_of_the_folder_are_not_copied(tmp_path, bucket):
    bucket.pipe_file("/results/a/run.json", b"{}")
    bucket.store["/results/a/../../run.json"] = bucket.store["/results/a/run.json"]
    RemoteResults("memory://results").fetch_all(tmp_path / "in")
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()] == [
        "in/a/run.json"
    ]


@pytest.mark.parametrize(
    ("inputs", "out", "options", "words"),
    [
        (["memory://a", "b.nii.gz"], "o", {}, "URLs and paths were named together"),
        (["memory://a"], "o", {"layout": "bids"}, "a BIDS dataset is a folder"),
        (["a"], "memory://o", {"code_ids": True}, "cannot be numbered"),
        (["nobody://a"], "o", {}, "Protocol not known"),
    ],
)
def test_what_urls_cannot_do_is_refused(inputs, out, options, words, tmp_path):
    place = out if "://" in out else tmp_path / out
    with pytest.raises(UsageError, match=words):
        batch(inputs, place, **options)


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    def absent(url: str, **options: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(UsageError, match=r"s3://.*s3fs"):
        batch("s3://a", tmp_path / "o")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"hilum\[remote\]"):
        batch("s3://a", tmp_path / "o")


def test_the_command_takes_urls_and_names_them(scans, tmp_path, capsys):
    url = f"file://{tmp_path.as_posix()}"
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"cut off")
    arguments = [f"{url}/in", "-o", f"{url}/out", "--model", "classic", "--no-report"]
    assert run(["segment", *arguments]) == 3
    printed = capsys.readouterr()
    assert f"-> {url}/out/ward/b" in printed.out
    assert f"3 scans: 2 measured, 1 failed ({url}/out/failed.csv)" in printed.err
    assert not list(tmp_path.glob(f"out/**/{WRITING}"))


@pytest.mark.slow
def test_several_processes_work_on_urls(scans, tmp_path):
    url = f"file://{tmp_path.as_posix()}"
    away = batch(f"{url}/in", f"{url}/away", jobs=2, time_limit=300)
    assert [o.error for o in away] == [None, None]
    batch(scans, tmp_path / "here")
    assert content(tmp_path / "away") == content(tmp_path / "here")

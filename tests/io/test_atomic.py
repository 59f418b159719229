"""A folder of results appears whole or not at all, whatever a writer or the disk does."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hilum.core.errors import InputError, OutputError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import Volume
from hilum.io import OutputFolder, write_json, write_labels, write_map, write_text
from support.outputs import fill, tree


def test_appears_whole(tmp_path):
    out = tmp_path / "a" / "b" / "out"
    with OutputFolder(out) as folder:
        fill(folder)
        (folder / "sub").mkdir()
        write_text(folder / "sub" / "x.txt", "x")
        assert not out.exists()
        assert folder.parent == out.parent
    assert tree(tmp_path) == [
        "a",
        "a/b",
        "a/b/out",
        "a/b/out/report.html",
        "a/b/out/run.json",
        "a/b/out/sub",
        "a/b/out/sub/x.txt",
    ]


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with OutputFolder(tmp_path / "out") as folder:
            fill(folder)
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "out" / "run.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError, SystemExit])
def test_nothing_remains_after_an_error(tmp_path, error):
    def work():
        with OutputFolder(tmp_path / "a" / "b" / "out") as folder:
            fill(folder)
            raise error("no")

    with pytest.raises(error):
        work()
    assert tree(tmp_path) == []


def test_a_parent_that_others_use_stays(tmp_path):
    def work():
        with OutputFolder(tmp_path / "a" / "out"):
            (tmp_path / "a" / "theirs").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert tree(tmp_path) == ["a", "a/theirs"]


def test_former_result_is_replaced_only_on_success(tmp_path):
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        fill(folder, "old")
        write_text(folder / "airways.txt", "old")

    def broken():
        with OutputFolder(out) as folder:
            fill(folder)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert (out / "report.html").read_text() == "old"
    with OutputFolder(out) as folder:
        fill(folder)
    assert (out / "report.html").read_text() == "new"
    assert tree(tmp_path) == ["out", "out/report.html", "out/run.json"]


def test_empty_folder_is_used(tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    (out / ".DS_Store").touch()
    with OutputFolder(out) as folder:
        fill(folder)
    assert out.stat().st_mode & 0o777 == 0o700
    assert tree(out) == ["report.html", "run.json"]


@pytest.mark.parametrize("content", [None, "{}", "[1]", "no json", '{"version": 1}'])
def test_a_folder_of_others_is_not_touched(tmp_path, content):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    if content is not None:
        (out / "run.json").write_text(content)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="holds no result of hilum") as caught:
        OutputFolder(out).__enter__()
    assert caught.value.exit_code == 6
    assert tree(tmp_path) == before


def test_a_hidden_folder_of_others_is_not_touched(tmp_path):
    (tmp_path / "out" / ".git").mkdir(parents=True)
    with pytest.raises(OutputError, match="not empty"):
        OutputFolder(tmp_path / "out").__enter__()
    assert (tmp_path / "out" / ".git").is_dir()


def test_a_file_added_to_a_result_protects_it(tmp_path):
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        fill(folder, files=["report.html", "run.json"])
    (out / "my notes.txt").write_text("x")
    with pytest.raises(OutputError, match=r"my notes\.txt"):
        OutputFolder(out).__enter__()
    (out / "my notes.txt").unlink()
    with OutputFolder(out) as folder:
        fill(folder)
    assert (out / "report.html").read_text() == "new"


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with OutputFolder(tmp_path / "link") as folder:
        fill(folder)
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "real") == ["report.html", "run.json"]


def test_working_directory_is_written_in_place(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    inode = out.stat().st_ino
    for text in ("one", "two"):
        with OutputFolder(".") as folder:
            fill(folder, text)
            (folder / text).mkdir()
        assert (out / "report.html").read_text() == text
        assert tree(out) == sorted(["report.html", "run.json", text])
    assert out.stat().st_ino == inode
    assert tree(tmp_path) == sorted(["out", "out/report.html", "out/run.json", "out/two"])


def test_parent_that_cannot_be_written(tmp_path, monkeypatch):
    """As a container sees a mounted folder. No permission stops root, so access() is replaced."""
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with OutputFolder(out) as folder:
        assert folder.parent == out
        fill(folder)
    assert tree(tmp_path) == ["out", "out/report.html", "out/run.json"]


def test_a_file_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out, match in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "a" / "b", "place of a folder"),
    ):
        with pytest.raises(OutputError, match=match) as caught:
            OutputFolder(out).__enter__()
        assert caught.value.exit_code == 6
    assert tree(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["x" * 300, "é" * 200])
def test_name_too_long(tmp_path, name):
    with pytest.raises(OutputError, match="too long"):
        OutputFolder(tmp_path / name).__enter__()
    assert tree(tmp_path) == []


def test_longest_name_is_allowed(tmp_path):
    with OutputFolder(tmp_path / ("x" * 255)) as folder:
        fill(folder)
    assert tree(tmp_path)[0] == "x" * 255


@pytest.mark.parametrize(
    ("code", "match"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not be written"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_errors_while_writing(tmp_path, monkeypatch, code, match):
    out = tmp_path / "out"
    volume = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4))

    def refuse(*args):
        raise OSError(code, os.strerror(code))

    def work():
        with OutputFolder(out) as folder:
            fill(folder)
            monkeypatch.setattr("hilum.io.write._fortran", refuse)
            write_labels(
                folder / "lungs.nii.gz", LabelVolume.on_grid_of(volume, np.zeros((4, 4, 4), np.uint8)), volume
            )

    with pytest.raises(OutputError, match=match) as caught:
        work()
    assert ".hilum-" not in str(caught.value)
    assert tree(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_met_by_another_library(tmp_path):
    def work():
        with OutputFolder(tmp_path / "out") as folder:
            fill(folder)
            Path("/dev/full").write_text("x" * 100)

    with pytest.raises(OutputError, match="full"):
        work()
    assert tree(tmp_path) == []


def test_a_library_that_cannot_write_into_the_folder(tmp_path):
    def work():
        with OutputFolder(tmp_path / "out") as folder:
            (folder / ("x" * 300)).write_text("x")

    with pytest.raises(OutputError, match="too long"):
        work()
    assert tree(tmp_path) == []


def test_other_errors_of_the_system_pass_unchanged(tmp_path):
    """A file that cannot be read is not an error of the output."""

    def work():
        with OutputFolder(tmp_path / "out"):
            (tmp_path / "absent").read_text()

    with pytest.raises(FileNotFoundError):
        work()
    assert tree(tmp_path) == []


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 64 kB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not shutil.which("mount") or sys.platform != "linux":
        pytest.skip("cannot mount here")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("may not mount here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("inside", [False, True])
def test_a_disk_that_is_really_full(tiny_disk, inside):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 64), np.uint8)
    volume = Volume(noise.astype(np.int16), np.eye(4))
    out = tiny_disk if inside else tiny_disk / "a" / "out"  # a mount point cannot be swapped

    def work():
        with OutputFolder(out) as folder:
            write_json(folder / "run.json", {"hilum": "0.1.0"})
            write_map(folder / "lungs.nii.gz", noise, volume, "noise")

    with pytest.raises(OutputError, match="full"):
        work()
    assert tree(tiny_disk) == []
    with OutputFolder(out) as folder:
        fill(folder)
    assert tree(out) == ["report.html", "run.json"]


def test_commit_that_fails_brings_the_former_result_back(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        fill(folder, "old")
    real = Path.rename

    def rename(self, target):
        if self.name.endswith(".part"):
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    def work():
        with OutputFolder(out) as folder:
            fill(folder)
            monkeypatch.setattr(Path, "rename", rename)

    with pytest.raises(OutputError, match="cannot be written"):
        work()
    assert (out / "report.html").read_text() == "old"
    assert tree(tmp_path) == ["out", "out/report.html", "out/run.json"]

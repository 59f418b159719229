"""One file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hilum.io import atomic_file, write_text


def tree(folder: Path) -> list[str]:
    """All names below a folder, hidden ones included."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_file_appears_whole(tmp_path):
    with atomic_file(tmp_path / "a.nii.gz") as part:
        part.write_text("x")
        assert part.name.endswith(".nii.gz")
        assert not (tmp_path / "a.nii.gz").exists()
    assert tree(tmp_path) == ["a.nii.gz"]


def test_file_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path / "a").write_text("old")

    def work():
        with atomic_file(tmp_path / "a") as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert tree(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="needs locks of files and kill -9")
def test_the_next_writer_removes_what_a_killed_one_left_and_not_what_a_living_one_writes(tmp_path):
    code = f"""
        import sys
        from hilum.io import atomic_file
        with atomic_file({str(tmp_path / "a.nii.gz")!r}) as part:
            part.write_text("half")
            print("in", flush=True)
            sys.stdin.read()
    """
    others = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdin=-1, stdout=-1, text=True)
        for _ in range(2)
    ]
    assert [other.stdout.readline() for other in others if other.stdout] == ["in\n", "in\n"]
    killed, living = others
    killed.kill()
    killed.communicate()
    write_text(tmp_path / "a.nii.gz", "whole")
    assert (tmp_path / "a.nii.gz").read_text() == "whole"
    assert len(tree(tmp_path)) == 2
    living.communicate("")
    assert tree(tmp_path) == ["a.nii.gz"]
    assert (tmp_path / "a.nii.gz").read_text() == "half"


def test_without_locks_a_file_is_written_all_the_same(tmp_path, monkeypatch):
    from hilum.io import partial_files

    if partial_files.fcntl is not None:

        def refuse(*_):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(partial_files.fcntl, "flock", refuse)
    write_text(tmp_path / "a", "x")
    monkeypatch.setattr(partial_files, "fcntl", None)
    write_text(tmp_path / "a", "y")
    assert tree(tmp_path) == ["a"]


def test_a_link_in_the_place_of_a_part_is_not_followed(tmp_path):
    write_text(tmp_path / "other", "other")
    with atomic_file(tmp_path / "a") as part:
        name = part.name
    (tmp_path / name).symlink_to(tmp_path / "other")
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "other").read_text() == "other"
    assert (tmp_path / "a").read_text() == "x"

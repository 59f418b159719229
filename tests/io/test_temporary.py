"""Temporary folders: private, removed in the end, and by the next run where a process was killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from hilum.core.errors import OutputError
from hilum.io import temporary
from hilum.io.temporary import sweep, temporary_folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def other_process(home: Path) -> subprocess.Popen[str]:
    """Start a process that holds a temporary folder with a file until its input continues."""
    code = (
        "import sys; from hilum.io.temporary import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "    (folder / 'patient.dcm').write_text('x'); print(folder, flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(home)}, stdin=-1, stdout=-1, text=True
    )
    assert process.stdout is not None
    assert Path(process.stdout.readline().strip()).parent == home
    return process


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_the_folder_of_a_killed_process_is_removed_by_the_next_run_and_that_of_a_living_one_stays(home):
    living, killed = other_process(home), other_process(home)
    killed.kill()
    killed.communicate()
    assert len(list(home.glob("*/patient.dcm"))) == 2
    sweep()
    assert len(list(home.glob("*/patient.dcm"))) == 1
    with temporary_folder() as folder:
        (folder / "a").write_text("x")
        sweep()
        assert (folder / "a").exists()
    living.communicate("")
    assert list(home.iterdir()) == []


def test_only_their_owner_may_look_into_them(home):
    with temporary_folder() as folder:
        assert os.name != "posix" or stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_similar_names_are_not_touched(home):
    (home / "hilum-tmp-mine").mkdir()
    (home / "hilum-demo").mkdir()
    (home / "outside").mkdir()
    (home / "outside" / "a").write_text("x")
    (home / "hilum-tmp-0123456789abcdef").symlink_to(home / "outside")
    before = sorted(home.rglob("*"))
    sweep()
    assert sorted(home.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix", reason="Windows gives each user a folder of his own")
def test_folders_of_other_users_are_not_touched(home, monkeypatch):
    (home / "hilum-tmp-0123456789abcdef").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    sweep()
    assert (home / "hilum-tmp-0123456789abcdef").exists()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    sweep()
    assert list(home.iterdir()) == []


def test_a_lock_without_a_folder_is_removed_too(home):
    (home / "hilum-tmp-0123456789abcdef.lock").touch()
    sweep()
    assert list(home.iterdir()) == []


def test_a_folder_is_made_although_another_process_takes_its_lock_for_one_left_behind(home, monkeypatch):
    real, calls = FileLock.acquire, []

    def taken_at_first(self, *args, **how):
        calls.append(self.lock_file)
        if len(calls) == 1:
            raise Timeout(self.lock_file)
        return real(self, *args, **how)

    monkeypatch.setattr(FileLock, "acquire", taken_at_first)
    with temporary_folder() as folder:
        assert folder.is_dir()
    assert len(calls) == 2
    assert list(home.iterdir()) == []


def test_an_interrupt_while_a_folder_is_removed_does_not_keep_it(home, monkeypatch):
    real, calls = temporary.shutil.rmtree, []

    def interrupted(path, **how):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(path, **how)

    def work():
        with temporary_folder() as folder:
            (folder / "a").write_text("x")
            monkeypatch.setattr(temporary.shutil, "rmtree", interrupted)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert list(home.iterdir()) == []


def test_a_missing_temporary_folder_is_one_sentence(home, monkeypatch):
    (home / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(home / "file"))
    with pytest.raises(OutputError, match="folder of temporary files cannot be written"):
        temporary_folder().__enter__()


def test_a_generator_that_is_never_closed_leaves_nothing_when_the_process_ends(home):
    code = (
        "from hilum.io.temporary import temporary_folder\n"
        "def scans():\n"
        "    with temporary_folder() as folder:\n"
        "        (folder / 'a').write_text('x'); yield folder\n"
        "ring = []; ring += [ring, scans()]; next(ring[1]); import gc; gc.disable()\n"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(home)}, check=True)
    assert list(home.iterdir()) == []

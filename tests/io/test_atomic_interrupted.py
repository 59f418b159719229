"""A folder of results when processes meet, are killed or interrupted while they write it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hilum.core.errors import OutputError
from hilum.io import OutputFolder, write_json
from support.outputs import fill, tree


def start(out: Path, body: str) -> subprocess.Popen[str]:
    """Run a process that enters OutputFolder, says so, and continues with ``body``."""
    code = f"""
        import signal, sys
        from hilum.io import OutputFolder, write_text, write_json
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
        with OutputFolder({str(out)!r}) as folder:
            write_text(folder / "report.html", "other")
            print("in", flush=True)
            {body}
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=-1, stdout=-1, stderr=-1, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def test_two_processes(tmp_path):
    out = tmp_path / "out"
    other = start(out, "write_json(folder / 'run.json', {'hilum': '0'}); sys.stdin.read()")
    with pytest.raises(OutputError, match="Another process is writing") as caught:
        OutputFolder(out).__enter__()
    assert caught.value.exit_code == 6
    _, errors = other.communicate("")
    assert other.returncode == 0, errors
    assert tree(tmp_path) == ["out", "out/report.html", "out/run.json"]
    assert (out / "report.html").read_text() == "other"
    with OutputFolder(out) as folder:
        fill(folder)
    assert (out / "report.html").read_text() == "new"


def test_two_outputs_beside_each_other(tmp_path):
    with OutputFolder(tmp_path / "a") as one, OutputFolder(tmp_path / "b") as two:
        fill(one)
        fill(two)
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b"}


def test_a_killed_process_leaves_a_hidden_folder_that_the_next_run_removes(tmp_path):
    out = tmp_path / "out"
    other = start(out, "sys.stdin.read()")
    other.kill()
    other.communicate()
    assert not out.exists()
    assert all(p.name.startswith(".hilum-") for p in tmp_path.iterdir())
    with OutputFolder(out) as folder:
        fill(folder)
    assert tree(tmp_path) == ["out", "out/report.html", "out/run.json"]


def test_interrupt_from_the_keyboard(tmp_path):
    other = start(tmp_path / "a" / "out", "sys.stdin.read()")
    other.send_signal(signal.SIGINT)
    _, errors = other.communicate()
    assert "KeyboardInterrupt" in errors
    assert tree(tmp_path) == []


def test_killed_between_the_two_renames(tmp_path):
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        fill(folder, "old")
        former = folder.with_suffix(".old")
    out.rename(former)  # where a kill would have stopped

    def work():
        with OutputFolder(out):
            assert (out / "report.html").read_text() == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert tree(tmp_path) == ["out", "out/report.html", "out/run.json"]


# -- interrupts at the worst moment -------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["first rename", "second rename"])
def test_an_interrupt_right_after_a_rename_keeps_a_whole_result(tmp_path, monkeypatch, moment):
    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        fill(folder, "old")
    real = Path.rename

    def rename(self, target):
        real(self, target)
        if (self.name == "out") == (moment == "first rename") and not self.name.endswith(".old"):
            raise KeyboardInterrupt

    def work():
        with OutputFolder(out) as folder:
            fill(folder, "new")
            monkeypatch.setattr(Path, "rename", rename)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (out / "report.html").read_text() == ("old" if moment == "first rename" else "new")
    assert tree(tmp_path) == ["out", "out/report.html", "out/run.json"]


def test_an_interrupt_while_it_is_cleared_away_leaves_nothing(tmp_path, monkeypatch):
    from hilum.io import atomic

    real, calls = atomic.shutil.rmtree, []

    def interrupted(path, **how):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(path, **how)

    def work():
        with OutputFolder(tmp_path / "a" / "out") as folder:
            fill(folder)
            monkeypatch.setattr(atomic.shutil, "rmtree", interrupted)
            raise RuntimeError

    with pytest.raises(KeyboardInterrupt):
        work()
    assert tree(tmp_path) == []


def test_recover_brings_back_a_former_result_and_removes_half_a_new_one(tmp_path):
    from hilum.io import recover

    out = tmp_path / "out"
    with OutputFolder(out) as folder:
        write_json(folder / "run.json", {"hilum": "1", "files": ["run.json"]})
    before = (out / "run.json").read_bytes()
    recover(out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    killed = OutputFolder(out)
    (killed.__enter__() / "half.txt").write_text("x")
    out.rename(killed._former)
    killed._lock.release()  # as the system does when a process ends
    assert not out.exists()
    recover(out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (out / "run.json").read_bytes() == before


def test_recover_leaves_what_a_living_process_writes(tmp_path):
    from hilum.io import recover

    with OutputFolder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("x")
        with pytest.raises(OutputError, match="Another process is writing"):
            recover(tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").exists()
    recover(tmp_path / "absent" / "out")
    assert not (tmp_path / "absent").exists()

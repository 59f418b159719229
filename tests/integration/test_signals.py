"""Ctrl-C, a closed terminal and an order to end: one sentence, a code of its own, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hilum.cli import signals
from hilum.cli.app import run, settle
from hilum.cli.console import print_error
from hilum.core.errors import InternalError
from hilum.core.label_volume import LabelVolume
from support.dicom_series import write_series
from support.plain_chest import build_chest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs the signals of Unix")

_PATIENCE_S = 300.0
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


@pytest.fixture(scope="module")
def chest():
    return build_chest(spacing=(6.0, 6.0, 8.0)).volume


@pytest.fixture
def temporary(tmp_path) -> Path:
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder whose path leaves room for the sockets of processes."""
    with tempfile.TemporaryDirectory(prefix="h", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / "t"
        place.mkdir()
        yield place


def start(words: list[str], temporary: Path, patch: str = "", ignored=()) -> subprocess.Popen[str]:
    """Run the program in a session of its own; ``patch`` is done before and may call ``stop_here``."""
    code = f"""
        import signal, sys, time
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in {[int(n) for n in ignored]} else signal.SIG_DFL)
        def stop_here(*args, **kwargs):
            print("here", flush=True)
            if sys.stdin.readline():
                raise SystemExit(77)
        if __name__ == "__main__":
            sys.argv = [__file__, *{words!r}]
            {patch}
            from hilum.cli import main
            main()
    """
    script = temporary.with_name(f"{temporary.name}.py")  # a file, so that other processes can import it
    script.write_text(textwrap.dedent(code))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=-1,
        stdout=-1,
        stderr=-1,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(_PATIENCE_S, process.kill)  # a program that hangs must not hang the tests
    watchdog.daemon = True
    watchdog.start()
    return process


def wait_until_here(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "here\n", process.communicate()[1]


def said_at_the_end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    _, errors = process.communicate(timeout=60)
    assert errors == f"hilum: {WORDS[number]}, nothing was left half-written.\n"
    assert process.returncode == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_zip_is_open_leaves_no_patient_in_the_temporary_folder(
    number, chest, tmp_path, temporary
):
    write_series(tmp_path / "dicom", chest)
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        for file in sorted((tmp_path / "dicom").iterdir()):
            archive.write(file, file.name)
    patch = "import hilum.io.archive as a; extract = a._extract"
    patch += "; a._extract = lambda *what: (extract(*what), stop_here())"
    words = ["segment", str(tmp_path / "scan.zip"), "-o", str(tmp_path / "out")]
    process = start(words, temporary, patch)
    wait_until_here(process)
    assert any(path.suffix == ".dcm" for path in temporary.rglob("*"))
    process.send_signal(number)
    said_at_the_end(process, number)
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_signal_while_results_are_written_leaves_no_hidden_file(chest, tmp_path, temporary):
    nib.save(nib.Nifti1Image(chest.hu, chest.affine), tmp_path / "scan.nii")
    patch = "import hilum.report as r; r.render_report = stop_here"
    words = ["segment", str(tmp_path / "scan.nii"), "-o", str(tmp_path / "place" / "out")]
    process = start([*words, "--model", "classic"], temporary, patch)
    wait_until_here(process)
    assert list((tmp_path / "place" / "out").glob(".hilum-*"))
    process.send_signal(signal.SIGHUP)
    said_at_the_end(process, signal.SIGHUP)
    assert not list((tmp_path / "place").rglob(".*"))


def test_a_signal_that_is_ignored_stays_ignored(tmp_path, temporary):
    patch = "import hilum.results as o; o.parse_formats = stop_here"
    words = ["segment", "none.nii", "-o", str(tmp_path / "out")]
    process = start(words, temporary, patch, ignored=[signal.SIGHUP])
    wait_until_here(process)
    process.send_signal(signal.SIGHUP)
    process.communicate("continue\n", timeout=60)
    assert process.returncode == 77


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_processes_of_prepare_end_with_it_silently(number, tmp_path, temporary):
    from hilum.io import write_labels, write_volume

    for seed in range(4):
        chest = build_chest(spacing=(4.0, 4.0, 4.0), lung_hu=-850.0 - seed)
        write_volume(tmp_path / "pairs" / f"s{seed}_ct.nii.gz", chest.volume)
        write_labels(
            tmp_path / "pairs" / f"s{seed}_lungs.nii.gz",
            LabelVolume.on_grid_of(chest.volume, chest.lungs),
            chest.volume,
        )
    out = tmp_path / "place" / "out"
    process = start(["prepare", str(tmp_path / "pairs"), "-o", str(out), "--jobs", "2"], temporary)
    until(lambda: list(out.glob(".hilum-*.part")))
    os.killpg(process.pid, number)
    said_at_the_end(process, number)
    assert not list((tmp_path / "place").rglob(".*"))
    until(lambda: not alive(process.pid))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_batch_that_is_stopped_keeps_what_is_done_and_says_how_to_go_on(jobs, chest, tmp_path, temporary):
    for number in range(60):  # many, since one takes some hundredths of a second
        image = nib.Nifti1Image(chest.hu + np.int16(number), chest.affine)
        (tmp_path / "in").mkdir(exist_ok=True)
        nib.save(image, tmp_path / "in" / f"s{number:02d}.nii")
    out = tmp_path / "place" / "out"
    words = ["segment", str(tmp_path / "in"), "-o", str(out), "--model", "classic", "--jobs", jobs]
    process = start([*words, "--no-report"], temporary)
    assert process.stdout is not None
    assert " -> " in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=_PATIENCE_S)
    *_, sentence, hint = errors.splitlines()
    assert sentence == "hilum: interrupted, nothing was left half-written."
    assert re.fullmatch(r"  \d+ of 60 scans are done; the same command with --resume does the others\.", hint)
    assert process.returncode == 130
    assert not list((tmp_path / "place").rglob(".*"))
    assert list(temporary.iterdir()) == []
    assert len((out / "sources.csv").read_text().splitlines()) > 1
    until(lambda: not alive(process.pid))


@pytest.mark.slow
def test_processes_of_a_training_and_its_loaders_end_with_it_silently(tmp_path, short):
    for package in ("lightning", "monai", "onnxscript"):
        pytest.importorskip(package)
    from hilum.datasets.prepare import prepare
    from hilum.io import write_labels, write_volume

    for seed in range(4):
        chest = build_chest(spacing=(8.0, 8.0, 10.0), lung_hu=-850.0 - seed)
        write_volume(tmp_path / "pairs" / f"s{seed}_ct.nii.gz", chest.volume)
        write_labels(
            tmp_path / "pairs" / f"s{seed}_lungs.nii.gz",
            LabelVolume.on_grid_of(chest.volume, chest.lungs),
            chest.volume,
        )
    prepare(tmp_path / "pairs", tmp_path / "ds", plane="axial")
    choices = ["size=[32,32]", "batch=2", "validate_every=2", "networks.fcnn_patch=5", "threads=1"]
    choices += ["workers=1", "networks.fcnn_hidden=[8,8]", "test_share=0.2"]
    words = ["train", str(tmp_path / "ds"), "-o", str(tmp_path / "place" / "run"), "--devices", "2"]
    words += ["--model", "fcnn", "--steps", "100000", *(f"--set={choice}" for choice in choices)]
    process = start(words, short)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("step ")
    os.killpg(process.pid, signal.SIGTERM)
    said_at_the_end(process, signal.SIGTERM)
    assert not list((tmp_path / "place").rglob(".*"))
    until(lambda: not alive(process.pid))


def until(what, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# -- in this process ----------------------------------------------------------------------------------------


def test_only_a_training_leaves_signals_to_its_first_process(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setattr(sys, "argv", ["hilum", "segment", "train"])
    assert not signals.is_helper()
    monkeypatch.setattr(sys, "argv", ["hilum", "train", "dataset"])
    assert signals.is_helper()
    monkeypatch.setenv("SLURM_PROCID", "none")
    assert not signals.is_helper()


def test_importing_hilum_and_running_a_command_from_python_installs_no_handler():
    before = [signal.getsignal(number) for number in WORDS]
    assert run(["--version"]) == 0
    assert [signal.getsignal(number) for number in WORDS] == before


@pytest.fixture
def installed(monkeypatch):
    """The program's handlers, and the old ones afterwards."""
    before = {number: signal.getsignal(number) for number in WORDS}
    for number in WORDS:
        signal.signal(number, signal.SIG_DFL)
    for name in ("number", "last", "process"):
        monkeypatch.setattr(signals._State, name, getattr(signals._State, name))
    hooks = sys.unraisablehook, threading.excepthook
    signals.install()
    yield
    sys.unraisablehook, threading.excepthook = hooks
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_second_signal_does_not_interrupt_what_the_first_one_began(installed):
    with pytest.raises(signals.Stopped):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signals._State.last -= 60
    with pytest.raises(signals.Stopped):
        signal.raise_signal(signal.SIGINT)


def test_an_error_of_native_code_at_a_signal_is_reported_as_the_signal(installed, capsys):
    with pytest.raises(signals.Stopped):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(signals.Stopped):  # one scan of many: the others are not begun
        print_error(InternalError.of(RuntimeError("error in callback")))
    assert settle(RuntimeError("error in callback")) == 143
    assert capsys.readouterr().err == "hilum: terminated, nothing was left half-written.\n"


def test_a_child_that_was_forked_leaves_ctrl_c_to_its_parent(installed):
    child = os.fork()
    if child == 0:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143


def test_an_interrupt_under_the_handlers_of_python_is_reported_too(monkeypatch, capsys):
    import hilum

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(hilum, "check", interrupt)
    assert run(["check", "scan.nii"]) == 130
    assert capsys.readouterr().err == "hilum: interrupted, nothing was left half-written.\n"

"""What the program says: nothing that a terminal obeys, on streams that are full, closed or ASCII."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

from hilum.cli import console
from hilum.cli.app import run
from hilum.core.errors import InputError
from support.dicom_series import write_series
from support.plain_chest import build_chest

#: A colour, a title of the window (ended by BEL and by ST), CSI as one C1 byte, a forged line, a turn of
#: direction, a line separator, a byte of a file name that is not text.
NASTY = "a\x1b[31mb\x1b]0;title\x07\x9b2Jc\r\nhilum: error: forged\u202etxt.\u2028d\x7f\udcff"
HARMLESS = r"a\x1b[31mb\x1b]0;title\x07\x9b2Jc\r\nhilum: error: forged\u202etxt.\u2028d\x7f\xff"


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "żółty.nii"
    volume = build_chest(spacing=(8.0, 8.0, 10.0)).volume
    nib.save(nib.Nifti1Image(volume.hu, volume.affine), path)
    return path


# -- control characters -------------------------------------------------------------------------------------


def test_control_characters_are_escaped_and_letters_stay():
    assert console.plain(NASTY) == HARMLESS
    assert console.plain("Zażółć 文件 😀 [red]") == "Zażółć 文件 😀 [red]"


def test_lines_flags_and_errors_are_one_line_each(capsys):
    from hilum.core.flags import Flag, Severity

    console.say(NASTY)
    console.say_flags((Flag("code", Severity.WARNING, NASTY),))
    console.print_error(InputError(NASTY, NASTY), about=NASTY)
    streams = capsys.readouterr()
    assert streams.out == f"{HARMLESS}\n  warning code: {HARMLESS}\n"
    assert streams.err == f"hilum: error: {HARMLESS}: {HARMLESS}\n  {HARMLESS}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "x\x1b[31m\ny", "-o", "out"],
        ["check", "x\x1b[31m\ny"],
        ["inspect", "x\x1b[31m\ny"],
        ["evaluate", "x\x1b[31m\ny", "b", "--json"],
        ["\x1b[31m\nverb"],
        ["segment", "--\x1b[31m\noption"],
        ["phantom", "-o", "out", "--subjects", "\x1b[31m\n3"],
        ["check", "a", "\x1b[31m\nb"],
    ],
    ids=lambda words: words[0].strip() if isinstance(words, list) else "",
)
def test_no_command_line_brings_an_escape_to_the_terminal(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(words) in (2, 3)
    streams = capsys.readouterr()
    assert "\x1b" not in streams.err + streams.out
    assert streams.err.startswith("hilum: error: ")
    assert len(streams.err.splitlines()) <= 2


def test_json_stays_json_and_nothing_in_it_is_obeyed(capsys):
    console.say_json({"name": NASTY, "letters": "Zażółć 😀"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": NASTY, "letters": "Zażółć 😀"}
    assert "Zażółć 😀" in text
    assert all(c == "\n" or c.isprintable() for c in text)


def test_what_a_header_says_is_text_in_the_table_of_inspect(tmp_path, capsys):
    chest = build_chest(spacing=(20.0, 20.0, 30.0)).volume
    write_series(tmp_path / "a", chest, kernel="[/red]")
    write_series(tmp_path / "b", chest, kernel="[link=x]k")
    for name, kernel in (("a", "[/red]"), ("b", "[link=x]k")):
        assert run(["inspect", str(tmp_path / name)]) == 0
        assert kernel in capsys.readouterr().out


def test_the_title_of_a_progress_bar_is_text(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with console.progress_bar("[/red]\x1b]0;title\x07", quiet=False) as progress:
        assert progress is not None
        progress(0.5, "[/blue]\x1b]0;what\x07")
    assert r"[/red]\x1b]0;title\x07" in terminal.getvalue()
    assert r"[/blue]\x1b]0;what\x07" in terminal.getvalue()


# -- streams ------------------------------------------------------------------------------------------------


def program(words: list[str], redirect: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    line = f'exec "$0" -m hilum "$@" {redirect}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


needs_shell = pytest.mark.skipif(os.name != "posix", reason="needs a Unix shell")


@needs_shell
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["inspect"], ["inspect", "--json"], ["--help"]], ids=" ".join)
def test_a_full_stdout_is_one_sentence(words, scan):
    done = program([*words, *([str(scan)] if "inspect" in words else [])], "> /dev/full")
    assert done.returncode == 6
    assert done.stderr.startswith("hilum: error: ")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@needs_shell
@pytest.mark.parametrize("redirect", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_a_command(redirect, scan):
    assert program(["inspect", str(scan)], redirect).returncode == 0
    assert program(["inspect", "missing.nii"], redirect).returncode == 3


@needs_shell
def test_a_closed_stderr_is_no_place_for_a_file_that_is_opened_later(tmp_path):
    code = (
        "import os, sys; from hilum.cli.console import open_streams; open_streams();"
        f"file = open({str(tmp_path / 'result')!r}, 'w'); print(file.fileno()); os.write(2, b'a warning')"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code], capture_output=True, text=True
    )
    assert int(done.stdout) > 2
    assert (tmp_path / "result").read_text() == ""


@needs_shell
def test_a_closed_pipe_is_not_an_error_and_the_work_continues(tmp_path):
    result = tmp_path / "result"
    code = (
        "import pathlib; from hilum.cli.console import flush, say, say_json; say('a'); say_json(['b']);"
        f"pathlib.Path({str(result)!r}).touch(); say('c'); flush()"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert result.exists()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["encoding", "locale"],
)
@needs_shell
def test_letters_that_stdout_cannot_show_are_escaped(environment, scan):
    code = (
        "from hilum.cli.console import open_streams, say, say_json; import sys; open_streams();"
        "say('\\u017c\\u00f3\\u0142ty'); say_json({'name': '\\u017c\\U0001f600'}); print('\\u017c')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.stderr == ""
    line, *lines, last = done.stdout.splitlines()
    assert line == r"\u017c\xf3\u0142ty"
    assert json.loads("\n".join(lines)) == {"name": "ż😀"}
    assert last == r"\u017c"
    assert program(["check", str(scan), "--json"], **environment).returncode in (0, 5)


# -- completion ---------------------------------------------------------------------------------------------


@needs_shell
def test_bash_completes_verbs_and_options_and_leaves_files_to_bash():
    def complete(*words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "hilum"],
            env={
                **os.environ,
                "_HILUM_COMPLETE": "complete_bash",
                "COMP_WORDS": "\n".join(["hilum", *words]),
                "COMP_CWORD": str(len(words)),
            },
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    assert complete("pre") == ["prepare"]
    assert complete("segment", "--over") == ["--overwrite"]
    assert complete("prepare", "some/fol") == []
    # Without this, the shell is that from which the tests were started, and CI may have none.
    script = program(["--show-completion", "bash"], _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert script.returncode == 0
    assert "complete -o default -F _hilum_completion hilum" in script.stdout


def test_completion_makes_help_import_no_more():
    code = "from hilum.cli.app import run; run(['--help']); import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "hilum.cli.app" in done.stderr.split()
    assert not {"numpy", "torch", "tempfile", "filelock"} & set(done.stderr.split())

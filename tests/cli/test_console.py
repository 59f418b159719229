"""The console words parameters as options and functions as verbs."""

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

import hilum
from hilum.cli.app import app
from hilum.cli.console import COMMAND_LINE, print_error, say_flags
from hilum.core.errors import UsageError
from hilum.core.flags import Flag, Severity
from hilum.core.sentences import Sentence


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("Give another folder{with:out}.", "Give another folder with -o."),
        ("Use {set:part=all}.", "Use --part all."),
        ("Or {set:overwrite} to replace them.", "Or --overwrite to replace them."),
        ("Leave {option:ref_labels} out.", "Leave --ref-labels out."),
        ("Make one with {verb:prepare}.", "Make one with hilum prepare."),
        ("Say {set:labels='NAME=right'}.", "Say --labels 'NAME=right'."),
    ],
)
def test_places_become_words_of_the_command_line(template: str, words: str) -> None:
    assert Sentence(template).worded(COMMAND_LINE) == words


def test_errors_and_flags_are_shown_in_words_of_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hint = Sentence("Add {set:labels=both}.")
    assert print_error(UsageError(Sentence("{option:labels} is missing."), hint), "a") == 2
    say_flags((Flag("x", Severity.ERROR, Sentence("Use {set:calibrate}.")),))
    shown = capsys.readouterr()
    assert shown.err == "hilum: error: a: --labels is missing.\n  Add --labels both.\n"
    assert shown.out == "  error   x: Use --calibrate.\n"


def test_each_parameter_and_verb_of_a_sentence_is_one_of_the_command_line() -> None:
    """A renamed option would leave hints behind that nobody can follow."""
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    options = {name for verb in verbs.values() for one in verb.params for name in one.opts}
    templates = {
        call.args[0].value
        for path in Path(hilum.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Sentence"
        if isinstance(call.args[0], ast.Constant)
    }
    named = [found for text in templates for found in re.findall(r"\{(with|set|option|verb):(\w+)", text)]
    assert len(named) > 40
    for kind, name in named:
        if kind == "verb":
            assert name in verbs
        else:
            assert COMMAND_LINE.option(name) in options, name

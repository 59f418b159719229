"""Sentences are worded by whoever shows them, and say the same after a way through another process."""

import ast
import pickle
import re
from pathlib import Path

import pytest

import hilum
from hilum.core.sentences import NAMES, NEUTRAL, UNNAMED, Sentence, worded

SOURCE = Path(hilum.__file__).parent
#: Options (`` -o``, ``--labels``) and verbs of the program.
COMMAND_LINE = re.compile(
    r"\s-[a-z]\b|(?<![\w-])--[a-z]|"
    r"\bhilum (segment|measure|check|inspect|demo|phantom|prepare|explore|train|evaluate|compare)\b"
)
#: Text that is not a message: it names options of other programs, or is written into a file for the user of
#: the command line.
NO_MESSAGES = ("one file for all structures (--ml)", "`hilum evaluate` gives those", "# Made by hilum train;")


def _library() -> list[tuple[str, ast.Module]]:
    """Name and syntax tree of each module; the command line and recipes are programs."""
    return [
        (path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(SOURCE.rglob("*.py"))
        if path.relative_to(SOURCE).parts[0] != "cli"
        and path.name != "sentences.py"
        and "recipes" not in path.parts
    ]


def _texts(tree: ast.Module) -> list[ast.Constant]:
    """Text of a module without docstrings."""
    bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    return [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in bare
    ]


def _sentences(tree: ast.Module) -> list[ast.Call]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "Sentence"]


def test_places_are_empty_or_parameters_in_neutral_words() -> None:
    hint = Sentence("Give another folder{with:out}, or {set:overwrite}, {set:part=all}, {set:workers=1}.")
    assert str(hint) == "Give another folder, or overwrite=True, part='all', workers=1."
    assert str(Sentence("See {verb:inspect} and {option:labels}.")) == "See hilum.inspect and labels."
    assert str(Sentence("Use {set:$o=$v}.", o="plane", v="axial")) == "Use plane='axial'."


def test_names_are_left_out_on_request() -> None:
    said = Sentence(
        "{file:path} in {folder:place} is damaged ({why}).", path=Path("/a/X.nii"), place="B", why=3
    )
    assert said == "X.nii in B is damaged (3)."
    assert said.worded(UNNAMED) == "The file in the folder is damaged (3)."
    assert worded("Plain text.", UNNAMED) == "Plain text."


def test_a_sentence_without_names_keeps_its_parameters() -> None:
    inner = Sentence("{names:files} could not be read", files="Miller.dcm")
    said = Sentence("{what}; see {verb:inspect}.", what=inner).without_names()
    assert said == "names withheld could not be read; see hilum.inspect."
    assert said.template == "{what}; see {verb:inspect}."


def test_a_field_is_never_read_as_a_place() -> None:
    assert Sentence("{file:name} is empty.", name="{verb:train}{x}") == "{verb:train}{x} is empty."


def test_a_sentence_within_a_sentence_keeps_its_places() -> None:
    inner = Sentence("{file:name} is empty.", name="Miller.nii")
    outer = Sentence("None can be used; the first: {message}", message=inner)
    assert outer.worded(NEUTRAL) == "None can be used; the first: Miller.nii is empty."
    assert outer.worded(UNNAMED) == "None can be used; the first: The file is empty."


def test_a_sentence_survives_pickling() -> None:
    said = pickle.loads(pickle.dumps(Sentence("{file:name} is empty{with:out}.", name="a")))
    assert (said, said.worded(UNNAMED)) == ("a is empty.", "The file is empty.")


@pytest.mark.parametrize(("module", "tree"), _library(), ids=lambda v: v if isinstance(v, str) else "")
def test_library_texts_name_no_command_line_option(module: str, tree: ast.Module) -> None:
    found = [
        (node.lineno, node.value)
        for node in _texts(tree)
        if COMMAND_LINE.search(node.value) and not any(text in node.value for text in NO_MESSAGES)
    ]
    assert not found, module


@pytest.mark.parametrize(("module", "tree"), _library(), ids=lambda v: v if isinstance(v, str) else "")
def test_each_place_of_a_sentence_can_be_filled(module: str, tree: ast.Module) -> None:
    for call in _sentences(tree):
        template = call.args[0]
        if not isinstance(template, ast.Constant):
            assert module in ("core/errors.py", "io/atomic.py"), f"{module}:{call.lineno} is not a constant"
            continue
        fields = {keyword.arg for keyword in call.keywords}
        used = set()
        for kind, name, value in re.findall(r"\{(\w+)(?::(\$?\w+)(?:=([^{}]*))?)?\}", template.value):
            assert not name or kind in {*NAMES, "with", "set", "option", "verb"}, f"{module}:{call.lineno}"
            if not name or kind in NAMES:
                used.add(name or kind)
            used |= {text[1:] for text in (name, value) if text.startswith("$")}
        assert used == fields, f"{module}:{call.lineno}"


def test_readers_put_names_of_files_into_fields() -> None:
    """Data sets and batches that number patients leave the fields out, and would show any other text."""
    named = re.compile(r"\b(path|file|folder|header|place)\.name\b")
    errors = ("Error", "Finding", "kind", "error")
    found = [
        f"{module}:{call.lineno}"
        for module, tree in _library()
        if module.startswith("io/") and module != "io/write.py"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(errors)
        for argument in call.args
        if isinstance(argument, ast.JoinedStr) and named.search(ast.unparse(argument))
    ]
    assert not found

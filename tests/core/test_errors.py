"""Errors carry fields, and keep them in copies and on the way to another process."""

import ast
import pickle
import re
from pathlib import Path

import hilum
from hilum.core import errors
from hilum.core.errors import GeometryError, GridMismatch, HilumError, InputError, InternalError, OutputError
from hilum.core.sentences import UNNAMED, Sentence, worded


def _mismatch(**more: bool) -> GridMismatch:
    return GridMismatch("m.nii", "s.nii", "4 x 4 x 4 voxels", "5 x 5 x 5 voxels", "Bring it there.", **more)


def test_two_grids_are_fields_and_one_sentence() -> None:
    error = _mismatch()
    assert isinstance(error, GeometryError)
    assert (error.mask, error.scan, error.mask_grid) == ("m.nii", "s.nii", "4 x 4 x 4 voxels")
    assert error.message == (
        "m.nii and s.nii do not lie on one grid: 4 x 4 x 4 voxels against 5 x 5 x 5 voxels."
    )
    assert "Miller" not in worded(GridMismatch("Miller.nii", "s", "1", "1").message, UNNAMED)


def test_errors_keep_all_they_carry_in_another_process() -> None:
    place = Path("out")
    for error in (
        _mismatch(placeless=True),
        InputError(Sentence("{file:name} is empty.", name="a"), "Look."),
        OutputError("It is full.", "Free some space.", place),
        _mismatch().about("case 7"),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
        assert worded(copy.message, UNNAMED) == worded(error.message, UNNAMED)


def test_an_error_about_a_case_is_of_the_same_kind() -> None:
    error = _mismatch().about("case 7")
    assert isinstance(error, GridMismatch)
    assert str(error).startswith("case 7: m.nii and s.nii do not lie on one grid")
    assert error.hint == "Bring it there."
    assert HilumError("It is.").saying("It was.", "So.").hint == "So."


def test_a_bug_names_the_exception_and_hides_its_text_on_request() -> None:
    bug = InternalError.of(ValueError("/home/miller/scan.nii"))
    assert "ValueError: /home/miller/scan.nii" in bug.message
    assert "miller" not in worded(bug.message, UNNAMED)


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "troubleshooting.md"


def _classes(base: type[HilumError] = HilumError) -> list[type[HilumError]]:
    return [base, *(one for child in base.__subclasses__() for one in _classes(child))]


def _row(error: type[HilumError]) -> str:
    assert error.__doc__
    return f"| `{error.__name__}` | {error.exit_code} | {error.__doc__.splitlines()[0]} |"


def test_the_page_on_troubleshooting_names_each_class_and_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    public = [error for error in _classes() if error.__name__ in errors.__all__]
    wanted = sorted((_row(error) for error in public), key=lambda row: (row.split("|")[2], row))
    begin = text.index("| class | code | meaning |")
    rows = text[begin : text.index("\n\n", begin)].splitlines()[2:]
    assert rows == wanted
    assert set(errors.__all__) == {error.__name__ for error in public}
    coded = {int(code) for code in re.findall(r"^\| (\d)\b", text, re.MULTILINE)}
    assert coded == {0, *(error.exit_code for error in public)}


def _template(node: ast.expr) -> str:
    """Text of a constant, an f-string or a sum of them, with … for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{[\w:$=]+\}", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""


def test_the_messages_on_that_page_are_those_of_the_code() -> None:
    """A message that was reworded must not stay behind in the documentation."""
    said = {
        _template(node)
        for path in Path(hilum.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    }
    table = PAGE.read_text(encoding="utf-8").partition("| message |")[2].splitlines()[2:]
    messages = [row.split(" | ")[0].removeprefix("| ") for row in table if row]
    assert len(messages) > 20
    known = "\n".join(said)
    for message in messages:
        for part in message.strip("….").split("…"):
            assert part.strip() in known, message

"""Errors carry fields, and keep them in copies and on the way to another process."""

import pickle
from pathlib import Path

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

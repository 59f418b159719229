from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity, worst


def test_a_code_is_the_string_that_files_hold():
    assert f"{FlagCode.CUT_TOP}" == "cut_top"
    assert json.dumps([FlagCode.CUT_TOP]) == '["cut_top"]'
    assert pickle.loads(pickle.dumps(FlagCode.CUT_TOP)) is FlagCode.CUT_TOP


@pytest.mark.parametrize("code", FlagCode)
def test_every_code_says_what_it_means_and_what_to_do(code):
    assert code.name == code.value.upper()
    assert code.heading
    assert code.severities
    assert code.meaning.endswith(".")
    assert code.todo.endswith(".")


def test_limits_in_the_texts_are_those_of_the_checks():
    low, high = LIMITS.cut_cm2
    assert f"more than {low:g} cm2 (error: {high:g} cm2)" in FlagCode.CUT_TOP.meaning


def test_regions():
    flag = Flag(FlagCode.CUT_TOP, Severity.ERROR, "x", ("right_lung", "lungs"))
    assert flag.concerns("right_lung_apical")
    assert flag.concerns("lungs_dorsal")
    assert not flag.concerns("left_lung")
    assert Flag(FlagCode.PRONE, Severity.INFO, "x").concerns("left_lung")


def test_plain_data():
    flag = Flag(FlagCode.LOSSY, Severity.WARNING, "Look.", reason="Short.")
    assert flag.as_dict() == {"code": "lossy", "severity": "warning", "message": "Look."}


def test_worst():
    flags = [
        Flag(FlagCode.PRONE, Severity.INFO, ""),
        Flag(FlagCode.CUT_TOP, Severity.ERROR, ""),
        Flag(FlagCode.LOSSY, Severity.WARNING, ""),
    ]
    assert worst(flags) is Severity.ERROR
    assert worst([]) is None


def test_importing_a_flag_loads_nothing_heavy():
    code = "import sys, hilum.core.flags; print('scipy' in sys.modules, 'nibabel' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]

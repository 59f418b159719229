from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import hilum
from hilum.core.flags import Flag, Severity, worst
from hilum.measures import Group
from hilum.quality import CODES

SOURCES = Path(hilum.__file__).parent


def test_every_code_is_documented():
    """Each code that stands in a call of Flag is in the list that the documentation is made of."""
    used = set()
    for path in [*(SOURCES / "quality").glob("*.py"), *(SOURCES / "measures").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'Flag\(\s*"([a-z_]+)"', text))
    assert {"calibration_off", "few_slices", "identity_failed"} <= used
    assert used <= CODES.keys()


def test_groups_that_flags_name_exist():
    known = {group.value for group in Group}
    for path in (SOURCES / "quality").glob("*.py"):
        for names in re.findall(r"forbids=\(([^)]*)\)", path.read_text(encoding="utf-8")):
            assert set(re.findall(r'"(\w+)"', names)) <= known


def test_codes_say_what_to_do():
    for code, info in CODES.items():
        assert code == info.code
        assert info.severities
        assert info.meaning.endswith(".")
        assert info.todo.endswith(".")


def test_regions():
    flag = Flag("cut_top", Severity.ERROR, "x", ("right_lung", "lungs"))
    assert flag.concerns("right_lung_apical")
    assert flag.concerns("lungs_dorsal")
    assert not flag.concerns("left_lung")
    assert Flag("x", Severity.INFO, "x").concerns("left_lung")


def test_plain_data():
    flag = Flag("x", Severity.WARNING, "Look.", reason="Short.")
    assert flag.as_dict() == {"code": "x", "severity": "warning", "message": "Look."}


def test_worst():
    flags = [Flag("a", Severity.INFO, ""), Flag("b", Severity.ERROR, ""), Flag("c", Severity.WARNING, "")]
    assert worst(flags) is Severity.ERROR
    assert worst([]) is None


def test_importing_a_flag_loads_nothing_heavy():
    code = "import sys, hilum.core.flags; print('scipy' in sys.modules, 'nibabel' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]

"""The public names: light to import, and never a module where a function stood."""

from __future__ import annotations

import subprocess
import sys
from pkgutil import iter_modules

import pytest

import hilum


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_hilum_loads_no_heavy_library() -> None:
    heavy = ("numpy", "scipy", "torch", "openvino", "nibabel", "pydicom", "pydantic")
    assert python(f"import sys, hilum; print([m for m in {heavy} if m in sys.modules])") == "[]\n"


@pytest.mark.parametrize("package", ["", ".io", ".evaluation", ".datasets", ".quality"])
def test_no_name_of_a_package_equals_that_of_a_module_in_it(package: str) -> None:
    code = f"""
import hilum{package} as package, pkgutil
print(*{{module.name for module in pkgutil.iter_modules(package.__path__)}} & set(package.__all__))
"""
    assert python(code).split() == []


def test_verbs_stay_functions_when_their_modules_are_loaded() -> None:
    names = [module.name for module in iter_modules(hilum.__path__)]
    assert not {"train", "prepare", "explore", "evaluate", "compare", "segment", "measure"} & set(names)


def test_without_the_extra_training_says_what_to_install() -> None:
    code = """
import sys
sys.modules["torch"] = None
import hilum
try:
    hilum.train
except hilum.ModelError as error:
    print(error)
"""
    said = python(code)
    assert said == "Training needs packages that are not installed: torch. Run: pip install 'hilum[train]'\n"


def test_every_public_name_stands_for_something() -> None:
    names = [name for name in hilum.__all__ if name != "train"]  # loads torch; see the test above
    assert [name for name in names if not hasattr(hilum, name)] == []
    assert {"LabelSet", "LabelVolume", "Measures", "Phantom", "SegmentOptions", "write_result"} <= set(names)


def test_the_command_line_starts_without_the_libraries_of_a_scan() -> None:
    heavy = ("pydantic", "scipy", "nibabel", "openvino", "jinja2")
    code = f"import sys, hilum.cli.app, hilum.api; print([m for m in {heavy} if m in sys.modules])"
    assert python(code) == "[]\n"

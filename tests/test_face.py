"""The public names: light to import, and never a module where a function stood."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

import pytest

import hilum

#: How many imports of hilum stand inside functions; see the test that counts them.
MOST_IMPORTS_IN_FUNCTIONS = 34


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
    heavy = ("numpy", "pydantic", "scipy", "nibabel", "openvino", "jinja2", "torch")
    code = f"import sys, hilum.cli.app; print([m for m in {heavy} if m in sys.modules])"
    assert python(code) == "[]\n"


def imports_in_functions(source: str) -> list[str]:
    """Return the imports of hilum inside functions, as written; those for type checkers do not count."""
    found: list[str] = []

    def walk(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
                continue
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                if inside and any(name.split(".")[0] == "hilum" for name in modules_of(child)):
                    found.append(ast.unparse(child))
            else:
                walk(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    walk(ast.parse(source), inside=False)
    return found


def modules_of(statement: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(statement, ast.ImportFrom):
        return ["hilum" if statement.level else statement.module or ""]
    return [alias.name for alias in statement.names]


def test_an_import_of_hilum_in_a_function_is_found_and_one_for_types_is_not() -> None:
    source = """
from hilum import io
if TYPE_CHECKING:
    from hilum.result import Result
class A:
    def b(self):
        import numpy
        import hilum.io
        if self:
            from .core import errors
"""
    assert imports_in_functions(source) == ["import hilum.io", "from .core import errors"]


def test_imports_of_hilum_stand_at_the_top_of_modules() -> None:
    """Imports inside functions hide what depends on what, so there are no more of them than these.

    Those of ``cli`` keep numpy, pydantic and torch out of the help and out of what ends a program early;
    one of ``results`` keeps highdicom out of all but DICOM SEG; those of ``tasks`` let the list of tasks be
    read without their models, reports and meshes. Lower the number with each that goes; a new one needs a
    reason of this kind.
    """
    root = Path(hilum.__file__).parent
    found = [
        f"{file.relative_to(root).as_posix()}: {statement}"
        for file in root.rglob("*.py")
        for statement in imports_in_functions(file.read_text("utf-8"))
    ]
    packages = {line.split("/")[0].split(".py")[0] for line in found}
    assert packages <= {"cli", "results", "tasks"}
    assert len(found) <= MOST_IMPORTS_IN_FUNCTIONS, "\n".join(sorted(found))

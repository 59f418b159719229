"""Held for all tests: they call nobody, and those that share what takes long to make run in one process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Also where a test asks whether OpenVINO is installed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

TESTS = Path(__file__).parent
#: Folders whose files share chests that take seconds to make. Elsewhere a file is a group of its own.
SHARED = ("synthesis", "tasks/airways", "tasks/lobes", "tasks/lungs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for ``--dist loadgroup``, so that fixtures of modules and sessions are made once."""
    for item in items:
        name = item.path.relative_to(TESTS).with_suffix("").as_posix()
        group = next((folder for folder in SHARED if name.startswith(f"{folder}/")), name)
        item.add_marker(pytest.mark.xdist_group(group))

"""Folder of the real scans; they are not part of the project, and tests that need them skip without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("HILUM_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
ABSENT = "the real scans are not here (set HILUM_DATA)"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)


def real_folder(name: str = "") -> Path:
    """Return the folder of the real scans, or one in it; the test is skipped where it is absent."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(ABSENT)
    return folder

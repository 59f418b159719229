"""The calibration check on real scans, where they are present."""

from __future__ import annotations

import pytest

from hilum.core.flags import Severity
from hilum.io import read
from hilum.quality import calibration, check_volume
from support.real_data import DATA, needs_data

pytestmark = [
    pytest.mark.real,
    needs_data,
]


def off_scale(volume):
    return any(f.code == "calibration_off" and f.severity is Severity.ERROR for f in check_volume(volume))


def test_squeezed_slices_are_found():
    files = sorted((DATA / "slices" / "images").glob("*.tif"))
    assert files
    missed = [file.name for file in files if not off_scale(read(file))]
    assert len(missed) <= 0.02 * len(files)


def test_scans_in_hu_are_not_accused():
    files = [f for f in sorted((DATA / "volumes").iterdir()) if f.name.endswith((".nii.gz", ".mha"))]
    files = [f for f in files if "_lungs" not in f.name and "_lobes" not in f.name]
    assert files
    for file in files:
        volume = read(file)
        assert not off_scale(volume), file.name
        assert abs(calibration(volume).air_deviation or 0.0) < 60

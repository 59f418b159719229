"""Flags of how the airways were found."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.flags import Severity
from hilum.core.volume import Volume
from hilum.tasks.airways.flags import volume_flags
from hilum.tasks.airways.prepare import AirwayScan


def scan_of(spacing: tuple[float, float, float]) -> AirwayScan:
    hu = np.zeros((2, 2, 2), np.float32)
    mask = np.zeros((2, 2, 2), bool)
    box = (slice(0, 2), slice(0, 2), slice(0, 2))
    return AirwayScan(hu, hu, spacing, mask, mask, 15.0, box, Volume(hu, np.diag([*spacing, 1.0])))


def lumen_of(ml: float, spacing: tuple[float, float, float]) -> np.ndarray:
    return np.ones(round(1000 * ml / float(np.prod(spacing))), bool)


@pytest.mark.parametrize(
    ("ml", "severity"), [(151, Severity.WARNING), (149, None), (31, None), (29, Severity.INFO)]
)
def test_a_lumen_larger_or_smaller_than_an_adults_is_flagged(ml: float, severity: Severity | None) -> None:
    thin = (1.0, 1.0, 1.0)
    flags = volume_flags(scan_of(thin), lumen_of(ml, thin))
    assert [flag.severity for flag in flags] == ([] if severity is None else [severity])
    assert all(f"{ml} mL" in flag.message for flag in flags)


def test_on_thick_slices_only_too_large_a_lumen_is_flagged() -> None:
    thick = (1.0, 1.0, 2.5)
    assert volume_flags(scan_of(thick), lumen_of(20, thick)) == ()
    assert len(volume_flags(scan_of(thick), lumen_of(160, thick))) == 1

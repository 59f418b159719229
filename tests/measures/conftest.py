"""Small arrays whose measures can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.volume import ScanMeta, Volume


def scan(hu, spacing=(1.0, 1.0, 1.0), **meta):
    """A volume on a RAS grid."""
    hu = np.asarray(hu)
    hu = hu if hu.dtype == np.float32 else hu.astype(np.int16)
    return Volume(hu, np.diag([*spacing, 1.0]), ScanMeta(**meta))


@pytest.fixture
def two_lungs():
    """Noise in two boxes of different size, away from the edges; 2 x 1.5 x 3 mm."""
    rng = np.random.default_rng(7)
    hu = np.full((20, 16, 14), 40, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[11:18, 3:12, 2:11] = 1
    labels[2:9, 3:14, 2:11] = 2
    inside = labels > 0
    hu[inside] = rng.normal(-760, 160, int(inside.sum())).clip(-1100, 300).round()
    return scan(hu, (2.0, 1.5, 3.0)), labels

from __future__ import annotations

import numpy as np
import pytest

from hilum.synthesis.phantoms import Phantom, make_phantom


@pytest.fixture(scope="session")
def healthy() -> Phantom:
    """A healthy chest at 2 mm."""
    return make_phantom(spacing=(2.0, 2.0, 2.0))


def measured(phantom: Phantom, value: int | None = None) -> dict[str, float]:
    """Volume, air and mass as the product measures them: HU summed over labelled voxels."""
    mask = phantom.labels > 0 if value is None else phantom.labels == value
    hu = phantom.volume.hu[mask].astype(np.float64)
    voxel = phantom.volume.voxel_volume_ml
    return {
        "volume_ml": mask.sum() * voxel,
        "air_ml": np.clip(-hu / 1000, 0, None).sum() * voxel,
        "mass_g": np.clip((hu + 1000) / 1000, 0, None).sum() * voxel,
    }


@pytest.fixture(scope="session", name="measured")
def _measured():
    return measured

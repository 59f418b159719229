from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from hilum.core.volume import Volume
from hilum.synthesis.phantoms import Tissue, make_phantom
from support import airway_tubes


@dataclass(frozen=True)
class Chest:
    """A scan with its lungs and the lumen of the airways in them, all on one grid."""

    volume: Volume
    lungs: np.ndarray
    lumen: np.ndarray


def chest(spacing: tuple[float, float, float], **more: object) -> Chest:
    made = make_phantom(seed=31, spacing=spacing, **more)
    return Chest(made.volume, made.labels, made.tissue == Tissue.AIRWAY_LUMEN)


@pytest.fixture(scope="session")
def thin_slices() -> Chest:
    """A child's chest at 1.2 mm."""
    return chest((1.2, 1.2, 1.2), size=0.75)


@pytest.fixture(scope="session")
def thick_slices() -> Chest:
    return chest((1.5, 1.5, 5.0))


@pytest.fixture(scope="session")
def tubes() -> airway_tubes.Chest:
    """Straight tubes of known lumen and wall."""
    return airway_tubes.build()


@pytest.fixture(scope="session")
def beside_artery() -> airway_tubes.Chest:
    """The same with an artery beside a bronchus."""
    return airway_tubes.build(artery=True)

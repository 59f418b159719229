from __future__ import annotations

import pytest

from support.airway_tubes import Chest, build


@pytest.fixture(scope="session")
def tubes() -> Chest:
    return build()


@pytest.fixture(scope="session")
def beside_artery() -> Chest:
    return build(artery=True)

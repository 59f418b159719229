from __future__ import annotations

import pytest

from support.plain_chest import Chest, build_chest


@pytest.fixture(scope="session")
def chest() -> Chest:
    return build_chest()

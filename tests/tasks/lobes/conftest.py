from __future__ import annotations

import pytest

from .made_chest import MadeChest, make_chest


@pytest.fixture(scope="session")
def made() -> MadeChest:
    return make_chest()

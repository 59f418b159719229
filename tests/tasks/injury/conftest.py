from __future__ import annotations

import pytest

from support.lung_boxes import MakeBox, lung_boxes


@pytest.fixture
def make_box() -> MakeBox:
    return lung_boxes

from __future__ import annotations

import pytest

from hilum.segmentation.lungs.model import LearnedLungs
from hilum.segmentation.weights import load_weights


@pytest.fixture(scope="session")
def model() -> LearnedLungs:
    """The model that ships, loaded once."""
    pytest.importorskip("openvino")
    return LearnedLungs(load_weights("lungs"))

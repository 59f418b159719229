from __future__ import annotations

import pytest

from hilum.models.weights import load_weights
from hilum.tasks.lungs.model import LearnedLungs


@pytest.fixture(scope="session")
def model() -> LearnedLungs:
    """The model that ships, loaded once."""
    pytest.importorskip("openvino")
    return LearnedLungs(load_weights("lungs"))

from __future__ import annotations

import pytest

from hilum.models.registry import open_model
from hilum.tasks.lungs.default import VolumeLungs
from hilum.tasks.lungs.model import LearnedLungs


@pytest.fixture(scope="session")
def model() -> LearnedLungs:
    """The model that ships, loaded once."""
    pytest.importorskip("openvino")
    return LearnedLungs(open_model("lungs"))


@pytest.fixture(scope="session")
def default() -> VolumeLungs:
    """The same with the network of slices beside it."""
    pytest.importorskip("openvino")
    return VolumeLungs(open_model("lungs"))

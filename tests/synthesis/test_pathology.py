from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import UsageError
from hilum.synthesis.lesions import add_injury
from hilum.synthesis.lesions.kinds import RECIPES
from hilum.synthesis.pathology import Pathology
from hilum.synthesis.phantoms.injury import IN_PHANTOMS, parse_injury


def test_each_pathology_is_made_by_a_back_end():
    assert {*IN_PHANTOMS, *RECIPES} == set(Pathology)


def test_a_pathology_that_a_back_end_cannot_make_is_refused_with_those_it_can():
    with pytest.raises(UsageError, match="unknown"):
        parse_injury("white_out")
    lung = np.ones((4, 4, 4), np.uint8)
    with pytest.raises(UsageError, match="expected one of ground_glass"):
        add_injury(lung, lung, (1, 1, 1), kind=Pathology.NODULE, severity=0.5, seed=0)

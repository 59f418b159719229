"""Thick airway walls."""

from __future__ import annotations

import pytest

from hilum.core.errors import UsageError
from hilum.synthesis.phantoms import make_phantom
from hilum.synthesis.phantoms.anatomy import Lobe
from hilum.synthesis.phantoms.smoker import thicken_walls
from hilum.synthesis.phantoms.trees import Branch, Kind


def branch(side: int, lobe: int, height: float) -> Branch:
    return Branch((50.0, 0.0, height), (60.0, 0.0, height), 2.0, 1.0, 3, -1, Kind.AIRWAY, side, lobe=lobe)


@pytest.mark.parametrize(
    ("side", "lobe", "height", "wall"),
    [
        (0, 0, 80.0, 1.0),
        (1, Lobe.RIGHT_LOWER, 60.0, 1.5),
        (1, Lobe.RIGHT_UPPER, -5.0, 1.75),
        (-1, 0, 60.0, 1.75),
        (-1, 0, -60.0, 1.5),
    ],
)
def test_walls_thicken_most_in_the_upper_lobes_and_lumens_stay(
    side: int, lobe: int, height: float, wall: float
) -> None:
    (found,) = thicken_walls((branch(side, lobe, height),), 1.0)
    assert found.wall == pytest.approx(wall)
    assert found.radius == 2.0


def test_half_of_the_severity_thickens_half_as_much() -> None:
    (found,) = thicken_walls((branch(1, Lobe.RIGHT_LOWER, 0.0),), 0.5)
    assert found.wall == pytest.approx(1.25)


def test_a_severity_beyond_one_is_refused() -> None:
    with pytest.raises(UsageError, match="smoker_walls"):
        make_phantom(smoker_walls=1.5)

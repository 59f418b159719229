"""Lumen and wall of drawn tubes whose size is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.volume import Volume
from hilum.tasks.airways.blur import Blur, estimate_blur
from hilum.tasks.airways.calibre import MeasuredAirways, measure_airway_tree
from hilum.tasks.airways.tree import AirwayBranch
from support.airway_tubes import SIGMA, TUBES, Chest, Tube


@pytest.fixture(scope="module")
def found(tubes) -> MeasuredAirways:
    return measure_airway_tree(tubes.volume, tubes.lumen, tubes.lungs)


def match(airways: MeasuredAirways, tube: Tube) -> AirwayBranch:
    """The branch whose end is nearest to that of a tube."""
    return min(airways.tree.branches, key=lambda b: float(np.linalg.norm(b.points[-1] - tube.end)))


@pytest.mark.parametrize("tube", TUBES[3:], ids=lambda tube: f"lumen {tube.lumen} mm")
def test_lumen_and_wall_of_bronchi_in_the_lung_are_right(found, tube) -> None:
    calibre = match(found, tube).calibre
    assert calibre is not None
    assert calibre.lumen_mm == pytest.approx(tube.lumen, abs=0.2)
    assert calibre.wall_mm == pytest.approx(tube.wall, abs=0.1)
    outer = tube.lumen + 2 * tube.wall
    assert calibre.wall_percent == pytest.approx(100 * (1 - (tube.lumen / outer) ** 2), abs=4)
    assert calibre.lumen_mm2 == pytest.approx(np.pi * calibre.lumen_mm**2 / 4)


@pytest.mark.parametrize("tube", TUBES[3:], ids=lambda tube: f"lumen {tube.lumen} mm")
def test_half_maximum_reads_narrow_lumens_too_small_and_walls_too_thick(found, tube) -> None:
    calibre = match(found, tube).calibre
    assert calibre is not None
    assert calibre.half_lumen_mm < tube.lumen - 0.3
    assert calibre.half_wall_mm > tube.wall + 0.3


def test_the_trachea_in_soft_tissue_has_a_lumen_but_no_wall(found) -> None:
    calibre = found.tree.trachea[0].calibre
    assert calibre is not None
    assert calibre.lumen_mm == pytest.approx(12.0, abs=0.2)
    assert calibre.wall_mm is None
    assert calibre.wall_percent is None


def test_the_blur_is_measured_at_the_wall_of_the_trachea(found) -> None:
    # The voxels of 1 mm add their own width to that of the blur.
    assert found.blur.measured
    assert found.blur.in_plane_mm == pytest.approx(np.hypot(SIGMA, np.sqrt(1 / 12)), abs=0.08)
    assert found.lumen_hu == pytest.approx(-1000, abs=3)


def test_an_artery_beside_the_bronchus_is_left_out(beside_artery) -> None:
    airways = measure_airway_tree(beside_artery.volume, beside_artery.lumen, beside_artery.lungs)
    calibre = match(airways, TUBES[6]).calibre
    assert calibre is not None
    assert calibre.lumen_mm == pytest.approx(4.0, abs=0.25)
    assert calibre.wall_mm == pytest.approx(0.9, abs=0.15)
    assert np.median(calibre.stations.rays) < 0.9


def test_a_straight_tube_does_not_taper_and_a_narrower_branch_is_told(found) -> None:
    branch = match(found, TUBES[4])
    assert branch.calibre is not None
    assert branch.calibre.taper_percent_per_mm == pytest.approx(0, abs=0.3)
    assert branch.calibre.narrowing_percent == pytest.approx(100 * (8 - 5) / 8, abs=5)
    assert found.tree.branches[0].calibre.narrowing_percent is None


def test_thick_slices_leave_the_calibre_of_trachea_and_main_bronchi_alone(tubes) -> None:
    thick = _averaged(tubes, 3)
    airways = measure_airway_tree(thick.volume, thick.lumen, thick.lungs)
    measured = {branch.generation for branch in airways.tree.branches if branch.calibre is not None}
    assert measured <= {0, 1}
    assert 0 in measured


def _averaged(chest: Chest, slices: int) -> Chest:
    count = chest.volume.shape[2] // slices
    block = (*chest.volume.shape[:2], count, slices)
    hu = np.asarray(chest.volume.hu)[..., : count * slices].reshape(block).mean(axis=3)
    affine = np.diag([1.0, 1.0, slices, 1.0])
    affine[2, 3] = (slices - 1) / 2
    lumen = chest.lumen[..., : count * slices].reshape(block).mean(axis=3) >= 0.5
    lungs = np.ascontiguousarray(chest.lungs[..., : count * slices : slices])
    return replace(chest, volume=Volume(np.ascontiguousarray(hu), affine), lumen=lumen, lungs=lungs)


def test_without_a_trachea_the_blur_is_assumed_and_said_to_be() -> None:
    blur = estimate_blur(None, -1000.0, np.array([0.0, 0.0, 1.0]), 1.0)
    assert not blur.measured
    assert blur.through_mm == pytest.approx(1.0 / 2.355, abs=0.001)


def test_blur_and_gain_depend_on_the_direction() -> None:
    blur = Blur(0.5, 1.0, (0.0, 0.0, 1.0), measured=True, gain=0.4)
    directions = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, np.sqrt(0.5), np.sqrt(0.5)]])
    assert blur.along(directions) == pytest.approx([0.5, 1.0, np.sqrt(0.625)])
    assert blur.gain_along(directions) == pytest.approx([0.4, 0.0, 0.2])

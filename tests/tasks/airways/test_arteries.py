"""The artery beside a branch: found by its place, measured by the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import AIRWAYS, VESSELS
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.tasks.airways.calibre import MeasuredAirways, measure_airway_tree
from hilum.tasks.airways.measures import collect_airways, measure_airways
from support.airway_tubes import Chest
from support.tubes import draw_tubes

#: The artery of ``support.airway_tubes``: 4 mm wide, beside the left lower branch with its lumen of 4 mm.
ARTERY = ((17.8, 18, 40), (17.8, 18, 8), 2.0)
LUMEN_MM = 4.0


def vessels_of(chest: Chest, *tubes: object) -> np.ndarray:
    drawn: np.ndarray = draw_tubes(chest.lumen.shape, (1, 1, 1), list(tubes))
    return drawn & (chest.lungs > 0)


def ratios(found: MeasuredAirways) -> list[float]:
    calibres = [b.calibre for b in found.tree.branches if b.calibre is not None]
    return [calibre.artery_ratio for calibre in calibres if calibre.artery_ratio is not None]


def test_the_artery_beside_a_branch_is_measured_without_its_wall(beside_artery) -> None:
    vessels = vessels_of(beside_artery, ARTERY)
    found = measure_airway_tree(
        beside_artery.volume, beside_artery.lumen, beside_artery.lungs, vessels=vessels
    )
    (ratio,) = ratios(found)
    assert ratio == pytest.approx(LUMEN_MM / 4.0, abs=0.06)
    (branch,) = (b for b in found.tree.branches if b.calibre is not None and b.calibre.artery_mm)
    assert (branch.side, branch.generation) == ("left", 2)
    assert branch.calibre is not None
    assert branch.calibre.artery_mm == pytest.approx(4.0, abs=0.25)


@pytest.mark.slow
def test_walls_that_pass_for_vessels_are_no_arteries(tubes) -> None:
    """The mask of the vessels holds the wall of the left lower branch alone."""
    wall = vessels_of(tubes, ((24, 20, 42), (22, 18, 8), 3.0)) & ~tubes.lumen
    assert ratios(measure_airway_tree(tubes.volume, tubes.lumen, tubes.lungs, vessels=wall)) == []


@pytest.mark.slow
def test_a_vessel_that_crosses_or_lies_apart_is_no_artery(beside_artery) -> None:
    across = ((10, 18, 20), (17, 26, 20), 2.0)
    apart = ((10, 18, 40), (10, 18, 8), 2.0)
    vessels = vessels_of(beside_artery, across, apart)
    found = measure_airway_tree(
        beside_artery.volume, beside_artery.lumen, beside_artery.lungs, vessels=vessels
    )
    lower = [b for b in found.tree.branches if b.side == "left" and b.points[-1, 0] > 17]
    assert [b.calibre.artery_mm for b in lower if b.calibre is not None and b.generation == 2] == [None]


def test_ratios_are_known_where_vessels_are_and_else_null_with_a_reason(beside_artery) -> None:
    volume = beside_artery.volume
    labels = LabelVolume(beside_artery.lumen.astype(np.uint8), np.eye(4), AIRWAYS)
    vessels = LabelVolume(vessels_of(beside_artery, ARTERY).astype(np.uint8), np.eye(4), VESSELS)
    alone = Segmentation(
        labels, ModelInfo("airways", "1"), beside={"lungs": LabelVolume(beside_artery.lungs, np.eye(4))}
    )
    both = replace(alone, beside={**alone.beside, "vessels": vessels})
    without = measure_airways(volume, alone, collect_airways(volume, alone))["airways"]
    for id_ in ("airway_artery_ratio", "airway_artery_branches"):
        assert without[id_].value is None
        assert without[id_].reason == "Arteries are not known: the task vessels was not done with this scan."
    found = measure_airways(volume, both, collect_airways(volume, both))
    assert found["left_airways"]["airway_artery_ratio"].value == pytest.approx(1.0, abs=0.06)
    assert found["left_airways"]["airway_artery_branches"].value == 1
    assert found["right_airways"]["airway_artery_branches"].value == 0
    assert found["right_airways"]["airway_artery_ratio"].reason.startswith("No vessel")


def test_slices_of_2_mm_give_no_arteries_and_a_reason(beside_artery) -> None:
    thick = replace(beside_artery.volume, meta=replace(beside_artery.volume.meta, slice_thickness=2.0))
    labels = LabelVolume(beside_artery.lumen.astype(np.uint8), np.eye(4), AIRWAYS)
    lungs = LabelVolume(beside_artery.lungs, np.eye(4))
    found = measure_airways(thick, Segmentation(labels, ModelInfo("airways", "1"), beside={"lungs": lungs}))
    assert found["airways"]["airway_artery_ratio"].reason.startswith("Voxels of 2 mm are too coarse")
    vessels = vessels_of(beside_artery, ARTERY)
    assert ratios(measure_airway_tree(thick, beside_artery.lumen, beside_artery.lungs, vessels=vessels)) == []

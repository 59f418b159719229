from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import AIRWAYS
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.volume import Volume
from hilum.measures import Measures
from hilum.tasks.airways.blur import Blur
from hilum.tasks.airways.calibre import MeasuredAirways
from hilum.tasks.airways.calibre_values import BranchCalibre, Stations
from hilum.tasks.airways.definitions import (
    AIRWAY_MEASURES,
    AIRWAY_REGIONS,
    GENERATIONS,
    generation_region,
    measures_of,
)
from hilum.tasks.airways.measures import collect_airways, measure_airways
from hilum.tasks.airways.tree import AirwayBranch, AirwayTree

BLUR = Blur(0.5, 0.4, (0.0, 0.0, 1.0), measured=True)


def segmented(chest) -> Segmentation:
    labels = LabelVolume(chest.lumen.astype(np.uint8), np.eye(4), AIRWAYS)
    lungs = LabelVolume(chest.lungs, np.eye(4))
    return Segmentation(labels, ModelInfo("airways", "1"), beside={"lungs": lungs})


@pytest.fixture(scope="module")
def segmentation(tubes) -> Segmentation:
    return segmented(tubes)


@pytest.fixture(scope="module")
def airways(tubes, segmentation) -> MeasuredAirways:
    found = collect_airways(tubes.volume, segmentation)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def measures(tubes, segmentation, airways) -> Measures:
    return measure_airways(tubes.volume, segmentation, airways)


def branch(lumen: float | None, wall: float | None, generation: int, parent: int = -1) -> AirwayBranch:
    none = np.zeros(0)
    stations = Stations(none, none, none, none, none, none)
    calibre = BranchCalibre(lumen, wall, lumen, wall, None, stations)
    points = np.array([[0.0, 0, 0], [0, 0, 10]])
    return AirwayBranch(points, np.ones(2), parent, generation, "right", 10.0, calibre=calibre)


def of(branches: list[AirwayBranch], volume: Volume, segmentation: Segmentation) -> Measures:
    found = MeasuredAirways(AirwayTree(tuple(branches)), BLUR, -1000.0)
    return measure_airways(volume, segmentation, found)


def test_every_region_has_its_measures_and_each_value_is_known_or_says_why(measures) -> None:
    generations = {generation_region(n, side) for n in GENERATIONS for side in ("", "right", "left")}
    assert set(measures) == {"airway_lumen", "airway_wall", *AIRWAY_REGIONS, *generations}
    for region in ("airway_lumen", *AIRWAY_REGIONS):
        assert tuple(measures[region]) == measures_of(region)
    for values in measures.values():
        for id_, value in values.items():
            assert value.unit == AIRWAY_MEASURES[id_].unit
            assert (value.value is None) == bool(value.reason)


def test_amounts_are_those_of_the_tree(measures, airways, tubes) -> None:
    whole = measures["airways"]
    assert whole["branch_count"].value == 7
    assert whole["tac.whole"].value == 7
    assert measures["right_airways"]["branch_count"].value == 3
    assert whole["tree_length"].value == pytest.approx(airways.tree.length_mm)
    assert measures["airway_lumen"]["volume"].value == pytest.approx(tubes.lumen.sum() / 1000)
    lumen = sum(b.mask_ml for b in airways.tree.branches if b.generation > 0)
    assert whole["lumen_volume"].value == pytest.approx(lumen)
    lungs = (tubes.lungs > 0).sum() / 1000
    assert whole["airway_lung_ratio"].value == pytest.approx(100 * lumen / lungs)


def test_generations_hold_counts_and_medians(measures) -> None:
    second = measures[generation_region(2)]
    assert second["branch_count"].value == 4
    assert second["lumen_diameter"].value == pytest.approx(4.0, abs=0.2)
    assert measures[generation_region(2, "left")]["branch_count"].value == 2
    none = measures[generation_region(5)]
    assert none["branch_count"].value == 0
    assert none["lumen_diameter"].reason == "No branch of this generation was found here."


def test_trachea_and_main_bronchi_have_a_size(measures) -> None:
    assert measures["trachea"]["lumen_diameter"].value == pytest.approx(12, abs=0.2)
    assert measures["right_main_bronchus"]["lumen_diameter"].value == pytest.approx(8, abs=0.3)
    assert "soft tissue lies round it" in (measures["trachea"]["wall_thickness"].reason or "")


def test_both_pi10_are_read_from_the_line_at_10_mm(tubes, segmentation) -> None:
    # Walls of 0.2 mm and 0.1 mm more a mm of lumen: 0.2 + 0.1 x 10 / pi at a perimeter of 10 mm.
    lumens = np.linspace(2.6, 7.5, 12)
    many = [branch(float(d), 0.2 + 0.1 * float(d), 2 + n % 3) for n, d in enumerate(lumens)]
    found = of(many, tubes.volume, segmentation)["airways"]
    assert found["pi10.thickness"].value == pytest.approx(0.2 + 0.1 * 10 / np.pi)
    area = np.pi * (0.2 + 0.1 * lumens) * (1.1 * lumens + 0.2)
    slope, start = np.polyfit(np.pi * lumens, np.sqrt(area), 1)
    assert found["pi10.sqrt_wa"].value == pytest.approx(start + 10 * slope)


@pytest.mark.parametrize(
    ("lumens", "generations"),
    [
        (np.linspace(2.6, 7.5, 9), (2, 3, 4)),
        (np.linspace(2.6, 7.5, 12), (3, 4)),
        (np.linspace(1, 2, 12), (2, 3, 4)),
    ],
    ids=["nine branches", "two generations", "perimeters below 7.5 mm"],
)
def test_pi10_of_too_few_branches_is_unknown_with_a_reason(tubes, segmentation, lumens, generations) -> None:
    many = [branch(float(d), 0.6, generations[n % len(generations)]) for n, d in enumerate(lumens)]
    found = of(many, tubes.volume, segmentation)["airways"]
    for id_ in ("pi10.sqrt_wa", "pi10.thickness"):
        assert found[id_].value is None
        assert found[id_].reason.startswith("Fewer than 10 branches of 3 generations")


def test_a_trachea_in_pieces_is_one_branch(tubes, segmentation) -> None:
    pieces = [branch(12, None, 0), branch(12, None, 0, 0), branch(8, 1, 1, 0), branch(8, 1, 1, 1)]
    assert of(pieces, tubes.volume, segmentation)["airways"]["branch_count"].value == 3


def test_flags_withhold_the_groups_that_they_forbid(tubes, segmentation, airways) -> None:
    flags = [
        Flag(FlagCode.CUT_TOP, Severity.WARNING, "Cut.", ("right_lung", "lungs"), ("volume",), "It is cut."),
        Flag(FlagCode.CALIBRATION_OFF, Severity.ERROR, "Off.", (), ("density",), "HU are off."),
    ]
    found = measure_airways(tubes.volume, segmentation, airways, flags)
    assert found["right_airways"]["branch_count"].reason == "It is cut."
    assert found["left_airways"]["branch_count"].value == 3
    assert found["left_airways"]["lumen_diameter"].reason == "HU are off."


def test_thick_slices_withhold_the_calibre_beyond_the_main_bronchi(segmentation, airways, tubes) -> None:
    thick = replace(tubes.volume, meta=replace(tubes.volume.meta, slice_thickness=5.0))
    found = measure_airways(thick, segmentation, airways)
    reason = "Voxels of 5 mm are too coarse for the calibre of these airways."
    assert found["airways"]["lumen_diameter"].reason == reason
    assert found[generation_region(2)]["wall_thickness"].reason == reason
    assert found["trachea"]["lumen_diameter"].value is not None
    assert found["left_main_bronchus"]["lumen_diameter"].value is not None
    thicker = replace(tubes.volume, meta=replace(tubes.volume.meta, slice_thickness=8.0))
    assert measure_airways(thicker, segmentation, airways)["left_main_bronchus"]["lumen_diameter"].reason
    assert found["airways"]["tree_length"].value is not None


def test_without_voxel_size_only_counts_are_known(segmentation, airways, tubes) -> None:
    bare = replace(tubes.volume, meta=replace(tubes.volume.meta, spacing_known=False))
    found = measure_airways(bare, segmentation, airways)["airways"]
    assert found["branch_count"].value == 7
    assert found["tree_length"].reason == "The file holds no voxel size, so lengths and volumes are unknown."


def test_a_mask_without_airways_gives_no_branch_and_reasons(tubes) -> None:
    empty = segmented(replace(tubes, lumen=np.zeros_like(tubes.lumen)))
    assert collect_airways(tubes.volume, empty) is None
    found = measure_airways(tubes.volume, empty, None)
    assert found["airways"]["branch_count"].value == 0
    assert found["airways"]["lumen_diameter"].value is None
    assert found["trachea"]["tree_length"].reason == "It was not found in this scan."

"""Amounts by class and place, scores, flags and what is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import INJURY, LUNGS, InjuryClass, LabelInfo, LabelSet
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.volume import ScanMeta
from hilum.measures import compute
from hilum.report.page import render_part
from hilum.tasks.injury.doubts import injury_flags
from hilum.tasks.injury.measures import measure_injury
from hilum.tasks.injury.places import LOBES, Place
from hilum.tasks.injury.report.findings import findings
from hilum.tasks.injury.report.section import injury_section
from hilum.tasks.injury.segment import find_tissue
from hilum.tasks.registry import in_order
from hilum.tasks.spec import TaskResult
from support.lung_boxes import Box, MakeBox

LOBE_SET = LabelSet(
    "lobes",
    "1.0",
    "five lobes",
    tuple(LabelInfo(value, name, title, (0, 0, 0), "1") for value, (name, title) in LOBES.items()),
)


@pytest.fixture
def ill(make_box: MakeBox) -> Box:
    box = make_box()
    box.hu[box.ball((195.0, 90.0, 60.0), 22.0)] += 260.0
    ball = box.ball((65.0, 60.0, 120.0), 24.0)
    box.hu[ball] = 30.0
    return box


def segmented(box: Box, lobes: LabelVolume | None = None) -> Segmentation:
    tissue = find_tissue(box.volume(), box.labels())
    beside = {LUNGS.name: box.labels()} | ({"lobes": lobes} if lobes is not None else {})
    return Segmentation(tissue.labels, ModelInfo("rules", "1"), beside=beside, facts=tissue.facts)


def five_lobes(box: Box) -> LabelVolume:
    """Left lung cut in two, right lung in three from foot to head."""
    z = np.arange(box.lungs.shape[2])
    left, right = np.where(z < 50, 2, 1), np.select([z < 37, z < 64], [5, 4], 3)
    data = np.where(box.lungs == 2, left, np.where(box.lungs == 1, right, 0)).astype(np.uint8)
    return LabelVolume.on_grid_of(box.volume(), data, LOBE_SET)


def test_the_classes_add_up_to_the_lungs(ill: Box) -> None:
    volume, found = ill.volume(), segmented(ill)
    measures = measure_injury(volume, found)
    lungs = compute(volume, ill.labels())
    for place in Place.all(False):
        names = [
            info.name if place.name == "lungs" else f"{place.name}_{info.name}" for info in INJURY.values()
        ]
        for id_, of in (("volume", "volume"), ("class_mass", "tissue_mass")):
            total = sum(measures[name][id_].value or 0.0 for name in names)
            assert total == pytest.approx(lungs[place.name][of].value, rel=1e-6), (place, id_)
        assert sum(measures[name]["class_share"].value or 0.0 for name in names) == pytest.approx(100.0)


def test_a_mass_is_the_sum_of_the_tissue_of_its_voxels(ill: Box) -> None:
    volume, found = ill.volume(), segmented(ill)
    mask = found.labels.data == InjuryClass.CONSOLIDATION
    grams = float(((volume.hu[mask] + 1000.0) / 1000.0).sum() * 0.008)
    assert measure_injury(volume, found)["consolidation"]["class_mass"].value == pytest.approx(grams)


def test_without_lobes_the_severity_score_is_unknown_and_says_why(ill: Box) -> None:
    value = measure_injury(ill.volume(), segmented(ill))["lungs_injury"]["ct_severity"]
    assert (value.value, value.reason) == (None, "The lobes were not segmented in this run.")


def test_the_severity_score_adds_the_points_of_five_lobes(ill: Box) -> None:
    measures = measure_injury(ill.volume(), segmented(ill, five_lobes(ill)))
    shares = [measures[f"{name}_injury"]["injured_share"].value or 0.0 for name, _ in LOBES.values()]
    points = sum(int(np.searchsorted([0, 5, 25, 50, 75], round(share, 1), side="left")) for share in shares)
    assert measures["lungs_injury"]["ct_severity"].value == points > 1
    assert measures["right_upper_lobe_ground_glass"]["volume"].value == pytest.approx(0.0, abs=0.1)


def test_the_excess_is_what_the_lungs_weigh_over_the_weight_that_was_given(ill: Box) -> None:
    found = segmented(ill)
    given = ill.volume(predicted_weight_g=500.0)
    weight = compute(given, ill.labels())["lungs"]["tissue_mass"].value
    assert weight is not None
    excess = measure_injury(given, found)["lungs_injury"]["excess_predicted"].value
    assert excess == pytest.approx(weight - 500.0)
    assert measure_injury(ill.volume(), found)["lungs_injury"]["excess_predicted"].value is None


def test_the_excess_over_the_own_best_third_is_about_the_added_tissue(make_box: MakeBox) -> None:
    box = make_box(rise=0.0)
    before = compute(box.volume(), box.labels())["lungs"]["tissue_mass"].value
    box.hu[box.ball((195.0, 60.0, 60.0), 24.0)] += 500.0
    after = compute(box.volume(), box.labels())["lungs"]["tissue_mass"].value
    assert before is not None
    assert after is not None
    excess = measure_injury(box.volume(), segmented(box))["lungs_injury"]["excess_self"].value
    assert excess == pytest.approx(after - before, rel=0.1)


def test_a_flag_withholds_the_masses_of_its_lung_alone(ill: Box) -> None:
    flag = Flag(FlagCode.CUT_TOP, Severity.ERROR, "Cut.", ("right_lung",), ("volume", "mass"), "It is cut.")
    measures = measure_injury(ill.volume(), segmented(ill), [flag])
    right, left = measures["right_lung_ground_glass"], measures["left_lung_ground_glass"]
    assert (right["class_mass"].value, right["class_mass"].reason) == (None, "It is cut.")
    assert right["class_share"].value is not None
    assert left["class_mass"].value is not None


def test_without_a_voxel_size_shares_are_known_and_amounts_are_not(ill: Box) -> None:
    volume = ill.volume(spacing_known=False)
    measures = measure_injury(volume, segmented(ill))
    assert measures["ground_glass"]["volume"].value is None
    assert measures["ground_glass"]["class_share"].value is not None


@pytest.mark.parametrize(
    ("meta", "facts", "words"),
    [
        ({"slice_thickness": 5.0}, {}, "5.0 mm thick"),
        ({"kernel": "B70f"}, {}, "kernel B70f is sharp"),
        ({}, {"noise_hu": LIMITS.injury_noise_hu + 10}, "noise is 70 HU"),
        ({}, {"expected_hu": -650.0}, "after expiration"),
        ({}, {"expected_hu": -975.0}, "HU scale is off"),
    ],
)
def test_what_spoils_the_classes_is_flagged(
    ill: Box, meta: dict[str, object], facts: dict[str, float], words: str
) -> None:
    (flag,) = injury_flags(ill.volume(**meta), {"expected_hu": -860.0, "noise_hu": 10.0, **facts})
    assert flag.code == FlagCode.INJURY_DOUBTFUL
    assert words in flag.message


def test_a_thin_soft_quiet_scan_raises_no_flag(ill: Box) -> None:
    assert injury_flags(ill.volume(kernel="B31f"), {"expected_hu": -860.0, "noise_hu": 10.0}) == ()


def test_the_section_tells_the_findings_and_fills_the_slices(ill: Box) -> None:
    volume, found = ill.volume(), segmented(ill)
    section = injury_section(volume, TaskResult(found, measure_injury(volume, found)))
    page = render_part(section.body, section.package, section.values)
    assert "Ground glass: " in page
    assert "Consolidation or collapse: " in page
    assert page.count("<svg") >= 7
    assert page.count('class="plate"') >= 3
    assert "excess.self.1" not in page
    assert "best third" in render_part(section.method, section.package, section.values)


@pytest.mark.parametrize(("given", "words"), [(100.0, "g more than"), (5000.0, "g less than")])
def test_the_excess_is_told_as_more_or_less(ill: Box, given: float, words: str) -> None:
    measures = measure_injury(ill.volume(predicted_weight_g=given), segmented(ill))
    (sentence,) = [one for one in findings(measures) if "weight that was given" in one]
    assert words in sentence
    assert "\N{MINUS SIGN}" not in sentence


def test_a_healthy_lung_gives_one_calm_sentence(make_box: MakeBox) -> None:
    box = make_box()
    found = segmented(box)
    section = injury_section(box.volume(), TaskResult(found, measure_injury(box.volume(), found)))
    assert section.values["sentences"] == ["No class of injury fills 1 % of the lungs or more."]
    assert section.values["slices"] == []


def test_lobes_come_first_where_they_are_asked_for_too() -> None:
    assert [task.name for task in in_order(("injury", "lobes"))] == ["lungs", "lobes", "injury"]
    assert [task.name for task in in_order(("injury",))] == ["lungs", "injury"]


def test_meta_keeps_the_given_weight_out_of_a_scan_without_one() -> None:
    assert ScanMeta().predicted_weight_g is None

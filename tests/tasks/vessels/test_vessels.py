"""Vessels in a small made lung: what is found, what is left out, and how much blood is in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.errors import HilumError, InputError, UsageError
from hilum.core.flag_limits import LIMITS
from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import AIRWAYS, LUNGS, VESSELS
from hilum.core.volume import Volume
from hilum.tasks.registry import TASKS
from hilum.tasks.vessels.measures import MeasuredVessels, collect_vessels, measure_vessels
from hilum.tasks.vessels.segment import LEFT_OUT, segment_vessels
from support.lung_box import LungBox

#: Two tubes along the box, one of 1.1 mm2 in the left half, one of 12.6 mm2 in the right one.
THIN, WIDE = 0.6, 2.0
TWO_TUBES = LungBox(
    tubes=[((16.5, 30.5, 8), (16.5, 30.5, 48), THIN), ((46.5, 30.5, 8), (46.5, 30.5, 48), WIDE)]
)
TUBE_MM = 40.0


def measured(box: LungBox, axes: str = "RAS") -> tuple[Volume, MeasuredVessels]:
    volume, lungs = box.draw(axes)
    return volume, collect_vessels(volume, segment_vessels(volume, lungs))


def share_found(box: LungBox, where: np.ndarray) -> float:
    volume, lungs = box.draw()
    return float((segment_vessels(volume, lungs).labels.data[where] > 0).mean())


@pytest.mark.parametrize("axes", ["RAS", "LPS"])
def test_thin_and_wide_tubes_have_their_true_volume_on_either_side(axes: str) -> None:
    volume, lungs = TWO_TUBES.draw(axes)
    found = measure_vessels(volume, segment_vessels(volume, lungs))
    thin, wide = (np.pi * radius**2 * TUBE_MM / 1000 for radius in (THIN, WIDE))
    assert found["left_vessels"]["bv5"].value == pytest.approx(thin, rel=0.15)
    assert found["right_vessels"]["bv10_plus"].value == pytest.approx(wide, rel=0.1)
    assert found["left_vessels"]["bv10_plus"].value == 0
    assert found["vessels"]["blood_volume"].value == pytest.approx(thin + wide, rel=0.1)


def test_the_mask_makes_a_thin_tube_wider_than_it_is_and_conservation_of_contrast_does_not() -> None:
    _, found = measured(LungBox(tubes=[((30.5, 30.5, 8), (30.5, 30.5, 48), 0.5)]))
    true = np.pi * 0.5**2 * TUBE_MM / 1000
    assert found.pieces.mask_ml.sum() > 1.5 * true
    assert found.pieces.volume_ml.sum() == pytest.approx(true, rel=0.25)


def test_blood_is_read_in_a_wide_vessel_and_assumed_where_there_is_none() -> None:
    _, wide = measured(LungBox(tubes=[((30.5, 30.5, 8), (30.5, 30.5, 48), 4.0)]))
    assert wide.pieces.blood_read
    assert wide.pieces.blood_hu == pytest.approx(42, abs=10)
    volume, lungs = LungBox(tubes=[((30.5, 30.5, 8), (30.5, 30.5, 48), 1.0)]).draw()
    values = measure_vessels(volume, segment_vessels(volume, lungs))["vessels"]
    assert values["blood_hu"].value is None
    assert "40 HU were taken" in str(values["blood_hu"].reason)


def test_a_fissure_is_no_vessel() -> None:
    plate = np.zeros((64, 60, 56), bool)
    plate[29:33, 8:52, 8:48] = True
    assert share_found(LungBox(plates_x=[(30.5, 0.6)]), plate) < 0.01


def test_wall_beside_a_lumen_is_left_out_in_part_and_the_artery_beside_it_is_whole() -> None:
    airway = ((30.5, 30.5, 8), (30.5, 30.5, 48), 2.0, 1.0)
    artery = ((30.5, 36.5, 8), (30.5, 36.5, 48), 1.8)
    volume, lungs = LungBox(airways=[airway], tubes=[artery]).draw()
    segmentation = segment_vessels(volume, lungs)
    found = segmentation.labels.data > 0
    assert found[30, 36, 12:44].all()
    # The half of the airway away from the artery.
    away = (slice(24, 38), slice(24, 31), slice(10, 46))
    wall_voxels = (volume.hu[away] > -500).sum()
    assert found[away].sum() < 0.6 * wall_voxels
    assert (segmentation.beside[LEFT_OUT.name].data[away] == 1).sum() > 0.3 * wall_voxels


def test_the_inside_of_consolidated_lung_is_left_out() -> None:
    volume, lungs = LungBox(balls=[((30.5, 30.5, 28), 12.0)]).draw()
    segmentation = segment_vessels(volume, lungs)
    assert not segmentation.labels.data[24:37, 24:37, 22:35].any()
    assert segmentation.beside[LEFT_OUT.name].data[30, 30, 28] == 2


def test_a_nodule_is_left_out_and_the_vessels_on_it_and_beside_it_are_found() -> None:
    feeding, beside = ((30.5, 30.5, 6), (30.5, 30.5, 22), 1.2), ((44.5, 20.5, 8), (44.5, 20.5, 48), 3.2)
    volume, lungs = LungBox(tubes=[feeding, beside], balls=[((30.5, 30.5, 28), 6.0)]).draw()
    segmentation = segment_vessels(volume, lungs)
    found = segmentation.labels.data > 0
    assert not found[25:36, 25:36, 22:34].any()
    assert segmentation.beside[LEFT_OUT.name].data[30, 30, 28] == 2
    assert found[30, 30, 8:17].all()
    assert found[43:46, 19:22, 10:46].all()


def test_airways_that_are_known_are_no_vessels_and_the_artery_beside_one_is_whole() -> None:
    airway = ((30.5, 30.5, 8), (30.5, 30.5, 48), 2.0, 1.0)
    volume, lungs = LungBox(airways=[airway], tubes=[((30.5, 36.5, 8), (30.5, 36.5, 48), 1.8)]).draw()
    x, y, _ = np.indices(volume.shape)
    away = np.hypot(x + 0.5 - 30.5, y + 0.5 - 30.5)
    known = np.where(away <= 2.0, 1, np.where(away <= 3.4, 2, 0)).astype(np.uint8)
    airways = LabelVolume.on_grid_of(volume, known, AIRWAYS)
    found = segment_vessels(volume, lungs, airways=airways).labels.data > 0
    assert not found[known > 0].any()
    assert not found[24:38, 24:31, 10:46].any()
    assert found[30, 36, 12:44].all()


def test_a_small_airway_without_a_visible_lumen_is_no_vessel_and_a_thin_vessel_is_one() -> None:
    thin = [((x, y, 8), (x, y, 48), 0.5) for x in (10.5, 18.5, 42.5, 50.5) for y in (12.5, 22.5, 40.5, 50.5)]
    vessel, airway = ((26.5, 16.5, 8), (26.5, 16.5, 48), 1.0), ((30.5, 30.5, 8), (30.5, 30.5, 48), 0.75, 0.5)
    volume, lungs = LungBox(tubes=[*thin, vessel], airways=[airway]).draw()
    found = segment_vessels(volume, lungs).labels.data > 0
    assert volume.hu[30, 30, 10:46].mean() > -700  # the lumen does not show
    assert found[29:32, 29:32, 10:46].mean() < 0.1
    assert found[26, 16, 10:46].all()
    assert found[18, 22, 10:46].mean() > 0.9


def test_noise_alone_holds_next_to_no_vessels() -> None:
    volume, lungs = LungBox(noise_hu=40.0).draw()
    found = segment_vessels(volume, lungs).labels.data > 0
    assert found.sum() < 0.001 * (lungs.data > 0).sum()


def test_lungs_without_vessels_give_zero_and_say_why_shares_are_unknown() -> None:
    volume, lungs = LungBox().draw()
    values = measure_vessels(volume, segment_vessels(volume, lungs))["vessels"]
    assert values["blood_volume"].value == 0
    assert values["bv5_share"].value is None
    assert values["bv5_share"].reason == "No vessel was found here."


def test_vessels_lie_within_the_lungs() -> None:
    volume, lungs = LungBox(tubes=[((30.5, 30.5, 0), (30.5, 30.5, 56), 2.0)]).draw()
    found = segment_vessels(volume, lungs).labels
    assert found.label_set is VESSELS
    assert found.data.any()
    assert not found.data[lungs.data == 0].any()


@pytest.mark.parametrize(("step", "withheld"), [(1.0, ()), (2.0, ("bv5",)), (4.0, ("bv5", "blood_volume"))])
def test_thick_slices_withhold_what_they_do_not_show(step: float, withheld: tuple[str, ...]) -> None:
    volume, lungs = LungBox(tubes=TWO_TUBES.tubes, spacing=(1.0, 1.0, step)).draw()
    segmentation = segment_vessels(volume, lungs)
    values = measure_vessels(volume, segmentation)["vessels"]
    for id_ in ("bv5", "blood_volume"):
        assert (values[id_].value is None) == (id_ in withheld)
    assert values["lung_mass"].value is not None
    codes = [flag.code for flag in TASKS["vessels"].check(volume, segmentation)]
    assert codes == ([FlagCode.VESSELS_THICK_SLICES] if step > LIMITS.vessels_thin_mm else [])


def test_a_flag_that_withholds_volume_withholds_it_for_the_vessels_of_that_side() -> None:
    volume, lungs = TWO_TUBES.draw()
    cut = Flag(FlagCode.CUT_TOP, Severity.ERROR, "cut", regions=("left_lung", "lungs"), forbids=("volume",))
    values = measure_vessels(volume, segment_vessels(volume, lungs), (cut,))
    assert values["left_vessels"]["bv5"].value is None
    assert values["left_vessels"]["bv5"].reason == "cut"
    assert values["vessels"]["bv5"].value is None
    assert values["right_vessels"]["bv5"].value is not None


def test_weight_without_vessels_is_less_by_the_weight_of_their_blood() -> None:
    volume, lungs = TWO_TUBES.draw()
    values = measure_vessels(volume, segment_vessels(volume, lungs))["vessels"]
    lost = values["lung_mass"].value - values["lung_mass_without_vessels"].value
    assert lost == pytest.approx(1.04 * values["blood_volume"].value, rel=0.02)


@pytest.mark.parametrize("bad", ["no spacing", "empty", "other shape"])
def test_input_that_cannot_be_measured_is_refused_in_words(bad: str) -> None:
    volume, lungs = LungBox().draw(known=bad != "no spacing")
    expected: type[HilumError] = InputError if bad == "no spacing" else UsageError
    if bad == "empty":
        lungs = LabelVolume.on_grid_of(volume, np.zeros(volume.shape, np.uint8), LUNGS)
    if bad == "other shape":
        lungs = LabelVolume(np.ones((3, 3, 3), np.uint8), volume.affine, LUNGS)
    with pytest.raises(expected) as caught:
        segment_vessels(volume, lungs)
    assert caught.value.hint or bad == "other shape"


def test_measures_do_not_depend_on_what_was_prepared_for_the_segmentation() -> None:
    volume, lungs = TWO_TUBES.draw()
    segmentation = segment_vessels(volume, lungs)
    anew = replace(segmentation, prepared=None)
    # Calibration moves the HU after the vessels were found.
    for scan in (volume, replace(volume, hu=(volume.hu * 0.98 - 30).astype(np.int16))):
        kept, fresh = (measure_vessels(scan, given)["vessels"] for given in (segmentation, anew))
        assert {id_: value.value for id_, value in kept.items()} == {
            id_: value.value for id_, value in fresh.items()
        }

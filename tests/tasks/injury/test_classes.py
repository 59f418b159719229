"""What each class takes and leaves, on boxes of lung with painted lesions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import InjuryClass
from hilum.core.volume import Volume
from hilum.imaging.overlap import dice
from hilum.tasks.injury.definitions import INJURED
from hilum.tasks.injury.expected import expected_density
from hilum.tasks.injury.fields import lung_fields
from hilum.tasks.injury.segment import Tissue, find_tissue
from support.lung_boxes import Box, MakeBox

RIGHT_MM = (195.0, 90.0, 100.0)
#: HU, radius in mm and the class of a painted ball.
BALLS = {
    "ground glass": (-600.0, 24.0, InjuryClass.GROUND_GLASS, 0.80),
    "consolidation": (30.0, 24.0, InjuryClass.CONSOLIDATION, 0.85),
    "nodule": (30.0, 9.0, InjuryClass.NODULE, 0.75),
    "emphysema": (-990.0, 18.0, InjuryClass.EMPHYSEMA, 0.80),
}


def found(box: Box) -> Tissue:
    return find_tissue(box.volume(), box.labels())


def injured_share(tissue: Tissue, box: Box) -> float:
    return float(np.isin(tissue.labels.data, INJURED).sum() / (box.lungs > 0).sum())


@pytest.mark.parametrize("name", BALLS)
def test_a_painted_ball_is_found_in_its_class(make_box: MakeBox, name: str) -> None:
    hu, radius, kind, least = BALLS[name]
    box = make_box()
    ball = box.ball(RIGHT_MM, radius)
    box.hu[ball] += hu - box.hu[ball].mean()
    tissue = found(box)
    assert dice(tissue.labels.data == kind, ball) > least
    others = [one for one in (*INJURED, InjuryClass.EMPHYSEMA) if one != kind]
    assert np.isin(tissue.labels.data, others).sum() < 0.1 * ball.sum()


@pytest.mark.parametrize(("middle", "rise"), [(-860, 60), (-860, -60), (-690, 110), (-930, 15)])
def test_density_that_follows_gravity_is_no_injury(make_box: MakeBox, middle: float, rise: float) -> None:
    box = make_box(middle, rise)
    tissue = found(box)
    assert injured_share(tissue, box) < 0.002
    assert tissue.facts["expected_hu"] == pytest.approx(middle, abs=35)
    assert tissue.facts["slope_hu"] == pytest.approx(rise * 2 * 100 / 118, abs=0.2 * abs(rise))


def test_disease_of_a_third_of_the_lungs_does_not_raise_what_is_expected(make_box: MakeBox) -> None:
    box = make_box(rise=0.0)
    dependent = np.zeros_like(box.lungs, bool)
    dependent[:, :32] = box.lungs[:, :32] > 0
    box.hu[dependent] += 250.0
    fields = lung_fields(box.volume().hu, box.lungs, (2.0, 2.0, 2.0))
    assert fields is not None
    expected = expected_density(fields, box.volume().affine)
    assert expected.typical == pytest.approx(-865, abs=25)
    assert dice(found(box).labels.data == InjuryClass.GROUND_GLASS, dependent) > 0.9


def test_a_vessel_is_neither_nodule_nor_consolidation(make_box: MakeBox) -> None:
    box = make_box()
    x, y = np.ix_(2.0 * np.arange(130) - 195, 2.0 * np.arange(90) - 90)
    tube = np.broadcast_to(((x**2 + y**2) <= 4.5**2)[:, :, None], box.lungs.shape) & (box.lungs > 0)
    box.hu[tube] = 40.0
    tissue = found(box)
    assert injured_share(tissue, box) == 0
    assert (tissue.labels.data == InjuryClass.TUBE)[tube].mean() > 0.9


def blurred_base(box: Box) -> np.ndarray:
    """Blur the lowest voxels of the lungs with what lies below them, as breathing does."""
    z = 2.0 * np.arange(100) - 19.0
    share = 0.5 * erfc(z / (4.5 * 2**0.5))
    rim = np.broadcast_to(share[None, None, :], box.lungs.shape) * (box.lungs > 0)
    return np.asarray(box.hu + rim * (40.0 - box.hu), np.float32)


def test_blur_above_the_diaphragm_is_no_ground_glass(make_box: MakeBox) -> None:
    box = make_box()
    box.hu = blurred_base(box)
    assert injured_share(found(box), box) < 0.002


def test_ground_glass_reaches_to_the_blurred_diaphragm(make_box: MakeBox) -> None:
    box = make_box()
    base = np.zeros_like(box.lungs, bool)
    base[75:120, 15:75, 10:22] = True
    box.hu[base] += 260.0
    box.hu = blurred_base(box)
    assert (found(box).labels.data == InjuryClass.GROUND_GLASS)[base].mean() > 0.7


def test_a_nodule_on_a_vessel_is_found_and_the_vessel_is_not(make_box: MakeBox) -> None:
    box = make_box()
    x, y = np.ix_(2.0 * np.arange(130) - 195, 2.0 * np.arange(90) - 90)
    tube = np.broadcast_to(((x**2 + y**2) <= 3.0**2)[:, :, None], box.lungs.shape) & (box.lungs > 0)
    ball = box.ball(RIGHT_MM, 8.0)
    box.hu[tube | ball] = 40.0
    nodule = found(box).labels.data == InjuryClass.NODULE
    assert dice(nodule, ball) > 0.7


def test_noise_does_not_make_emphysema(make_box: MakeBox) -> None:
    box = make_box(middle=-890.0, rise=20.0, noise=60.0)
    tissue = found(box)
    assert (tissue.labels.data == InjuryClass.EMPHYSEMA).sum() / (box.lungs > 0).sum() < 0.005
    assert tissue.facts["lungs.laa_950_smoothed"] < 1.0
    assert tissue.facts["smoothing_mm"] > 1.5
    assert tissue.facts["noise_hu"] == pytest.approx(60, rel=0.15)


def test_tubes_of_another_task_take_the_place_of_bright_voxels(make_box: MakeBox) -> None:
    box = make_box()
    tubes = box.ball(RIGHT_MM, 8.0)
    tissue = find_tissue(box.volume(), box.labels(), tubes)
    assert np.array_equal(tissue.labels.data == InjuryClass.TUBE, tubes)


def test_classes_do_not_depend_on_the_axis_order_of_the_file(make_box: MakeBox) -> None:
    box = make_box()
    box.hu[box.ball(RIGHT_MM, 24.0)] += 260.0
    plain = found(box).labels.data
    affine = box.volume().affine[:, [2, 0, 1, 3]]
    turned = Volume(np.ascontiguousarray(box.volume().hu.transpose(2, 0, 1)), affine)
    again = find_tissue(turned, LabelVolume.on_grid_of(turned, box.lungs.transpose(2, 0, 1)))
    assert np.mean(again.labels.data != plain.transpose(2, 0, 1)) < 1e-3


def test_a_scan_without_lungs_has_no_classes_and_no_facts(make_box: MakeBox) -> None:
    box = make_box()
    box.lungs[:] = 0
    tissue = found(box)
    assert not tissue.labels.data.any()
    assert tissue.facts == {}


def test_one_slice_of_two_voxels_is_classified(make_box: MakeBox) -> None:
    box = make_box()
    box.lungs[:] = 0
    box.lungs[80:82, 30, 50] = 1
    assert found(box).labels.counts()[InjuryClass.AERATED] == 2

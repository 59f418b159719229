"""The task lobes: on a chest whose fissures are known, from the fit to measures and flags."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LOBES, Lobe
from hilum.core.volume import Volume
from hilum.measures import REGISTRY
from hilum.tasks.lobes.checks import check_lobes
from hilum.tasks.lobes.find import LobeSegmentation, find_lobes
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.measures import FISSURE_SEEN, measure_lobes

from .made_chest import MadeChest, dice, make_chest


@pytest.fixture(scope="module")
def found(made: MadeChest) -> LobeSegmentation:
    return find_lobes(made.volume, made.lungs)


@pytest.fixture(scope="module")
def right_only() -> tuple[MadeChest, LobeSegmentation]:
    chest = make_chest((2.0, 2.0, 2.0), sides=(1,))
    return chest, find_lobes(chest.volume, chest.lungs)


def codes(segmentation: LobeSegmentation) -> set[str]:
    return {str(flag.code) for flag in check_lobes(segmentation)}


def test_lobes_follow_fissures_that_are_seen(made: MadeChest, found: LobeSegmentation) -> None:
    assert min(dice(found.labels.data, made.lobes)) > 0.97
    assert all(percent > 85 for percent in found.seen.values())
    assert codes(found) == set()


def test_every_voxel_of_the_lungs_and_no_other_has_a_lobe(made: MadeChest, found: LobeSegmentation) -> None:
    assert np.array_equal(found.labels.data > 0, made.lungs.data > 0)
    right = np.isin(found.labels.data, (Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE, Lobe.RIGHT_LOWER))
    assert np.array_equal(right, made.lungs.data == 1)


def test_without_fissures_the_lobes_are_those_of_the_prior_and_flagged(made: MadeChest) -> None:
    blank = make_chest((2.0, 2.0, 2.0), weights=(0.0,), plates=False)
    found = find_lobes(blank.volume, blank.lungs)
    assert min(dice(found.labels.data, blank.lobes)) > 0.9
    assert all(percent < 5 for percent in found.seen.values())
    (flag,) = (flag for flag in check_lobes(found) if flag.code is FlagCode.LOBES_FROM_PRIOR)
    assert set(flag.regions) == {region.name for region in LOBES.regions}
    assert flag.message.startswith(
        "Of the right oblique fissure 0 %, of the right horizontal fissure 0 % and of "
    )


def test_a_fissure_that_alone_is_not_seen_is_named_alone(found: LobeSegmentation) -> None:
    less = replace(found, seen={**found.seen, Fissure.RIGHT_HORIZONTAL: 7.4})
    (flag,) = check_lobes(less)
    assert flag.regions == ("right_upper_lobe", "right_middle_lobe")
    assert flag.message.startswith("Of the right horizontal fissure 7 % is seen, less than 20 %")


@pytest.mark.slow
def test_axes_in_another_order_give_the_same_lobes(made: MadeChest, found: LobeSegmentation) -> None:
    turn = nib.orientations.axcodes2ornt("LIP")  # left, inferior, posterior
    turned = Volume(
        nib.apply_orientation(made.volume.hu, turn),
        made.volume.affine @ nib.orientations.inv_ornt_aff(turn, made.volume.shape),
    )
    lungs = LabelVolume.on_grid_of(turned, nib.apply_orientation(made.lungs.data, turn))
    again = find_lobes(turned, lungs)
    assert np.array_equal(again.labels.data, nib.apply_orientation(found.labels.data, turn))


@pytest.mark.slow
def test_the_lobes_of_cut_lungs_are_those_of_whole_ones(found: LobeSegmentation) -> None:
    planes = slice(0, 110)
    cut = make_chest(planes=planes)
    again = find_lobes(cut.volume, cut.lungs)
    same = again.labels.data == found.labels.data[:, :, planes]
    assert same[cut.lungs.data > 0].mean() > 0.97


@pytest.mark.slow
def test_one_lung_gives_its_own_lobes(right_only: tuple[MadeChest, LobeSegmentation]) -> None:
    chest, found = right_only
    assert set(np.unique(found.labels.data)) == {0, Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE, Lobe.RIGHT_LOWER}
    assert min(dice(found.labels.data, chest.lobes)[2:]) > 0.95
    measures = measure_lobes(chest.volume, found)
    assert measures["left_upper_lobe"]["volume"].value is None
    assert measures["left_oblique_fissure"]["fissure_seen"].reason == "No left lung was found in this scan."
    assert measures["right_middle_lobe"]["volume"].value is not None


def test_every_measure_is_given_by_lobe_and_volumes_add_up(made: MadeChest, found: LobeSegmentation) -> None:
    measures = measure_lobes(made.volume, found)
    assert set(measures) == {*(region.name for region in LOBES.regions), *(f.region for f in Fissure)}
    assert all(set(measures[region.name]) == set(REGISTRY) for region in LOBES.regions)
    total = sum(measures[region.name]["volume"].value or 0 for region in LOBES.regions)
    voxels = np.count_nonzero(made.lungs.data)
    assert total == pytest.approx(voxels * made.volume.voxel_volume_ml)
    for fissure in Fissure:
        assert measures[fissure.region]["fissure_seen"].value == found.seen[fissure]
    assert measures.formulae["fissure_seen"]["formula"] == FISSURE_SEEN.formula


def test_a_flag_that_withholds_values_of_a_lung_withholds_those_of_its_lobes(
    made: MadeChest, found: LobeSegmentation
) -> None:
    cut = Flag(FlagCode.CUT_SIDE, Severity.ERROR, "It is cut.", ("left_lung", "lungs"), ("volume",))
    measures = measure_lobes(made.volume, found, [cut])
    for lobe in ("left_upper_lobe", "left_lower_lobe"):
        assert measures[lobe]["volume"].reason == "It is cut."
        assert measures[lobe]["mean_hu"].value is not None
    assert measures["right_lower_lobe"]["volume"].value is not None
    assert measures.flags == (cut,)


@pytest.mark.slow
def test_of_lungs_that_the_scan_cuts_the_lobes_that_are_whole_keep_their_volume(made: MadeChest) -> None:
    cut = make_chest(planes=slice(40, None))
    found = find_lobes(cut.volume, cut.lungs)
    flags = [
        Flag(FlagCode.CUT_BOTTOM, Severity.ERROR, "It is cut.", (side, "lungs"), ("volume",))
        for side in ("right_lung", "left_lung")
    ]
    measures = measure_lobes(cut.volume, found, flags)
    known = {region.name for region in LOBES.regions if measures[region.name]["volume"].value is not None}
    lowest = {LOBES[value].name for value in np.unique(found.labels.data[:, :, 0]) if value}
    assert "left_lower_lobe" in lowest
    assert known == {region.name for region in LOBES.regions} - lowest
    assert "right_upper_lobe" in known


def test_a_lobe_that_is_nearly_gone_is_flagged(found: LobeSegmentation) -> None:
    data = found.labels.data.copy()
    data[data == Lobe.RIGHT_MIDDLE] = Lobe.RIGHT_UPPER
    gone = replace(found, labels=LabelVolume(data, found.labels.affine, LOBES))
    flag = next(flag for flag in check_lobes(gone) if flag.code is FlagCode.LOBE_SMALL)
    assert flag.regions == ("right_middle_lobe",)


@pytest.mark.parametrize(
    ("change", "words"),
    [("spacing", "no voxel size"), ("slices", "too few slices"), ("height", "from head to foot")],
)
def test_a_scan_that_cannot_show_lobes_has_none_and_says_why(
    made: MadeChest, change: str, words: str
) -> None:
    volume, lungs = made.volume, made.lungs
    if change == "spacing":
        volume = replace(volume, meta=replace(volume.meta, spacing_known=False))
    else:
        planes = slice(80, 85 if change == "slices" else 100)
        volume = Volume(volume.hu[:, :, planes], volume.affine)
        lungs = LabelVolume.on_grid_of(volume, lungs.data[:, :, planes])
    found = find_lobes(volume, lungs)
    assert not found.labels.data.any()
    (flag,) = check_lobes(found)
    assert flag.code is FlagCode.LOBES_NOT_FOUND
    assert words in flag.message
    values = measure_lobes(volume, found)
    assert values["right_oblique_fissure"]["fissure_seen"].value is None
    assert values["left_upper_lobe"]["volume"].value is None

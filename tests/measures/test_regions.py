from __future__ import annotations

import numpy as np
import pytest

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, LabelInfo, LabelSet
from hilum.core.volume import Volume
from hilum.measures import collect, compute, regions_of

REGIONS = regions_of(LUNGS)
NAMES = [region.name for region in REGIONS]


def sizes(volume, labels):
    voxels = collect(volume, LabelVolume.on_grid_of(volume, labels))
    return {region.name: voxels.sample(region).size for region in REGIONS}


def test_names():
    assert NAMES[:3] == ["right_lung", "left_lung", "lungs"]
    assert len(NAMES) == len(set(NAMES)) == 21
    assert "left_lung_mid_ap" in NAMES
    assert "lungs_basal" in NAMES


def test_thirds_lie_where_they_are_named():
    hu = np.full((4, 6, 9), -800, np.int16)
    labels = np.ones(hu.shape, np.uint8)
    hu[:, 4:, :] = -700  # front
    hu[:, :, 6:] -= 200  # head
    volume = Volume(hu, np.diag([1.0, 2.0, 3.0, 1.0]))
    measures = compute(volume, LabelVolume.on_grid_of(volume, labels))
    apart = {name: entry["mean_hu"].value for name, entry in measures.items()}
    assert apart["right_lung_ventral"] - apart["right_lung_dorsal"] == pytest.approx(100)
    assert apart["right_lung_apical"] == pytest.approx(apart["right_lung_basal"] - 200)
    assert apart["right_lung_middle"] == pytest.approx(apart["right_lung_basal"])


def test_each_lung_is_divided_into_thirds_by_its_own_extent():
    labels = np.zeros((4, 12, 12), np.uint8)
    labels[0:2, :, 0:3] = 2
    labels[2:4, 3:9, 3:12] = 1
    got = sizes(Volume(np.full(labels.shape, -800, np.int16), np.eye(4)), labels)
    assert got["left_lung_apical"] == got["left_lung_basal"] == 24
    assert got["right_lung_ventral"] == got["right_lung_mid_ap"] == 2 * 2 * 9


def test_thirds_sum_up(two_lungs):
    got = sizes(*two_lungs)
    for lung in ("right_lung", "left_lung", "lungs"):
        assert sum(got[f"{lung}_{part}"] for part in ("ventral", "mid_ap", "dorsal")) == got[lung]
        assert sum(got[f"{lung}_{part}"] for part in ("apical", "middle", "basal")) == got[lung]
    assert got["lungs"] == got["right_lung"] + got["left_lung"]
    assert got["lungs_dorsal"] == got["right_lung_dorsal"] + got["left_lung_dorsal"]


def test_oblique_grid():
    """A box rotated against the grid is split along the patient's axis, not along the grid's."""
    angle = np.deg2rad(30)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * 1.5
    affine[:3, 3] = (5.0, -70.0, 900.0)
    labels = np.ones((3, 20, 24), np.uint8)
    index = np.indices(labels.shape).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    hu = (-(world[2] - world[2].min()) * 10).reshape(labels.shape).round().astype(np.int16)
    got = collect(Volume(hu, affine), LabelVolume.on_grid_of(Volume(hu, affine), labels))
    half = 1.5 * (np.sin(angle) + np.cos(angle)) / 2
    low, high = world[2].min() - half, world[2].max() + half
    apical = int((world[2] > low + 2 * (high - low) / 3).sum())
    by_name = {region.name: got.sample(region) for region in REGIONS}
    assert by_name["right_lung_apical"].size == apical
    # hu falls with height, so the thirds do not overlap in HU
    assert by_name["right_lung_apical"].high <= by_name["right_lung_middle"].low
    assert by_name["right_lung_middle"].high <= by_name["right_lung_basal"].low


@pytest.mark.parametrize("shape", [(30, 30, 1), (30, 1, 30), (30, 30, 2)])
def test_a_flat_lung_has_no_thirds_across(shape):
    measures = compute(
        Volume(np.full(shape, -800, np.int16), np.eye(4)),
        LabelVolume.on_grid_of(Volume(np.full(shape, -800, np.int16), np.eye(4)), np.ones(shape, np.uint8)),
    )
    across = "ventral" if shape[1] == 1 else "apical"
    along = "apical" if shape[1] == 1 else "ventral"
    assert measures[f"right_lung_{across}"]["mean_hu"].value is None
    assert "three voxel layers" in measures[f"right_lung_{across}"]["mean_hu"].reason
    assert measures[f"right_lung_{along}"]["mean_hu"].value == -800


def test_large_lungs_are_read_in_chunks(monkeypatch, two_lungs):
    whole = sizes(*two_lungs)
    monkeypatch.setattr("hilum.measures.regions._CHUNK_VOXELS", 100)
    assert sizes(*two_lungs) == whole


def test_labels_with_gaps_between_their_values_are_measured_like_others(two_lungs):
    """Regions come from the label set: other values in another order give the same voxels."""
    volume, labels = two_lungs
    swapped = LabelSet(
        name="swapped",
        version="1",
        definition="The lungs by other values.",
        labels=(
            LabelInfo(9, "far", "Far", (0, 0, 255), "44029006"),
            LabelInfo(4, "near", "Near", (255, 0, 0), "3341006"),
        ),
    )
    values = np.array([0, 4, 9], np.uint8)[labels]
    voxels = collect(volume, LabelVolume.on_grid_of(volume, values, swapped))
    got = {region.name: voxels.sample(region).size for region in regions_of(swapped)}
    assert list(got)[:3] == ["far", "near", "far_ventral"]
    own = sizes(volume, labels)
    for part in ("", "_dorsal", "_apical"):
        assert got[f"near{part}"] == own[f"right_lung{part}"]
        assert got[f"far{part}"] == own[f"left_lung{part}"]

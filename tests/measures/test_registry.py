from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hilum.measures import AERATION, REGISTRY, Group, Sample, describe

IDS = [
    "volume", "air_volume", "tissue_mass", "air_volume_edge", "tissue_mass_edge", "air_tissue_ratio",
    "mean_hu", "sd_hu", "skewness_hu", "kurtosis_hu", "hu_p05", "hu_p15", "hu_p50", "hu_p85", "hu_p95",
    "laa_950", "laa_910", "haa",
    "aeration_hyper", "aeration_hyper_mass", "aeration_normal", "aeration_normal_mass", "aeration_poor",
    "aeration_poor_mass", "aeration_non", "aeration_non_mass", "aeration_outside", "aeration_outside_mass",
]  # fmt: skip


def value(measure, *hu, voxel_ml=1.0):
    values, counts = np.unique(np.array(hu), return_counts=True)
    return REGISTRY[measure].compute(Sample(values, counts), voxel_ml)


def test_ids_are_those_of_the_contract():
    assert list(REGISTRY) == IDS


def test_every_entry_says_what_it_is():
    for id_, entry in REGISTRY.items():
        assert entry.id == id_
        assert all([entry.title, entry.formula_id, entry.formula_version, entry.formula, entry.source])
        assert entry.invalidated_by
        assert not any(id_.endswith("_" + unit) for unit in ("ml", "g", "percent"))
    assert len({entry.formula_id for entry in REGISTRY.values()}) == len(REGISTRY)
    assert [entry["id"] for entry in describe()] == IDS


def test_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        REGISTRY["volume"] = None


@pytest.mark.parametrize(
    ("hu", "air", "mass"),
    [(-1000, 1.0, 0.0), (-800, 0.8, 0.2), (0, 0.0, 1.0), (-1024, 1.0, 0.0), (50, 0.0, 1.05)],
)
def test_air_and_mass_of_one_millilitre(hu, air, mass):
    assert value("air_volume", hu) == pytest.approx(air)
    assert value("tissue_mass", hu) == pytest.approx(mass)


def test_amounts_scale_with_the_voxel():
    assert value("volume", -800, -800, voxel_ml=0.25) == 0.5
    assert value("tissue_mass", -800, -600, voxel_ml=0.5) == pytest.approx(0.3)
    assert value("air_tissue_ratio", -800, voxel_ml=0.5) == pytest.approx(4.0)


def test_thresholds_are_strict_where_they_say_so():
    assert value("laa_950", -951, -950) == 50.0
    assert value("laa_910", -911, -910) == 50.0
    assert value("haa", -601, -600, -251, -250) == 50.0


@pytest.mark.parametrize("name", AERATION)
def test_compartments_are_half_open(name):
    low, high = AERATION[name]
    assert value(f"aeration_{name}", low - 1, low, high - 1, high) == 50.0


def test_compartments_touch():
    ends = sorted(AERATION.values())
    assert [b for _, b in ends[:-1]] == [a for a, _ in ends[1:]]
    assert (ends[0][0], ends[-1][1]) == (-1000, 100)


def test_compartments_by_mass():
    # 0.2 g, 0.6 g, 1.2 g: of 2 g
    assert value("aeration_normal_mass", -800, -400, 200) == pytest.approx(10.0)
    assert value("aeration_poor_mass", -800, -400, 200) == pytest.approx(30.0)
    assert value("aeration_outside_mass", -800, -400, 200) == pytest.approx(60.0)


def test_voxels_outside_the_compartments_are_counted():
    assert value("aeration_outside", -1001, -1000, 99, 100) == 50.0


def test_shape_of_the_histogram():
    hu = np.random.default_rng(1).gamma(2.0, 60.0, 500).round().astype(int) - 950
    assert value("sd_hu", *hu) == pytest.approx(hu.std())
    assert value("skewness_hu", *hu) == pytest.approx(stats.skew(hu))
    assert value("kurtosis_hu", *hu) == pytest.approx(stats.kurtosis(hu))


def test_undefined_values_are_null_with_a_reason():
    for measure, hu in (("skewness_hu", -800), ("kurtosis_hu", -800), ("air_tissue_ratio", -1010),
                        ("aeration_non_mass", -1000)):  # fmt: skip
        assert value(measure, hu, hu) is None
        assert REGISTRY[measure].undefined


def test_groups():
    assert {REGISTRY[i].group for i in ("air_volume", "tissue_mass")} == {Group.MASS}
    assert REGISTRY["volume"].group is Group.VOLUME
    assert {e.group for e in REGISTRY.values()} == {Group.VOLUME, Group.MASS, Group.DENSITY}

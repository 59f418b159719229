from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hilum.core.errors import UsageError
from hilum.core.flags import Flag, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import ScanMeta, Volume
from hilum.measures import collect, compute

BASELINE = Path(__file__).parent / "baseline.json"
SHARES = ("aeration_hyper", "aeration_normal", "aeration_poor", "aeration_non", "aeration_outside")


def numbers(measures):
    return {(r, m): v.value for r, values in measures.items() for m, v in values.items()}


def same(one, two, rel=1e-9):
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert two[key] == (None if value is None else pytest.approx(value, rel=rel, abs=1e-9)), key


def test_constant_lung():
    hu = np.full((10, 10, 10), -750, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[:6] = 2
    labels[6:] = 1
    lungs = compute(
        Volume(hu, np.diag([2.0, 2.0, 5.0, 1.0])),
        LabelVolume.on_grid_of(Volume(hu, np.diag([2.0, 2.0, 5.0, 1.0])), labels),
    )["lungs"]
    assert lungs["volume"].value == pytest.approx(20.0)
    assert lungs["air_volume"].value == pytest.approx(15.0)
    assert lungs["tissue_mass"].value == pytest.approx(5.0)
    assert lungs["air_tissue_ratio"].value == pytest.approx(3.0)
    assert lungs["aeration_normal"].value == lungs["aeration_normal_mass"].value == 100.0
    assert lungs["skewness_hu"].value is None
    assert lungs["volume"].unit == "mL"


def test_ramp():
    """HU -1000 .. -1: a thousand voxels, one of each value."""
    hu = np.arange(-1000, 0).reshape(10, 10, 10).astype(np.int16)
    right = compute(
        Volume(hu, np.eye(4)), LabelVolume.on_grid_of(Volume(hu, np.eye(4)), np.ones(hu.shape, np.uint8))
    )["right_lung"]
    assert right["mean_hu"].value == pytest.approx(-500.5)
    assert right["hu_p50"].value == pytest.approx(-500.5)
    assert right["laa_950"].value == pytest.approx(5.0)
    assert right["haa"].value == pytest.approx(35.0)
    assert right["aeration_hyper"].value == pytest.approx(10.0)
    assert right["aeration_non"].value == pytest.approx(10.0)
    assert right["tissue_mass"].value == pytest.approx(0.4995)


def test_sheared_grid_has_the_volume_of_its_cells():
    affine = np.eye(4)
    affine[0, 1] = 0.5
    measures = compute(
        Volume(np.full((10, 10, 10), -800, np.int16), affine),
        LabelVolume.on_grid_of(
            Volume(np.full((10, 10, 10), -800, np.int16), affine), np.ones((10, 10, 10), np.uint8)
        ),
    )
    assert measures["right_lung"]["volume"].value == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int16, (4, 5, 6), elements=st.integers(-1000, 0)))
def test_air_and_tissue_make_the_volume(hu):
    measures = compute(
        Volume(hu, np.diag([0.7, 0.8, 1.3, 1.0])),
        LabelVolume.on_grid_of(Volume(hu, np.diag([0.7, 0.8, 1.3, 1.0])), np.ones(hu.shape, np.uint8)),
    )
    right = measures["right_lung"]
    total = right["air_volume"].value + right["tissue_mass"].value
    assert total == pytest.approx(right["volume"].value)
    assert measures.flags == ()


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (4, 5, 6), elements=st.floats(-1100, 500, width=32)))
def test_shares_sum_to_the_whole(hu):
    right = compute(
        Volume(hu, np.eye(4)), LabelVolume.on_grid_of(Volume(hu, np.eye(4)), np.ones(hu.shape, np.uint8))
    )["right_lung"]
    assert sum(right[m].value for m in SHARES) == pytest.approx(100.0)
    by_mass = [right[f"{m}_mass"].value for m in SHARES]
    if None not in by_mass:
        assert sum(by_mass) == pytest.approx(100.0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([0, 1, 2]), flips=st.tuples(*[st.booleans()] * 3))
def test_orientation_does_not_matter(two_lungs, order, flips):
    volume, labels = two_lungs
    affine = volume.affine[:, [*order, 3]].copy()
    hu, mask = volume.hu.transpose(order), labels.transpose(order)
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
            affine[:3, axis] *= -1
            hu, mask = np.flip(hu, axis), np.flip(mask, axis)
    same(
        numbers(compute(volume, LabelVolume.on_grid_of(volume, labels))),
        numbers(
            compute(
                Volume(hu, affine), LabelVolume.on_grid_of(Volume(hu, affine), np.ascontiguousarray(mask))
            )
        ),
    )


def test_float_and_integer_scans_agree(two_lungs):
    volume, labels = two_lungs
    as_float = Volume(volume.hu.astype(np.float32), volume.affine)
    same(
        numbers(compute(volume, LabelVolume.on_grid_of(volume, labels))),
        numbers(compute(as_float, LabelVolume.on_grid_of(as_float, labels))),
    )


def test_voxels_may_be_given(two_lungs):
    volume, labels = two_lungs
    assert compute(
        volume,
        LabelVolume.on_grid_of(volume, labels),
        voxels=collect(volume, LabelVolume.on_grid_of(volume, labels)),
    ) == compute(volume, LabelVolume.on_grid_of(volume, labels))


def test_baseline(two_lungs):
    """Stored values: a change of any of them is a change of a formula and needs a new formula version."""
    got = compute(two_lungs[0], LabelVolume.on_grid_of(*two_lungs)).as_dict()
    stored = json.loads(BASELINE.read_text())
    assert got.keys() == stored.keys()
    for region, values in stored.items():
        assert got[region].keys() == values.keys()
        for name, value in values.items():
            expected = None if value is None else pytest.approx(value, rel=1e-5)
            assert got[region][name]["value"] == expected, (region, name)


def test_input_is_left_alone(two_lungs):
    volume, labels = two_lungs
    before = volume.hu.copy(), labels.copy()
    compute(volume, LabelVolume.on_grid_of(volume, labels))
    assert (volume.hu == before[0]).all()
    assert (labels == before[1]).all()


# What cannot be known -------------------------------------------------------------------------------------


def test_missing_lung(two_lungs):
    volume, labels = two_lungs
    measures = compute(
        volume, LabelVolume.on_grid_of(volume, np.where(labels == 1, labels, 0).astype(np.uint8))
    )
    assert {v.value for v in measures["left_lung"].values()} == {None}
    assert measures["left_lung"]["volume"].reason == "No left lung was found in this scan."
    assert measures["lungs"]["volume"].reason == "Only the right lung was found in this scan."
    assert measures["lungs"]["tissue_mass"].value is None
    assert measures["lungs"]["mean_hu"].value == measures["right_lung"]["mean_hu"].value
    assert measures["lungs_apical"]["mean_hu"].value is None
    assert measures["right_lung_apical"]["volume"].value is not None


def test_empty_mask(two_lungs):
    measures = compute(
        two_lungs[0], LabelVolume.on_grid_of(two_lungs[0], np.zeros(two_lungs[1].shape, np.uint8))
    )
    assert all(v.value is None and v.reason for values in measures.values() for v in values.values())
    assert measures["lungs"]["volume"].reason == "No lung was found in this scan."


def test_unknown_spacing(two_lungs):
    volume, labels = two_lungs
    bare = Volume(volume.hu, volume.affine, ScanMeta(spacing_known=False))
    lungs = compute(bare, LabelVolume.on_grid_of(bare, labels))["lungs"]
    for measure in ("volume", "air_volume", "tissue_mass"):
        assert lungs[measure].value is None
        assert "voxel size" in lungs[measure].reason
    assert lungs["aeration_normal"].value is not None
    assert lungs["air_tissue_ratio"].value is not None


def test_flags_withhold_their_groups(two_lungs):
    cut = Flag(
        "cut_top",
        Severity.ERROR,
        "A long sentence.",
        ("right_lung", "lungs"),
        ("volume", "mass", "thirds"),
        "The right lung is cut.",
    )
    measures = compute(two_lungs[0], LabelVolume.on_grid_of(*two_lungs), [cut])
    assert measures["right_lung"]["volume"].reason == "The right lung is cut."
    assert measures["lungs"]["air_volume"].value is None
    assert measures["right_lung"]["mean_hu"].value is not None
    assert measures["right_lung_apical"]["mean_hu"].value is None
    assert measures["left_lung"]["volume"].value is not None
    assert measures["left_lung_apical"]["tissue_mass"].value is not None
    assert measures.flags == (cut,)


def test_worst_flag_gives_the_reason(two_lungs):
    flags = [
        Flag("a", Severity.WARNING, "Mild.", forbids=("density",)),
        Flag("b", Severity.ERROR, "Grave.", forbids=("all",)),
    ]
    assert (
        compute(two_lungs[0], LabelVolume.on_grid_of(*two_lungs), flags)["lungs"]["mean_hu"].reason
        == "Grave."
    )


def test_broken_arithmetic_is_not_printed(two_lungs, monkeypatch, caplog):
    monkeypatch.setattr("hilum.measures.engine.air_ml", lambda sample, voxel_ml: 0.0)
    hu = np.full((4, 4, 4), -800, np.int16)
    measures = compute(
        Volume(hu, np.eye(4)), LabelVolume.on_grid_of(Volume(hu, np.eye(4)), np.ones(hu.shape, np.uint8))
    )
    assert [flag.code for flag in measures.flags] == ["identity_failed"]
    assert measures["right_lung"]["volume"].value is None
    assert "identity" in caplog.text


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.ones((2, 2, 2), np.uint8), "shape"),
        (np.ones((4, 4, 4)), "type"),
        (np.full((4, 4, 4), 3), "values"),
        (np.full((4, 4, 4), -1), "values"),
    ],
)
def test_wrong_labels(labels, says):
    with pytest.raises(UsageError, match=says):
        compute(
            Volume(np.zeros((4, 4, 4), np.int16), np.eye(4)),
            LabelVolume.on_grid_of(Volume(np.zeros((4, 4, 4), np.int16), np.eye(4)), labels),
        )


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_metal_counts_in_the_volume_and_nowhere_else(two_lungs, kind):
    volume, labels = two_lungs
    hu = volume.hu.astype(kind)
    holes = labels.copy()
    hu[12:14, 4:6, 3:6], holes[12:14, 4:6, 3:6] = 3071, 0
    got = compute(Volume(hu, volume.affine), LabelVolume.on_grid_of(Volume(hu, volume.affine), labels))
    without, before = (
        compute(Volume(hu, volume.affine), LabelVolume.on_grid_of(Volume(hu, volume.affine), holes)),
        compute(volume, LabelVolume.on_grid_of(volume, labels)),
    )
    for region in ("right_lung", "lungs"):
        for name in got[region]:
            if name.endswith("_edge"):  # a hole in the mask has a boundary, metal inside it has none
                continue
            expected = (before if name == "volume" else without)[region][name].value
            assert got[region][name].value == pytest.approx(expected), (region, name)
    (flag,) = got.flags
    assert (flag.code, flag.regions) == ("metal", ("right_lung", "lungs"))
    assert "0.11 mL (12 voxels)" in flag.message


def test_a_third_of_metal_only_has_a_volume_and_no_density(two_lungs):
    volume, labels = two_lungs
    hu = volume.hu.copy()
    hu[:, :, 8:] = 3071
    part = compute(Volume(hu, volume.affine), LabelVolume.on_grid_of(Volume(hu, volume.affine), labels))[
        "right_lung_apical"
    ]
    assert part["volume"].value is not None
    assert part["mean_hu"].value is part["tissue_mass"].value is None
    assert "metal" in part["mean_hu"].reason


def test_bone_and_calcium_are_not_metal(two_lungs):
    volume, labels = two_lungs
    hu = volume.hu.copy()
    hu[12:14, 4:6, 3:6] = 3000
    got = compute(Volume(hu, volume.affine), LabelVolume.on_grid_of(Volume(hu, volume.affine), labels))
    assert got.flags == ()
    assert (
        got["lungs"]["tissue_mass"].value
        > compute(volume, LabelVolume.on_grid_of(volume, labels))["lungs"]["tissue_mass"].value
    )

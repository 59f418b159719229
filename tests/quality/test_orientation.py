"""A header that is wrong about an axis is flagged, by axis; a correct one is not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import hilum
from hilum.core.flags import FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.volume import Volume
from hilum.io import read, read_labels
from hilum.quality import check_segmentation
from hilum.quality.orientation import look, odd_across, odd_back, shipped_weights
from hilum.synthesis.phantoms import make_phantom
from support.real_data import DATA, needs_data

AXES = ("left_right_suspect", "front_back_suspect", "head_foot_suspect")
IMAGES = [axes for n in range(4) for axes in itertools.combinations(range(3), n)]
SPACING = (5.0, 5.0, 5.0)


def suspects(volume, labels):
    flags = check_segmentation(
        volume, Segmentation(LabelVolume.on_grid_of(volume, labels), ModelInfo("given", ""))
    )
    return {f.code: f for f in flags if f.code in AXES}


def turned(volume, labels, axes):
    """The voxels turned over along axes, under the same header; labels say the side by it."""
    labels = np.flip(labels, axes)
    sides = np.array([0, 2, 1] if 0 in axes else [0, 1, 2], np.uint8)
    return replace(volume, hu=np.flip(volume.hu, axes)), sides[labels]


@pytest.fixture(scope="module")
def chest():
    return make_phantom(seed=3, spacing=SPACING, orientation="RAS")


@pytest.mark.parametrize("axes", IMAGES)
def test_each_wrong_axis_is_flagged_and_no_other(chest, axes):
    found = suspects(*turned(chest.volume, chest.labels, axes))
    assert set(found) == {AXES[axis] for axis in axes}
    for code, flag in found.items():
        assert flag.severity is Severity.WARNING
        assert flag.forbids == ()
        assert Severity.WARNING in FlagCode.of(code).severities
        mirrored = "not mirrored" if len(axes) == 2 else "mirror"
        assert mirrored in flag.message


@pytest.mark.parametrize(
    "kind",
    [
        {"prone": True},
        {"size": 0.4, "spacing": (2.5, 2.5, 2.5)},
        {"oblique_deg": (8.0, 5.0, 10.0)},
        {"coverage": (0.45, 1.0)},
        {"coverage": (0.0, 0.5)},
        {"injury": {"effusion": 0.8}},
        {"injury": {"pneumothorax": 0.8}},
        {"injury": {"atelectasis": 0.9}},
    ],
    ids=str,
)
def test_other_bodies_under_a_right_header_are_left_alone(kind):
    unusual = make_phantom(**{"seed": 5, "spacing": SPACING, **kind})
    assert suspects(unusual.volume, unusual.labels) == {}


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize("marked", [True, False])
def test_a_removed_lung_is_not_flagged_as_mirrored(chest, side, marked):
    """Fluid where a lung was, whether the mask holds it or not."""
    hu = np.where(chest.labels == side, np.int16(20), chest.volume.hu)
    labels = chest.labels if marked else np.where(chest.labels == side, 0, chest.labels).astype(np.uint8)
    assert suspects(replace(chest.volume, hu=hu), labels) == {}


def test_a_single_slice_shows_only_front_from_back(chest):
    middle = chest.labels.shape[2] // 2
    part = (slice(None), slice(None), slice(middle, middle + 1))
    volume, labels = Volume(chest.volume.hu[part], chest.volume.affine), chest.labels[part]
    assert suspects(volume, labels) == {}
    assert set(suspects(*turned(volume, labels, (1,)))) == {"front_back_suspect"}
    assert suspects(*turned(volume, labels, (0,))) == {}


@pytest.mark.parametrize("side", [1, 2])
def test_a_lung_cut_by_the_side_of_the_scan_is_not_flagged_as_mirrored(chest, side):
    """The grid round what is left of the lungs stands askew, as if the heart had moved."""
    across = np.flatnonzero((chest.labels == side).any((1, 2)))
    middle = int(across[across.size // 2])
    part = slice(0, middle) if side == 1 else slice(middle, None)  # +x is the patient's right
    volume = Volume(chest.volume.hu[part], chest.volume.affine)
    assert suspects(volume, chest.labels[part]) == {}
    assert set(suspects(*turned(volume, chest.labels[part], (2,)))) == {"head_foot_suspect"}


def test_no_flag_without_a_known_orientation(chest):
    volume, labels = turned(chest.volume, chest.labels, (0, 1, 2))
    assert suspects(replace(volume, meta=replace(volume.meta, orientation_known=False)), labels) == {}


def test_check_flags_an_upside_down_mirror_image(chest):
    volume, _ = turned(chest.volume, chest.labels, (0, 2))
    assert {f.code for f in hilum.check(volume)} >= {AXES[0], AXES[2]}


def test_features_change_sign_with_the_image(chest):
    planes = look(chest.volume.hu, chest.labels > 0, SPACING)
    across, back = odd_across(planes.cells, planes.height), odd_back(planes.cells)
    assert np.allclose(odd_across(planes.cells[:, :, ::-1], planes.height), -across, atol=1e-6)
    assert np.allclose(odd_back(planes.cells[..., ::-1]), -back, atol=1e-6)
    assert np.allclose(odd_back(planes.cells[:, :, ::-1]), back, atol=1e-6)
    assert shipped_weights().right_left.shape == across.shape[1:]


def test_too_little_lung_gives_no_flag():
    lungs = np.zeros((30, 30, 30), bool)
    lungs[5:7, 5:7, 5:7] = True
    assert look(np.zeros(lungs.shape, np.int16), lungs, SPACING) is None


@pytest.mark.real
@needs_data
@pytest.mark.parametrize("name", ["imlab-001", "imlab-002", "imlab-003"])
def test_held_out_real_scans(name):
    folder = DATA / "volumes"
    scan = read(folder / f"{name}.nii.gz")
    own = read_labels(folder / f"{name}_lungs.nii.gz", scan)
    both = Volume((own > 0).astype(np.int16), scan.affine, scan.meta).canonical().hu
    volume = scan.canonical()
    middle = np.average(np.arange(both.shape[0]), weights=both.sum((1, 2)))
    labels = (both * np.where(np.arange(both.shape[0]) > middle, 1, 2)[:, None, None]).astype(np.uint8)
    for axes in IMAGES:
        found, wrong = set(suspects(*turned(volume, labels, axes))), {AXES[axis] for axis in axes}
        assert found <= wrong
        assert wrong - found <= ({AXES[0]} if len(axes) > 1 else set())

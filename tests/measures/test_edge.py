from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from hilum.core.label_volume import LabelVolume
from hilum.core.volume import ScanMeta, Volume
from hilum.measures import collect, compute
from hilum.measures.bits import Bits

LUNG, WALL = -850.0, 40.0


def measured(hu, labels, spacing=(1.0, 1.0, 1.0)):
    volume = Volume(hu, np.diag([*spacing, 1.0]), ScanMeta())
    return compute(volume, LabelVolume.on_grid_of(volume, labels.astype(np.uint8)))


def ball(radius=22.0, spacing=(1.0, 1.0, 1.0), blur=0.0, noise=0.0, lung=LUNG):
    """A ball of lung in tissue: voxels are means over finer points, then blurred; the truth in mL."""
    fine = 5
    size = [int(np.ceil((2 * radius + 20) / step)) for step in spacing]
    lines = [
        (np.arange(n * fine) + 0.5) * step / fine - n * step / 2
        for n, step in zip(size, spacing, strict=True)
    ]
    x, y, z = np.meshgrid(*lines, indexing="ij", sparse=True)
    share = (x**2 + y**2 + z**2 <= radius**2).astype(np.float32)
    share = share.reshape(size[0], fine, size[1], fine, size[2], fine).mean(axis=(1, 3, 5))
    hu = WALL + (lung - WALL) * share
    if blur:
        hu = ndimage.gaussian_filter(hu, [blur / step for step in spacing])
    hu = hu + np.random.default_rng(3).normal(0.0, noise, hu.shape) if noise else hu
    return hu.astype(np.float32), share > 0.5, 4 / 3 * np.pi * radius**3 / 1000


@pytest.mark.parametrize(
    ("spacing", "blur", "noise"),
    [
        ((1.0, 1.0, 1.0), 0.0, 0.0),
        ((1.0, 1.0, 1.0), 0.65, 0.0),
        ((1.0, 1.0, 1.0), 0.65, 20.0),
        ((0.7, 0.7, 1.5), 0.65, 0.0),
        ((1.0, 1.0, 5.0), 0.65, 0.0),
        ((3.0, 3.0, 3.0), 0.0, 0.0),
    ],
)
def test_a_blurred_ball_of_lung_has_its_weight_and_air(spacing, blur, noise):
    hu, mask, volume = ball(spacing=spacing, blur=blur, noise=noise)
    lung = measured(hu, mask, spacing)["right_lung"]
    assert lung["tissue_mass_edge"].value == pytest.approx(volume * 0.15, rel=0.03)
    assert lung["air_volume_edge"].value == pytest.approx(volume * 0.85, rel=0.03)
    assert lung["tissue_mass"].value > 1.1 * volume * 0.15


def test_integers_and_floats_agree():
    hu, mask, _ = ball(blur=0.65)
    whole = np.round(hu)
    as_float = measured(whole, mask)["right_lung"]["tissue_mass_edge"].value
    assert measured(whole.astype(np.int16), mask)["right_lung"]["tissue_mass_edge"].value == pytest.approx(
        as_float, rel=1e-6
    )


def test_memory_order_and_axes_do_not_matter():
    hu, mask, _ = ball(blur=0.65)
    right = measured(hu, mask)["right_lung"]["tissue_mass_edge"].value
    turned = measured(np.asfortranarray(hu), np.asfortranarray(mask))["right_lung"]["tissue_mass_edge"].value
    assert turned == pytest.approx(right, rel=1e-5)


def test_dense_lung_is_not_corrected():
    hu, mask, _ = ball(lung=-300.0, blur=0.65)
    lung = measured(hu, mask)["right_lung"]
    assert lung["tissue_mass_edge"].value == pytest.approx(lung["tissue_mass"].value)
    assert lung["air_volume_edge"].value == pytest.approx(lung["air_volume"].value)


def test_lung_in_air_is_not_corrected():
    hu, mask, _ = ball()
    hu[~mask] = -1000
    lung = measured(hu, mask)["right_lung"]
    assert lung["tissue_mass_edge"].value == pytest.approx(lung["tissue_mass"].value)


def test_nothing_is_negative_where_a_mask_holds_wall_alone():
    hu, mask, _ = ball()
    wrong = np.roll(mask, 9, axis=0) & ~mask
    for values in measured(hu, wrong).values():
        for name in ("tissue_mass_edge", "air_volume_edge"):
            assert values[name].value is None or values[name].value >= 0.0


def test_parts_sum_up():
    hu, mask, _ = ball(blur=0.65)
    labels = np.where(mask, 1, 0)
    labels[: labels.shape[0] // 2][mask[: labels.shape[0] // 2]] = 2
    got = measured(hu, labels)
    for name in ("tissue_mass_edge", "air_volume_edge"):
        whole = got["lungs"][name].value
        assert got["right_lung"][name].value + got["left_lung"][name].value == pytest.approx(whole)
        parts = [got[f"lungs_{part}"][name].value for part in ("ventral", "mid_ap", "dorsal")]
        assert sum(parts) == pytest.approx(whole)


def test_lungs_that_touch_have_no_boundary_between_them():
    hu = np.full((40, 20, 20), LUNG, np.float32)
    labels = np.ones(hu.shape, np.uint8)
    labels[:20] = 2
    got = measured(hu, labels)["lungs"]
    assert got["tissue_mass_edge"].value == pytest.approx(got["tissue_mass"].value)


def test_a_single_slice_is_corrected_in_its_plane():
    hu, mask, _ = ball(blur=0.65)
    middle = slice(hu.shape[2] // 2, hu.shape[2] // 2 + 1)
    lung = measured(hu[:, :, middle], mask[:, :, middle])["right_lung"]
    assert lung["tissue_mass_edge"].value == pytest.approx(np.pi * 22**2 / 1000 * 0.15, rel=0.03)


def test_a_lung_that_is_missing_has_a_reason():
    hu, mask, _ = ball()
    got = measured(hu, mask)
    assert got["left_lung"]["tissue_mass_edge"].value is None
    assert got["left_lung"]["tissue_mass_edge"].reason == "No left lung was found in this scan."


def test_a_mask_too_thin_for_medians_is_unknown():
    hu, mask, _ = ball()
    sheet = np.zeros_like(mask)
    sheet[30:32, 10:50, 10:50] = True
    lung = measured(hu, sheet)["right_lung"]
    assert lung["tissue_mass"].value is not None
    assert lung["tissue_mass_edge"].value is None
    assert "boundary" in lung["tissue_mass_edge"].reason


@pytest.mark.parametrize("length", [1, 8, 9, 23])
def test_packed_masks_grow_as_plain_ones(length):
    mask = np.random.default_rng(length).random((6, 7, length)) > 0.97
    grown = ndimage.maximum_filter(mask, (3, 5, 7), mode="constant")
    bits = Bits.of(mask).dilated((1, 2, 3))
    assert np.array_equal(np.stack(bits.index()), np.stack(np.nonzero(grown)))


def test_the_memory_for_the_boundary_is_that_of_a_layer():
    hu = np.full((60, 120, 120), WALL, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[5:-5, 8:-8, 8:-8] = 1 + (np.indices((50, 104, 104)).sum(axis=0) // 10 % 2)
    hu[labels == 1] = LUNG
    labels[labels == 2] = 0  # layers of lung in tissue: nearly every voxel is near a surface
    volume = Volume(hu, np.eye(4), ScanMeta())
    given = LabelVolume.on_grid_of(volume, labels)
    collect(volume, given)  # what is imported or cached at first
    tracemalloc.start()
    collect(volume, given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * hu.nbytes  # 5.7 measured; the index of the whole boundary takes 26

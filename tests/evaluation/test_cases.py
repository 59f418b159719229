from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.errors import GeometryError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import Side
from hilum.core.volume import Volume
from hilum.evaluation import METRICS, Case, Grid, SideChoice, evaluate_case
from hilum.measures import compute

SHAPE = (20, 24, 28)
GRID = Grid(pixel_mm=(1.0, 1.0), slice_mm=1.0, voxel_ml=0.001)
LUNGS = Side.LUNGS


def labels(*boxes, shape=SHAPE):
    out = np.zeros(shape, np.uint8)
    for value, low, high in boxes:
        out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return out


TEN = labels((1, (5, 5, 5), (15, 15, 15)))
EMPTY = np.zeros(SHAPE, np.uint8)
AIR = np.full(SHAPE, -1000, np.int16)


def score(prediction, reference, grid=GRID, hu=None, sides=SideChoice.AUTO):
    return evaluate_case(Case("7", "7", prediction, reference, grid, hu, sides)).values


def numbers(values):
    return {metric: entry.value for metric, entry in values.items()}


def test_equal_masks_are_perfect():
    values = numbers(score(TEN, TEN, hu=AIR + 500)[LUNGS])
    assert values == {
        "dice": 1,
        "iou": 1,
        "sensitivity": 1,
        "precision": 1,
        "hd95": 0,
        "assd": 0,
        "surface_dice_1": 1,
        "surface_dice_2": 1,
        "dense_recall": None,
        "volume_error": 0,
        "volume_error_percent": 0,
        "mass_error": 0,
        "mass_error_percent": 0,
    }


def test_shifted_cube_has_the_overlap_of_a_shifted_cube():
    moved = np.roll(TEN, 3, axis=2)
    values = numbers(score(moved, TEN, hu=np.full(SHAPE, -700, np.int16))[LUNGS])
    assert values["dice"] == pytest.approx(0.7)
    assert values["iou"] == pytest.approx(700 / 1300)
    assert values["sensitivity"] == values["precision"] == pytest.approx(0.7)
    assert values["hd95"] == pytest.approx(3)
    assert values["volume_error"] == values["mass_error"] == 0


def test_errors_are_signed_in_ml_and_g():
    larger = labels((1, (5, 5, 5), (15, 15, 17)))
    grid = Grid((2.0, 2.0), 2.5, 0.01)
    values = score(larger, TEN, grid, np.full(SHAPE, -800, np.int16))[LUNGS]
    assert values["volume_error"].value == pytest.approx(200 * 0.01)
    assert values["volume_error_percent"].value == pytest.approx(20)
    assert values["mass_error"].value == pytest.approx(200 * 0.01 * 0.2)
    assert values["mass_error_percent"].value == pytest.approx(20)
    assert (values["volume_error"].unit, values["mass_error"].unit) == ("mL", "g")
    smaller = score(TEN, larger, grid, np.full(SHAPE, -800, np.int16))[LUNGS]
    assert smaller["volume_error"].value == pytest.approx(-2)


def test_mass_is_that_of_hilum_measures():
    random = np.random.default_rng(5)
    hu = random.integers(-1100, 300, SHAPE).astype(np.int16)
    reference, prediction = (random.integers(0, 3, SHAPE).astype(np.uint8) for _ in range(2))
    volume = Volume(hu, np.diag([2.0, 0.7, 0.7, 1.0]))
    masses = [
        compute(volume, LabelVolume.on_grid_of(volume, mask), ())["lungs"]["tissue_mass"].value
        for mask in (prediction, reference)
    ]
    volumes = [
        compute(volume, LabelVolume.on_grid_of(volume, mask), ())["lungs"]["volume"].value
        for mask in (prediction, reference)
    ]
    values = score(prediction, reference, Grid((0.7, 0.7), 2.0, volume.voxel_volume_ml), hu)[LUNGS]
    assert values["mass_error"].value == pytest.approx(masses[0] - masses[1], rel=1e-4)
    assert values["volume_error"].value == pytest.approx(volumes[0] - volumes[1], rel=1e-4)
    table = np.maximum(hu.astype(float), -1000) + 1000
    wanted = (table[prediction > 0].sum() - table[reference > 0].sum()) / 1000 * volume.voxel_volume_ml
    assert values["mass_error"].value == pytest.approx(wanted)


def test_float_scan_with_holes():
    hu = np.full(SHAPE, -500, np.float32)
    hu[6, 6, 6] = np.nan
    values = score(TEN, TEN, hu=hu)[LUNGS]
    assert values["mass_error"].value == 0


def test_two_empty_masks_have_no_value_and_a_reason():
    values = score(EMPTY, EMPTY, hu=AIR)[LUNGS]
    for metric in ("dice", "iou", "sensitivity", "precision", "hd95", "assd", "surface_dice_1"):
        assert values[metric].value is None
        assert values[metric].reason == "both masks are empty"
    assert values["volume_error"].value == 0
    assert values["volume_error_percent"].value is None


def test_empty_prediction_is_zero_where_that_is_known():
    values = score(EMPTY, TEN, hu=AIR + 500)[LUNGS]
    assert [values[m].value for m in ("dice", "iou", "sensitivity", "surface_dice_1")] == [0, 0, 0, 0]
    assert values["precision"].value is None
    assert values["hd95"].value is None
    assert "empty" in values["hd95"].reason
    assert values["volume_error_percent"].value == -100
    assert values["mass_error_percent"].value == -100


def test_empty_reference():
    values = score(TEN, EMPTY, hu=AIR + 500)[LUNGS]
    assert [values[m].value for m in ("dice", "iou", "precision", "surface_dice_2")] == [0, 0, 0, 0]
    for metric in ("sensitivity", "hd95", "dense_recall", "volume_error_percent", "mass_error_percent"):
        assert values[metric].value is None
        assert values[metric].reason
    assert values["volume_error"].value == pytest.approx(1)


@pytest.mark.parametrize("prediction", [EMPTY, TEN])
@pytest.mark.parametrize("reference", [EMPTY, TEN])
@pytest.mark.parametrize("grid", [GRID, Grid(None), Grid((1.0, 1.0))])
@pytest.mark.parametrize("hu", [None, AIR])
def test_every_value_is_a_number_or_has_a_reason(prediction, reference, grid, hu):
    values = score(prediction, reference, grid, hu)[LUNGS]
    assert list(values) == list(METRICS)
    for entry in values.values():
        assert (entry.value is None) == bool(entry.reason)
        assert entry.value is None or np.isfinite(entry.value)


def test_unknown_spacing_is_measured_in_voxels_and_stated():
    values = score(np.roll(TEN, 2, 0), TEN, Grid(None), AIR + 900)[LUNGS]
    assert (values["hd95"].value, values["hd95"].unit) == (2, "voxel")
    assert values["surface_dice_2"].unit == "at 2 voxel"
    assert values["volume_error"].value is None
    assert values["mass_error"].value is None
    assert values["volume_error_percent"].value == 0
    assert values["dense_recall"].reason == "the voxel size is not known"


def test_a_single_slice_is_measured_in_its_plane():
    one, two = (mask[10:11] for mask in (np.roll(TEN, 3, 2), TEN))
    values = score(one, two, Grid((0.5, 2.0)))[LUNGS]
    assert (values["hd95"].value, values["hd95"].unit) == (6, "mm")
    assert values["volume_error"].value is None
    pixels = score(one, two, Grid(None))[LUNGS]
    assert (pixels["hd95"].value, pixels["hd95"].unit) == (3, "px")


def test_dense_recall_counts_deep_dense_voxels_only():
    hu = np.full(SHAPE, -800, np.int16)
    hu[9:11, 9:11, 5:15] = 0  # a cylinder from wall to wall
    hu[5, 5:15, 5:15] = 50  # the chest wall drawn into the reference
    prediction = TEN.copy()
    prediction[5] = 0
    prediction[:, :, 11:] = 0
    values = score(prediction, TEN, hu=hu)[LUNGS]
    # deeper than 3 mm: columns 8 to 11 (the wall is 4 mm from column 8 and from column 11)
    assert values["dense_recall"].value == pytest.approx(3 / 4)
    assert score(TEN, TEN, hu=hu)[LUNGS]["dense_recall"].value == 1


def test_depth_does_not_count_the_edge_of_the_scan():
    reference = np.ones((9, 9, 9), np.uint8)
    hu = np.zeros((9, 9, 9), np.int16)
    half = reference.copy()
    half[:, :, 4:] = 0
    assert score(half, reference, GRID, hu)[LUNGS]["dense_recall"].value == pytest.approx(4 / 9)


def test_cropping_to_the_masks_changes_nothing():
    wide = tuple(n + 40 for n in SHAPE)
    random = np.random.default_rng(1)
    hu = random.integers(-900, 100, SHAPE).astype(np.int16)
    prediction = np.roll(TEN, 1, 1)
    near = score(prediction, TEN, GRID, hu)[LUNGS]
    padded = [np.pad(a, 20) for a in (prediction, TEN, hu)]
    assert padded[0].shape == wide
    far = score(padded[0], padded[1], GRID, padded[2])[LUNGS]
    assert numbers(near) == pytest.approx(numbers(far))


def test_views_in_any_memory_order_give_the_same():
    random = np.random.default_rng(2)
    masks = [np.asfortranarray(random.integers(0, 2, SHAPE).astype(np.uint8))[:, ::-1] for _ in range(2)]
    plain = [np.ascontiguousarray(mask) for mask in masks]
    grid = Grid((0.7, 0.8), 2.0, 0.001)
    assert numbers(score(*masks, grid)[LUNGS]) == pytest.approx(numbers(score(*plain, grid)[LUNGS]))


def test_sides_are_evaluated_where_both_masks_have_them():
    both = labels((1, (5, 5, 3), (15, 15, 11)), (2, (5, 5, 15), (15, 15, 23)))
    swapped = np.where(both > 0, 3 - both, 0).astype(np.uint8)
    values = score(swapped, both)
    assert values[LUNGS]["dice"].value == 1
    assert values[Side.RIGHT]["dice"].value == values[Side.LEFT]["dice"].value == 0
    assert list(score((both > 0).astype(np.uint8), both)) == [LUNGS]
    assert list(score(both, both, sides=SideChoice.NO)) == [LUNGS]
    only_right = np.where(both == 1, 1, 0).astype(np.uint8)
    values = score(only_right, only_right, sides=SideChoice.YES)
    assert values[Side.RIGHT]["dice"].value == 1
    assert values[Side.LEFT]["dice"].reason == "both masks are empty"


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(GeometryError, match="differ in size"):
        Case("7", "7", TEN, EMPTY[1:], GRID)


_seeds = st.integers(0, 2**31)


@settings(max_examples=30, deadline=None)
@given(_seeds, _seeds, st.floats(0.05, 0.95))
def test_swapping_the_masks_swaps_the_metrics(one, other, share):
    a, b = ((np.random.default_rng(s).random((5, 6, 7)) < share).astype(np.uint8) for s in (one, other))
    if not (a.any() and b.any()):
        return
    hu = np.random.default_rng(one).integers(-1000, 100, a.shape).astype(np.int16)
    ab, ba = (numbers(score(*pair, GRID, hu)[LUNGS]) for pair in ((a, b), (b, a)))
    for metric in ("dice", "iou", "hd95", "assd", "surface_dice_1", "surface_dice_2"):
        assert ab[metric] == pytest.approx(ba[metric])
    assert ab["sensitivity"] == pytest.approx(ba["precision"])
    assert ab["volume_error"] == pytest.approx(-ba["volume_error"])
    assert ab["mass_error"] == pytest.approx(-ba["mass_error"])
    assert ab["dice"] == pytest.approx(2 * ab["iou"] / (1 + ab["iou"]))


def test_overlap_is_that_of_monai():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    random = np.random.default_rng(4)
    a, b = ((random.random((6, 7, 8)) < 0.5).astype(np.uint8) for _ in range(2))
    values = numbers(score(a, b)[LUNGS])
    p, r = torch.tensor(a)[None, None], torch.tensor(b)[None, None]
    assert values["dice"] == pytest.approx(float(metrics.compute_dice(p, r)))
    assert values["iou"] == pytest.approx(float(metrics.compute_iou(p, r)))
    matrix = metrics.get_confusion_matrix(p, r)
    for metric in ("sensitivity", "precision"):
        assert values[metric] == pytest.approx(float(metrics.compute_confusion_matrix_metric(metric, matrix)))

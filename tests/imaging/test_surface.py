from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hilum.imaging.morphology import distance_to
from hilum.imaging.surface import element_areas, interface_distances, surface_distances


def test_half_space_has_the_area_of_a_voxel_face():
    areas = element_areas((2.0, 3.0, 5.0))
    lower_along_first = sum(1 << n for n in range(8) if not n & 1)
    assert areas[lower_along_first] == pytest.approx(15.0)
    lower_along_last = sum(1 << n for n in range(8) if not n & 4)
    assert areas[lower_along_last] == pytest.approx(6.0)


def test_one_corner_is_a_triangle_and_blocks_without_surface_have_none():
    areas = element_areas((1.0, 1.0, 1.0))
    assert areas[1] == pytest.approx(math.sqrt(3) / 8)
    assert areas[0] == areas[255] == 0
    assert (areas[1:255] > 0).all()


def test_no_corner_and_no_direction_is_special():
    areas = element_areas((1.0, 1.0, 1.0))
    flipped = [sum(1 << (n ^ 7) for n in range(8) if code >> n & 1) for code in range(256)]
    assert areas[flipped] == pytest.approx(areas)
    turned = [sum(1 << ((n >> 1) | (n & 1) << 2) for n in range(8) if code >> n & 1) for code in range(256)]
    assert areas[turned] == pytest.approx(areas)


def test_elements_in_a_slice_are_lengths():
    lengths = element_areas((3.0, 4.0))
    assert lengths[0b0001] == pytest.approx(2.5)
    assert lengths[0b0011] == pytest.approx(3.0)  # inside at low columns: the line runs along rows
    assert lengths[0b1001] == pytest.approx(5.0)


def test_surface_of_a_box_is_its_area_without_its_edges():
    """Marching cubes cut edges and corners; the rest of a box has exactly its own area."""
    mask = np.zeros((40, 30, 50), bool)
    mask[5:35, 5:25, 5:45] = True
    found = surface_distances(mask, mask, (1.0, 2.0, 0.5))
    size = np.array([30, 20, 40])
    faces = 2 * sum(np.prod(np.delete((size - 1) * (1.0, 2.0, 0.5), a)) for a in range(3))
    assert faces < found.reference_areas.sum() < 1.06 * faces + 60


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 0.7), (0.5, 1.0, 3.0)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_shifted_box_is_as_far_as_it_was_shifted(spacing, axis):
    mask = np.zeros((24, 24, 24), bool)
    mask[6:16, 6:16, 6:16] = True
    found = surface_distances(np.roll(mask, 3, axis), mask, spacing)
    assert found.hausdorff(100) == pytest.approx(3 * spacing[axis])
    assert 0 < found.average() < 3 * spacing[axis]
    assert found.dice(3 * spacing[axis]) == 1.0


def test_thin_plates_are_one_distance_apart():
    """Two parallel faces: all distances are known, so all metrics are."""
    near, far = np.zeros((30, 40, 40), bool), np.zeros((30, 40, 40), bool)
    near[:10], far[:14] = True, True
    found = surface_distances(near[:, 5:-5, 5:-5], far[:, 5:-5, 5:-5], (0.5, 1.0, 1.0))
    top = found.to_reference.max()
    assert top == pytest.approx(2.0)
    assert found.hausdorff(95) == pytest.approx(2.0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_balls_within_each_other(spacing):
    from_middle = np.meshgrid(
        *[(np.arange(n) - (n - 1) / 2) * s for n, s in zip((45, 61, 61), spacing, strict=True)],
        indexing="ij",
    )
    radius = np.sqrt(sum(part**2 for part in from_middle))
    small, large = radius <= 15, radius <= 20
    found = surface_distances(large, small, spacing)
    step = max(spacing)
    assert found.hausdorff(95) == pytest.approx(5, abs=step)
    # Elements fill a shell about a voxel thick, so the nearest one lies nearer than the smooth surface.
    assert 5 - 0.6 * step < found.average() <= 5.05
    assert found.dice(2) < 0.001
    assert found.dice(7) == 1


def test_hd95_leaves_out_a_speck_that_hausdorff_sees():
    mask = np.zeros((40, 40, 60), bool)
    mask[5:35, 5:35, 5:35] = True
    speck = mask.copy()
    speck[20, 20, 55] = True
    found = surface_distances(speck, mask, (1.0, 1.0, 1.0))
    assert found.hausdorff(100) > 19
    assert found.hausdorff(95) == 0


def test_weight_is_area_not_number_of_elements():
    """A disc seen edge on: with thick slices its face counts for what it is, not for how it is sampled."""
    reference = np.zeros((12, 12, 12), bool)
    reference[3:9, 3:9, 3:9] = True
    grown = reference.copy()
    grown[9, 3:9, 3:9] = True
    near = surface_distances(grown, reference, (1.0, 1.0, 1.0))
    thick = surface_distances(grown, reference, (1.0, 10.0, 1.0))
    flat = surface_distances(grown, reference, (1.0, 1.0, 10.0))
    assert thick.average() == pytest.approx(flat.average())
    assert thick.average() != pytest.approx(near.average(), rel=0.02)


def test_empty_masks_have_no_surface():
    empty, full = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    assert surface_distances(empty, full, (1.0, 1.0, 1.0)) is None
    assert surface_distances(full, empty, (1.0, 1.0, 1.0)) is None
    assert surface_distances(full, full, (1.0, 1.0, 1.0)).average() == 0


_masks = st.integers(0, 2**32 - 1).map(
    lambda seed: ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(9, 10, 11)), 1.2) > 0
)
_spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 1.25, 2.5])] * 3)


@settings(max_examples=40, deadline=None)
@given(_masks, _masks, _spacings)
def test_swapping_masks_changes_nothing(one, other, spacing):
    a, b = surface_distances(one, other, spacing), surface_distances(other, one, spacing)
    assert a.hausdorff(95) == b.hausdorff(95)
    assert a.average() == pytest.approx(b.average())
    assert a.dice(1) == pytest.approx(b.dice(1))


@settings(max_examples=40, deadline=None)
@given(_masks, _masks, _spacings, st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_axes_and_directions_do_not_matter(one, other, spacing, order, flips):
    turned = [
        np.flip(mask.transpose(order), [a for a in range(3) if flips[a]]).copy() for mask in (one, other)
    ]
    a = surface_distances(one, other, spacing)
    b = surface_distances(*turned, tuple(spacing[axis] for axis in order))
    assert a.hausdorff(95) == pytest.approx(b.hausdorff(95), abs=1e-5)
    assert a.average() == pytest.approx(b.average(), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(_masks, _masks, _spacings, st.floats(0.25, 4))
def test_scaling_space_scales_distances(one, other, spacing, factor):
    a = surface_distances(one, other, spacing)
    b = surface_distances(one, other, tuple(s * factor for s in spacing))
    assert b.hausdorff(95) == pytest.approx(a.hausdorff(95) * factor, rel=1e-4)
    assert b.average() == pytest.approx(a.average() * factor, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(_masks, _masks, _spacings)
def test_surface_dice_grows_with_the_tolerance_to_one(one, other, spacing):
    found = surface_distances(one, other, spacing)
    values = [found.dice(tolerance) for tolerance in (0, 0.5, 1, 2, 4, 1000)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(_masks, _spacings)
def test_distance_map_is_that_of_scipy(mask, spacing):
    if not mask.any():
        return
    wanted = ndimage.distance_transform_edt(~mask, sampling=spacing)
    assert distance_to(mask, spacing) == pytest.approx(wanted, abs=1e-5)


def _blobs(seed, shape):
    random = np.random.default_rng(seed)
    one = ndimage.gaussian_filter(random.normal(size=shape), 3) > 0
    noisy = one + 0.3 * random.normal(size=shape)
    return ndimage.gaussian_filter(noisy.astype(float), 1.5) > 0.5, one


@pytest.mark.parametrize("shape", [(28, 30, 32), (60, 64)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 0.8)])
def test_agrees_with_monai(shape, spacing):
    """MONAI follows the same definition with its own table of areas, which splits some blocks otherwise."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    from monai.metrics.utils import get_edge_surface_distance

    spacing = spacing[: len(shape)]
    found, drawn = _blobs(3, shape)
    ours = surface_distances(found, drawn, spacing)
    p, r = torch.tensor(found)[None, None], torch.tensor(drawn)[None, None]
    for tolerance in (0.5, 1.0, 2.0):
        theirs = metrics.compute_surface_dice(
            p, r, [tolerance], include_background=True, spacing=spacing, use_subvoxels=True
        )
        assert ours.dice(tolerance) == pytest.approx(float(theirs), abs=2e-3)
    edges, distances, areas = get_edge_surface_distance(
        p[0, 0], r[0, 0], spacing=spacing, use_subvoxels=True, symmetric=True
    )
    weights = [np.asarray(area)[np.asarray(edge)] for area, edge in zip(areas, edges, strict=True)]
    lengths = [np.asarray(part) for part in distances]
    average = sum((w * d).sum() for w, d in zip(weights, lengths, strict=True)) / sum(map(np.sum, weights))
    assert ours.average() == pytest.approx(average, rel=0.01)
    assert np.sort(ours.to_reference) == pytest.approx(np.sort(lengths[0]), abs=1e-4)
    assert np.sort(ours.to_prediction) == pytest.approx(np.sort(lengths[1]), abs=1e-4)
    assert ours.prediction_areas.sum() == pytest.approx(weights[0].sum(), rel=0.03)
    voxel = float(
        metrics.compute_hausdorff_distance(p, r, include_background=True, percentile=95, spacing=spacing)
    )
    assert ours.hausdorff(95) == pytest.approx(voxel, abs=1.5 * max(spacing))


def _halves(at, shape=(12, 10, 9), size=8):
    """Two boxes that meet between the planes ``at - 1`` and ``at``, with background round them."""
    lower, upper = np.zeros(shape, bool), np.zeros(shape, bool)
    lower[2:at, 2:size, 2:7], upper[at:10, 2:size, 2:7] = True, True
    return lower, upper


def test_an_interface_is_where_two_structures_meet_and_not_their_border_with_the_background():
    wide = interface_distances(_halves(6, size=8), _halves(7, size=8), (2.0, 1.0, 1.0))
    assert wide is not None
    assert wide.average() == pytest.approx(2.0)
    # Another outer border beside the same interface is no distance along it but at its edge.
    narrow = interface_distances(_halves(6, size=7), _halves(6, size=8), (2.0, 1.0, 1.0))
    assert narrow is not None
    assert narrow.to_reference.max() == 0
    assert narrow.hausdorff(50) == 0


def test_structures_that_do_not_meet_have_no_interface():
    lower, upper = _halves(6)
    apart = np.roll(upper, 2, 0)
    assert interface_distances((lower, apart), (lower, upper), (1.0, 1.0, 1.0)) is None
    assert interface_distances((lower, upper), (lower, np.zeros_like(upper)), (1.0, 1.0, 1.0)) is None

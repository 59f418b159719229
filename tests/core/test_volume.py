from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError, UsageError
from hilum.core.volume import ScanMeta, Volume


def make(shape=(4, 5, 6), affine=None):
    hu = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    return Volume(hu, np.diag([1.0, 2.0, 3.0, 1.0]) if affine is None else affine)


def test_spacing_and_voxel_volume():
    volume = make()
    assert volume.spacing == (1.0, 2.0, 3.0)
    assert volume.voxel_volume_ml == pytest.approx(0.006)


def test_voxel_volume_of_a_sheared_grid_is_the_determinant():
    affine = np.array([[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert make(affine=affine).voxel_volume_ml == pytest.approx(0.001)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)), ids=str)
@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 1), (1, 5, 6)], ids=str)
def test_canonical_and_back(order, signs, shape):
    matrix = np.zeros((4, 4))
    for axis, (o, s) in enumerate(zip(order, signs, strict=True)):
        matrix[o, axis] = s * (axis + 1.0)
    matrix[3, 3] = 1
    matrix[:3, 3] = [7, -8, 9]
    volume = make(shape, matrix)
    canonical = volume.canonical()
    assert canonical.axcodes == ("R", "A", "S")
    labels = (canonical.hu % 3).astype(np.uint8)
    assert np.array_equal(volume.restore(labels), volume.hu % 3)
    voxel = np.array([n - 1 for n in shape])
    where = volume.affine @ [*voxel, 1]
    there = np.round(np.linalg.solve(canonical.affine, where))[:3].astype(int)
    assert canonical.hu[tuple(there)] == volume.hu[tuple(voxel)]


def test_canonical_of_an_oblique_scan_interpolates_nothing():
    angle = np.deg2rad(20)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    canonical = make(affine=affine).canonical()
    assert sorted(canonical.hu.ravel()) == sorted(make().hu.ravel())


def test_restore_refuses_another_shape():
    with pytest.raises(UsageError, match="canonical shape"):
        make().restore(np.zeros((4, 5, 7), np.uint8))


def test_labels_go_back_to_the_shape_of_the_file():
    meta = ScanMeta(stored_shape=(4, 5))
    volume = Volume(np.zeros((4, 5, 1), np.int16), np.eye(4), meta)
    assert volume.stored(np.zeros((4, 5, 1), np.uint8)).shape == (4, 5)


@pytest.mark.parametrize(
    ("affine", "text"),
    [
        (np.diag([1.0, 0.0, 1.0, 1.0]), "spacing is zero"),
        (np.full((4, 4), np.nan), "not numbers"),
        (np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular"),
        (np.eye(3), "4 x 4"),
    ],
)
def test_an_affine_that_cannot_be_used(affine, text):
    with pytest.raises(GeometryError, match=text):
        make(affine=affine)


@pytest.mark.parametrize(
    "hu", [np.zeros((4, 4)), np.zeros((0, 4, 4), np.int16), np.zeros((4, 4, 4), np.uint8)], ids=str
)
def test_an_array_that_is_not_a_volume(hu):
    with pytest.raises(InputError):
        Volume(hu, np.eye(4))


def test_same_grid():
    volume = make()
    moved = volume.affine.copy()
    moved[0, 3] += 0.5
    assert volume.same_grid(make())
    assert not volume.same_grid(make(affine=moved))
    assert not volume.same_grid(make((4, 5, 7)))
    assert nib.aff2axcodes(volume.affine) == volume.axcodes

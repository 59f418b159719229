"""For any order and direction of the axes, labels lie where they were drawn, on the grid of the scan."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.core.label_volume import LabelVolume
from hilum.io import read, read_labels, write_labels

ORIENTATIONS = [
    np.array([[sign[a] if perm[a] == row else 0 for a in range(3)] for row in range(3)], float)
    for perm in permutations(range(3))
    for sign in product((1, -1), repeat=3)
]
GRIDS = {
    "isotropic": ((1.0, 1.0, 1.0), (6, 5, 4), False),
    "anisotropic": ((0.7, 0.9, 2.5), (6, 5, 4), False),
    "oblique": ((0.7, 0.9, 2.5), (6, 5, 4), True),
    "2-D": ((0.7, 0.9, 2.5), (12, 10), False),
    "one slice": ((0.7, 0.9, 2.5), (12, 10, 1), True),
}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def rotation(angles=(0.2, -0.15, 0.1)):
    """A turn about x, y and z by less than half a right angle, so that the nearest axes stay the same."""
    out = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        i, j = [a for a in range(3) if a != axis]
        turn[[i, i, j, j], [i, j, i, j]] = [np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)]
        out = turn @ out
    return out


def affine_of(orientation, spacing, turn=None):
    affine = np.eye(4)
    affine[:3, :3] = (turn if turn is not None else np.eye(3)) @ orientation * spacing
    affine[:3, 3] = (-123.4, 56.7, -890.1)
    return affine


def write_itk(path: Path, array, affine) -> None:
    """Write with SimpleITK, which shares no code with hilum's writers."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection((lps[:3, :3] / spacing).ravel())
    image.SetOrigin(lps[:3, 3])
    sitk.WriteImage(image, str(path))


def check(path: Path, affine, folder: Path) -> None:
    """Mark a voxel on the canonical grid, write, read back with other libraries: same grid, same place."""
    vol = read(path)
    np.testing.assert_allclose(vol.affine, affine, rtol=0, atol=1e-4)
    canonical = vol.canonical()
    marked = tuple(np.random.default_rng(vol.hu.size).integers(0, canonical.shape))
    drawn = np.zeros(canonical.shape, np.uint8)
    drawn[marked] = 1
    right = canonical.affine[0, 0] > 0  # +i runs to the patient's right
    assert right
    drawn[-1][drawn[-1] == 0] = 2  # the rightmost plane
    world = (canonical.affine @ (*marked, 1))[:3]

    out = write_labels(folder / "lungs.nii.gz", LabelVolume.on_grid_of(vol, vol.restore(drawn)), vol)
    image = nib.load(out)
    assert image.shape == vol.meta.stored_shape
    np.testing.assert_allclose(image.affine, affine, rtol=0, atol=1e-4)
    if path.suffix == ".gz":
        assert image.shape == nib.load(path).shape
        np.testing.assert_array_equal(image.affine, nib.load(path).affine)
    data = np.asanyarray(image.dataobj).reshape(vol.shape)
    voxel = np.argwhere(data == 1)
    assert len(voxel) == 1
    np.testing.assert_allclose((image.affine @ (*voxel[0], 1))[:3], world, atol=1e-3)
    if vol.shape[0] * vol.shape[1] > 1 and (data == 2).any() and (data == 0).any():
        x = (np.argwhere(np.ones(vol.shape)) @ image.affine[:3, :3].T)[:, 0]
        assert x[(data == 2).ravel()].mean() > x[(data == 0).ravel()].mean()
    np.testing.assert_array_equal(read_labels(out, vol), vol.restore(drawn))

    nrrd = sitk.ReadImage(
        str(write_labels(folder / "lungs.nrrd", LabelVolume.on_grid_of(vol, vol.restore(drawn)), vol, "nrrd"))
    )
    assert nrrd.GetSize() == vol.shape
    index = np.argwhere(sitk.GetArrayFromImage(nrrd).T == 1)[0]
    point = np.array(nrrd.TransformIndexToPhysicalPoint([int(i) for i in index]))
    np.testing.assert_allclose(point * (-1, -1, 1), world, atol=1e-3)


@pytest.mark.parametrize("grid", GRIDS)
def test_nifti_in_all_orientations(grid, chest, tmp_path):
    spacing, shape, oblique = GRIDS[grid]
    for number, orientation in enumerate(ORIENTATIONS):
        affine = affine_of(orientation, spacing, rotation() if oblique else None)
        path = tmp_path / "scan.nii.gz"
        nib.save(nib.Nifti1Image(chest(shape, seed=number), affine), path)
        check(path, affine, tmp_path)


@pytest.mark.parametrize("grid", [g for g in GRIDS if g != "2-D"])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_itk_formats_in_all_orientations(grid, suffix, chest, tmp_path):
    spacing, shape, oblique = GRIDS[grid]
    for number, orientation in enumerate(ORIENTATIONS):
        affine = affine_of(orientation, spacing, rotation() if oblique else None)
        path = tmp_path / f"scan{suffix}"
        write_itk(path, chest(shape, seed=number), affine)
        check(path, affine, tmp_path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    angles=st.tuples(*[st.floats(-0.25, 0.25)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    shape=st.tuples(st.integers(5, 9), st.integers(5, 9), st.integers(1, 9)),
    suffix=st.sampled_from([".nii.gz", ".nrrd", ".mha"]),
)
def test_any_grid(orientation, angles, spacing, shape, suffix, chest, tmp_path):
    affine = affine_of(orientation, spacing, rotation(angles))
    path = tmp_path / f"scan{suffix}"
    array = chest(shape)
    array[0, 0, 0], array[0, 1, 0] = -1000, 40
    if suffix == ".nii.gz":
        nib.save(nib.Nifti1Image(array, affine), path)
    else:
        write_itk(path, array, affine)
    check(path, affine, tmp_path)


def test_48_orientations():
    assert len({tuple(o.ravel()) for o in ORIENTATIONS}) == 48

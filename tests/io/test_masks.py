from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from hilum.core.errors import GeometryError, InputError
from hilum.core.volume import ScanMeta, Volume
from hilum.io import read, read_labels
from hilum.io.masks import array_lungs

AFFINE = np.array([[-0.7, 0, 0, 90.0], [0, -0.8, 0, 80], [0, 0, 1.5, -300], [0, 0, 0, 1]])


@pytest.fixture
def volume(chest):
    return Volume(chest(), AFFINE)


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 3, (9, 8, 7), np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_nifti(volume, labels, save_nifti, dtype):
    found = read_labels(save_nifti(labels.astype(dtype), AFFINE), volume)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, labels)


def test_without_a_volume(labels, save_nifti):
    np.testing.assert_array_equal(read_labels(save_nifti(labels, AFFINE)), labels)


def test_an_empty_map_is_a_map(save_nifti, volume):
    assert not read_labels(save_nifti(np.zeros((9, 8, 7), np.uint8), AFFINE), volume).any()


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL", "AIR", "PSR"])
def test_other_axis_order_on_the_same_grid(volume, labels, tmp_path, codes):
    image = nib.Nifti1Image(labels, AFFINE)
    ornt = nib.orientations.ornt_transform(
        nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(codes))
    )
    nib.save(image.as_reoriented(ornt), tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "m.nii.gz", volume), labels)


@pytest.mark.parametrize("name", ["m.nrrd", "m.mha"])
def test_itk_formats(volume, labels, tmp_path, name):
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels.T))
    image.SetSpacing((0.7, 0.8, 1.5))
    image.SetOrigin((-90, -80, -300))
    sitk.WriteImage(image, str(tmp_path / name))
    np.testing.assert_array_equal(read_labels(tmp_path / name, volume), labels)


def test_rounded_header_is_the_same_grid(volume, labels, save_nifti):
    np.testing.assert_array_equal(read_labels(save_nifti(labels, AFFINE + 0.001), volume), labels)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a, m: (np.pad(a, ((0, 1), (0, 0), (0, 0))), m), "10 x 8 x 7 voxels.*9 x 8 x 7"),
        (lambda a, m: (a, m @ np.diag([1, 1, 2, 1])), "0.7 x 0.8 x 3 mm"),
        (lambda a, m: (a, m + np.array([[0, 0, 0, 5.0]] + [[0.0] * 4] * 3)), "different places"),
        (lambda a, m: (a, np.diag([-1, 1, 1, 1]) @ m), "different places"),
    ],
)
def test_another_grid(volume, labels, save_nifti, change, match):
    with pytest.raises(GeometryError, match=match) as caught:
        read_labels(save_nifti(*change(labels, AFFINE)), volume)
    assert caught.value.hint


def test_grid_is_compared_by_shape_where_the_scan_has_no_place(labels, save_nifti, chest):
    volume = Volume(chest(), np.eye(4), ScanMeta(orientation_known=False, spacing_known=False))
    np.testing.assert_array_equal(read_labels(save_nifti(labels, AFFINE), volume), labels)
    with pytest.raises(GeometryError):
        read_labels(save_nifti(labels[1:], AFFINE), volume)


def test_spacing_still_counts_where_only_orientation_is_unknown(labels, save_nifti, chest):
    volume = Volume(chest(), np.diag([2.0, 2, 2, 1]), ScanMeta(orientation_known=False))
    with pytest.raises(GeometryError):
        read_labels(save_nifti(labels, AFFINE), volume)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_masks_as_png_or_tiff(tmp_path, chest, suffix):
    tifffile.imwrite(tmp_path / "ct.tif", chest((40, 30)))
    mask = np.random.default_rng(0).integers(0, 3, (40, 30), np.uint8)
    path = tmp_path / f"mask{suffix}"
    if suffix == ".png":
        sitk.WriteImage(sitk.GetImageFromArray(mask), str(path))
    else:
        tifffile.imwrite(path, mask)
    volume = read(tmp_path / "ct.tif")
    np.testing.assert_array_equal(read_labels(path, volume)[:, :, 0], mask)
    with pytest.raises(GeometryError, match="40 x 30 x 1"):
        read_labels(path, Volume(chest((30, 40, 1)), np.eye(4)))


def test_colour_png(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((4, 5, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.png"))
    with pytest.raises(InputError, match="colour"):
        read_labels(tmp_path / "a.png")


def test_broken_png(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(InputError, match="PNG"):
        read_labels(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("value", "match"), [(0.5, "whole"), (np.nan, "whole"), (-1, "-1 to"), (256, "to 256"), (1e9, "1e")]
)
def test_values_that_are_not_labels(save_nifti, value, match):
    array = np.zeros((9, 8, 7), np.float32)
    array[3, 3, 3] = value
    with pytest.raises(InputError, match=match):
        read_labels(save_nifti(array, AFFINE))


def test_no_label_format(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(InputError, match="not a label map"):
        read_labels(tmp_path / "a.pdf")


def test_arrays_are_held_to_the_label_contract():
    good = np.array([0, 1, 2], np.int16).reshape(3, 1, 1)
    assert array_lungs(good).labels.dtype == np.uint8
    for bad, match in (
        (np.array([0, 3]), r"other than 0, 1 and 2 \(3\)"),
        (np.array([-1, 1]), "-1 to 1"),
        (np.zeros(3, int), "empty"),
        (np.array([0.0, 1.5]), "not whole numbers"),
        (np.array([0j, 1]), "holds no labels"),
    ):
        with pytest.raises(InputError, match=match):
            array_lungs(bad.reshape(-1, 1, 1))

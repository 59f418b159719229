"""Masks as other programs write them, on a chest of two blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from hilum.core.errors import GeometryError, InputError
from hilum.core.volume import Volume
from hilum.io.masks import read_labels, read_lungs
from hilum.io.vocabulary import BOTH, parse_labels

AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2, 0, 20], [0, 0, 3, -50], [0, 0, 0, 1]])
SHAPE = (24, 16, 10)
LOBES = {
    "lung_upper_lobe_right": (slice(3, 9), slice(4, 12), slice(6, 9), 1),
    "lung_middle_lobe_right": (slice(3, 9), slice(4, 12), slice(4, 6), 1),
    "lung_lower_lobe_right": (slice(3, 9), slice(4, 12), slice(1, 4), 1),
    "lung_upper_lobe_left": (slice(14, 21), slice(4, 12), slice(5, 9), 2),
    "lung_lower_lobe_left": (slice(14, 21), slice(4, 12), slice(1, 5), 2),
}
TOTAL = {"lung_upper_lobe_left": 10, "lung_lower_lobe_left": 11, "lung_upper_lobe_right": 12,
         "lung_middle_lobe_right": 13, "lung_lower_lobe_right": 14}  # fmt: skip


@pytest.fixture
def scan() -> Volume:
    hu = np.full(SHAPE, 40, np.int16)
    hu[truth() > 0] = -850
    return Volume(hu, AFFINE)


def lobe(name: str) -> np.ndarray:
    out = np.zeros(SHAPE, bool)
    out[LOBES[name][:3]] = True
    return out


def truth() -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    for *box, side in LOBES.values():
        out[tuple(box)] = side
    return out


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE, table=None) -> Path:
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    if table:
        row = '<Label Key="{}" Red="1" Alpha="1"><![CDATA[{}]]></Label>\n'
        rows = "".join(row.format(*item) for item in table.items())
        xml = f'<?xml version="1.0"?><CaretExtension><LabelTable>{rows}</LabelTable></CaretExtension>'
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(image, path)
    return path


def total() -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    for name, value in TOTAL.items():
        out[lobe(name)] = value
    out[10:12, 5:8, 2:5] = 51  # the heart
    return out


def test_totalsegmentator_is_read_by_its_vocabulary(tmp_path, scan):
    found = read_lungs(save(tmp_path / "m.nii.gz", total()), scan, parse_labels("totalsegmentator"))
    np.testing.assert_array_equal(found.labels, truth())
    assert found.mapped
    assert "10=left,11=left,12=right" in found.notes[0][1]
    with pytest.raises(InputError) as caught:
        read_lungs(tmp_path / "m.nii.gz", scan)
    assert "labels='totalsegmentator'" in caught.value.hint


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_totalsegmentator_is_read_by_the_names_in_its_header(tmp_path, scan, kind):
    table = {value: name for name, value in TOTAL.items()} | {51: "heart"}
    path = save(tmp_path / "m.nii.gz", total(), table=table)
    if kind is nib.Nifti2Image:
        nib.save(nib.Nifti2Image.from_image(nib.load(path)), path)
    np.testing.assert_array_equal(read_lungs(path, scan).labels, truth())


def test_a_label_table_with_escaped_names_is_read(tmp_path, scan):
    image = nib.Nifti1Image(truth(), AFFINE)
    xml = b'<LabelTable><Label Key="1">left&#32;lung</Label><Label Key="2">right lung</Label></LabelTable>'
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, xml))
    nib.save(image, tmp_path / "m.nii")
    found = read_lungs(tmp_path / "m.nii", scan)
    np.testing.assert_array_equal(found.labels, np.array([0, 2, 1], np.uint8)[truth()])


def test_a_broken_extension_is_passed_over(tmp_path, scan):
    path = save(tmp_path / "m.nii", truth(), table={1: "right lung", 2: "left lung"})
    data = bytearray(path.read_bytes())
    data[352:356] = (2**31 - 16).to_bytes(4, "little")
    path.write_bytes(data)
    assert not read_lungs(path, scan).mapped


def test_a_folder_with_one_file_a_structure_is_read(tmp_path, scan):
    folder = tmp_path / "segmentations"
    folder.mkdir()
    for name in LOBES:
        save(folder / f"{name}.nii.gz", lobe(name).astype(np.uint8))
    for other in ("heart", "lung_vessels", "liver"):
        (folder / f"{other}.nii.gz").write_bytes(b"is not opened")
    for labels in (None, parse_labels("totalsegmentator")):
        np.testing.assert_array_equal(read_lungs(folder, scan, labels).labels, truth())
    (folder / "lung_middle_lobe_right.nii.gz").unlink()
    with pytest.raises(InputError, match="lung_middle_lobe_right is missing"):
        read_lungs(folder, scan)


@pytest.mark.parametrize(
    "names", [("right_lung", "left_lung"), ("case7_right", "case7_left"), ("p_R", "p_L")]
)
def test_a_folder_with_right_and_left_lung_is_read(tmp_path, scan, names):
    for name, side in zip(names, (1, 2), strict=True):
        save(tmp_path / f"{name}.nii", (truth() == side).astype(np.uint8) * 255)
    np.testing.assert_array_equal(read_lungs(tmp_path, scan).labels, truth())


def test_a_folder_that_hilum_wrote_is_read_by_its_lungs(tmp_path, scan):
    save(tmp_path / "lungs.nii.gz", truth())
    save(tmp_path / "uncertainty.nii.gz", truth())
    np.testing.assert_array_equal(read_lungs(tmp_path, scan).labels, truth())


def test_folders_that_are_not_masks_are_refused(tmp_path, scan):
    with pytest.raises(InputError, match="no mask that hilum reads"):
        read_lungs(tmp_path, scan)
    save(tmp_path / "liver.nii.gz", truth())
    with pytest.raises(InputError, match=r"is a lung by its name \(liver\)"):
        read_lungs(tmp_path, scan)
    for case in ("lung_001", "lung_002"):
        save(tmp_path / f"{case}.nii.gz", truth())
    with pytest.raises(InputError, match="is a lung by its name"):  # masks of two cases, not two structures
        read_lungs(tmp_path, scan)


def test_overlapping_sides_and_files_on_two_grids_are_refused(tmp_path, scan):
    save(tmp_path / "right_lung.nii", (truth() > 0).astype(np.uint8))
    save(tmp_path / "left_lung.nii", (truth() == 2).astype(np.uint8))
    with pytest.raises(InputError, match="as right and as left lung"):
        read_lungs(tmp_path, scan)
    save(tmp_path / "right_lung.nii", (truth() == 1).astype(np.uint8), AFFINE + np.eye(4) * 0.3)
    with pytest.raises(GeometryError, match="grid of the other files"):
        read_lungs(tmp_path, scan)


# -- 3D Slicer --------------------------------------------------------------------------------------------


def save_slicer(path: Path, array: np.ndarray, segments: list[dict[str, str]], start=(0, 0, 0)) -> Path:
    """Write a .seg.nrrd; an array of four axes has its layers in the last."""
    layers = array.shape[3:] or ()
    turned = np.ascontiguousarray(np.moveaxis(array, (0, 1, 2), (2, 1, 0)))
    image = sitk.GetImageFromArray(turned, isVector=bool(layers))
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    image.SetSpacing((2.0, 2.0, 3.0))
    image.SetOrigin([float(v) for v in (lps @ [*start, 1])[:3]])
    for number, segment in enumerate(segments):
        for key, value in segment.items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def test_slicer_segments_are_read_by_name_for_any_values(tmp_path, scan):
    array = np.array([0, 7, 4], np.uint8)[truth()]
    array[0, 0, 0] = 9
    segments = [
        {"Name": "left lung", "LabelValue": "4", "Layer": "0"},
        {"Name": "right lung", "LabelValue": "7", "Layer": "0"},
        {"Name": "mark", "LabelValue": "9", "Layer": "0"},
    ]
    path = save_slicer(tmp_path / "s.seg.nrrd", array, segments)
    np.testing.assert_array_equal(read_lungs(path, scan).labels, truth())


def test_slicer_segments_in_another_language_are_read_by_their_codes_or_by_the_users_word(tmp_path, scan):
    term = "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure~SCT^39607008^Lung~SCT^{}^{}~Anatomic codes~^^~^^|"  # noqa: E501
    segments = [
        {"Name": "Lunge rechts", "LabelValue": "1", "Tags": term.format("24028007", "Right")},
        {"Name": "Lunge links", "LabelValue": "2", "Tags": term.format("7771000", "Left")},
    ]
    path = save_slicer(tmp_path / "s.seg.nrrd", truth(), segments)
    found = read_lungs(path, scan)
    np.testing.assert_array_equal(found.labels, truth())
    assert found.mapped
    bare = [{key: value for key, value in s.items() if key != "Tags"} for s in segments]
    path = save_slicer(tmp_path / "t.seg.nrrd", truth(), bare)
    with pytest.raises(InputError, match="none of them is a lung"):
        read_lungs(path, scan)
    labels = parse_labels("lunge rechts=right,lunge links=left")
    np.testing.assert_array_equal(read_lungs(path, scan, labels).labels, truth())


def test_a_segmentation_that_slicer_cropped_is_put_at_its_place(tmp_path, scan):
    segments = [{"Name": "right lung", "LabelValue": "1"}, {"Name": "left lung", "LabelValue": "2"}]
    box = (slice(3, 21), slice(4, 12), slice(1, 9))
    path = save_slicer(tmp_path / "s.seg.nrrd", truth()[box], segments, (3, 4, 1))
    found = read_lungs(path, scan)
    np.testing.assert_array_equal(found.labels, truth())
    notes = dict(found.notes)
    assert "18 x 8 x 8 of the 24 x 16 x 10 voxels" in notes["mask_pasted"]
    half = save_slicer(tmp_path / "h.seg.nrrd", truth()[box], segments, (3.5, 4, 1))
    with pytest.raises(GeometryError, match="do not lie on one grid"):
        read_lungs(half, scan)
    outside = save_slicer(tmp_path / "o.seg.nrrd", truth()[box], segments, (10, 4, 1))
    with pytest.raises(GeometryError, match=r"% of the mask .* lies outside of the scan"):
        read_lungs(outside, scan)


def test_layers_of_slicer_are_read_by_name(tmp_path, scan):
    layers = np.zeros((*SHAPE, 2), np.uint8)
    layers[..., 0][truth() == 1] = 1
    layers[..., 0][truth() == 2] = 2
    layers[4:8, 5:9, 3:6, 1] = 1  # a nodule over the right lung
    segments = [
        {"Name": "right lung", "LabelValue": "1", "Layer": "0"},
        {"Name": "left lung", "LabelValue": "2", "Layer": "0"},
        {"Name": "nodule", "LabelValue": "1", "Layer": "1"},
    ]
    path = save_slicer(tmp_path / "s.seg.nrrd", layers, segments)
    np.testing.assert_array_equal(read_lungs(path, scan).labels, truth())
    unnamed = [{**segment, "Name": f"Segment_{n}"} for n, segment in enumerate(segments)]
    with pytest.raises(InputError, match="No segment of"):
        read_lungs(save_slicer(tmp_path / "u.seg.nrrd", layers, unnamed), scan)


def test_segments_with_impossible_label_values_are_ignored(tmp_path, scan):
    segments = [{"Name": "right lung", "LabelValue": "9" * 5000}, {"Name": "left lung", "LabelValue": "x"}]
    path = save_slicer(tmp_path / "s.seg.nrrd", truth(), segments)
    assert not read_lungs(path, scan).mapped


# -- values and places ------------------------------------------------------------------------------------


def test_values_above_255_are_read_with_a_vocabulary(tmp_path, scan):
    array = np.array([0, 2, 3], np.uint16)[truth()]
    array[5, 5, 5] = 2 + (3 << 8)
    array[11, 5, 5] = 2 << 8
    found = read_lungs(save(tmp_path / "m.nii", array), scan, parse_labels("cip"))
    np.testing.assert_array_equal(found.labels, truth())


def test_labels_stored_with_a_scale_are_rounded(tmp_path, scan):
    almost = truth().astype(np.float32) * np.float32(1.000015)
    np.testing.assert_array_equal(read_labels(save(tmp_path / "m.nii", almost), scan), truth())


def test_probability_maps_are_refused_by_that_word(tmp_path, scan):
    with pytest.raises(InputError, match="it is a probability map") as caught:
        read_lungs(save(tmp_path / "m.nii", truth().astype(np.float32) * np.float32(0.4)), scan)
    assert "0.5" in caught.value.hint


def test_a_mask_that_lost_its_affine_is_reported(tmp_path, scan):
    for name, affine in (("n.nii", np.eye(4)), ("s.nii", np.diag([-1.0, -1.0, 1.0, 1.0]))):
        with pytest.raises(GeometryError, match="lost the affine") as caught:
            read_lungs(save(tmp_path / name, truth(), affine), scan)
        assert "resample" not in caught.value.hint


def test_one_value_may_stand_for_both_lungs(tmp_path, scan):
    path = save(tmp_path / "m.nii", (truth() > 0).astype(np.uint8) * 255)
    found = read_lungs(path, scan, parse_labels("both"))
    np.testing.assert_array_equal(found.labels, (truth() > 0) * BOTH)


def test_a_mask_is_placed_by_shape_where_the_scan_has_no_place(tmp_path, scan):
    bare = Volume(scan.hu, scan.affine, replace(scan.meta, orientation_known=False))
    np.testing.assert_array_equal(read_lungs(save(tmp_path / "m.nii", truth()), bare).labels, truth())

"""Names of labels for other programs: in the header of NIfTI, for ITK-SNAP, and in what hilum reads back."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, PLEURA, LabelInfo, LabelSet
from hilum.core.volume import ScanMeta, Volume
from hilum.io import read_labels, write_label_names, write_labels, write_map
from hilum.io.label_tables import itk_snap_labels, nifti_extension
from hilum.io.nifti_names import label_names

AFFINE = np.array([[-0.7, 0, 0, 90.0], [0, -0.8, 0, 80], [0, 0, 1.5, -300], [0, 0, 0, 1]])
ODD = LabelSet(
    "odd",
    "1",
    "",
    tuple(LabelInfo(n, f"a<b>&'{n}'", f'the "{n}"', (n, 0, 255), "") for n in range(1, 256)),
)


def written(tmp_path: Path, shape: tuple[int, ...], labels: LabelSet = LUNGS) -> tuple[Path, np.ndarray]:
    meta = ScanMeta(stored_shape=shape)
    full = (*shape, 1) if len(shape) == 2 else shape
    volume = Volume(np.zeros(full, np.int16), AFFINE, meta)
    array = np.random.default_rng(1).integers(0, 3, full, np.uint8)
    path = write_labels(tmp_path / "l.nii.gz", LabelVolume.on_grid_of(volume, array, labels), volume)
    return path, array.reshape(shape)


@pytest.mark.parametrize("labels", [LUNGS, PLEURA, ODD], ids=lambda one: one.name)
def test_nibabel_gives_the_label_table_without_a_warning(tmp_path: Path, labels: LabelSet) -> None:
    path, array = written(tmp_path, (9, 8, 7), labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = nib.load(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), array)
    (extension,) = image.header.extensions
    assert extension.get_code() == 0
    rows = ElementTree.fromstring(extension.get_content()).findall("VolumeInformation/LabelTable/Label")
    assert {int(row.get("Key", "")): row.text for row in rows} == {n: labels[n].name for n in labels}
    for row in rows:
        colour = [round(255 * float(row.get(channel, ""))) for channel in ("Red", "Green", "Blue")]
        assert tuple(colour) == labels[int(row.get("Key", ""))].colour
    assert label_names(path) == {n: labels[n].name for n in labels}


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 7), (40_000, 2, 2)], ids=["slice", "volume", "nifti-2"])
def test_other_readers_find_the_voxels_behind_the_names(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path, array = written(tmp_path, shape)
    np.testing.assert_array_equal(read_labels(path).reshape(shape), array)
    if len(shape) == 3 and shape[0] < 2**15:
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T, array)


def test_a_map_of_other_numbers_has_no_label_names(tmp_path: Path) -> None:
    volume = Volume(np.zeros((4, 4, 4), np.int16), AFFINE)
    path = write_map(tmp_path / "u.nii.gz", np.full((4, 4, 4), 7, np.uint8), volume, "uncertainty")
    assert label_names(path) == {}
    assert list(nib.load(path).header.extensions) == []


def test_an_extension_fills_whole_steps_of_16_bytes() -> None:
    for labels in (LUNGS, PLEURA, ODD):
        block = nifti_extension(labels)
        assert len(block) % 16 == 0
        assert int.from_bytes(block[:4], "little") == len(block)


@pytest.mark.parametrize("labels", [LUNGS, ODD], ids=lambda one: one.name)
def test_itk_snap_gets_eight_fields_a_label_and_the_background(tmp_path: Path, labels: LabelSet) -> None:
    lines = write_label_names(tmp_path / "lungs_labels.txt", labels).read_text("utf-8").splitlines()
    assert "# ITK-SnAP Label Description File" in lines
    rows = [line for line in lines if not line.startswith("#")]
    numbers = r"\s*(\d+)" * 4
    parsed = [re.fullmatch(numbers + r'\s+([01])\s+([01])\s+([01])\s+"([^"]*)"', row) for row in rows]
    assert all(parsed)
    assert [int(row[1]) for row in parsed if row] == [0, *labels]
    first = parsed[1]
    assert first is not None
    assert tuple(int(n) for n in first.groups()[1:4]) == labels[1].colour
    assert parsed[0] is not None
    assert parsed[0][8] == "Clear Label"


def test_names_and_colours_are_those_of_the_label_set() -> None:
    assert '    1    64  140  224        1  1  1    "Right lung"\n' in itk_snap_labels(LUNGS)
    assert '    2   204  121  167        1  1  1    "Free pleural gas"\n' in itk_snap_labels(PLEURA)

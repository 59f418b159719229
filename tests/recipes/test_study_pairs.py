"""The pairs of the study on volumes: labels come back on the scan's own grid, whichever way it lies."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest

import hilum
from hilum.core.errors import InputError
from hilum.core.volume import Volume
from hilum.datasets.volume_grid import to_isotropic
from hilum.imaging.overlap import dice
from hilum.io import write_volume

FILE = Path(__file__).parents[2] / "recipes" / "study" / "pairs.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_pairs", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def chest() -> tuple[Volume, np.ndarray]:
    """A digital chest in LPS order, and its lungs."""
    made = hilum.phantom(seed=4, spacing=(2.0, 2.5, 2.5))
    ornt = nib.orientations.axcodes2ornt(("L", "P", "S"))
    affine = made.volume.affine @ nib.orientations.inv_ornt_aff(ornt, made.volume.shape)
    turned = (nib.apply_orientation(array, ornt) for array in (made.volume.hu, made.labels))
    hu, labels = (np.ascontiguousarray(array) for array in turned)
    return Volume(hu, affine), labels


def test_coarse_labels_get_the_surface_of_the_scan(recipe, chest, tmp_path: Path) -> None:
    volume, truth = chest
    write_volume(tmp_path / "one.nii.gz", volume)
    (tmp_path / "labels").mkdir()
    np.savez(tmp_path / "labels" / "one.npz", labels=to_isotropic(volume, truth)[1])
    for expected in (1, 0):  # the second run keeps the pair
        assert recipe.write_pairs(tmp_path, tmp_path / "labels", tmp_path / "out", ["one"]) == expected
    found = np.asarray(nib.load(tmp_path / "out" / "one_lungs.nii.gz").dataobj)
    for side in (1, 2):
        assert dice(found == side, truth == side) > 0.97
    scan = nib.load(tmp_path / "out" / "one_ct.nii.gz")
    assert np.array_equal(np.asarray(scan.dataobj), volume.hu)


def test_a_scan_without_labels_is_labelled_by_its_air(recipe, chest, tmp_path: Path) -> None:
    volume, truth = chest
    write_volume(tmp_path / "one.nii.gz", volume)
    recipe.write_pairs(tmp_path, tmp_path, tmp_path / "out", ["one"])
    found = np.asarray(nib.load(tmp_path / "out" / "one_lungs.nii.gz").dataobj)
    assert dice(found > 0, truth > 0) > 0.95


def test_labels_on_another_grid_and_missing_scans_are_refused(recipe, chest, tmp_path: Path) -> None:
    volume, _ = chest
    with pytest.raises(InputError, match="The labels have"):
        recipe.native_labels(volume, np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(InputError, match="no scan two"):
        recipe.write_pairs(tmp_path, tmp_path, tmp_path / "out", ["two"])

"""The task airways from the pipeline to the files."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from hilum.pipeline import SegmentOptions, run
from hilum.result import Result
from hilum.results import read_measures


@pytest.fixture(scope="module")
def result(thin_slices) -> Result:
    return run(thin_slices.volume, SegmentOptions(tasks=("airways",), model="classic"))


def test_the_lungs_are_found_first_and_only_the_airways_are_written(result, tmp_path) -> None:
    assert list(result.segmentations) == ["lungs", "airways"]
    folder = result.save(tmp_path / "out")
    assert not (folder / "lungs.nii.gz").exists()
    labels = np.asarray(nib.load(folder / "airways.nii.gz").dataobj)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert np.array_equal(labels, result.segmentations["airways"].labels.data)
    written = read_measures(folder).tasks["airways"]
    assert written.label_contract.labels["1"].name == "airway_lumen"
    assert len(written.model.sha256) == 64
    assert "Airway to lung volume" in (folder / "report.html").read_text()


def test_volumes_are_those_of_the_labels(result) -> None:
    found, ml = result.segmentations["airways"].labels, result.volume.voxel_volume_ml
    lumen, wall = found.counts()[1] * ml, found.counts()[2] * ml
    values = result.measures
    assert values["airway_lumen"]["volume"].value == pytest.approx(lumen)
    assert values["airway_wall"]["volume"].value == pytest.approx(wall)
    assert values["airways"]["volume"].value == pytest.approx(lumen + wall)
    within = values["airways"]["lumen_volume"].value  # without the trachea
    assert 0 < within < lumen
    lungs = values["lungs"]["volume"].value
    assert values["airways"]["airway_lung_ratio"].value == pytest.approx(100 * within / lungs)

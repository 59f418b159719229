"""``hilum segment --task lungs,lobes`` on a digital chest: files, measures, report."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hilum.cli.app import run as command
from hilum.core.labels import LOBES
from hilum.io import write_volume
from hilum.results import read_measures
from hilum.synthesis.phantoms import make_phantom

pytest.importorskip("openvino")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lobes")
    write_volume(folder / "chest.nii.gz", make_phantom(seed=21, spacing=(2.0, 2.0, 2.5)).volume)
    assert (
        command(["segment", str(folder / "chest.nii.gz"), "-o", str(folder / "out"), "--task", "lobes"]) == 0
    )
    return folder / "out" / "chest"


def test_the_label_map_of_the_lobes_and_the_names_of_its_values_are_written(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"lobes.nii.gz", "lobes_labels.txt", "report.html", "measures.json"} <= names
    assert "lungs.nii.gz" not in names
    assert set(np.unique(np.asarray(nib.load(folder / "lobes.nii.gz").dataobj))) == {0, *LOBES}


def test_the_lobes_of_a_lung_add_up_to_it(folder: Path) -> None:
    tasks = read_measures(folder).tasks
    lobes, lungs = tasks["lobes"].regions, tasks["lungs"].regions
    for side, names in (("right", ("upper", "middle", "lower")), ("left", ("upper", "lower"))):
        total = sum(lobes[f"{side}_{name}_lobe"]["volume"].value or 0 for name in names)
        assert total == pytest.approx(lungs[f"{side}_lung"]["volume"].value, rel=1e-5)
    assert tasks["lobes"].model.name == "lobes"


def test_the_report_has_a_row_for_each_lobe_and_says_what_was_seen(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    section = page[page.index('id="lobes"') : page.index('id="method"')]
    assert all(info.title in section for info in LOBES.values())
    assert "Seen of the fissures" in section
    assert section.count("<figure") == 4

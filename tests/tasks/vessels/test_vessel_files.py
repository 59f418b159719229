"""The files of the vessels."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LOBES, Lobe
from hilum.tasks.spec import TaskResult
from hilum.tasks.vessels.files import write_vessel_files
from hilum.tasks.vessels.measures import collect_vessels, measure_vessels
from hilum.tasks.vessels.segment import segment_vessels
from support.lung_box import LungBox


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "vessel_pieces.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("known", [True, False])
def test_each_piece_has_its_lobe_where_lobes_are_known(known: bool, tmp_path: Path) -> None:
    volume, lungs = LungBox(tubes=[((30.5, 30.5, 8), (30.5, 30.5, 48), 2.0)]).draw()
    segmentation = segment_vessels(volume, lungs)
    lobes = np.where(lungs.data > 0, Lobe.RIGHT_LOWER, 0).astype(np.uint8)
    lobes[:, :, 28:][lungs.data[:, :, 28:] > 0] = Lobe.RIGHT_UPPER
    if known:
        beside = {**segmentation.beside, "lobes": LabelVolume.on_grid_of(volume, lobes, LOBES)}
        segmentation = replace(segmentation, beside=beside)
    details = collect_vessels(volume, segmentation)
    measures = measure_vessels(volume, segmentation, found=details)
    write_vessel_files(volume, TaskResult(segmentation, measures, details=details), lambda n: tmp_path / n)
    for row in rows(tmp_path):
        upper = float(row["z"]) > 28
        assert row["lobe"] == (("right_upper_lobe" if upper else "right_lower_lobe") if known else "")

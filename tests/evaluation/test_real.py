from __future__ import annotations

import pytest

from hilum.anatomy import Classic
from hilum.core.labels import Side
from hilum.evaluation import evaluate_masks
from hilum.io import read, write_labels
from support.real_data import real_folder

CASES = ("imlab-001", "imlab-002", "imlab-003")


@pytest.mark.real
def test_classic_on_whole_chests(tmp_path):
    data = real_folder("volumes")
    for name in CASES:
        scan = read(data / f"{name}.nii.gz")
        write_labels(tmp_path / f"{name}.nii.gz", Classic()(scan).labels, scan)
    found = evaluate_masks(tmp_path, data, ct=data, matched_only=True)
    assert [case.name for case in found.cases] == list(CASES)
    assert list(found.regions) == [Side.LUNGS]  # the reference has no sides
    assert found.row("dice").worst > 0.96
    assert found.row("hd95").unit == "mm"
    assert found.row("mass_error_percent").unknown == 0

"""Masks, measures and trainings are what they were; benchmarks/golden.py makes the files anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hilum
from hilum.imaging.overlap import dice
from support import golden

HERE = Path(__file__).parent
VALUES = json.loads((HERE / "values.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", list(golden.SCANS))
def test_masks_and_measures_are_those_that_were_kept(name: str) -> None:
    result = hilum.segment(golden.SCANS[name]())
    with np.load(HERE / "masks.npz") as masks:
        kept = masks[name]
    for side in (1, 2):
        if (kept == side).any():
            assert dice(result.segmentations["lungs"].labels.data == side, kept == side) >= 0.9999
        else:
            assert not (result.segmentations["lungs"].labels.data == side).any()
    found = golden.values_of(result.measures.as_dict())
    assert found.keys() == VALUES["measures"][name].keys()
    for key, value in VALUES["measures"][name].items():
        assert found[key] == (None if value is None else pytest.approx(value, rel=1e-4, abs=1e-4)), key


@pytest.mark.slow
def test_twenty_steps_of_each_training_lead_where_they_led(tmp_path: Path) -> None:
    for package in ("torch", "monai", "lightning", "onnxscript"):
        pytest.importorskip(package)
    network = golden.train_slices(tmp_path).read_bytes()
    assert golden.norms(golden.weights_of(network)) == pytest.approx(VALUES["slices"], rel=1e-3, abs=1e-6)
    assert golden.norms(golden.train_volumes(tmp_path)) == pytest.approx(
        VALUES["volumes"], rel=1e-3, abs=1e-6
    )

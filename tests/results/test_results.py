"""What a result says of itself, and the files that it leaves."""

from __future__ import annotations

import csv
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import hilum
from hilum.core.flags import Flag, Severity
from hilum.measures import REGISTRY
from hilum.measures.schema import MeasuresFile
from hilum.pipeline import SegmentOptions, run
from hilum.results import COLUMNS, measure_rows, measures_dict, read_measures


def test_measures_have_the_shape_that_the_schema_promises(boxes, make_result) -> None:
    flag = Flag("thick_slices", Severity.WARNING, "Thick.", ("lungs",))
    labels = boxes.segmentations["lungs"].labels.data
    plain = measures_dict(make_result(boxes.volume, labels, (flag,)))
    parsed = MeasuresFile.model_validate_json(json.dumps(plain))
    assert parsed.schema_ == "hilum.measures/2"
    assert parsed.formulae.keys() == REGISTRY.keys()
    assert parsed.quality[0].code == "thick_slices"
    lungs = parsed.tasks["lungs"]
    assert all(values.keys() == REGISTRY.keys() for values in lungs.regions.values())
    assert lungs.model.name == "classic"
    assert lungs.confidence.failure is None
    with pytest.raises(ValidationError):
        MeasuresFile.model_validate({**plain, "surprise": 1})


def test_an_unknown_value_is_null_with_its_reason(boxes, make_result) -> None:
    plain = measures_dict(make_result(boxes.volume, np.zeros(boxes.volume.shape, np.uint8)))
    assert plain["tasks"]["lungs"]["regions"]["lungs"]["volume"] == {
        "value": None,
        "reason": "No lung was found in this scan.",
    }
    MeasuresFile.model_validate(plain)


def test_hilum_reads_the_measures_that_it_wrote(boxes, tmp_path) -> None:
    folder = boxes.save(tmp_path / "out", report=False)
    read = read_measures(folder).tasks["lungs"].regions["lungs"]["volume"]
    assert read.value == pytest.approx(boxes.measures["lungs"]["volume"].value, rel=1e-6)
    (folder / "measures.json").write_text('{"schema": "hilum.measures/1"}')
    with pytest.raises(hilum.InputError, match=r"measures\.json is damaged: schema is"):
        read_measures(folder)


def test_rows_are_the_long_table(boxes, tmp_path) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in measure_rows(boxes)]
    assert len(rows) == len(boxes.measures) * len(REGISTRY)
    first = rows[0]
    assert (first["task"], first["region"], first["measure"]) == ("lungs", "right_lung", "volume")
    assert (first["unit"], first["formula_id"], first["reason"]) == ("mL", "volume", None)
    assert first["value"] == pytest.approx(boxes.measures["right_lung"]["volume"].value, rel=1e-6)
    with (boxes.save(tmp_path / "out", report=False) / "measures.csv").open(newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)


def test_a_data_frame_is_the_long_table(boxes) -> None:
    pytest.importorskip("pandas")
    frame = boxes.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(boxes.measures) * len(REGISTRY)
    volume = frame[(frame.region == "lungs") & (frame.measure == "volume")].value.item()
    assert volume == pytest.approx(boxes.measures["lungs"]["volume"].value, rel=1e-6)


def test_without_pandas_a_data_frame_says_what_to_install(boxes, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(hilum.UsageError, match="needs pandas") as caught:
        boxes.to_frame()
    assert caught.value.hint == "Run: pip install pandas"


def test_reprs_are_one_short_line_without_voxels(boxes) -> None:
    shown = [
        boxes,
        boxes.volume,
        boxes.measures,
        boxes.segmentations["lungs"],
        boxes.segmentations["lungs"].labels,
    ]
    for thing in shown:
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 200
        assert "array" not in repr(thing)
    assert repr(boxes.volume) == "<Volume 'boxes' 40 x 32 x 24 int16, 2 x 3 x 5 mm, RAS>"
    assert "right_lung 2800, left_lung 2800" in repr(boxes.segmentations["lungs"].labels)


def test_a_notebook_shows_the_main_measures_and_the_flags(boxes, make_result) -> None:
    flag = Flag("cut_top", Severity.ERROR, "The <lung> is cut.", ("right_lung",), ("volume",), "It is cut.")
    html = make_result(boxes.volume, boxes.segmentations["lungs"].labels.data, (flag,))._repr_html_()
    assert "Volume [mL]" in html
    assert 'title="It is cut."' in html
    assert "The &lt;lung&gt; is cut." in html
    assert "<th>Left lung</th><td>84</td>" in html


def test_results_and_options_can_be_sent_to_another_process(boxes) -> None:
    function, options = pickle.loads(pickle.dumps((run, SegmentOptions(device="cpu"))))
    assert function is run
    assert options == SegmentOptions(device="cpu")
    again = pickle.loads(pickle.dumps(boxes))
    assert again.measures["lungs"]["volume"] == boxes.measures["lungs"]["volume"]
    with pytest.raises(ValidationError, match="frozen"):
        options.device = "gpu"


def test_an_option_of_the_wrong_type_is_named() -> None:
    with pytest.raises(hilum.UsageError, match="device is 3: input should be a valid string"):
        SegmentOptions(device=3)
    with pytest.raises(hilum.UsageError, match="speed is 'fast'"):
        SegmentOptions(speed="fast")
    assert SegmentOptions(model=Path("runs") / "mine").model == "runs/mine"

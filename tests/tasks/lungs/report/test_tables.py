"""What the tables say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.flags import Flag, Severity
from hilum.core.volume import Volume
from hilum.drawing.numbers import format_number, interval
from hilum.tasks.lungs.report import tables
from hilum.tasks.lungs.report.compartments import COMPARTMENTS


@pytest.mark.parametrize(
    ("value", "digits", "significant", "shown"),
    [
        (2345.6, 0, 0, "2346"),
        (12345.6, 0, 0, "12\u202f346"),
        (-861.2, 0, 0, "−861"),
        (-0.04, 1, 0, "0.0"),
        (0.0, 0, 2, "0"),
        (4.27, 0, 2, "4.3"),
        (0.0427, 0, 2, "0.04"),
        (427.0, 0, 2, "427"),
    ],
)
def test_numbers(value, digits, significant, shown):
    assert format_number(value, digits, significant) == shown


def test_interval_says_which_end_is_open():
    assert interval(-900, -500) == "−900 to < −500"


def row(table: tables.Table, title: str) -> list[str]:
    return next([cell.text for cell in row.cells] for row in table.rows if row.title == title)


def test_main_table_has_the_measures(chest):
    table = tables.main_table(chest.measures)
    both = chest.measures["lungs"]
    assert row(table, "Volume")[2] == f"{both['volume'].value / 1000:.2f}"
    assert table.rows[0].unit == "L"
    assert row(table, "CT lung weight")[2] == f"{both['tissue_mass'].value:.0f}"
    assert row(table, "LAA-950")[2] == f"{both['laa_950'].value:.1f}"
    assert row(table, "Mean density")[2] == f"−{-both['mean_hu'].value:.0f}"
    assert table.notes.reasons == {}


def test_small_volumes_stay_in_millilitres(boxes):
    table = tables.main_table(boxes.measures)
    assert table.rows[0].unit == "mL"
    assert row(table, "Volume") == ["84", "84", "168"]


def test_unknown_is_a_dash_with_a_reason(boxes, make_result):
    flag = Flag("cut", Severity.ERROR, "The left lung is cut.", ("left_lung",), ("volume", "mass"))
    result = make_result(boxes.volume, boxes.segmentations["lungs"].labels.data, (flag,))
    table = tables.main_table(result.measures)
    weight = next(row for row in table.rows if row.title == "CT lung weight")
    assert weight.cells[0].text == "17"
    assert weight.cells[0].note == ""
    assert (weight.cells[1].text, weight.cells[1].note) == ("—", "a")
    reason = result.measures["left_lung"]["tissue_mass"].reason
    assert table.notes.reasons[reason] == "a"


def test_same_reason_same_letter():
    notes = tables.Notes()
    assert [notes.mark(reason) for reason in ("x", "y", "x")] == ["a", "b", "a"]
    assert notes.reasons == {"x": "a", "y": "b"}


def test_missing_measures_are_unknown_not_an_error():
    table = tables.main_table({})
    assert {cell.text for row in table.rows for cell in row.cells} == {"—"}


def test_aeration_table_and_bar(boxes):
    table = tables.aeration_table(boxes.measures)
    assert row(table, "Normally aerated") == ["100.0"] * 6
    assert [row.unit for row in table.rows[: len(COMPARTMENTS)]][1] == "−900 to < −500"
    bar = str(tables.aeration_bar(boxes.measures, "right_lung"))
    assert ">100 %<" in bar
    assert "normally aerated 100.0 %" in bar


def test_no_bar_where_a_share_is_unknown(boxes, make_result):
    flag = Flag("units", Severity.ERROR, "Not HU.", (), ("density",))
    result = make_result(boxes.volume, boxes.segmentations["lungs"].labels.data, (flag,))
    assert tables.aeration_bar(result.measures, "lungs") is None


def test_thirds_are_shaded_by_density(boxes):
    table = tables.region_table(boxes.measures)
    assert len(table.rows) == 6
    cells = table.rows[0].cells
    right_hu, left_hu = cells[2], cells[6]
    assert (right_hu.text, left_hu.text) == ("−800", "−600")
    assert (right_hu.shade, left_hu.shade) == pytest.approx((0.2, 0.6))
    assert right_hu.style != left_hu.style
    assert cells[0].style == ""


def test_unknown_cell_is_not_shaded(boxes, make_result):
    volume = Volume(boxes.volume.hu[:, :, 10:11], boxes.volume.affine)
    table = tables.region_table(
        make_result(volume, boxes.segmentations["lungs"].labels.data[:, :, 10:11]).measures
    )
    apical = next(row for row in table.rows if row.title.startswith("Apical"))
    assert all(cell.text == "—" and cell.style == "" and cell.note for cell in apical.cells)


def test_formulae_are_those_shown(chest):
    titles = {entry["title"] for entry in tables.formulae(chest.measures)}
    assert "CT lung weight" in titles
    assert "Skewness" not in titles
    assert all(entry["source"] for entry in tables.formulae(chest.measures))


def test_unknown_volume_size(boxes, make_result):
    meta = replace(boxes.volume.meta, spacing_known=False)
    result = make_result(replace(boxes.volume, meta=meta), boxes.segmentations["lungs"].labels.data)
    table = tables.main_table(result.measures)
    assert row(table, "Volume") == ["—"] * 3
    assert np.char.isnumeric([row(table, "Mean density")[0].lstrip("−")]).all()

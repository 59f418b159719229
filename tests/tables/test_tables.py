"""One row a scan, from the folders alone."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from hilum.cli.app import run
from hilum.core.errors import InputError, OutputError, UsageError
from hilum.core.labels import INJURY
from hilum.tables import Kind, read_results, write_tables
from hilum.tables.excel import scans_xlsx
from hilum.tables.files import guarded, read_long, unguarded
from support.index_page import data_of

FILES = ["index.html", "measures_long.csv", "scans.csv", "scans.parquet", "scans.xlsx"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def written(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def xml_of(book: Path, sheet: int) -> str:
    with zipfile.ZipFile(book) as parts:
        return parts.read(f"xl/worksheets/sheet{sheet}.xml").decode()


def test_there_is_one_row_a_scan_named_by_its_folder_in_natural_order(results):
    table = write_tables(results)
    found = rows(results / "scans.csv")
    assert [row["scan"] for row in found] == ["a", "b/ct-2", "b/ct-10"]
    assert table.column("scan") == ["a", "b/ct-2", "b/ct-10"]
    assert [row["flags"] for row in found] == ["calibration_unknown", "", "few_slices;thick_slices"]
    assert [row["flags_error"] for row in found] == ["0", "0", "1"]
    assert [row["kernel"] for row in found] == ["standard", "B70f", "standard"]
    assert [row["contrast"] for row in found] == ["no", "yes", "no"]
    whole = float(found[0]["lungs_volume_ml"])
    assert float(found[1]["lungs_volume_ml"]) == pytest.approx(0.5 * whole)


def test_values_are_those_of_the_measures_of_each_scan(results):
    write_tables(results)
    measures = json.loads((results / "a" / "measures.json").read_text())["tasks"]["lungs"]["regions"]
    row = rows(results / "scans.csv")[0]
    names = {
        "volume": "volume_ml",
        "tissue_mass": "tissue_mass_g",
        "mean_hu": "mean_hu",
        "laa_950": "laa_950_percent",
    }
    for region in ("right_lung", "left_lung", "lungs"):
        for measure, name in names.items():
            assert float(row[f"{region}_{name}"]) == measures[region][measure]["value"]
    long = [entry for entry in rows(results / "measures_long.csv") if entry["scan"] == "a"]
    assert len(long) == sum(map(len, measures.values()))
    assert {e["value"] for e in long if e["region"] == "left_lung_apical" and e["measure"] == "volume"} == {
        str(measures["left_lung_apical"]["volume"]["value"])
    }


def test_an_unknown_value_is_an_empty_field_with_its_reason_in_the_long_table(results):
    path = results / "a" / "measures.json"
    measures = json.loads(path.read_text())
    measures["tasks"]["lungs"]["regions"]["lungs"]["volume"] = {"value": None, "reason": "No voxel size."}
    path.write_text(json.dumps(measures))
    table = write_tables(results)
    assert table.column("lungs_volume_ml")[0] is None
    assert rows(results / "scans.csv")[0]["lungs_volume_ml"] == ""
    place = ("a", "lungs", "volume")
    long = [e for e in rows(results / "measures_long.csv") if (e["scan"], e["region"], e["measure"]) == place]
    assert [(entry["value"], entry["reason"]) for entry in long] == [("", "No voxel size.")]


def test_the_same_results_give_the_same_bytes(results):
    write_tables(results)
    first = written(results)
    write_tables(results)
    assert written(results) == first
    elsewhere = results.parent / "other" / "results"
    shutil.copytree(results, elsewhere)
    write_tables(elsewhere)
    assert written(elsewhere) == first


def test_a_damaged_folder_costs_a_line_not_the_table(results):
    (results / "a" / "measures.json").write_text("{")
    (results / "b" / "ct-2" / "run.json").unlink()
    said: list[str] = []
    table = write_tables(results, notify=said.append)
    assert table.column("scan") == ["b/ct-10"]
    assert len(said) == 2
    assert said[0].startswith("a was left out: measures.json")
    assert said[1].startswith("b/ct-2 was left out: There is no file or folder run.json")
    assert "a was left out" in (results / "index.html").read_text()


def test_a_measure_without_a_formula_is_damage(results):
    path = results / "a" / "measures.json"
    measures = json.loads(path.read_text())
    del measures["formulae"]["volume"]
    path.write_text(json.dumps(measures))
    assert read_results(results).problems == (
        "a was left out: measures.json is damaged: it has no formula of volume.",
    )


@pytest.mark.parametrize("name", ["measures.json", "run.json"])
def test_results_of_another_layout_are_refused(results, name):
    path = results / "b" / "ct-2" / name
    data = json.loads(path.read_text())
    kind = data["schema"].split("/")[0]
    path.write_text(json.dumps({**data, "schema": f"{kind}/1"}))
    with pytest.raises(UsageError, match=f"{name} of b/ct-2 has the layout {kind}/1"):
        write_tables(results)
    assert not (results / "scans.csv").exists()


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No results were found"):
        write_tables(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        write_tables(tmp_path / "missing")


def test_folders_of_trainings_and_hidden_ones_are_no_scans(results):
    (results / "run").mkdir()
    (results / "run" / "run.json").write_text(json.dumps({"schema": "hilum.run/2", "verb": "train"}))
    shutil.copytree(results / "a", results / ".hilum-part" / "a")
    table = read_results(results)
    assert table.column("scan") == ["a", "b/ct-2", "b/ct-10"]
    assert table.problems == ()


def test_names_start_with_their_folder_only_where_two_folders_share_one(results, make_scan, tmp_path):
    make_scan(tmp_path / "more" / "c")
    apart = read_results([results, tmp_path / "more"])
    assert apart.column("scan") == ["a", "b/ct-2", "b/ct-10", "c"]
    assert apart.column("results") == ["results"] * 3 + ["more"]
    make_scan(tmp_path / "more" / "A")
    shared = read_results([results, tmp_path / "more"])
    assert shared.column("scan") == ["more/A", "more/c", "results/a", "results/b/ct-2", "results/b/ct-10"]
    assert [failure.scan for failure in shared.failures] == ["results/bad", "results/worse"]


def test_tables_elsewhere_link_to_the_reports(results, tmp_path):
    out = tmp_path / "tables"
    write_tables(out, [results])
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert "../results/b/ct-2" in data_of((out / "index.html").read_text())["links"]


def test_a_scan_under_two_names_is_told(results):
    shutil.copytree(results / "a", results / "copy")
    assert read_results(results).problems == ("a, copy are one scan: same voxels, same place.",)


def test_failures_come_without_the_folders_of_their_files(results):
    table = write_tables(results)
    assert [(f.scan, f.code, f.message) for f in table.failures] == [
        ("bad", 3, "bad.nii.gz is truncated."),
        ("worse", 6, "out holds the results, of other scan."),
    ]
    page = (results / "index.html").read_text()
    assert "bad.nii.gz is truncated." in page
    assert "Miller" not in page
    assert "Miller" not in "".join(xml_of(results / "scans.xlsx", n) for n in range(1, 6))


def test_a_scan_that_was_measured_later_has_not_failed(results, make_scan):
    make_scan(results / "bad")
    assert [failure.scan for failure in read_results(results).failures] == ["worse"]


def test_a_damaged_table_of_failures_costs_a_line(results):
    (results / "failed.csv").write_text("scan,code,message\nx,many,words\n")
    table = read_results(results)
    assert len(table) == 3
    assert table.problems == ("The failures of results are not in the tables: failed.csv is damaged.",)


def test_failures_alone_make_a_table(tmp_path):
    (tmp_path / "failed.csv").write_text("scan,code,message,hint,path\nx,3,Bad.,,\n")
    assert len(write_tables(tmp_path)) == 0
    assert "Bad." in (tmp_path / "index.html").read_text()


# -- formats --------------------------------------------------------------------------------------------


def test_parquet_has_typed_columns_with_units(results):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_tables(results)
    table = parquet.read_table(results / "scans.parquet")
    assert table.schema.field("lungs_volume_ml").metadata[b"unit"] == b"mL"
    assert [str(table.schema.field(n).type) for n in ("scan", "flags_error", "lungs_volume_ml")] == [
        "string",
        "int64",
        "double",
    ]
    assert table["flags_error"].to_pylist() == [0, 0, 1]


def test_the_workbook_has_a_sheet_each_with_a_frozen_header(results):
    pytest.importorskip("xlsxwriter")
    write_tables(results)
    with zipfile.ZipFile(results / "scans.xlsx") as book:
        names = book.read("xl/workbook.xml").decode()
    order = [
        names.index(f'name="{name}"') for name in ("scans", "measures", "flags", "failures", "definitions")
    ]
    assert order == sorted(order)
    assert all('state="frozen"' in xml_of(results / "scans.xlsx", n) for n in range(1, 6))
    assert xml_of(results / "scans.xlsx", 2).count("<row ") == 1 + 3 * 21
    assert "few_slices" in xml_of(results / "scans.xlsx", 3)


def test_text_that_looks_like_a_formula_stays_text(results):
    evil = '=HYPERLINK("http://evil.example","x")'
    path = results / "a" / "run.json"
    told = json.loads(path.read_text())
    told["input"].update(kernel=evil, manufacturer="@SUM(1)", patient_position="-")
    path.write_text(json.dumps(told))
    write_tables(results)
    row = rows(results / "scans.csv")[0]
    assert (row["kernel"], row["manufacturer"], row["patient_position"]) == (f"'{evil}", "'@SUM(1)", "-")
    assert unguarded(row["kernel"]) == evil
    sheet = xml_of(results / "scans.xlsx", 1)
    assert "<f>" not in sheet
    assert "=HYPERLINK(" in sheet


def test_numbers_are_never_guarded():
    assert guarded(-801.5) == -801.5
    assert unguarded("'tis") == "'tis"


def test_a_sheet_that_would_be_too_long_is_cut_and_says_so(results, tmp_path):
    pytest.importorskip("xlsxwriter")
    table = write_tables(results)
    scans_xlsx(tmp_path / "cut.xlsx", table, read_long(results / "measures_long.csv"), most_rows=10)
    assert xml_of(tmp_path / "cut.xlsx", 2).count("<row ") == 10
    assert "longer than a sheet can be" in xml_of(tmp_path / "cut.xlsx", 5)
    assert "longer than" not in xml_of(results / "scans.xlsx", 5)


@pytest.mark.parametrize(("package", "name"), [("pyarrow", "scans.parquet"), ("xlsxwriter", "scans.xlsx")])
def test_without_a_package_its_file_is_left_out_and_that_is_told(results, monkeypatch, package, name):
    (results / name).write_bytes(b"of a former run")
    monkeypatch.setitem(sys.modules, package, None)
    said: list[str] = []
    write_tables(results, notify=said.append)
    assert len(said) == 1
    assert said[0].startswith(f"{name} was not written: it needs ")
    assert said[0].endswith("Run: pip install 'hilum[tables]'")
    assert [file for file in FILES if not (results / file).exists()] == [name]
    assert name not in (results / "index.html").read_text()


@pytest.mark.parametrize("name", ["scans.csv", "measures_long.csv", "index.html"])
def test_a_file_of_somebody_else_is_not_replaced(results, name):
    (results / name).write_text("scan,path\nmine,/x\n")
    with pytest.raises(OutputError, match=f"{name} is not a file of hilum"):
        write_tables(results)
    assert (results / name).read_text() == "scan,path\nmine,/x\n"


def test_a_data_frame_has_typed_columns(results):
    pytest.importorskip("pandas")
    frame = read_results(results).to_frame()
    assert frame["flags_error"].sum() == 1
    assert str(frame.dtypes["lungs_volume_ml"]) == "float64"
    assert list(frame["scan"]) == ["a", "b/ct-2", "b/ct-10"]


# -- covariates -----------------------------------------------------------------------------------------


def test_covariates_are_joined_typed_and_told(results, tmp_path):
    path = tmp_path / "study.csv"
    path.write_text(
        "id;age;dose;group;kernel\na;61;1.5;x;own\nb/ct-2.nii.gz;;2e1;y;\nghost;50;1;z;\nbad;44;2;z;\n"
    )
    table = read_results(results, join_with=path, on="id")
    kinds = {column.name: column.kind for column in table.columns if column.group == "covariates"}
    assert kinds == {
        "age": Kind.INTEGER,
        "dose": Kind.NUMBER,
        "group": Kind.TEXT,
        "covariate_kernel": Kind.TEXT,
    }
    assert table.column("age") == [61, None, None]
    assert table.column("group") == ["x", None, None]
    assert table.problems == (
        "2 scans without a row in study.csv: b/ct-2, b/ct-10.",
        "2 rows of study.csv without a scan: b/ct-2.nii.gz, ghost.",
    )


def test_a_scan_is_found_by_the_name_of_its_file(results, tmp_path):
    path = tmp_path / "study.csv"
    path.write_text("scan,age\nscans/a.nii.gz,61\n")
    assert read_results(results, join_with=path).column("age") == [61, None, None]


def test_covariates_beside_the_results_are_joined_unasked(results, make_scan, tmp_path):
    (results / "covariates.csv").write_text("scan,age\na,61\n")
    make_scan(tmp_path / "more" / "a")
    (tmp_path / "more" / "covariates.csv").write_text("scan,age,dose\na,62,3\n")
    table = read_results([results, tmp_path / "more"])
    assert table.column("age") == [62, 61, None, None]
    assert table.column("dose") == [3, None, None, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,age\na,1\n", "has no column scan; it has name, age"),
        ("scan,age\na,1\na,2\n", "names the scan a twice"),
        ("scan,age,age\na,1,2\n", "has two columns age"),
        ("scan,age\na,1,2\n", "Line 2 of study.csv has 3 fields, its header 2"),
        ("", "has no column scan; it has none"),
    ],
)
def test_covariates_that_do_not_fit_are_refused(results, tmp_path, text, said):
    path = tmp_path / "study.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_results(results, join_with=path)


# -- the command ----------------------------------------------------------------------------------------


def test_the_command_makes_all_files_and_says_where(results, capsys):
    assert run(["table", str(results)]) == 0
    assert capsys.readouterr().out == f"3 scans, 2 failed -> {results / 'index.html'}\n"
    assert all((results / name).exists() for name in FILES)


def test_the_command_wants_a_folder_for_several(results, tmp_path, capsys):
    assert run(["table", str(results), str(results / "b")]) == 2
    assert "Add -o FOLDER." in capsys.readouterr().err
    assert run(["table", str(results), str(results / "b"), "-o", str(tmp_path / "all")]) == 0
    assert len(rows(tmp_path / "all" / "scans.csv")) == 5


# -- the documentation ----------------------------------------------------------------------------------


def test_the_documented_columns_are_those_that_are_written(results, monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(root / "docs" / "generators"))
    from tables_page import tables_page

    documented = re.findall(r"^\| `(\w+)` \|", tables_page(), re.M)
    names = read_results([results, results / "b"]).names
    others = ("pleura", "airway", "trachea", "main_bronchus", "vessel", "blood", "lobe", "fissure", "injury")
    others += tuple(f"{info.name}_" for info in INJURY.labels)
    of_lungs = [name for name in documented if not any(word in name for word in others)]
    expected = [name for name in of_lungs if name != "lungs_failure_probability"]
    assert names == expected  # of lungs alone, by a model without an estimate of its confidence

"""Lists and tables of scans: what they may hold, and which line is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.batch.inputs import read_inputs
from hilum.core.errors import InputError, UsageError
from hilum.io.sources import Input, Scans, find_scans


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def found(inputs: list[str] | list[Input]) -> Scans:
    return find_scans(inputs, label=lambda uid: uid, notify=lambda sentence: None)


def test_a_list_names_one_scan_a_line_relative_to_its_folder(tmp_path):
    lines = write(
        tmp_path / "lists" / "list.txt", "\ufeff# cases\r\n\r\n a.nii.gz \r\n../b/*.nii\r\n/c.nii\r\n"
    )
    entries = read_inputs([f"@{lines}", "d.nii"])
    here = tmp_path / "lists"
    assert [entry.text for entry in entries] == [f"{here}/a.nii.gz", f"{here}/../b/*.nii", "/c.nii", "d.nii"]
    assert [entry.line for entry in entries] == [
        *("line 3 of list.txt", "line 4 of list.txt", "line 5 of list.txt"),
        "",
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "@"])
def test_a_table_keeps_its_further_columns(tmp_path, separator, mark):
    rows = [["id", "scan", "age"], ["7", "a.nii", "61"], ["", "", ""], ["8", "b c.nii", ""]]
    table = write(tmp_path / "t.csv", "\ufeff" + "\r\n".join(separator.join(row) for row in rows) + "\r\n")
    first, second = read_inputs([f"{mark}{table}"])
    assert (first.text, first.covariates) == (f"{tmp_path}/a.nii", (("id", "7"), ("age", "61")))
    assert (second.text, second.line) == (f"{tmp_path}/b c.nii", "line 4 of t.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,age\na.nii,3\n", "t.csv has no columns called 'scan'"),
        ("scan,scan\na.nii,3\n", "t.csv has 2 columns called 'scan'"),
        ("scan,age,age\na.nii,3,4\n", "Line 1 of t.csv: a column has no name"),
        ("scan,age\na.nii,3\nb.nii\n", "Line 3 of t.csv has 1 fields, but there are 2 columns"),
        ("scan,age\na.nii,3\n,4\n", "Line 3 of t.csv names no scan"),
        ('scan,age\n"a.nii,3\n', "t.csv cannot be read: line 2 is not CSV"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError) as met:
        read_inputs([str(write(tmp_path / "t.csv", text))])
    assert message in met.value.message
    assert met.value.hint


def test_another_encoding_and_an_empty_list_are_refused(tmp_path):
    table = write(tmp_path / "t.csv", "scan,ort\na.nii,Köln\n", "latin-1")
    with pytest.raises(InputError, match="not text in UTF-8") as met:
        read_inputs([str(table)])
    assert "CSV UTF-8" in met.value.hint
    with pytest.raises(UsageError, match="no scan"):
        read_inputs([f"@{write(tmp_path / 'l.txt', '# nothing')}"])
    with pytest.raises(InputError, match="There is no file"):
        read_inputs([f"@{tmp_path / 'absent.txt'}"])


def test_a_scan_of_a_list_that_is_missing_is_told_with_its_line(tmp_path):
    lines = write(tmp_path / "list.txt", "a.nii\nb*.nii\n")
    errors = [source.error.message for source in found(read_inputs([f"@{lines}"])).known]
    assert [message.split("/")[-1] for message in map(str, errors)] == [
        "a.nii does not exist (line 1 of list.txt).",
        "b*.nii (line 2 of list.txt).",
    ]


def test_a_scan_that_is_named_twice_with_other_values_is_refused(tmp_path):
    write(tmp_path / "a.nii", "x")
    same = write(tmp_path / "same.csv", "scan,age\na.nii,3\n./a.nii,3\n")
    assert len(found(read_inputs([str(same)]))) == 1
    other = write(tmp_path / "other.csv", "scan,age\na.nii,3\na.nii,4\n")
    with pytest.raises(InputError, match=r"line 2 of other.csv is named with other values in line 3"):
        found(read_inputs([str(other)]))


def test_parts_share_out_all_scans_under_the_names_of_the_whole(tmp_path):
    paths = [str(write(tmp_path / f"p{n}" / "ct.nii", "x")) for n in (10, 2, 1, 3, 20)]
    whole = found(paths)
    parts = [[source.name for source in whole.part(k, 3)] for k in (1, 2, 3)]
    assert parts == [["p1/ct", "p10/ct"], ["p2/ct", "p20/ct"], ["p3/ct"]]
    assert not any(source.alone for k in (1, 2, 3) for source in whole.part(k, 3))

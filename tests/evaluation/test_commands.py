from __future__ import annotations

import csv
import functools
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from markupsafe import escape

from hilum.cli import compare, evaluate
from hilum.cli.app import print_error
from hilum.core.errors import HilumError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import Volume
from hilum.evaluation import Evaluation
from hilum.evaluation.result import Stored
from hilum.io import write_labels, write_map
from hilum.report.page import POLICY
from support.cards import slice_card, volume_card


@pytest.fixture
def hilum_cli():
    """The two commands as the program runs them; returns the exit code."""
    app = typer.Typer(pretty_exceptions_enable=False)
    for module in (evaluate, compare):

        def verb(*args, _command=module.command, **kwargs):
            raise typer.Exit(_command(*args, **kwargs))

        app.command(module.__name__.rpartition(".")[2])(functools.wraps(module.command)(verb))

    def run(*arguments) -> int:
        try:
            app([str(a) for a in arguments])
        except SystemExit as end:
            return int(end.code or 0)
        except HilumError as error:
            return print_error(error)
        return 0

    return run


@pytest.fixture
def masks(tmp_path):
    scan = Volume(np.zeros((16, 16, 8), np.int16), np.diag([1.0, 1.0, 2.0, 1.0]))
    mask = np.zeros(scan.shape, np.uint8)
    mask[3:8, 3:13, 1:7], mask[9:14, 3:13, 1:7] = 2, 1
    write_labels(tmp_path / "ref.nii.gz", LabelVolume.on_grid_of(scan, mask), scan)
    write_labels(tmp_path / "pred.nii.gz", LabelVolume.on_grid_of(scan, np.roll(mask, 1, 2)), scan)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_masks_against_masks(hilum_cli, masks, capsys):
    out = masks / "out"
    assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "ref.nii.gz", "-o", out) == 0
    names = ["cases.csv", "evaluation.json", "report.html", "run.json", "summary.csv"]
    assert sorted(p.name for p in out.iterdir()) == names
    assert json.loads((out / "run.json").read_text())["files"] == names
    cases = rows(out / "cases.csv")
    dice = next(r for r in cases if (r["region"], r["metric"]) == ("left_lung", "dice"))
    assert float(dice["value"]) == pytest.approx(5 / 6)
    assert all(r["value"] or r["reason"] for r in cases)
    assert "nan" not in (out / "cases.csv").read_text().lower()
    assert "Dice" in capsys.readouterr().out
    html = (out / "report.html").read_text()
    assert "<svg" in html
    assert "://" not in html.replace("http://www.w3.org", "")
    assert escape(POLICY) in html


def test_the_same_twice_is_the_same_to_the_byte(hilum_cli, masks):
    for name in ("one", "two"):
        assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "ref.nii.gz", "-o", masks / name) == 0
    for file in (masks / "one").iterdir():
        assert file.read_bytes() == (masks / "two" / file.name).read_bytes()


def test_json_on_stdout_comes_back(hilum_cli, masks, capsys):
    assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "ref.nii.gz", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    again = Evaluation.from_stored(Stored.model_validate(data)).as_dict()
    summaries = again.pop("summary"), data.pop("summary")
    assert again == data
    for one, other in zip(*summaries, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            near = isinstance(value, float)
            assert value == (pytest.approx(other[key], rel=1e-5) if near else other[key])


def test_errors_have_a_code_and_leave_nothing(hilum_cli, masks, capsys):
    out = masks / "out"
    assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "nothing.nii.gz", "-o", out) == 3
    assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "ref.nii.gz") == 2
    small = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4))
    write_labels(masks / "small.nii.gz", LabelVolume.on_grid_of(small, np.ones((4, 4, 4), np.uint8)), small)
    assert hilum_cli("evaluate", masks / "small.nii.gz", masks / "ref.nii.gz", "-o", out) == 4
    (masks / "mine").mkdir()
    (masks / "mine" / "letter.txt").write_text("dear")
    assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "ref.nii.gz", "-o", masks / "mine") == 6
    assert not out.exists()
    assert [p.name for p in (masks / "mine").iterdir()] == ["letter.txt"]
    errors = capsys.readouterr().err
    assert errors.count("hilum: error:") == 4
    assert "Traceback" not in errors


def test_run_on_a_part_of_a_data_set(hilum_cli, make_dataset, make_run):
    data = make_dataset(subjects=4)
    run = make_run("net", data)
    assert hilum_cli("evaluate", run, data) == 0
    found = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert [case["case"] for case in found["cases"]] == ["2", "3"]
    assert found["source"]["part"] == "test"
    assert found["cases"][0]["regions"]["lungs"]["dice"]["value"] == 1
    assert found["cases"][0]["regions"]["lungs"]["volume_error"]["value"] == 0
    assert hilum_cli("evaluate", run, data, "--part", "all", "-o", run.parent / "all") == 0
    assert len(json.loads((run.parent / "all" / "evaluation.json").read_text())["cases"]) == 4


def test_slices_with_spacing_are_volumes_others_stand_alone(hilum_cli, make_dataset, make_run):
    volumes = make_dataset("volumes", slices=5)
    run = make_run("net", volumes, extra=1)
    assert hilum_cli("evaluate", run, volumes) == 0
    found = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert [case["case"] for case in found["cases"]] == ["2", "3"]
    assert found["cases"][0]["regions"]["lungs"]["hd95"]["unit"] == "mm"
    loose = make_dataset("loose", slices=5, spacing=None, slice_mm=None)
    other = make_run("other", loose, extra=1)
    assert hilum_cli("evaluate", other, loose) == 0
    found = json.loads((other / "evaluation" / "evaluation.json").read_text())
    assert [case["case"] for case in found["cases"]] == [f"{s}_{n}" for s in (2, 3) for n in range(5)]
    assert {case["subject"] for case in found["cases"]} == {"2", "3"}
    assert found["cases"][0]["regions"]["lungs"]["hd95"]["unit"] == "px"
    assert found["summary"][0]["subjects"] == 2


@pytest.mark.parametrize(
    ("change", "arguments", "code", "words"),
    [
        ({}, ["--part", "best"], 2, "part is 'best'"),
        ({"data": {"sha256": "0" * 64}}, [], 3, "another dataset"),
        (
            {"input": {**slice_card()["input"], "plane": "coronal"}},
            [],
            3,
            "coronal slices",
        ),
        (
            {k: volume_card().get(k) for k in ("input", "labels", "threshold")},
            [],
            3,
            "holds slices, but volumes",
        ),
        ({"parts": {"train": [0], "validation": [1]}}, [], 3, "names no test part"),
        ({"parts": {"test": []}}, [], 3, "is empty"),
        ({"parts": {"test": [2, 77]}}, [], 3, "1 of 2"),
        ({}, ["--ct", "x"], 2, "ct is for masks"),
    ],
)
def test_a_mismatch_is_reported(hilum_cli, make_dataset, make_run, capsys, change, arguments, code, words):
    data = make_dataset()
    run = make_run("net", data, **change)
    assert hilum_cli("evaluate", run, data, *arguments) == code
    assert words in capsys.readouterr().err
    assert not (run / "evaluation").exists()


def test_unfinished_and_damaged_runs(hilum_cli, make_dataset, make_run, capsys):
    data = make_dataset()
    run = make_run("net", data)
    (run / "split.json").write_text("{")
    assert hilum_cli("evaluate", run, data) == 3
    (run / "card.json").unlink()
    (run / "config.toml").write_text("")
    assert hilum_cli("evaluate", run, data) == 2
    assert "has not ended" in capsys.readouterr().err


def test_compare_evaluates_what_was_not_evaluated(hilum_cli, make_dataset, make_run, tmp_path, capsys):
    data = make_dataset(subjects=8, slices=3)
    parts = {"train": [], "validation": [], "test": list(range(8))}
    good, bad = make_run("good", data, parts=parts), make_run("bad", data, extra=2, parts=parts)
    out = tmp_path / "out"
    assert hilum_cli("compare", good, bad, "--dataset", data, "-o", out) == 0
    assert not (good / "evaluation").exists()
    tests = rows(out / "tests.csv")
    dice = next(t for t in tests if t["metric"] == "dice")
    assert (dice["first"], dice["second"], dice["better"], dice["subjects"]) == ("good", "bad", "good", "8")
    assert float(dice["p"]) == pytest.approx(2 / 2**8)
    assert float(dice["p_holm"]) > float(dice["p"])
    models = rows(out / "models.csv")
    assert [m["model"] for m in models] == ["good", "bad"]
    assert models[0]["parameters"] == "1234"
    assert models[0]["file_mb"] == "0.002"
    assert models[0]["volume_slices"] == "3"
    assert all(float(m["ms_slice"]) >= 0 for m in models)
    assert len(rows(out / "summary.csv")) == 2 * 13
    assert len(rows(out / "cases.csv")) == 2 * 8 * 13
    html = (out / "report.html").read_text()
    assert html.count('class="plate"') == 2 * 4
    assert "good" in capsys.readouterr().out


def test_compare_takes_an_evaluation_that_fits_and_no_other(hilum_cli, make_dataset, make_run, tmp_path):
    data = make_dataset()
    runs = [make_run("a", data), make_run("b", data, extra=1)]
    for run in runs:
        assert hilum_cli("evaluate", run, data) == 0
    assert hilum_cli("compare", *runs, "-o", tmp_path / "one", "--no-speed") == 0
    models = rows(tmp_path / "one" / "models.csv")
    assert models[0]["reason"] == "times were not measured"
    assert models[0]["ms_slice"] == ""
    seen = make_run.models["a"].seen
    assert hilum_cli("compare", *runs, "--dataset", data, "-o", tmp_path / "two", "--no-speed") == 0
    assert make_run.models["a"].seen == seen + 2  # only for the pictures
    card = json.loads((runs[0] / "card.json").read_text())
    (runs[0] / "card.json").write_text(json.dumps({**card, "onnx_sha256": "0" * 64}))
    assert hilum_cli("compare", *runs, "--dataset", data, "-o", tmp_path / "three", "--no-speed") == 0
    assert make_run.models["a"].seen == seen + 6


def test_compare_folders_of_evaluate(hilum_cli, masks):
    for name in ("one", "two"):
        assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "ref.nii.gz", "-o", masks / name) == 0
    assert hilum_cli("compare", masks / "one", masks / "two", "-o", masks / "out") == 0
    tests = rows(masks / "out" / "tests.csv")
    assert {t["region"] for t in tests} == {"lungs", "right_lung", "left_lung"}
    assert all(t["p"] == "" and t["reason"] for t in tests)
    models = rows(masks / "out" / "models.csv")
    assert "not the network" in models[0]["reason"]


def test_compare_needs_the_same_cases(hilum_cli, make_dataset, make_run, tmp_path, capsys):
    data = make_dataset()
    a, b = make_run("a", data), make_run("b", data, parts={"test": [1, 3]})
    for run in (a, b):
        assert hilum_cli("evaluate", run, data) == 0
    out = tmp_path / "out"
    assert hilum_cli("compare", a, b, "-o", out) == 3
    assert hilum_cli("compare", a, "-o", out) == 2
    assert hilum_cli("compare", a, a, "-o", out) == 2
    assert hilum_cli("compare", a, make_run("c", data), "-o", out) == 3
    assert hilum_cli("compare", a, data, "-o", out) == 3
    errors = capsys.readouterr().err
    for words in (
        "different cases",
        "two models or more",
        "given twice",
        "has not been evaluated",
        "neither",
    ):
        assert words in errors
    assert not out.exists()


def test_a_network_that_finds_nothing_and_a_slice_without_lung(hilum_cli, make_dataset, make_run, tmp_path):
    data = make_dataset(slices=1, empty=[(2, 0)])
    runs = [make_run("blind", data, extra=-1), make_run("good", data)]
    assert hilum_cli("compare", *runs, "--dataset", data, "-o", tmp_path / "out") == 0
    cases = rows(tmp_path / "out" / "cases.csv")
    dice = {(r["model"], r["case"]): (r["value"], r["reason"]) for r in cases if r["metric"] == "dice"}
    assert dice["blind", "2"] == ("", "both masks are empty")
    assert dice["blind", "3"] == ("0.0", "")
    assert dice["good", "3"] == ("1.0", "")
    assert "nan" not in (tmp_path / "out" / "summary.csv").read_text().lower()


def test_airways_by_the_program(hilum_cli, tmp_path, capsys):
    scan = Volume(np.zeros((20, 20, 30), np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    tree = np.zeros(scan.shape, np.uint8)
    tree[8:11, 8:11, 2:28] = 1
    for name in ("a", "b"):
        for folder, length in (("pred", 20), ("ref", 28)):
            (tmp_path / folder).mkdir(exist_ok=True)
            part = tree.copy()
            part[:, :, length:] = 0
            write_map(tmp_path / folder / f"{name}_airways.nii.gz", part, scan, "airways")
    write_map(tmp_path / "pred" / "c_airways.nii.gz", 7 * tree, scan, "airways")
    write_map(tmp_path / "ref" / "c_airways.nii.gz", tree, scan, "airways")
    out = tmp_path / "out"
    code = hilum_cli("evaluate", tmp_path / "pred", tmp_path / "ref", "--task", "airways", "-o", out)
    said = capsys.readouterr()
    assert code == 3
    assert "error: c: " in said.err
    assert "--labels 7=airway_lumen" in said.err
    assert "2 cases, 1 failed" in said.out
    assert "Tree length detected" in said.out
    assert [row["case"] for row in rows(out / "failed.csv")] == ["c"]
    assert {row["region"] for row in rows(out / "cases.csv")} >= {"airways", "airways_from_2_mm"}
    html = (out / "report.html").read_text()
    assert "from the front" in html
    assert "c_airways.nii.gz holds values" in html
    assert hilum_cli("compare", out, out) == 2  # one evaluation twice
    assert hilum_cli("evaluate", tmp_path / "pred", tmp_path / "ref", "--task", "heart", "-o", out) == 2


def test_two_evaluations_of_airways_are_compared(hilum_cli, tmp_path, capsys):
    scan = Volume(np.zeros((20, 20, 30), np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    tree = np.zeros(scan.shape, np.uint8)
    tree[8:11, 8:11, 2:28] = 1
    for folder, length in (("ref", 28), ("one", 26), ("two", 12)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            part = tree.copy()
            part[:, :, length:] = 0
            write_map(tmp_path / folder / f"{name}.nii.gz", part, scan, "airways")
    for folder in ("one", "two"):
        arguments = (
            tmp_path / folder,
            tmp_path / "ref",
            "--task",
            "airways",
            "-o",
            tmp_path / f"{folder}-out",
        )
        assert hilum_cli("evaluate", *arguments) == 0
    assert hilum_cli("compare", tmp_path / "one-out", tmp_path / "two-out", "-o", tmp_path / "cmp") == 0
    assert "clDice, one-out - two-out: +" in capsys.readouterr().out
    tests = rows(tmp_path / "cmp" / "tests.csv")
    assert {"td", "bd"} <= {row["metric"] for row in tests}
    assert "branches" not in {row["metric"] for row in tests}  # a size is neither better nor worse
    assert "Tree length detected" in (tmp_path / "cmp" / "report.html").read_text()


def test_several_processes_give_the_same_bytes(hilum_cli, tmp_path):
    scan = Volume(np.zeros((16, 16, 8), np.int16), np.diag([1.0, 1.0, 2.0, 1.0]))
    mask = np.zeros(scan.shape, np.uint8)
    mask[3:8, 3:13, 1:7] = 3
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
        for name, shift in (("a", 1), ("b", 2), ("c", 1)):
            moved = np.roll(mask, shift if folder == "pred" else 0, 0)
            write_map(tmp_path / folder / f"{name}.nii.gz", moved, scan, "injury")
    for jobs in ("1", "2"):
        arguments = (tmp_path / "pred", tmp_path / "ref", "--task", "injury", "-o", tmp_path / jobs)
        assert hilum_cli("evaluate", *arguments, "--jobs", jobs) == 0
    for file in (tmp_path / "1").iterdir():
        assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes()
    assert (
        hilum_cli("evaluate", tmp_path / "pred", tmp_path / "ref", "-o", tmp_path / "x", "--jobs", "0") == 2
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.update(task="heart"), "should be one of lungs"),
        (lambda data: data["cases"][0]["regions"].pop("lungs"), "metrics of lungs"),
        (lambda data: data["cases"][0]["regions"]["lungs"].pop("dice"), "metrics of lungs"),
        (lambda data: data["cases"][0]["regions"]["lungs"].update(x={"value": 1, "unit": ""}), "knows"),
    ],
)
def test_an_evaluation_that_was_changed_by_hand_is_refused(hilum_cli, masks, capsys, change, said):
    for name in ("one", "two"):
        assert hilum_cli("evaluate", masks / "pred.nii.gz", masks / "ref.nii.gz", "-o", masks / name) == 0
    file = masks / "two" / "evaluation.json"
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    assert hilum_cli("compare", masks / "one", masks / "two", "-o", masks / "out") == 3
    error = capsys.readouterr().err
    assert "evaluation.json in two" in error
    assert said in error

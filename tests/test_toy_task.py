"""A new task is a folder of its own and a line in the registry: nothing else of hilum knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

import hilum
from hilum.cli.app import run as command
from hilum.core.segmentation import Segmentation
from hilum.io import write_volume
from hilum.pipeline import SegmentOptions, run
from hilum.results import read_measures
from hilum.tasks.registry import TASKS, in_order, registered
from hilum.tasks.spec import Task
from support.plain_chest import build_chest
from toy.spec import BALL, BALL_TASK, RADIUS_MM

OPTIONS = SegmentOptions(tasks=("toy",), model="classic")


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    with registered(BALL_TASK):
        yield


@pytest.fixture(scope="module")
def scan() -> hilum.Volume:
    return build_chest(spacing=(4.0, 4.0, 5.0)).volume


def test_a_task_runs_after_what_it_needs_and_is_gone_with_its_registration(scan) -> None:
    assert [task.name for task in in_order(["toy"])] == ["lungs", "toy"]
    assert [task.name for task in in_order(["toy", "lungs"])] == ["lungs", "toy"]
    with pytest.raises(ValueError, match="there already"), registered(BALL_TASK):
        pass
    assert set(TASKS) > {"lungs", "pleura", "toy"}


def test_tasks_that_are_compared_with_each_other_are_measured_beside_each_others_label_maps(scan) -> None:
    seen: dict[str, set[str]] = {}

    def task(name: str, *compared: str) -> Task:
        def collect(volume: hilum.Volume, found: Segmentation) -> int:
            seen[name] = set(found.beside)
            return found.labels.counts()[7]

        labels = replace(BALL, name=name, labels=(replace(BALL[7], name=name),))
        return replace(BALL_TASK, name=name, label_set=labels, compared=compared, collect=collect)

    with registered(task("first", "second", "vessels")), registered(task("second", "first")):
        run(scan, SegmentOptions(tasks=("first", "second"), model="classic"))
        assert seen == {"first": {"second"}, "second": {"first"}}
        run(scan, SegmentOptions(tasks=("second",), model="classic"))
        assert seen["second"] == set()


def test_the_pipeline_gives_label_map_measure_and_flag_of_a_new_task(scan) -> None:
    result = run(scan, OPTIONS)
    assert list(result.segmentations) == ["lungs", "toy"]
    assert result.segmentations["lungs"].model.name == "classic"  # the model is that of the lungs
    assert result.segmentations["toy"].model == hilum.core.segmentation.ModelInfo("round", "0.1")
    assert result.segmentations["toy"].labels.label_set is BALL
    assert result.measures["ball"]["ball_diameter"].value == pytest.approx(2 * RADIUS_MM, rel=0.05)
    assert result.measures["lungs"]["volume"].value > 0
    assert "ball_seen" in {flag.code for flag in result.flags}


def test_outputs_name_the_task_and_hold_only_what_was_requested(scan, tmp_path) -> None:
    folder = run(scan, OPTIONS).save(tmp_path / "out")
    names = ["ball-uncertainty.nii.gz", "ball.nii.gz", "ball_labels.txt", "measures.csv", "measures.json"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *names,
        "report.html",
        "run.json",
        "thumbnail.png",
    ]
    assert set(np.unique(nib.load(folder / "ball.nii.gz").dataobj)) == {0, 7}
    written = read_measures(folder)
    assert list(written.tasks) == ["lungs", "toy"]
    ball = written.tasks["toy"]
    assert (ball.label_contract.version, ball.model.version, ball.confidence.failure) == ("0.3", "0.1", 0.25)
    assert ball.label_contract.labels["7"].name == "ball"
    assert written.formulae["ball_diameter"].unit == "mm"
    manifest = json.loads((folder / "run.json").read_text())
    assert {name: task["model"]["name"] for name, task in manifest["tasks"].items()} == {
        "lungs": "classic",
        "toy": "round",
    }
    report = (folder / "report.html").read_text()
    assert "mm across &lt;b&gt;" in report
    assert "Thirds of each lung" not in report  # the lungs were needed, not asked for


def test_the_command_line_takes_a_new_task_by_its_name(scan, tmp_path, capsys) -> None:
    write_volume(tmp_path / "chest.nii.gz", scan)
    words = ["segment", str(tmp_path / "chest.nii.gz"), "-o", str(tmp_path / "out"), "--model", "classic"]
    assert command([*words, "--task", "lungs,toy"]) == 0
    said = capsys.readouterr().out
    assert "right " in said
    assert "ball 40 mm" in said or "ball 39 mm" in said or "ball 41 mm" in said
    files = {path.name for path in (tmp_path / "out" / "chest").iterdir()}
    assert files >= {"lungs.nii.gz", "ball.nii.gz", "ball-uncertainty.nii.gz"}
    report = (tmp_path / "out" / "chest" / "report.html").read_text()
    assert report.index("Thirds of each lung") < report.index("mm across") < report.index("Provenance")
    assert command([*words, "--task", "lungs,heart"]) == 2
    known = ", ".join(TASKS)
    assert f"task is 'heart', expected one of {known}." in capsys.readouterr().err


def test_the_help_names_every_task(capsys) -> None:
    assert command(["segment", "--help"]) == 0
    words = capsys.readouterr().out.replace("│", " ").split()
    assert {name for name in TASKS if name != "toy"} <= {word.strip(".,") for word in words}

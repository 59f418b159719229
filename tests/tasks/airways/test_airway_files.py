from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.core.flags import Flag, FlagCode, Severity
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import AIRWAYS, LOBES, Lobe
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.io.swc import read_swc
from hilum.report.page import render_part
from hilum.tasks.airways.files import BRANCH_COLUMNS, TREE_SCHEMA, write_airway_files
from hilum.tasks.airways.measures import collect_airways, measure_airways
from hilum.tasks.airways.report.section import airways_section
from hilum.tasks.spec import TaskResult


@pytest.fixture(scope="module")
def result_of(tubes) -> Callable[[list[Flag]], TaskResult]:
    labels = LabelVolume(tubes.lumen.astype(np.uint8), np.eye(4), AIRWAYS)
    lungs = LabelVolume(tubes.lungs, np.eye(4))
    segmentation = Segmentation(labels, ModelInfo("airways", "1"), beside={"lungs": lungs})
    airways = collect_airways(tubes.volume, segmentation)

    def make(flags: list[Flag]) -> TaskResult:
        measures = measure_airways(tubes.volume, segmentation, airways, flags)
        return TaskResult(segmentation, measures, details=airways)

    return make


@pytest.fixture(scope="module")
def with_lobes(tubes) -> TaskResult:
    """Airways that are measured beside lobes: the left lung a lower lobe, the right one an upper lobe."""
    lobes = np.array([0, Lobe.RIGHT_UPPER, Lobe.LEFT_LOWER], np.uint8)[tubes.lungs]
    beside = {"lungs": LabelVolume(tubes.lungs, np.eye(4)), "lobes": LabelVolume(lobes, np.eye(4), LOBES)}
    labels = LabelVolume(tubes.lumen.astype(np.uint8), np.eye(4), AIRWAYS)
    segmentation = Segmentation(labels, ModelInfo("airways", "1"), beside=beside)
    airways = collect_airways(tubes.volume, segmentation)
    measures = measure_airways(tubes.volume, segmentation, airways)
    return TaskResult(segmentation, measures, details=airways)


@pytest.fixture(scope="module")
def folder(tubes, result_of, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tree")
    write_airway_files(tubes.volume, result_of([]), lambda name: out / name)
    return out


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "airway_branches.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_a_branch(folder) -> None:
    found = rows(folder)
    assert tuple(found[0]) == BRANCH_COLUMNS
    assert [row["generation"] for row in found].count("2") == 4
    assert found[0]["parent"] == ""
    assert float(found[0]["lumen_mm"]) == pytest.approx(12, abs=0.2)
    assert found[0]["wall_mm"] == ""
    assert all(row["lobe"] == "" for row in found)


def test_lobes_are_in_every_file_and_in_the_report(tubes, with_lobes, tmp_path) -> None:
    write_airway_files(tubes.volume, with_lobes, lambda name: tmp_path / name)
    lobes = [row["lobe"] for row in rows(tmp_path)]
    assert lobes.count("left_lower_lobe") == lobes.count("right_upper_lobe") == 2
    tree = json.loads((tmp_path / "airway_tree.json").read_text())
    assert [branch["lobe"] or "" for branch in tree["branches"]] == lobes
    assert "90 %" in tree["lobe_rule"]
    types = set(read_swc(tmp_path / "airway_tree.swc").types.tolist())
    assert types == {5, 6, 7, 10 + Lobe.LEFT_LOWER, 10 + Lobe.RIGHT_UPPER}
    section = airways_section(tubes.volume, with_lobes)
    assert "Left lower lobe" in str(render_part(section.body, section.package, section.values))
    assert "Lobe of a branch" in str(render_part(section.method, section.package, section.values))


def test_values_of_lobes_are_those_of_their_branches(with_lobes) -> None:
    found = with_lobes.measures
    assert found["left_lower_lobe_airways"]["branch_count"].value == 2
    assert found["left_lower_lobe_airways"]["lumen_diameter"].value == pytest.approx(3.5, abs=0.2)
    empty = found["right_middle_lobe_airways"]
    assert (empty["branch_count"].value, empty["tree_length"].value) == (0, 0)
    assert empty["lumen_diameter"].reason == "No branch was found in this lobe."


def test_the_json_holds_the_same_tree_with_its_blur_and_rule(folder) -> None:
    tree = json.loads((folder / "airway_tree.json").read_text())
    assert tree["schema"] == TREE_SCHEMA
    assert tree["blur"]["measured"]
    assert "centreline" in tree["branch_rule"]
    assert [b["length_mm"] for b in tree["branches"]] == [float(row["length_mm"]) for row in rows(folder)]
    stations = tree["branches"][3]["stations"]
    assert len({len(values) for values in stations.values()}) == 1


def test_the_swc_is_one_tree_with_the_radii_of_the_fit(folder) -> None:
    tree = read_swc(folder / "airway_tree.swc")
    assert list(tree.parents).count(-1) == 1
    assert set(tree.types) == {5, 6, 7}
    assert tree.radii[0] == pytest.approx(6, abs=0.1)


def test_surfaces_are_written_for_viewers_one_a_generation_in_the_glb(folder) -> None:
    data = (folder / "airways.glb").read_bytes()
    assert data[:4] == b"glTF"
    text = data[20 : 20 + int.from_bytes(data[12:16], "little")].decode()
    names = [mesh["name"] for mesh in json.loads(text)["meshes"]]
    assert names == ["Trachea", "Generation 1", "Generation 2"]
    assert len((folder / "airways.stl").read_bytes()) > 1000


def test_calibres_that_a_flag_forbids_are_in_no_file(tubes, result_of, tmp_path) -> None:
    off = Flag(FlagCode.CALIBRATION_OFF, Severity.ERROR, "HU are off.", (), ("density",))
    write_airway_files(tubes.volume, result_of([off]), lambda name: tmp_path / name)
    assert {row["lumen_mm"] for row in rows(tmp_path)} == {""}
    assert {row["lumen_half_mm"] for row in rows(tmp_path)} == {""}


def test_the_report_shows_the_tree_twice_a_row_a_generation_and_its_ends(tubes, result_of) -> None:
    section = airways_section(tubes.volume, result_of([]))
    body = str(render_part(section.body, section.package, section.values))
    assert body.count('class="tree"') == 2
    # Each branch is a line over a white rim.
    assert body.split("From the front")[0].count("stroke-linecap") == 7
    assert body.count('<th scope="row">1</th>') == body.count('<th scope="row">2</th>') == 1
    assert '<th scope="row">3</th>' not in body
    assert body.count("<circle") >= 4
    assert "Right main bronchus" in body
    method = str(render_part(section.method, section.package, section.values))
    assert "measured at the wall of the trachea" in method
    assert "pi10.sqrt_wa" in method


def test_a_report_without_a_tree_says_so(tubes, result_of) -> None:
    found = result_of([])
    bare = TaskResult(found.segmentation, measure_airways(tubes.volume, found.segmentation, None))
    section = airways_section(tubes.volume, bare)
    assert "No tree was found" in str(render_part(section.body, section.package, section.values))

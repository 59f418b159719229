"""measure and evaluate from the command line, on masks of other programs."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from tests.support.plain_chest import build_chest

from hilum.cli.app import run
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import PLEURA
from hilum.io import write_labels, write_map, write_volume
from hilum.io.nifti_names import label_names


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A scan, its lungs by the label contract, and as TotalSegmentator numbers them."""
    folder = tmp_path_factory.mktemp("masks")
    chest = build_chest(spacing=(6.0, 6.0, 8.0))
    write_volume(folder / "ct.nii.gz", chest.volume)
    write_labels(folder / "lungs.nii.gz", LabelVolume.on_grid_of(chest.volume, chest.lungs), chest.volume)
    total = np.array([0, 12, 10], np.uint8)[chest.lungs]
    total[:, :, : total.shape[2] // 2][chest.lungs[:, :, : total.shape[2] // 2] == 1] = 14
    total[0, 0, 0] = 5
    write_map(folder / "total.nii.gz", total, chest.volume, "structures")
    return folder


def measured(files, capsys, *arguments: str) -> dict:
    assert run(["measure", str(files / "ct.nii.gz"), *arguments, "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)["tasks"]["lungs"]["regions"]


def test_measure_reads_a_vocabulary(files, capsys):
    own = measured(files, capsys, str(files / "lungs.nii.gz"))
    other = measured(files, capsys, str(files / "total.nii.gz"), "--labels", "totalsegmentator")
    assert own == other
    assert own["left_lung"]["volume"]["value"] > 0


def test_measure_without_labels_names_the_option(files, tmp_path, capsys):
    code = run(
        ["measure", str(files / "ct.nii.gz"), str(files / "total.nii.gz"), "-o", str(tmp_path / "out")]
    )
    assert code == 3
    said = capsys.readouterr().err
    assert "other than 0, 1 and 2 (5, 10, 12, 14)" in said
    assert "--labels" in said
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_that_does_not_exist_is_a_usage_error(files, capsys):
    code = run(
        ["measure", str(files / "ct.nii.gz"), str(files / "lungs.nii.gz"), "--json", "--labels", "lungmusk"]
    )
    assert code == 2
    assert "expected one of totalsegmentator" in capsys.readouterr().err


def test_evaluate_maps_prediction_and_reference_apart(files, capsys):
    total, lungs = str(files / "total.nii.gz"), str(files / "lungs.nii.gz")
    for arguments in (
        (total, lungs, "--labels", "totalsegmentator"),
        (lungs, total, "--ref-labels", "10=left,12=right,14=right,*=0"),
    ):
        assert run(["evaluate", *arguments, "--json", "-q"]) == 0
        rows = json.loads(capsys.readouterr().out)["summary"]
        dice = {row["region"]: row["mean"] for row in rows if row["metric"] == "dice"}
        assert dice == {"lungs": 1, "right_lung": 1, "left_lung": 1}
    assert run(["evaluate", lungs, total, "--ref-labels", "5=0,10=0,12=0,14=0", "--json"]) == 3
    assert "none is lung" in capsys.readouterr().err


def test_the_label_maps_of_segment_are_measured_without_labels(files, tmp_path, capsys):
    words = ["segment", str(files / "ct.nii.gz"), "-o", str(tmp_path), "-q", "--no-report"]
    assert run([*words, "--model", "classic", "--task", "lungs", "--format", "nifti,nrrd"]) == 0
    capsys.readouterr()
    first = json.loads((tmp_path / "ct" / "measures.json").read_text())["tasks"]["lungs"]["regions"]
    for name in ("lungs.nii.gz", "lungs.seg.nrrd"):
        again = measured(files, capsys, str(tmp_path / "ct" / name))
        assert {side: again[side]["volume"] for side in again} == {
            side: first[side]["volume"] for side in first
        }


def test_a_label_map_of_the_pleura_is_not_taken_as_lungs(files, tmp_path, capsys):
    chest = build_chest(spacing=(6.0, 6.0, 8.0))
    pleura = LabelVolume.on_grid_of(chest.volume, chest.lungs, PLEURA)
    write_labels(tmp_path / "pleura.nii.gz", pleura, chest.volume)
    assert run(["measure", str(files / "ct.nii.gz"), str(tmp_path / "pleura.nii.gz"), "--json"]) == 3
    assert "pleural_fluid" in capsys.readouterr().err


def test_lungs_that_were_joined_under_one_name_are_not_taken_as_one_lung(files, tmp_path, capsys):
    own = nib.load(files / "lungs.nii.gz")
    joined = (np.asanyarray(own.dataobj) > 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(joined, own.affine, own.header), tmp_path / "joined.nii.gz")
    assert label_names(tmp_path / "joined.nii.gz")[1] == "right_lung"  # nibabel keeps the names
    found = measured(files, capsys, str(tmp_path / "joined.nii.gz"))
    assert {side: one["volume"] for side, one in found.items()} == {
        side: one["volume"] for side, one in measured(files, capsys, str(files / "lungs.nii.gz")).items()
    }

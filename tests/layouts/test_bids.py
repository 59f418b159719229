"""CT of a BIDS dataset in, a derivative out, judged by the validator of BIDS."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import hilum
from hilum.cli.app import run
from hilum.core.errors import HilumError, InputError, OutputError, UsageError
from hilum.io import write_volume
from hilum.io.file_group import output_files
from hilum.io.folders import look_into
from hilum.io.nifti_names import label_names
from hilum.layouts.bids import BidsLayout
from hilum.layouts.bids_files import MEASURES_COLUMNS
from hilum.results import COLUMNS, read_measures
from hilum.tables import write_tables
from support.index_page import data_of
from support.plain_chest import build_chest

FAST = {"model": "classic", "layout": "bids"}
SCANS = [
    "sub-01/ct/sub-01_ct",
    "sub-02/ses-a/ct/sub-02_ses-a_ct",
    "sub-02/ses-b/ct/sub-02_ses-b_acq-soft_ct",
    "sub-02/ses-b/ct/sub-02_ses-b_acq-sharp_run-1_ct",
]
STEMS = ["sub-01", "sub-02_ses-a", "sub-02_ses-b_acq-sharp_run-1", "sub-02_ses-b_acq-soft"]
ENDINGS = [
    "_desc-hilum_measures.tsv",
    "_desc-hilum_provenance.json",
    "_desc-hilum_report.html",
    "_desc-hilum_result.json",
    "_desc-lungs_dseg.json",
    "_desc-lungs_dseg.nii.gz",
    "_desc-lungs_dseg.tsv",
    "_desc-lungs_labels.txt",
]
TOP = [".bidsignore", "README", "dataset_description.json", "desc-hilum_measures.json", "participants.json"]
TOP += ["participants.tsv"]
PRIVATE = ["failed.csv", "sources.csv"]


def add_scan(dataset: Path, place: str, lung_hu: float = -850.0) -> None:
    write_volume(dataset / f"{place}.nii.gz", build_chest(spacing=(6.0, 6.0, 8.0), lung_hu=lung_hu).volume)


def make_dataset(folder: Path, places: list[str] = SCANS) -> Path:
    for number, place in enumerate(places):
        add_scan(folder, place, -850.0 + number)
    (folder / "dataset_description.json").write_text('{"Name": "chests", "BIDSVersion": "1.11.0"}')
    return folder


def segment_bids(dataset: Path, out: Path | None = None, **options: Any) -> list[hilum.Outcome]:
    return list(hilum.run_batch(dataset, out, **{**FAST, **options}))


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[hilum.Outcome]]:
    """A dataset of four scans, one of them broken besides, after a run."""
    dataset = make_dataset(tmp_path_factory.mktemp("bids") / "chests")
    (dataset / "sub-03" / "ct").mkdir(parents=True)
    (dataset / "sub-03" / "ct" / "sub-03_ct.nii.gz").write_bytes(b"no scan")
    return dataset, segment_bids(dataset)


def test_every_scan_has_its_files_under_its_own_entities(done: tuple[Path, list[hilum.Outcome]]) -> None:
    dataset, outcomes = done
    assert [outcome.source.name for outcome in outcomes] == [*STEMS, "sub-03"]
    folders = ["sub-01/ct", "sub-02/ses-a/ct", "sub-02/ses-b/ct", "sub-02/ses-b/ct"]
    expected = [f"{place}/{stem}{end}" for place, stem in zip(folders, STEMS, strict=True) for end in ENDINGS]
    assert files_below(dataset / "derivatives" / "hilum") == sorted([*expected, *TOP, *PRIVATE])
    assert not [name for name in files_below(dataset) if name.startswith("sub-") and "desc-" in name]


def test_a_scan_that_fails_stops_no_other_and_leaves_nothing(done: tuple[Path, list[hilum.Outcome]]) -> None:
    dataset, outcomes = done
    assert [type(outcome.error) for outcome in outcomes] == [type(None)] * 4 + [InputError]
    assert not (dataset / "derivatives" / "hilum" / "sub-03").exists()


def test_voxels_and_measures_are_those_of_segment(done: tuple[Path, list[hilum.Outcome]]) -> None:
    dataset, _ = done
    alone = hilum.segment(dataset / "sub-01" / "ct" / "sub-01_ct.nii.gz", model="classic")
    place = dataset / "derivatives" / "hilum" / "sub-01" / "ct"
    image = nib.load(place / "sub-01_desc-lungs_dseg.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), alone.segmentations["lungs"].labels.data)
    assert label_names(place / "sub-01_desc-lungs_dseg.nii.gz") == {1: "right_lung", 2: "left_lung"}
    written = read_measures(place / "sub-01_desc-hilum_result.json").tasks["lungs"].regions
    assert written["lungs"]["volume"].value == alone.measures["lungs"]["volume"].rounded
    header, *rows = (place / "sub-01_desc-hilum_measures.tsv").read_text().splitlines()
    assert header.split("\t") == list(COLUMNS) == list(MEASURES_COLUMNS)
    assert all(len(row.split("\t")) == len(COLUMNS) and "" not in row.split("\t") for row in rows)


def test_sidecar_and_lookup_table_say_what_the_values_mean(done: tuple[Path, list[hilum.Outcome]]) -> None:
    dataset, outcomes = done
    place = dataset / "derivatives" / "hilum" / "sub-02" / "ses-a" / "ct"
    about = json.loads((place / "sub-02_ses-a_desc-lungs_dseg.json").read_text())
    assert about["Sources"] == ["bids:raw:sub-02/ses-a/ct/sub-02_ses-a_ct.nii.gz"]
    assert about["SourceFingerprint"] == outcomes[1].fingerprint
    table = (place / "sub-02_ses-a_desc-lungs_dseg.tsv").read_text()
    assert table == "index\tname\tcolor\n1\tright_lung\t#408ce0\n2\tleft_lung\t#f09638\n"
    description = json.loads((place.parents[2] / "dataset_description.json").read_text())
    assert (place.parents[2] / description["DatasetLinks"]["raw"]).resolve() == dataset.resolve()
    assert description["GeneratedBy"][0]["Version"] == hilum.__version__


def test_participants_are_those_with_a_scan_that_is_done(done: tuple[Path, list[hilum.Outcome]]) -> None:
    root = done[0] / "derivatives" / "hilum"
    assert (root / "participants.tsv").read_text() == "participant_id\tct_scans\nsub-01\t1\nsub-02\t3\n"
    assert set(json.loads((root / "participants.json").read_text())) > {"participant_id", "ct_scans"}


# -- the validator ------------------------------------------------------------------------------------------

VALIDATOR = shutil.which(
    "bids-validator-deno",
    path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
)
needs_validator = pytest.mark.skipif(VALIDATOR is None, reason="needs bids-validator-deno")


def errors_of(dataset: Path, cache: Path) -> list[tuple[str, str]]:
    """Codes and places of the errors that the validator finds."""
    assert VALIDATOR is not None
    environment = {**os.environ, "DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(cache)}
    environment["PATH"] = os.pathsep.join([str(Path(VALIDATOR).parent), environment.get("PATH", "")])
    command = [VALIDATOR, str(dataset), "--format", "json"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    issues = json.loads(said.stdout)["issues"]["issues"]
    return [(one["code"], one.get("location", "")) for one in issues if one["severity"] == "error"]


@needs_validator
def test_the_derivative_is_valid_as_it_is(done: tuple[Path, list[hilum.Outcome]], tmp_path: Path) -> None:
    root = done[0] / "derivatives" / "hilum"
    assert errors_of(root, tmp_path) == []
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    (copy / ".bidsignore").unlink()
    assert "NOT_INCLUDED" in {code for code, _ in errors_of(copy, tmp_path)}


@needs_validator
def test_segmentations_are_valid_under_a_data_type_that_bids_knows(
    done: tuple[Path, list[hilum.Outcome]], tmp_path: Path
) -> None:
    # The validator looks into no folder called ct; called anat, all that BIDS has rules for is judged.
    copy = Path(shutil.copytree(done[0] / "derivatives" / "hilum", tmp_path / "copy"))
    for folder in list(copy.rglob("ct")):
        folder.rename(folder.with_name("anat"))
    (copy / ".bidsignore").write_text("*_desc-hilum_*\n*_labels.txt\ndesc-hilum_measures.json\n/*.csv\n")
    assert errors_of(copy, tmp_path) == []
    (copy / "sub-01" / "anat" / "sub-01_desc-lungs_dseg.tsv").write_text("value\tcolor\n1\t#000000\n")
    places = {place for _, place in errors_of(copy, tmp_path)}
    assert places == {"/sub-01/anat/sub-01_desc-lungs_dseg.tsv"}


# -- one after another --------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A dataset of one scan."""
    return make_dataset(tmp_path / "chests", SCANS[:1])


def bytes_of(root: Path) -> dict[str, bytes]:
    """All files but those that hold times, provenance and report, and the tables, which hold paths."""
    names = [name for name in files_below(root) if not name.endswith(("provenance.json", "report.html"))]
    names = [name for name in names if name not in PRIVATE]
    return {name: (root / name).read_bytes() for name in names}


def test_the_same_scan_is_replaced_by_the_same_bytes_and_what_is_not_written_again_goes(small: Path) -> None:
    root = small / "derivatives" / "hilum"
    (first,) = segment_bids(small, formats=("nifti", "nrrd"))
    assert first.error is None
    before = bytes_of(root)
    segment_bids(small, formats=("nifti",), report=False)
    gone = "sub-01/ct/sub-01_desc-lungs_dseg.seg.nrrd"
    assert bytes_of(root) == {name: data for name, data in before.items() if name != gone}
    assert not list(root.rglob("*.html"))


def test_results_of_another_scan_are_kept_until_overwriting_is_asked_for(small: Path) -> None:
    root = small / "derivatives" / "hilum"
    segment_bids(small)
    before = bytes_of(root)
    add_scan(small, SCANS[0], -700.0)
    (refused,) = segment_bids(small)
    assert isinstance(refused.error, OutputError)
    assert "sub-01" in str(refused.error)
    assert "belong to another scan" in str(refused.error)
    assert bytes_of(root) == before
    (replaced,) = segment_bids(small, overwrite=True)
    assert replaced.error is None
    assert bytes_of(root) != before


def test_a_scan_of_the_same_session_is_left_as_it_is(small: Path) -> None:
    segment_bids(small)
    before = bytes_of(small / "derivatives" / "hilum" / "sub-01")
    add_scan(small, "sub-01/ct/sub-01_acq-other_ct")
    segment_bids(small)
    after = bytes_of(small / "derivatives" / "hilum" / "sub-01")
    assert before.items() < after.items()
    assert len(after) == 2 * len(before)


def test_a_writer_that_fails_changes_nothing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = small / "derivatives" / "hilum"
    segment_bids(small)
    before = bytes_of(root)

    def full(*arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hilum.layouts.bids.render_report", full)
    (refused,) = segment_bids(small, formats=("nifti", "nrrd"))
    assert isinstance(refused.error, OutputError)
    assert "is full" in str(refused.error)
    assert bytes_of(root) == before


def test_another_folder_can_hold_the_derivative(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "hilum"
    segment_bids(small, out)
    assert not (small / "derivatives").exists()
    link = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]["raw"]
    assert (out / link).resolve() == small.resolve()


def test_the_doi_of_the_dataset_names_the_source(small: Path) -> None:
    (small / "dataset_description.json").write_text('{"Name": "c", "DatasetDOI": "doi:10.0.2.3/abc"}')
    segment_bids(small, formats=())
    root = small / "derivatives" / "hilum"
    assert json.loads((root / "dataset_description.json").read_text())["SourceDatasets"] == [
        {"DOI": "doi:10.0.2.3/abc"}
    ]
    assert not [name for name in files_below(root) if "dseg" in name]


def test_files_that_are_not_named_as_in_bids_are_left_out_and_told(small: Path) -> None:
    place = small / "sub-01" / "ct"
    for name in ("sub-02_ct.nii.gz", "sub-01_ses-1_ct.nii.gz", "sub-01_x_ct.nii.gz", "sub-01_ct.nii"):
        shutil.copy(place / "sub-01_ct.nii.gz", place / name)
    said: list[str] = []
    layout = BidsLayout(small)
    found = layout.scans([], series=None, label=lambda uid: uid, notify=said.append).known
    assert [source.name for source in found] == ["sub-01"]
    assert len(said) == 4
    assert "sub-01_ct.nii.gz was left out: another file has its entities." in said


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda d: shutil.rmtree(d), UsageError, "is not a folder"),
        (lambda d: shutil.rmtree(d / "sub-01"), InputError, "holds no CT"),
        (lambda d: (d / "derivatives/hilum").mkdir(parents=True) or (d / "derivatives/hilum/a").touch(),
         OutputError, "holds no derivative of hilum"),
        (lambda d: (d / "derivatives").mkdir() or (d / "derivatives/hilum").touch(),
         OutputError, "is a file"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_any_work(
    small: Path, change: Callable[[Path], object], error: type[HilumError], match: str
) -> None:
    change(small)
    with pytest.raises(error, match=match):
        segment_bids(small)


def test_the_dataset_itself_is_no_place_for_results_and_dicom_seg_no_format(small: Path) -> None:
    before = files_below(small)
    with pytest.raises(OutputError, match="holds no derivative"):
        segment_bids(small, small)
    with pytest.raises(UsageError, match="scans in BIDS are NIfTI"):
        segment_bids(small, formats=("dicom-seg",))
    assert files_below(small) == before


def test_a_dataset_with_its_derivative_still_holds_only_its_scans(
    done: tuple[Path, list[hilum.Outcome]],
) -> None:
    names = {path.name for path in look_into(done[0], None).volumes}
    assert names == {*(f"{place.split('/')[-1]}.nii.gz" for place in SCANS), "sub-03_ct.nii.gz"}


# -- as a batch ---------------------------------------------------------------------------------------------


def test_the_private_tables_name_scans_by_their_entities_for_their_owner_only(
    done: tuple[Path, list[hilum.Outcome]],
) -> None:
    root = done[0] / "derivatives" / "hilum"
    for name, scans in (("sources.csv", STEMS), ("failed.csv", ["sub-03"])):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o600
        assert [line.split(",")[0] for line in (root / name).read_text().splitlines()[1:]] == scans


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(
    done: tuple[Path, list[hilum.Outcome]], tmp_path: Path
) -> None:
    dataset = Path(
        shutil.copytree(done[0], tmp_path / "chests", ignore=shutil.ignore_patterns("derivatives"))
    )
    outcomes = segment_bids(dataset, jobs=2)
    assert sorted(outcome.name for outcome in outcomes if outcome.error is None) == STEMS
    one, two = (bytes_of(place / "derivatives" / "hilum") for place in (done[0], dataset))
    assert one == two
    assert files_below(dataset / "derivatives") == files_below(done[0] / "derivatives")


def test_what_is_done_is_not_done_again_until_a_file_is_gone(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small / "derivatives" / "hilum"
    add_scan(small, SCANS[1], -840.0)
    segment_bids(small)
    before = {name: (root / name).read_bytes() for name in files_below(root)}
    with monkeypatch.context() as patch:
        patch.setattr("hilum.batch.jobs.run", lambda *args, **kwargs: 1 / 0)
        again = segment_bids(small, resume=True)
    assert [outcome.before for outcome in again] == [True, True]
    assert all(outcome.measures and outcome.fingerprint for outcome in again)
    assert {name: (root / name).read_bytes() for name in files_below(root)} == before
    (root / "sub-01" / "ct" / "sub-01_desc-lungs_dseg.tsv").unlink()
    assert [outcome.before for outcome in segment_bids(small, resume=True)] == [False, True]
    assert files_below(root) == sorted(before)


def test_a_scan_that_changed_in_its_place_is_done_again_when_a_batch_goes_on(small: Path) -> None:
    segment_bids(small)
    add_scan(small, SCANS[0], -700.0)
    (outcome,) = segment_bids(small, resume=True)
    assert outcome.error is None
    assert not outcome.before


def test_what_a_killed_run_staged_goes_and_what_it_moved_is_moved_to_the_end(small: Path) -> None:
    root = small / "derivatives" / "hilum"
    segment_bids(small)
    before = {name: (root / name).read_bytes() for name in files_below(root)}
    place, stem = root / "sub-01" / "ct", "sub-01"
    with output_files(place, stem, [file.name for file in place.iterdir()]) as staging:
        (staging / "half").write_text("x")
        left = shutil.copytree(staging, place.parent / "kept")
        for file in place.glob("sub-01_*"):
            shutil.copy(file, staging)
        (staging / "half").unlink()
    left.rename(staging)  # as after a kill
    done = staging.with_suffix(".done")
    done.mkdir()
    for file in sorted(place.glob("sub-01_*"))[3:]:
        file.rename(done / file.name)
    (outcome,) = segment_bids(small, resume=True)
    assert outcome.before
    assert {name: (root / name).read_bytes() for name in files_below(root)} == before


def test_the_table_of_a_derivative_has_a_row_a_scan_and_links_to_the_reports(
    done: tuple[Path, list[hilum.Outcome]], tmp_path: Path
) -> None:
    root = done[0] / "derivatives" / "hilum"
    table = write_tables(tmp_path / "tables", root)
    assert table.column("scan") == STEMS
    assert [failure.scan for failure in table.failures] == ["sub-03"]
    alone = read_measures(root / "sub-01" / "ct" / "sub-01_desc-hilum_result.json")
    assert table.column("lungs_volume_ml")[0] == alone.tasks["lungs"].regions["lungs"]["volume"].value
    for place in table.places:
        assert (place.path / f"{place.before}report.html").is_file()
    page = (tmp_path / "tables" / "index.html").read_text()
    assert data_of(page)["before"][0] == "sub-01_desc-hilum_"


def test_a_batch_of_a_dataset_gives_its_table_as_a_frame(small: Path) -> None:
    pytest.importorskip("pandas")
    frame = hilum.run_batch(small, None, **FAST).to_frame()
    assert list(frame["scan"]) == ["sub-01"]


def test_parts_together_give_what_the_whole_gives(small: Path, tmp_path: Path) -> None:
    for place in SCANS[1:3]:
        add_scan(small, place)
    for part in ("1/2", "2/2"):
        segment_bids(small, tmp_path / "parts", part=part)
    segment_bids(small, tmp_path / "whole")
    assert bytes_of(tmp_path / "parts") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize(
    ("inputs", "options", "said"),
    [
        (["a", "b"], {}, "2 inputs were named"),
        ("a", {"code_ids": True}, "cannot be numbered"),
        ("a", {"series": "1.2"}, "no DICOM series"),
        ("a", {"formats": ("nifti", "dicom-seg")}, "scans in BIDS are NIfTI"),
        ("a", {"layout": "heaps"}, "expected folders or bids"),
    ],
)
def test_what_bids_cannot_have_is_refused_at_once(inputs: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        hilum.run_batch(inputs, None, **{**FAST, **options})


def test_the_command_writes_the_derivative_without_a_folder_for_results(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("sub-03", "sub-04"):
        (small / place / "ct").mkdir(parents=True)
        (small / place / "ct" / f"{place}_ct.nii.gz").write_bytes(b"no scan")
    words = ["segment", str(small), "--layout", "bids", "--model", "classic"]
    assert run(words) == 3
    root = small / "derivatives" / "hilum"
    assert f"3 scans: 1 measured, 2 failed ({root / 'failed.csv'})" in capsys.readouterr().err
    assert run([*words, "--code-ids"]) == 2
    assert "Leave out --code-ids." in capsys.readouterr().err

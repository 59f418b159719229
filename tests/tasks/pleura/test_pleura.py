"""The task pleura from the command line to the files: fluid and free gas by side, flags, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from hilum.cli.app import run as command
from hilum.core.errors import ModelError
from hilum.core.volume import Volume
from hilum.io import write_volume
from hilum.models.registry import SHIPPED
from hilum.pipeline import SegmentOptions, run
from hilum.results import read_measures
from hilum.synthesis.phantoms import Phantom, Tissue, make_phantom
from support.dicom_series import write_series
from support.plain_chest import build_chest
from support.real_data import needs_data, real_folder

pytest.importorskip("openvino")
SPACING = (2.0, 2.0, 2.5)
#: The network finds less than there is: of the fluid on each side at least 1 - 0.25; of the free gas beside a
#: collapsed lung about half, since it takes the rest for lung.
FLUID_TOLERANCE, LEAST_GAS_SHARE = 0.25, 0.4
CHESTS = {"effusion": (43, "effusion:0.5"), "pneumothorax": (44, "pneumothorax:0.5"), "healthy": (21, "")}


@pytest.fixture(scope="module")
def phantoms() -> dict[str, Phantom]:
    return {
        name: make_phantom(seed=seed, spacing=SPACING, orientation="LPS", injury=injury)
        for name, (seed, injury) in CHESTS.items()
    }


@pytest.fixture(scope="module")
def folder(phantoms: dict[str, Phantom], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of ``hilum segment --task lungs,pleura``, one folder for each chest."""
    scans = tmp_path_factory.mktemp("pleura")
    for name, phantom in phantoms.items():
        write_volume(scans / f"{name}.nii.gz", phantom.volume)
    assert command(["segment", str(scans), "-o", str(scans / "out"), "--task", "lungs,pleura"]) == 0
    return scans / "out"


def truth_by_side(phantom: Phantom, tissue: Tissue) -> tuple[float, float]:
    """mL of a tissue on the right and on the left of the middle between the two lungs."""

    def across(mask: np.ndarray) -> np.ndarray:
        return nib.affines.apply_affine(phantom.volume.affine, np.argwhere(mask))[:, 0]

    middle = sum(across(phantom.labels == side).mean() for side in (1, 2)) / 2
    found, ml = across(phantom.tissue == tissue), phantom.volume.voxel_volume_ml
    return float((found > middle).sum() * ml), float((found <= middle).sum() * ml)


def value(folder: Path, region: str, measure: str) -> float:
    entry = read_measures(folder).tasks["pleura"].regions[region][measure]
    assert entry.value is not None
    return entry.value


def codes(folder: Path) -> set[str]:
    return {flag.code for flag in read_measures(folder).quality}


def section_of(folder: Path) -> str:
    page = (folder / "report.html").read_text()
    return page[page.index('id="pleura"') : page.index('id="method"')]


def test_fluid_is_written_and_measured_by_side(folder: Path, phantoms: dict[str, Phantom]) -> None:
    out, phantom = folder / "effusion", phantoms["effusion"]
    assert {"lungs.nii.gz", "pleura.nii.gz"} <= {path.name for path in out.iterdir()}
    written = np.asarray(nib.load(out / "pleura.nii.gz").dataobj)
    assert written.shape == phantom.volume.shape
    assert set(np.unique(written)) == {0, 1}
    found = [value(out, f"{side}_pleural_fluid", "volume") for side in ("right", "left")]
    assert found == pytest.approx(truth_by_side(phantom, Tissue.EFFUSION), rel=FLUID_TOLERANCE)
    total = np.count_nonzero(written) * phantom.volume.voxel_volume_ml
    assert [sum(found), value(out, "pleural_fluid", "volume")] == pytest.approx([total, total], rel=1e-5)
    mean = phantom.volume.hu[written == 1].mean()
    assert value(out, "pleural_fluid", "mean_hu") == pytest.approx(mean, rel=1e-5)
    assert value(out, "pleural_fluid", "fluid_mass") == pytest.approx(total * (1 + mean / 1000), rel=1e-5)
    assert value(out, "pleural_gas", "volume") == 0
    assert codes(out) & {"pleural_fluid", "pneumothorax"} == {"pleural_fluid"}


def test_free_gas_is_measured_on_its_side_and_flagged(folder: Path, phantoms: dict[str, Phantom]) -> None:
    out = folder / "pneumothorax"
    right, left = truth_by_side(phantoms["pneumothorax"], Tissue.PNEUMOTHORAX)
    assert left == 0
    assert LEAST_GAS_SHARE * right < value(out, "right_pleural_gas", "volume") < right
    assert value(out, "left_pleural_gas", "volume") == 0
    flag = next(flag for flag in read_measures(out).quality if flag.code == "pneumothorax")
    assert flag.regions == ["right_lung"]
    assert f"{value(out, 'pleural_gas', 'volume'):.0f} mL" in flag.message
    assert "pleural_fluid" not in codes(out)


def test_a_healthy_chest_raises_no_flag(folder: Path) -> None:
    out = folder / "healthy"
    assert not codes(out) & {"pleural_fluid", "pneumothorax"}
    assert value(out, "pleural_fluid", "volume") < 5
    assert value(out, "pleural_gas", "volume") < 5


def test_the_report_shows_a_table_by_side_and_fluid_filled_in_two_planes(folder: Path) -> None:
    section = section_of(folder / "effusion")
    assert f"{value(folder / 'effusion', 'right_pleural_fluid', 'volume'):.0f}</td>" in section
    assert section.count('fill="#56b4e9" fill-opacity') == 2
    assert "Coronal: slice" in section
    assert "Axial: slice" in section
    assert "stroke-dasharray" in section_of(folder / "pneumothorax").split("<table>")[1]
    assert "No fluid and no free gas was found" in section_of(folder / "healthy")


@pytest.mark.parametrize("injury", ["effusion:0.6", ""])
def test_a_dicom_seg_holds_the_fluid_and_is_left_out_where_there_is_none(injury: str, tmp_path: Path) -> None:
    chest = make_phantom(seed=43, spacing=(3.0, 3.0, 4.0), orientation="RAS", injury=injury)
    write_series(tmp_path / "series", chest.volume)
    words = ["segment", str(tmp_path / "series"), "-o", str(tmp_path / "out"), "--task", "lungs,pleura"]
    assert command([*words, "--format", "dicom-seg", "--no-report"]) == 0
    (lungs,) = (tmp_path / "out").rglob("lungs.dcm")
    written = lungs.with_name("pleura.dcm")
    assert written.exists() == bool(injury)
    if injury:
        fluid = pydicom.dcmread(written).SegmentSequence[0]
        assert fluid.SegmentLabel == "Pleural fluid"
        assert fluid.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"  # a finding
        assert fluid.AnatomicRegionSequence[0].CodeMeaning == "Pleura"


def test_the_lungs_alone_raise_the_flags_and_write_no_label_map_of_the_pleura(
    phantoms: dict[str, Phantom], tmp_path: Path
) -> None:
    result = run(phantoms["effusion"].volume, SegmentOptions())
    assert [str(flag.code) for flag in result.flags if "pleural" in flag.code] == ["pleural_fluid"]
    names = {path.name for path in result.save(tmp_path / "out").iterdir()}
    assert "lungs.nii.gz" in names
    assert not any("pleura" in name for name in names)


def test_a_model_file_serves_the_lungs_when_only_the_pleura_is_asked_for(
    phantoms: dict[str, Phantom], tmp_path: Path
) -> None:
    options = SegmentOptions(tasks=("pleura",), model=str(SHIPPED / "lungs.onnx"))
    result = run(phantoms["effusion"].volume, options)
    assert result.segmentations["pleura"].model == result.segmentations["lungs"].model
    out = result.save(tmp_path / "out")
    assert "lungs.nii.gz" not in {path.name for path in out.iterdir()}
    assert set(json.loads((out / "measures.json").read_text())["tasks"]) == {"lungs", "pleura"}
    assert "right lung, left lung" in (out / "report.html").read_text()


def test_a_model_without_fluid_and_gas_is_refused_only_where_the_pleura_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(tmp_path / "chest.nii.gz", build_chest(spacing=(4.0, 4.0, 5.0)).volume)
    words = ["segment", str(tmp_path / "chest.nii.gz"), "-o", str(tmp_path / "out"), "--model", "classic"]
    assert command([*words, "--task", "lungs,pleura"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "The model classic, which found the lungs in this scan, does not find pleural fluid" in said
    assert "Leave the task pleura out" in said
    assert not (tmp_path / "out" / "chest").exists()
    assert command(words) == 0


def test_a_thin_stack_is_refused_where_the_pleura_is_asked_for(phantoms: dict[str, Phantom]) -> None:
    volume = phantoms["healthy"].volume
    middle = volume.shape[2] // 2
    thin = Volume(np.ascontiguousarray(volume.hu[:, :, middle : middle + 4]), volume.affine)
    with pytest.raises(ModelError, match="lungs-slices, which found the lungs"):
        run(thin, SegmentOptions(tasks=("pleura",)))


@needs_data
def test_the_largest_effusion_of_the_real_scans_is_found_within_a_fifth_of_its_volume() -> None:
    def drawn_ml(scan: Path) -> float:
        mask = nib.load(str(scan).replace("_half.", "_half_effusion."))
        return float(np.count_nonzero(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3])) / 1000)

    largest = max(real_folder("tumour").glob("*_half.nii.gz"), key=drawn_ml)
    result = run(largest, SegmentOptions(tasks=("pleura",)))
    assert result.measures["pleural_fluid"]["volume"].value == pytest.approx(drawn_ml(largest), rel=0.2)

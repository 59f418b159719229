"""Inputs that once ended hilum with a traceback, a dead process or never: each is refused in one sentence.

They lie in tests/known_inputs as they were found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[1] / "known_inputs"
FORKED = Path(__file__).parents[1] / "support" / "forked.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs Linux"),
]

_SEGMENT = ["segment", "{case}", "-o", "{out}", "--model", "classic", "-q"]
_TRAIN = ["train", "{case}", "-o", "{out}", "--model", "unet", "--config", "{case}", "-q"]
_PREPARE = ["prepare", "{case}", "-o", "{out}", "--jobs", "1", "-q"]
#: Name, command line, exit code. An image may also be read, and then not be a chest.
COMMANDS: dict[str, tuple[str, list[str], set[int]]] = {
    "CSV field of 200 kB": ("bigfield.csv", _PREPARE, {3}),
    "nested JSON for pairs": ("deep.json", _PREPARE, {3}),
    "nested JSON as subjects": ("bigfield.csv", [*_PREPARE, "--subjects", str(CASES / "deep.json")], {3}),
    "nested TOML": ("deep.toml", _TRAIN, {3}),
    "TOML key of 50000 parts": ("slow.toml", _TRAIN, {3}),
    "nested card, segment": ("deep_run", ["segment", "{absent}", "-o", "{out}", "--model", "{case}"], {2}),
    "nested card, evaluate": ("deep_run", ["evaluate", "{case}", "{absent}", "-q"], {2}),
    "nested card, compare": ("deep_run", ["compare", "{case}", str(CASES), "-o", "{out}", "-q"], {2}),
    "MHD that climbs": ("climb.mhd", _SEGMENT, {3}),
    "NHDR that climbs": ("climb.nhdr", _SEGMENT, {3}),
    "JPEG lossless that ends the process": ("crash_signal_6", _SEGMENT, {3}),
    "NIfTI header": ("exception_WrapStructError_io_nifti_py_147_wrapstruct_py_161/a2.nii", _SEGMENT, {3}),
    "MHA with NDims -1": ("hang_ndims_minus1.mha", _SEGMENT, {3}),
    "MHA with huge NDims": ("segv_ndims.mha", _SEGMENT, {3}),
    "DICOM with 2147483647 frames": ("hang_numberofframes.dcm", _SEGMENT, {3}),
    "zip with broken LZMA": ("lzma_corrupt.zip", _SEGMENT, {3}),
    "DICOM kernel with markup, inspect": ("markup_kernel.dcm", ["inspect", "{case}"], {0}),
    "DICOM kernel with markup, segment": ("markup_kernel.dcm", _SEGMENT, {0, 3, 4, 5}),
    "DICOM slope past int64": ("overflow_slope.dcm", _SEGMENT, {3}),
    "NIfTI slope past int64": ("overflow_slope.nii", _SEGMENT, {3}),
    "TIFF affine of text": ("tiff_affine_text.tif", _SEGMENT, {0, 3, 5}),
    "TIFF nested": ("tiff_deep.tif", _SEGMENT, {0, 3, 5}),
    "TIFF of ImageJ, 1e30": ("tiff_imagej_c0_1e30.tif", _SEGMENT, {0, 3, 5}),
    "TIFF of ImageJ, text": ("tiff_imagej_c0_text.tif", _SEGMENT, {0, 3, 5}),
    "TIFF spacing of text": ("tiff_spacing_text.tif", _SEGMENT, {0, 3, 5}),
    "TIFF spacing true": ("tiff_spacing_true.tif", _SEGMENT, {0, 3, 5}),
    "TIFF thickness of text": ("tiff_thickness_text.tif", _SEGMENT, {0, 3, 5}),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run all command lines in one process that forks; what was printed, how it ended, what was written."""
    home = tmp_path_factory.mktemp("known")
    outs = {name: home / str(number) / "out" for number, name in enumerate(COMMANDS)}
    lines = []
    for name, (case, words, _) in COMMANDS.items():
        outs[name].parent.mkdir()
        places = {"case": CASES / case, "out": outs[name], "absent": home / "absent"}
        lines.append([word.format(**places) for word in words])
    temporary = home / "tmp"
    temporary.mkdir()
    ended = subprocess.run(
        [sys.executable, str(FORKED)],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
        env={**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
    )
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert not list(temporary.iterdir()), "something was left in the temporary folder"
    return {
        name: {**result, "written": list(outs[name].parent.rglob("*"))}
        for name, result in zip(COMMANDS, found, strict=True)
    }


@pytest.mark.parametrize("name", list(COMMANDS))
def test_an_input_that_once_broke_hilum(name: str, results: dict[str, dict[str, Any]]) -> None:
    result, codes = results[name], COMMANDS[name][2]
    assert result["signal"] == 0, f"the process died by signal {result['signal']}"
    assert result["code"] in codes, result["err"]
    if result["code"] == 0:
        return
    said = result["err"].strip().splitlines()
    assert said[0].startswith("hilum: error: "), said
    assert len(said) <= 2, said
    assert "bug" not in said[0]
    assert len(said[0]) < 400
    assert result["out"] == ""
    assert result["written"] == []


def test_each_case_is_tried() -> None:
    tried = {case.split("/")[0] for case, _, _ in COMMANDS.values()}
    assert tried == {path.name for path in CASES.iterdir()}


def test_markup_in_a_header_is_shown_as_it_is(results: dict[str, dict[str, Any]]) -> None:
    assert "[/red]" in results["DICOM kernel with markup, inspect"]["out"]

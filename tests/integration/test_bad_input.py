"""Every bad input: its exit code, one clear sentence, nothing written."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hilum.cli.app import run
from support.dicom_series import write_series
from support.plain_chest import build_chest

RNG = np.random.default_rng(0)


def nifti(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(data, np.diag([3.0, 3, 4, 1]) if affine is None else affine), path)
    return path


def chest_hu() -> np.ndarray:
    return build_chest(spacing=(6.0, 6.0, 8.0)).volume.hu


def with_header(path: Path, edit: Callable[[bytearray], None]) -> Path:
    """Save a good file, then change bytes of its header that nibabel would not let us write."""
    nifti(path, chest_hu())
    raw = bytearray(path.read_bytes())
    edit(raw)
    path.write_bytes(bytes(raw))
    return path


def missing(folder: Path) -> Path:
    return folder / "absent.nii.gz"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("nothing here")
    return folder / "empty"


def truncated(folder: Path) -> Path:
    path = nifti(folder / "cut.nii.gz", chest_hu())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def wrong_gzip(folder: Path) -> Path:
    path = folder / "no-gzip.nii.gz"
    path.write_bytes(RNG.integers(0, 256, 4000, np.uint8).tobytes())
    return path


def broken_checksum(folder: Path) -> Path:
    path = nifti(folder / "crc.nii.gz", chest_hu())
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF
    path.write_bytes(bytes(raw))
    return path


def text_file(folder: Path) -> Path:
    path = folder / "letter.nii"
    path.write_text("Dear colleague, please find the scan attached. " * 20)
    return path


def huge_dims(folder: Path) -> Path:
    return with_header(
        folder / "huge.nii", lambda raw: raw.__setitem__(slice(42, 48), np.int16([30000] * 3).tobytes())
    )


def four_d(folder: Path) -> Path:
    return nifti(folder / "series.nii.gz", np.stack([chest_hu()] * 3, -1))


def not_a_number(folder: Path) -> Path:
    hu = chest_hu().astype(np.float32)
    hu[3, 4, 5] = np.nan
    return nifti(folder / "nan.nii.gz", hu)


def infinite(folder: Path) -> Path:
    hu = chest_hu().astype(np.float32)
    hu[3, 4, 5] = np.inf
    return nifti(folder / "inf.nii.gz", hu)


def constant(folder: Path) -> Path:
    return nifti(folder / "flat.nii.gz", np.full((30, 30, 30), -1000, np.int16))


def magnetic_resonance(folder: Path) -> Path:
    hu = chest_hu().astype(np.float32)
    return nifti(folder / "mr.nii.gz", np.clip((hu + 1000) * 0.7, 0, None) + RNG.gamma(2, 20, hu.shape))


def windowed(folder: Path) -> Path:
    return nifti(
        folder / "picture.nii.gz", np.clip((chest_hu() + 1350) / 1500 * 255, 0, 255).astype(np.uint8)
    )


def raw_counts(folder: Path) -> Path:
    return nifti(folder / "raw.nii.gz", (chest_hu() + 1024).clip(0, 4095).astype(np.uint16))


def zero_spacing(folder: Path) -> Path:
    affine = np.diag([3.0, 3, 0, 1])
    path = folder / "zero.nii"
    nifti(path, chest_hu())
    raw = bytearray(path.read_bytes())
    raw[76:92] = np.float32([1, 3, 3, 0]).tobytes()
    raw[252:256] = np.int16([0, 1]).tobytes()
    for row in range(3):
        raw[280 + 16 * row : 296 + 16 * row] = np.float32(affine[row]).tobytes()
    path.write_bytes(bytes(raw))
    return path


def singular(folder: Path) -> Path:
    affine = np.array([[3.0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 3, 0], [0, 0, 0, 1]])

    def edit(raw: bytearray) -> None:
        raw[252:256] = np.int16([0, 1]).tobytes()
        for row in range(3):
            raw[280 + 16 * row : 296 + 16 * row] = np.float32(affine[row]).tobytes()

    return with_header(folder / "singular.nii", edit)


def dicom(folder: Path, **how: object) -> Path:
    chest = build_chest(spacing=(6.0, 6.0, 8.0)).volume
    write_series(folder / "dicom", chest, **how)  # type: ignore[arg-type]
    return folder / "dicom"


def climbing_zip(folder: Path) -> Path:
    path = folder / "climb.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside.dcm", b"x" * 200)
    return path


def zip_bomb(folder: Path) -> Path:
    path = folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big.dcm", b"\0" * (300 << 20))
    return path


def abdomen(folder: Path) -> Path:
    chest = build_chest(spacing=(6.0, 6.0, 8.0))
    hu = np.where((chest.lungs > 0) | chest.trachea, np.int16(40), chest.volume.hu)
    return nifti(folder / "abdomen.nii.gz", hu, chest.volume.affine)


@dataclass
class Case:
    make: Callable[[Path], Path]
    code: int
    says: tuple[str, ...]


CASES = {
    "missing file": Case(missing, 3, ("absent.nii.gz",)),
    "folder without DICOM": Case(empty_folder, 3, ("DICOM",)),
    "truncated": Case(truncated, 3, ("cut.nii.gz",)),
    "wrong gzip": Case(wrong_gzip, 3, ("no-gzip.nii.gz",)),
    "broken checksum": Case(broken_checksum, 3, ("crc.nii.gz",)),
    "text called .nii": Case(text_file, 3, ("letter.nii",)),
    "huge dims": Case(huge_dims, 3, ("30000",)),
    "4-D": Case(four_d, 3, ("3",)),
    "NaN": Case(not_a_number, 3, ("1",)),
    "inf": Case(infinite, 3, ("1",)),
    "constant": Case(constant, 3, ("-1000",)),
    "MR": Case(magnetic_resonance, 3, ("HU",)),
    "8-bit picture": Case(windowed, 3, ("HU",)),
    "no rescale": Case(raw_counts, 3, ("rescale",)),
    "zero spacing": Case(zero_spacing, 4, ("spacing",)),
    "singular affine": Case(singular, 4, ("singular",)),
    "missing slice": Case(lambda f: dicom(f, leave_out=(10,)), 4, ("missing", "--resample")),
    "duplicate slice": Case(lambda f: dicom(f, repeat=(10,)), 4, ("Two different images",)),
    "tilt": Case(lambda f: dicom(f, tilt_deg=12.0), 4, ("tilt", "--resample")),
    "climbing zip": Case(climbing_zip, 3, ("climb.zip",)),
    "zip bomb": Case(zip_bomb, 3, ("bomb.zip",)),
    "abdomen": Case(abdomen, 5, ("lung",)),
}


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("verb", ["segment", "check"])
def test_bad_input(name, verb, tmp_path, capsys):
    case = CASES[name]
    inputs = tmp_path / "in"
    inputs.mkdir()
    source = case.make(inputs)
    out = tmp_path / "out"
    before = sorted(tmp_path.rglob("*"))
    code = run(["segment", str(source), "-o", str(out)] if verb == "segment" else ["check", str(source)])
    streams = capsys.readouterr()
    said = streams.err + streams.out if case.code == 5 and verb == "check" else streams.err
    assert code == case.code, said
    assert "Traceback" not in said
    for word in case.says:
        assert word in said
    if verb == "segment":
        assert streams.err.startswith("hilum: error: ")
        assert len(streams.err.strip().splitlines()) <= 2
        assert streams.out == ""
    assert sorted(tmp_path.rglob("*")) == before

"""Compressed pixels are decoded in a process of their own: what breaks there does not break hilum."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from hilum.core.errors import InputError
from hilum.io.dicom import decoding, read_dicom
from hilum.io.dicom.decoder_process import stream_size
from support.gdcm_encoding import gdcm_compress

ABORTS = Path(__file__).parents[2] / "known_inputs" / "crash_signal_6" / "s" / "im0002.dcm"


def compressed(dicom, folder: Path, syntax: str = JPEGLosslessSV1, count: int = 3) -> list[Path]:
    paths = dicom.save_all(dicom.series(count), folder)
    for path in paths:
        gdcm_compress(path, syntax)
    return paths


def test_a_file_on_which_gdcm_ends_its_process_is_refused(capfd):
    with pytest.raises(InputError, match=r"im0002\.dcm is truncated or corrupt") as met:
        read_dicom(ABORTS)
    assert met.value.exit_code == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_gdcm_does_end_its_process_on_that_file():
    """If it no longer does, the test above shows nothing."""
    pytest.importorskip("gdcm")
    code = (
        "import sys, pydicom.pixels; "
        "pydicom.pixels.pixel_array(sys.argv[1], decoding_plugin='gdcm', raw=True)"
    )
    run = subprocess.run([sys.executable, "-c", code, ABORTS], capture_output=True)
    if run.returncode == 1:
        pytest.skip("this GDCM raises an error")
    assert run.returncode == -signal.SIGABRT


def test_the_file_is_one_of_a_series_and_the_others_are_good(dicom, folder, capfd):
    bad = pydicom.dcmread(ABORTS)
    paths = compressed(dicom, folder)
    ds = pydicom.dcmread(paths[1])
    ds.PixelData = bad.PixelData
    ds.save_as(paths[1])
    with pytest.raises(InputError, match=f"{paths[1].name} is truncated or corrupt"):
        read_dicom(folder)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("signed", [False, True])
def test_twelve_bit_jpeg_is_decoded(dicom, folder, signed):
    gdcm = pytest.importorskip("gdcm", reason="GDCM encodes JPEG")
    slices = dicom.series(3, PixelRepresentation=int(signed), BitsStored=12, HighBit=11)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k), intercept=0 if signed else -1024)
        if signed:
            ds.PixelData = (np.frombuffer(ds.PixelData, np.int16) & 0x0FFF).astype(np.uint16).tobytes()
    for path in dicom.save_all(slices, folder):
        codec = gdcm.JPEGCodec()
        codec.SetLossless(False)
        codec.SetQuality(100)
        gdcm_compress(path, JPEGExtended12Bit, codec)
    volume = read_dicom(folder)
    np.testing.assert_allclose(volume.hu, dicom.truth(range(3)), atol=8)
    assert "lossy" in dicom.codes(volume)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_a_stream_of_another_size_than_its_header_says_is_refused_before_it_is_decoded(dicom, folder, syntax):
    path = compressed(dicom, folder, syntax, 1)[0]
    ds = pydicom.dcmread(path)
    stream = pydicom.encaps.get_frame(ds.PixelData, 0, number_of_frames=1)
    assert stream_size(stream) == (32, 32)
    ds.Rows = ds.Columns = 16
    ds.save_as(path)
    with pytest.raises(InputError, match="cannot be decoded"):
        read_dicom(path)


def test_streams_without_a_size_do_not_hang():
    for data in (
        b"",
        b"\xff\xd8",
        b"\xff\xd8" + b"\xff" * 50,
        b"\xff\xd8\xff\xe0\0\0" * 9,
        b"\xff\xd8abcdefghijk",
    ):
        assert stream_size(data) is None


def test_a_decoder_that_does_not_answer_is_ended(dicom, folder, monkeypatch, tmp_path):
    path = compressed(dicom, folder, count=1)[0]
    asleep = tmp_path / "asleep.py"
    asleep.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(decoding, "_PROGRAM", asleep)
    monkeypatch.setattr(decoding, "_PATIENCE_S", 0.2)
    with pytest.raises(InputError, match="cannot be decoded"):
        read_dicom(path)


def test_a_decoder_that_cannot_be_started_is_reported(dicom, folder, monkeypatch):
    path = compressed(dicom, folder, count=1)[0]
    monkeypatch.setattr(sys, "executable", str(folder / "no_python"))
    with pytest.raises(InputError, match="could not be started") as met:
        read_dicom(path)
    assert "decompress the series first" in met.value.hint


def test_no_process_stays_and_the_next_series_gets_a_new_one(dicom, folder, monkeypatch):
    made = []
    start = decoding._start
    monkeypatch.setattr(decoding, "_start", lambda: made.append(start()) or made[-1])
    compressed(dicom, folder)
    for _ in range(2):
        np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(3)))
    assert len(made) == 2
    assert all(process.poll() is not None for process in made)


def test_what_lies_in_the_working_folder_is_not_imported(dicom, folder, monkeypatch, tmp_path):
    compressed(dicom, folder)
    for name in ("json", "numpy", "pydicom", "runpy", "select"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p and Path(p) != Path(os.curdir)])
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(3)))


def test_a_file_that_vanishes_before_its_pixels_are_read_is_named(dicom, folder, monkeypatch):
    from hilum.io.dicom import reader

    paths = compressed(dicom, folder)
    find = reader.scan

    def scan_and_lose(source):
        found = find(source)
        paths[1].unlink()
        return found

    monkeypatch.setattr(reader, "scan", scan_and_lose)
    monkeypatch.setattr(reader, "_check_memory", lambda *_: None)
    with pytest.raises(InputError, match=f"{paths[1].name} cannot be read"):
        read_dicom(folder)


def test_too_little_memory_is_distinguished_from_an_impossible_length(dicom, folder, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    raw, packed = (dicom.save(dicom.base(), folder / name) for name in ("raw.dcm", "packed.dcm"))
    ds = pydicom.dcmread(packed)
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.save_as(packed)
    monkeypatch.setattr(decoding, "iter_pixels", fail)
    with pytest.raises(InputError, match=r"packed\.dcm is truncated or corrupt"):
        read_dicom(packed)
    with pytest.raises(MemoryError):
        read_dicom(raw)

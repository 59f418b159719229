from __future__ import annotations

import gzip
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

import hilum.io.dispatch as dispatch
from hilum.core.errors import InputError
from hilum.io import read
from hilum.io.dispatch import FileKind, kind_of


def test_missing(tmp_path):
    with pytest.raises(InputError, match=r"no file or folder a\.nii\.gz") as caught:
        read(tmp_path / "a.nii.gz")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["a.nii.gz", "a.dcm", "a.tif", "a"])
def test_empty(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(InputError, match="neither"):
        read(tmp_path / "a.nii")


@pytest.mark.parametrize("action", ["open", "scandir"])
def test_forbidden(tmp_path, monkeypatch, action):
    """The tests may run as root, whom no permission stops, so the refusal is made."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.nii").write_bytes(b"1" * 400)
    if action == "open":
        monkeypatch.setattr(os, "open", refuse)
    else:
        monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="may not be read"):
        read(tmp_path / "a.nii" if action == "open" else tmp_path)


def test_content_beats_the_name(chest, save_nifti, tmp_path):
    array = chest()
    path = save_nifti(array, name="a.nii.gz")
    for name in ("a.dcm", "a", "a.mha", "a.zip"):
        np.testing.assert_array_equal(read(path.rename(tmp_path / name)).hu, array)
        path = tmp_path / name
    tifffile.imwrite(tmp_path / "b.nii.gz", chest((40, 30)))
    assert read(tmp_path / "b.nii.gz").meta.source_format == "tiff"


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"NRRD0005\n", "x", FileKind.NRRD),
        (b"ObjectType = Image\n", "x", FileKind.METAIMAGE),
        (b"NDims = 3\n", "x.txt", FileKind.METAIMAGE),
        (b"\x89PNG\r\n\x1a\n", "x", FileKind.PNG),
        (b"\xff\xd8\xff\xe0", "x", FileKind.IMAGE),
        (b"PK\x03\x04", "x.nii", FileKind.ZIP),
        (b"\0" * 128 + b"DICM", "x.nii", FileKind.DICOM),
        (b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100", "IM0001", FileKind.DICOM),
        (b"Rar!\x1a\x07", "x", FileKind.ARCHIVE),
        (b"%PDF-1.7", "x.pdf", FileKind.UNKNOWN),
        (b"just text", "x", FileKind.UNKNOWN),
        (gzip.compress(b"x" * 2000, mtime=0), "x.tar.gz", FileKind.ARCHIVE),
        (gzip.compress(b"x" * 2000, mtime=0), "x.gz", FileKind.GZIP),
    ],
)
def test_kind_of(tmp_path, head, name, kind):
    (tmp_path / name).write_bytes(head)
    assert kind_of(tmp_path / name) is kind


@pytest.mark.parametrize(
    ("head", "match"),
    [
        (b"\x89PNG\r\n\x1a\n", "windowed image"),
        (b"\xff\xd8\xff\xe0", "windowed image"),
        (b"7z\xbc\xaf'\x1c", "archive"),
        (gzip.compress(b"x" * 2000, mtime=0), "no NIfTI"),
        (b"%PDF-1.7", "not known"),
    ],
)
def test_refused_formats(tmp_path, head, match):
    (tmp_path / "x").write_bytes(head)
    with pytest.raises(InputError, match=match) as caught:
        read(tmp_path / "x")
    assert caught.value.hint


def test_folder_of_volumes(chest, save_nifti, tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        save_nifti(chest(), name=name)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"no DICOM but 2 file.*a\.nii\.gz, b\.nii\.gz") as caught:
        read(tmp_path)
    assert "a batch takes them all" in caught.value.hint


@pytest.mark.parametrize("kind", ["folder", "file", "zip"])
def test_dicom_and_zip_go_to_their_readers(tmp_path, monkeypatch, kind, save_nifti, chest):
    calls = []
    monkeypatch.setattr(
        dispatch, "read_dicom", lambda path, **options: calls.append(("read_dicom", path, options))
    )
    monkeypatch.setattr(
        dispatch, "read_zip", lambda path, **options: calls.append(("read_zip", path, options))
    )
    target = tmp_path / "in"
    if kind == "folder":
        target.mkdir()
        (target / "x").write_bytes(b"\0" * 128 + b"DICM")
        save_nifti(chest())  # beside it, not in it
    else:
        target.write_bytes(b"PK\x03\x04" if kind == "zip" else b"\0" * 128 + b"DICM")
    read(target, series="1.2", resample=True)
    assert calls == [
        ("read_zip" if kind == "zip" else "read_dicom", target, {"series": "1.2", "resample": True})
    ]


def test_the_package_is_light():
    code = (
        "import sys, hilum.io, hilum.io.atomic, hilum.io.names; "
        "print([m for m in ('nibabel', 'SimpleITK', 'scipy', 'tifffile', 'pydicom') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_read_is_the_function_not_a_module():
    import hilum
    import hilum.io

    assert hilum.io.read is dispatch.read
    assert hilum.read is dispatch.read


@pytest.mark.parametrize(
    ("inside", "name", "match"),
    [
        (b"\0" * 128 + b"DICM" + b"\0" * 300, "a.dcm.gz", "is DICOM packed with gzip"),
        (b"NRRD0004\n" + b"#" * 400, "a.nrrd.gz", "is NRRD packed with gzip"),
        (b"ObjectType = Image\n" * 30, "a.mha.gz", "is MetaImage packed with gzip"),
        (b"x" * 257 + b"ustar" + b"x" * 300, "a.gz", "archive"),
    ],
)
def test_gzip_of_what_is_read_unpacked_only(tmp_path, inside, name, match):
    (tmp_path / name).write_bytes(gzip.compress(inside))
    with pytest.raises(InputError, match=match) as caught:
        read(tmp_path / name)
    assert "Unpack" in caught.value.hint


@pytest.mark.parametrize("name", ["a.dcm.gz", "a.tar.gz", "a.zip"])
def test_a_folder_of_packed_files(tmp_path, name):
    from hilum.io.folders import look_into

    inside = gzip.compress(b"\0" * 128 + b"DICM" + b"\0" * 300)
    for number in range(4):
        (tmp_path / f"{number}{name}").write_bytes(inside)
    for door in (read, look_into) if "zip" not in name else (read,):
        with pytest.raises(InputError, match=r"no DICOM but 4 packed file\(s\)") as caught:
            door(tmp_path)
        assert "Unpack them" in caught.value.hint


def test_an_old_dicom_file_called_img_is_not_a_volume(tmp_path):
    from hilum.io.dispatch import refuse_folder_without_dicom

    (tmp_path / "a.img").write_bytes(b"\0" * 128 + b"DICM")
    refuse_folder_without_dicom(tmp_path)

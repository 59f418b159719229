"""Zip archives: those that are read, and those that are not even opened."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError
from hilum.io.archive import ZipLimits, unpacked
from hilum.io.dispatch import read_zip


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Unpack below the test's own folder, and see that nothing stays there."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


@pytest.fixture
def pack(tmp_path):
    """Make a zip of a folder, or of (name, bytes) pairs."""

    def make(content, name: str = "scan.zip") -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            if isinstance(content, Path):
                for file in sorted(content.rglob("*")):
                    archive.write(file, file.relative_to(content))
            else:
                for member, data in content:
                    archive.writestr(member, data)
        return path

    return make


def test_a_zip_of_dicom(dicom, folder, pack):
    dicom.save_all(dicom.series(8), folder / "a" / "b")
    (folder / "readme.txt").write_text("hello")
    volume = read_zip(pack(folder, "Case 7.zip"))
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert volume.meta.name == "Case_7"
    assert {Path(name).parent for name in volume.meta.files} == {Path("a/b")}


def test_series_and_resample_reach_the_reader(dicom, folder, pack):
    slices = dicom.series(8, SeriesNumber=1, SeriesInstanceUID="1.1")
    del slices[3]
    dicom.save_all(slices, folder / "1")
    dicom.save_all(dicom.series(4, SeriesNumber=2, SeriesInstanceUID="1.2"), folder / "2")
    path = pack(folder)
    with pytest.raises(GeometryError, match="1 slice is missing"):
        read_zip(path)
    assert read_zip(path, resample=True).shape[2] == 8
    assert read_zip(path, series="2").shape[2] == 4


def test_a_zip_of_one_nifti(dicom, tmp_path, pack):
    import nibabel as nib

    hu = dicom.truth(range(8))
    nib.save(nib.Nifti1Image(hu, np.diag([-1.0, -1.0, 2.0, 1.0])), tmp_path / "a.nii.gz")
    data = (tmp_path / "a.nii.gz").read_bytes()
    volume = read_zip(pack([("x/a.nii.gz", data), ("__MACOSX/x/._a.nii.gz", b"junk")]))
    np.testing.assert_array_equal(volume.hu, hu)
    assert (volume.meta.name, volume.meta.source_format) == ("scan", "nifti")
    with pytest.raises(InputError, match="holds 2 volume files"):
        read_zip(pack([("a.nii.gz", data), ("b.nii.gz", data)]))


@pytest.mark.parametrize("content", [[], [("a.txt", b"hello")]])
def test_a_zip_without_a_scan(pack, content):
    with pytest.raises(InputError, match=r"scan\.zip holds no scan"):
        read_zip(pack(content))


@pytest.mark.parametrize(
    "name",
    ["../evil.dcm", "a/../../evil.dcm", "/etc/evil", "C:/evil", "c:evil", "..\\evil", "\\\\host\\evil", ".."],
)
def test_a_path_that_climbs_out(pack, tmp_path, name):
    with pytest.raises(InputError, match="climbs out"):
        read_zip(pack([("good.dcm", b"x"), (name, b"evil")]))
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO])
def test_links_and_special_files(pack, mode):
    info = zipfile.ZipInfo("link")
    info.external_attr = (mode | 0o777) << 16
    with pytest.raises(InputError, match="link or a special file"):
        read_zip(pack([(info, b"/etc/passwd")]))


def test_a_bomb_by_declared_ratio_and_size(pack):
    path = pack([("zeros.dcm", bytes(2**20))])
    small = ZipLimits(ratio_from_bytes=2**16)
    with pytest.raises(InputError, match="zip bomb"), unpacked(path, small):
        pass
    with pytest.raises(InputError, match="zip bomb"), unpacked(path, ZipLimits(total_bytes=2**19)):
        pass
    with unpacked(path) as out:
        assert (out / "zeros.dcm").stat().st_size == 2**20


def test_a_bomb_of_many_small_members(pack):
    """Each may have any ratio, all together not."""
    path = pack([(f"{number}.dcm", bytes(2**20)) for number in range(8)])
    with pytest.raises(InputError, match="zip bomb"), unpacked(path, ZipLimits(all_from_bytes=2**22)):
        pass
    with unpacked(path) as out:
        assert len(list(out.iterdir())) == 8


def test_many_small_members_are_counted_while_they_are_written(pack, monkeypatch):
    from hilum.io import archive

    monkeypatch.setattr(archive, "_check_declared", lambda *_: None)
    path = pack([(f"{number}.dcm", bytes(2**20)) for number in range(8)])
    with pytest.raises(InputError, match="zip bomb"), unpacked(path, ZipLimits(all_from_bytes=2**22)):
        pass


def test_members_that_share_their_bytes(pack):
    """The directory names one member three times, each with its own name, and every header fits."""
    path = pack([("a.dcm", b"x" * 5000), ("b.dcm", b"x" * 5000)])
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x03\x04", 4)
    entry = data.rindex(b"PK\x01\x02")
    # The first member's data are said to reach to the end of the second one.
    size = (data.index(b"PK\x01\x02") - 30 - len("a.dcm")).to_bytes(4, "little")
    data[18:22] = size
    first = data.index(b"PK\x01\x02")
    data[first + 20 : first + 24] = size
    assert second < entry
    path.write_bytes(data)
    with pytest.raises(InputError, match="zip bomb"):
        read_zip(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_members_damaged_in_every_packing(tmp_path, method):
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.dcm", np.random.default_rng(0).bytes(5000))
    data = bytearray(path.read_bytes())
    data[60:400] = b"\xff" * 340
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or no valid zip"):
        read_zip(path)


def test_a_member_without_a_name(pack):
    path = pack([("a", b"x" * 100)])
    data = path.read_bytes().replace(b"\x01\x00\x00\x00a", b"\x00\x00\x00\x00")
    data = bytearray(data)
    entry = data.index(b"PK\x01\x02")
    data[entry + 28] = 0
    del data[entry + 46]
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_zip(path)


def test_a_header_that_names_data_outside_of_the_archive(dicom, tmp_path, pack):
    (tmp_path / "outside.raw").write_bytes(dicom.truth(range(8)).tobytes())
    text = "NDims = 3\nDimSize = 16 12 8\nBinaryData = True\nElementType = MET_SHORT\nElementDataFile = "
    path = pack([("a.mhd", f"{text}{tmp_path / 'outside.raw'}\n".encode())])
    with pytest.raises(InputError, match="outside of its archive"):
        read_zip(path)


def test_a_zip_within_a_zip_that_is_called_a_volume(pack):
    inner = pack([("a.nii", b"x")], "inner.zip").read_bytes()
    with pytest.raises(InputError, match="a zip within a zip"):
        read_zip(pack([("b.nii", inner)]))


def test_a_declared_bomb_is_refused_before_anything_is_written(pack, monkeypatch):
    from hilum.io import archive

    def write(*_):
        pytest.fail("something was written")

    monkeypatch.setattr(archive, "_write", write)
    path = pack([("zeros.dcm", bytes(2**20))])
    for limits in (ZipLimits(ratio_from_bytes=2**16), ZipLimits(total_bytes=2**19)):
        with pytest.raises(InputError, match="zip bomb"), unpacked(path, limits):
            pass


def test_bytes_are_counted_while_they_are_written(pack, tmp_path):
    from hilum.io.archive import _write

    with zipfile.ZipFile(pack([("zeros.dcm", bytes(3 * 2**20))])) as archive:
        member = archive.infolist()[0]
        assert _write(archive, member, tmp_path / "all", "a.zip", 3 * 2**20) == 3 * 2**20
        with pytest.raises(InputError, match="zip bomb"):
            _write(archive, member, tmp_path / "part", "a.zip", 2**20)
    assert (tmp_path / "part").stat().st_size <= 2**20


def test_a_bomb_that_lies_about_its_size(pack):
    path = pack([("zeros.dcm", bytes(2**20))])
    data = path.read_bytes()
    true, lie = (2**20).to_bytes(4, "little"), (100).to_bytes(4, "little")
    assert data.count(true) == 2
    path.write_bytes(data.replace(true, lie))
    with pytest.raises(InputError), unpacked(path, ZipLimits(total_bytes=1000)):
        pass


def test_too_many_files(pack):
    with (
        pytest.raises(InputError, match="holds 5 files, more than 4"),
        unpacked(pack([(f"{n}", b"") for n in range(5)]), ZipLimits(members=4)),
    ):
        pass


def test_two_files_of_one_name(pack):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = pack([("a.dcm", b"1"), ("a.dcm", b"2")])
    with pytest.raises(InputError, match="two files of the same name"):
        read_zip(path)


def test_encrypted(pack):
    path = pack([("a.dcm", b"x" * 100)])
    data = bytearray(path.read_bytes())
    data[6] |= 1  # flag of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the directory
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        read_zip(path)


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_truncated(dicom, folder, pack, keep):
    dicom.save_all(dicom.series(4), folder)
    path = pack(folder)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(InputError, match="truncated or no valid zip"):
        read_zip(path)


def test_damaged_inside(dicom, folder, pack):
    dicom.save_all(dicom.series(4), folder)
    path = pack(folder)
    data = bytearray(path.read_bytes())
    data[200:300] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or no valid zip"):
        read_zip(path)


def test_missing(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_zip(tmp_path / "no.zip")


def test_a_full_disk(dicom, folder, pack, monkeypatch):
    from hilum.core.errors import OutputError
    from hilum.io import archive

    def full(*_):
        raise OSError(28, "No space left on device")

    dicom.save_all(dicom.series(2), folder)
    monkeypatch.setattr(archive, "_write", full)
    with pytest.raises(OutputError, match="temporary folder is too full"):
        read_zip(pack(folder))

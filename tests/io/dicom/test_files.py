"""Which files of a folder are read: links, pipes, indexes, archives, and files that may not be read."""

from __future__ import annotations

import errno
import gzip
import os
import socket
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import MediaStorageDirectoryStorage

from hilum.core.errors import InputError
from hilum.io import read
from hilum.io.dicom import looks_like_dicom, read_dicom
from hilum.io.inspect import inspect


def cd(dicom, folder: Path, *, count: int = 8) -> Path:
    """A folder as on a CD from a hospital: images below, and their index; return the index."""
    index = FileSet()
    for ds in dicom.series(count):
        dicom.save(ds, folder / "made.dcm")
        index.add(folder / "made.dcm")
    (folder / "made.dcm").unlink()
    index.write(folder)
    return folder / "DICOMDIR"


def test_an_index_beside_the_images_is_passed_over_without_a_word(dicom, folder):
    index = cd(dicom, folder)
    assert index.is_file()
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert volume.meta.notes == ()
    assert [row.kind for row in inspect(folder)] == ["volume"]


@pytest.mark.parametrize("reader", [read, read_dicom])
def test_an_index_given_alone_reads_the_folder_in_which_it_lies(dicom, folder, reader):
    volume = reader(cd(dicom, folder))
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert volume.meta.name == "case"
    assert dicom.codes(volume) == {"index_given"}
    assert [row.slices for row in inspect(folder / "DICOMDIR")] == [8]


def test_an_index_without_images_is_refused_as_what_it_is(dicom, folder):
    index = cd(dicom, folder)
    for file in folder.rglob("*"):
        if file.is_file() and file != index:
            file.unlink()
    with pytest.raises(InputError, match="DICOMDIR is an index of files, and the folder case holds no other"):
        read_dicom(index)


def test_an_index_is_known_by_the_class_in_its_file_meta_information(dicom, folder):
    from hilum.io.dicom.headers import DIRECTORY, read_header

    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MediaStorageDirectoryStorage, "1.2.3"
    path = dicom.save(ds, folder / "DIRFILE")
    assert read_header(path)[0].sop_class == DIRECTORY
    assert read_header(cd(dicom, folder))[0].sop_class == DIRECTORY


def link(place: Path, target: Path) -> None:
    try:
        place.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("this system makes no links")


def test_a_link_to_the_folder_of_the_series_is_followed(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(8), tmp_path / "elsewhere" / "deep")
    link(folder / "series", tmp_path / "elsewhere")
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert volume.meta.notes == ()


def test_links_make_no_loop_and_read_no_file_twice(dicom, folder, tmp_path):
    dicom.save_all(dicom.series(8), folder / "b")
    dicom.save_all(dicom.series(9, SeriesInstanceUID="1.2.9"), tmp_path / "above")
    link(folder / "a", folder / "b")
    link(folder / "b" / "up", folder)
    link(folder / "b" / "further_up", tmp_path)
    link(folder / "itself", folder / "itself")
    link(folder / "nowhere", folder / "gone")
    link(tmp_path / "back", folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert volume.meta.notes == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_and_sockets_are_never_opened(dicom, folder, monkeypatch):
    dicom.save_all(dicom.series(8), folder)
    os.mkfifo(folder / "pipe.dcm")
    monkeypatch.chdir(folder)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as open_socket:
        open_socket.bind("socket.dcm")
        assert not looks_like_dicom(folder / "pipe.dcm")
        assert not looks_like_dicom(folder / "socket.dcm")
        volume = read_dicom(folder)
        with pytest.raises(InputError, match=r"pipe\.dcm is not a DICOM file"):
            read_dicom([folder / "pipe.dcm"])
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(8)))
    assert volume.meta.notes == ()


def test_a_folder_of_gzipped_dicom_is_not_called_empty(dicom, folder):
    for path in dicom.save_all(dicom.series(3), folder):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    with pytest.raises(InputError, match=r"no DICOM file, but 3 gzip files \(such as 0000\.dcm\.gz\)") as met:
        read_dicom(folder)
    assert "Unpack" in met.value.hint


@pytest.fixture
def forbid(monkeypatch) -> Callable[..., None]:
    """Make files fail when they are opened. A test run as root could read what it forbids by its mode."""

    def make(*paths: Path, error: int = errno.EACCES) -> None:
        opening = Path.open

        def fail(path: Path, *args, **kwargs):
            if path in paths:
                raise OSError(error, os.strerror(error), str(path))
            return opening(path, *args, **kwargs)

        monkeypatch.setattr(Path, "open", fail)

    return make


@pytest.mark.parametrize(
    ("error", "why"),
    [(errno.EACCES, "this user may not read it"), (errno.EIO, r"it cannot be read \(input/output error\)")],
)
def test_slices_that_may_not_be_read_are_not_left_out(dicom, folder, forbid, error, why):
    paths = dicom.save_all(dicom.series(12), folder)
    forbid(*paths[8:], error=error)
    with pytest.raises(InputError, match=f"4 files beside the slices cannot be read .*{why}") as met:
        read_dicom(folder)
    assert met.value.exit_code == 3
    with pytest.raises(InputError, match="4 files beside the slices cannot be read"):
        read_dicom(paths)
    assert sum(row.kind == "unreadable file" for row in inspect(folder)) == 4


def test_an_unreadable_file_that_is_not_a_slice_is_reported(dicom, folder, forbid):
    dicom.save_all(dicom.series(8), folder)
    (folder / "notes.txt").write_text("x" * 200)
    other = dicom.save(dicom.base(), folder / "other" / "a.dcm")
    forbid(folder / "notes.txt", other)
    note = dict(read_dicom(folder).meta.notes)["files_unreadable"]
    assert note.startswith("2 files could not be read")
    assert "notes.txt: this user may not read it" in note
    assert "a.dcm" in note


def test_where_nothing_may_be_read_the_folder_is_not_called_empty(dicom, folder, forbid):
    paths = dicom.save_all(dicom.series(3), folder)
    forbid(*paths)
    with pytest.raises(InputError, match="No DICOM file can be read here: 3 files"):
        read_dicom(folder)
    with pytest.raises(InputError, match=f"{paths[0].name} cannot be read: this user may not read it"):
        read_dicom(paths[0])


def test_a_study_beside_others_does_not_lose_slices_that_may_not_be_read(dicom, folder, forbid):
    from hilum.io.folders import look_into

    paths = dicom.save_all(dicom.series(12), folder / "a")
    dicom.save_all(dicom.series(6, StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1"), folder / "b")
    forbid(*paths[8:])
    first, second = look_into(folder).studies
    with pytest.raises(InputError, match="4 files beside the slices cannot be read"):
        read_dicom(first.files)
    assert read_dicom(second.files).shape[2] == 6


def test_a_folder_that_may_not_be_listed_is_reported(dicom, folder, monkeypatch):
    dicom.save_all(dicom.series(8), folder / "a")
    dicom.save_all(dicom.series(8), folder / "b")
    listing = os.scandir

    def fail(place):
        if Path(place).name == "b":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        return listing(place)

    monkeypatch.setattr(os, "scandir", fail)
    note = dict(read_dicom(folder).meta.notes)["files_unreadable"]
    assert "b: this user may not read it" in note


def test_a_count_of_images_beyond_what_the_file_can_hold_is_refused(dicom, folder):
    for frames in (2**31 - 1, 5000, -3):
        path = dicom.save(dicom.base(NumberOfFrames=frames), folder / "a.dcm")
        with pytest.raises(InputError, match=f"its header asks for {frames} images, more than the file"):
            read_dicom(path)


@pytest.mark.parametrize(
    ("syntax", "why"),
    [("", "big endian and its header does not say so"), ("1.2.840.113619.5.2", "private transfer syntax")],
)
def test_an_encoding_that_dicom_does_not_have_is_named(dicom, folder, syntax, why):
    path = dicom.save(dicom.base(), folder / "a.dcm")
    data = path.read_bytes()
    end = 144 + int.from_bytes(data[140:144], "little")
    meta = data[:end]
    body = b"\0\x08\0\x05\0\0\0\x0aISO_IR 100\0\x08\0\x60\0\0\0\x02CT"  # implicit VR big endian
    if syntax:
        old, new = b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x12\0" + syntax.encode()
        assert old in meta
        meta = meta.replace(old, new)
        meta = meta[:140] + (end - 144 - 2).to_bytes(4, "little") + meta[144:]
        body = b"\x08\0\x05\0\xff\xff\xff\x7fXX"
    path.write_bytes(meta + body + b"\0" * 200)
    with pytest.raises(InputError, match=why):
        read_dicom(path)


def test_a_deflated_file_that_is_a_bomb_is_not_unpacked(dicom, folder):
    path = dicom.save(dicom.base(), folder / "a.dcm", "1.2.840.10008.1.2.1.99")
    np.testing.assert_array_equal(read_dicom(path).hu[..., 0], dicom.chest(0).T)
    data = path.read_bytes()
    end = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(2**20)
    path.write_bytes(data[:end] + b"".join(packer.compress(zeros) for _ in range(32)) + packer.flush())
    tracemalloc.start()
    with pytest.raises(InputError, match="unpacks to far more than an image"):
        read_dicom(path)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()

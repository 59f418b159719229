"""Files that were made to break a reader: each ends in one sentence, soon, and in little memory."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from hilum.core.errors import HilumError, InputError
from hilum.io import read
from hilum.io.itk import load_itk

KNOWN = Path(__file__).parents[1] / "known_inputs"
DAMAGED = [
    path for path in KNOWN.rglob("*") if path.suffix in (".mhd", ".nhdr", ".mha", ".zip", ".nii", ".tif")
]
META = "ObjectType = Image\nNDims = 3\nBinaryData = True\n"
NRRD = "NRRD0004\ntype: short\ndimension: 3\nendian: little\n"


def meta(path: Path, fields: str, data: str = "LOCAL", body: bytes = b"") -> Path:
    path.write_bytes(f"{META}{fields}ElementType = MET_SHORT\nElementDataFile = {data}\n".encode() + body)
    return path


def nrrd(path: Path, fields: str, body: bytes = b"") -> Path:
    path.write_bytes(f"{NRRD}{fields}\n".encode() + body)
    return path


@pytest.mark.parametrize("path", sorted(DAMAGED), ids=lambda path: path.name)
def test_damaged_files_end_in_one_sentence(path, capfd):
    with pytest.raises(HilumError) as caught:
        read(path)
    assert caught.value.exit_code in (3, 4)
    assert caught.value.message
    assert "\n" not in caught.value.message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("axes", ["2147483647", "-1", "0", "17", "3.5", "nan", "x", "", "1e99"])
def test_impossible_numbers_of_axes(tmp_path, axes):
    for path in (
        meta(tmp_path / "a.mha", f"NDims = {axes}\nDimSize = 2 2 2\n"),
        nrrd(tmp_path / "a.nrrd", f"sizes: {axes} 2 2\nencoding: raw\n"),
    ):
        path.write_bytes(path.read_bytes().replace(b"NDims = 3\n", b""))
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize(
    "sizes", ["-2 2 2", "0 2 2", "2 2", "2 2 2 2", "1e30 1 1", "4611686018427387904 2 2"]
)
@pytest.mark.parametrize("kind", ["nrrd", "mha"])
def test_impossible_sizes(tmp_path, kind, sizes):
    if kind == "mha":
        path = meta(tmp_path / "a.mha", f"DimSize = {sizes}\n", body=bytes(64))
    else:
        path = nrrd(tmp_path / "a.nrrd", f"sizes: {sizes}\nencoding: raw\n", bytes(64))
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize(
    "field", ["space", "type", "encoding", "kinds", "space directions", "sizes", "x" * 9000]
)
def test_very_long_lines(tmp_path, field):
    """ITK's reader of NRRD writes them into a buffer of fixed length, and dies."""
    path = nrrd(tmp_path / "a.nrrd", f"sizes: 2 2 2\nencoding: raw\n{field}: {'b ' * 20_000}\n", bytes(16))
    with pytest.raises(HilumError):
        read(path)


# -- not a file -----------------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize("data", ["pipe", "LIST\npipe\npipe", "LIST 3\npipe", "pipe%d 1 1 1"])
def test_data_files_that_are_pipes_are_not_opened(tmp_path, pipe, data):
    pipe.with_name("pipe1").symlink_to(pipe)
    path = meta(tmp_path / "a.mhd", "DimSize = 2 2 2\n", data)
    with pytest.raises(InputError, match=r"pipe, socket or device|does not fit"):
        read(path)
    path = nrrd(tmp_path / "a.nhdr", f"sizes: 2 2 2\nencoding: raw\ndata file: {data}\n")
    with pytest.raises(InputError, match=r"pipe, socket or device|does not fit"):
        read(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
@pytest.mark.parametrize("data", ["/dev/zero", "LIST\n/dev/zero\n/dev/zero"])
def test_devices_are_not_opened(tmp_path, data):
    with pytest.raises(InputError, match="pipe, socket or device"):
        read(meta(tmp_path / "a.mhd", "DimSize = 2 2 2\n", data))
    with pytest.raises(InputError, match="neither a file nor a folder"):
        read(Path("/dev/zero"))


def test_a_pipe_that_replaces_a_file_is_not_waited_for(tmp_path, pipe, monkeypatch):
    """Between the look at a file and its opening another program may put a pipe there."""
    from hilum.io import stream

    real, looks = stream._check_regular, []

    def look(path, mode):
        looks.append(mode)
        if len(looks) > 1:
            real(path, mode)

    monkeypatch.setattr(stream, "_check_regular", look)
    with pytest.raises(InputError, match="pipe"):
        stream.open_regular(pipe)


def test_a_pipe_in_a_folder_is_passed_over(tmp_path, pipe, save_nifti, chest):
    save_nifti(chest())
    with pytest.raises(InputError, match=r"1 file\(s\) with volumes \(scan"):
        read(tmp_path)


# -- bombs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nii.gz", "nrrd"])
def test_a_large_image_out_of_a_small_file_is_refused_before_it_is_unpacked(
    tmp_path, kind, save_nifti, chest
):
    """1024 x 1024 x 1024 voxels that a file of 2 MB would give if it were let."""
    if kind == "nrrd":
        fields = "sizes: 1024 1024 1024\nencoding: gzip\n"
        path = nrrd(tmp_path / "a.nrrd", fields, gzip.compress(b"x") + bytes(3 * 2**20))
    else:
        path = save_nifti(chest(), edit=lambda header: header.set_data_shape((1024, 1024, 1024)))
        data = bytearray(gzip.decompress(path.read_bytes()))
        data[42:48] = np.array([1024] * 3, "<i2").tobytes()
        path.write_bytes(gzip.compress(bytes(data)) + bytes(3 * 2**20))
    with pytest.raises(InputError, match=r"1024 x 1024 x 1024 voxels .* can hold only"):
        read(path)


def test_more_voxels_than_any_ct(tmp_path):
    path = nrrd(tmp_path / "a.nrrd", "sizes: 2048 2048 1024\nencoding: gzip\n", bytes(100))
    with pytest.raises(InputError, match="more than any CT has"):
        read(path)


def test_more_than_the_free_memory(tmp_path, monkeypatch):
    from hilum.io import checks

    monkeypatch.setattr(checks, "free_memory", lambda: 10_000_000)
    path = nrrd(tmp_path / "a.nrrd", "sizes: 256 256 128\nencoding: gzip\n", bytes(100_000))
    with pytest.raises(InputError, match=r"needs more memory \(16.8 MB\) than is free \(10.0 MB\)"):
        read(path)


def test_free_memory_of_a_container(tmp_path, monkeypatch):
    from hilum.io import memory

    assert memory.free_memory() is None or memory.free_memory() > 0
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   4000 kB\nSwapFree:  1000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.free_memory() == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 5\nfile 400000\nkernel 3\n")
    assert memory.free_memory() == 900_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() == 5000 * 1024
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    assert memory.free_memory() is None


def test_data_behind_the_image_do_not_take_memory(tmp_path, chest):
    """What follows the voxels is not kept: the process may take 400 MB more, and 2 GB follow."""
    pytest.importorskip("resource")
    array = chest()
    body = array.tobytes(order="F")
    packed = gzip.compress(body + bytes(2**20)) + gzip.compress(bytes(2**26)) * 32
    path = nrrd(tmp_path / "a.nrrd", "sizes: 9 8 7\nencoding: gzip\n", packed)
    code = (
        "import resource, sys; from pathlib import Path; from hilum.io.itk import load_itk;"
        "load_itk(Path(sys.argv[1]));"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 400_000_000,) * 2);"
        "print(load_itk(Path(sys.argv[1])).array.shape)"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not report the memory of a process")
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(9, 8, 7)", done.stderr
    np.testing.assert_array_equal(load_itk(path).array, array)


def test_a_strip_of_a_tiff_that_unpacks_to_more_than_the_image(tmp_path, chest):
    import tifffile

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, chest((40, 30)), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].tags["StripOffsets"].valueoffset
        count = file.pages[0].tags["StripByteCounts"].valueoffset
    bomb, data = zlib.compress(bytes(5 * 2**20), 9), bytearray(path.read_bytes())
    data[offset : offset + 4], data[count : count + 4] = (
        value.to_bytes(4, "little") for value in (len(data), len(bomb))
    )
    path.write_bytes(bytes(data) + bomb)
    with pytest.raises(InputError, match="unpacks to more than its header says"):
        read(path)

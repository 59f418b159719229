from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError
from hilum.io import read
from hilum.io.nifti import load_nifti

LPS = np.diag([-0.7, -0.8, 1.5, 1.0])


def patch(path: Path, offset: int, content: bytes) -> Path:
    """Overwrite bytes of the header of a gzipped file."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(bytes(data)))
    return path


def codes(vol):
    return {code for code, _ in vol.meta.notes}


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.hdr", "a.img", "a.img.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_int16_comes_back_as_it_is(chest, save_nifti, name, kind):
    pair = {nib.Nifti1Image: nib.Nifti1Pair, nib.Nifti2Image: nib.Nifti2Pair}
    array = chest()
    path = save_nifti(array, name=name, kind=kind if ".nii" in name else pair[kind])
    vol = read(path)
    assert vol.hu.dtype == np.int16
    np.testing.assert_array_equal(vol.hu, array)
    np.testing.assert_allclose(vol.affine, LPS, atol=1e-6)
    assert vol.meta.name == "a"
    assert vol.meta.source_format == "nifti"
    assert vol.meta.notes == ()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("<i2", "i2"), (">i2", "i2"), ("<i4", "i2"), (">f4", "f4"), ("f4", "f4"), ("f8", "f4"), ("i8", "i2")],
)
def test_types(chest, save_nifti, dtype, expected):
    array = chest().astype(dtype)
    if array.dtype.kind == "f":
        array += np.float32(0.25)
    vol = read(save_nifti(array))
    assert vol.hu.dtype == np.dtype(expected)
    np.testing.assert_array_equal(vol.hu, array)


def test_integers_beyond_int16_become_float32_without_loss(chest, save_nifti):
    array = chest().astype(np.int32)
    array[-1, -1, -1] = 40_000  # in the last chunk, so that the earlier ones have to be widened
    vol = read(save_nifti(array))
    assert vol.hu.dtype == np.float32
    np.testing.assert_array_equal(vol.hu, array)


def test_blocks_smaller_than_the_file(chest, save_nifti, monkeypatch):
    monkeypatch.setattr("hilum.io.voxels._BLOCK_BYTES", 64)
    array = chest().astype(np.int32)
    np.testing.assert_array_equal(read(save_nifti(array)).hu, array)
    array[4, 4, 4] = 100_000
    np.testing.assert_array_equal(read(save_nifti(array)).hu, array)


@pytest.mark.parametrize(("slope", "inter", "dtype"), [(1, -1024, np.int16), (0.5, -1000, np.float32)])
def test_slope_and_intercept(chest, save_nifti, slope, inter, dtype):
    hu = chest().astype(np.float64)
    stored = ((hu - inter) / slope).astype(np.uint16)
    path = save_nifti(stored)
    patch(path, 112, struct.pack("<ff", slope, inter))
    vol = read(path)
    assert vol.hu.dtype == dtype
    np.testing.assert_array_equal(vol.hu, hu)


def test_sform_wins_and_disagreement_is_noted(chest, save_nifti):
    other = LPS @ np.diag([-1, 1, 1, 1])

    def edit(header):
        header.set_sform(LPS, 1)
        header.set_qform(other, 1)

    vol = read(save_nifti(chest(), None, edit=edit))
    np.testing.assert_allclose(vol.affine, LPS, atol=1e-6)
    assert codes(vol) == {"sform_qform_disagree"}


@pytest.mark.parametrize("broken", [np.diag([-0.7, -0.8, 0.0, 1.0]), np.diag([-0.7, np.nan, 1.5, 1.0])])
def test_the_qform_is_used_where_the_sform_is_broken(chest, save_nifti, broken):
    def edit(header):
        header.set_qform(LPS, 1)
        header.set_sform(np.diag([1.0, 1, 1, 1]), 1)
        header["srow_x"], header["srow_y"], header["srow_z"] = broken[:3]

    vol = read(save_nifti(chest(), None, edit=edit))
    np.testing.assert_allclose(vol.affine, LPS, atol=1e-6)
    assert codes(vol) == {"sform_qform_disagree"}
    assert "the qform was used" in vol.meta.notes[0][1]
    with pytest.raises(GeometryError):  # nothing else to take
        read(
            save_nifti(chest(), None, edit=lambda header: (edit(header), header.__setitem__("qform_code", 0)))
        )


def test_qform_is_used_without_sform(chest, save_nifti):
    angle = 0.3
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ LPS

    def edit(header):
        header.set_qform(affine, 1)
        header["sform_code"] = 0

    vol = read(save_nifti(chest(), affine, edit=edit))
    np.testing.assert_allclose(vol.affine, affine, atol=1e-5)
    assert vol.meta.orientation_known


def test_a_missing_orientation_is_noted_and_matches_nibabel(chest, save_nifti):
    def edit(header):
        header.set_sform(None, 0)
        header.set_qform(None, 0)

    path = save_nifti(chest(), LPS, edit=edit)
    patch(path, 252, struct.pack("<hh", 0, 0))
    vol = read(path)
    assert not vol.meta.orientation_known
    assert codes(vol) == {"orientation_unknown"}
    np.testing.assert_allclose(vol.affine, nib.load(path).affine, atol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e-3), ("meter", 1e3)])
def test_units_are_converted(chest, save_nifti, unit, factor):
    affine = LPS.copy()
    affine[:3] /= factor
    vol = read(save_nifti(chest(), affine, edit=lambda h: h.set_xyzt_units(unit)))
    np.testing.assert_allclose(vol.affine, LPS, rtol=1e-5)
    assert codes(vol) == {"units_converted"}


def test_pixdim_against_sform_is_noted(chest, save_nifti):
    path = patch(save_nifti(chest()), 80, struct.pack("<f", 1.4))
    patch(path, 252, struct.pack("<h", 0))  # no qform, which takes its size from pixdim
    vol = read(path)
    assert codes(vol) == {"spacing_disagrees"}
    assert vol.spacing == pytest.approx((0.7, 0.8, 1.5))


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (9, 8, 1, 1), (9, 8, 7, 1)])
def test_stored_shape_is_remembered(chest, save_nifti, shape):
    vol = read(save_nifti(chest(shape)))
    assert vol.meta.stored_shape == shape
    assert vol.shape == (9, 8, shape[2] if len(shape) > 2 else 1)
    assert vol.stored(np.zeros(vol.shape)).shape == shape


def test_slice_without_thickness(chest, save_nifti):
    path = save_nifti(chest((9, 8)))
    patch(path, 252, struct.pack("<h", 0))
    for row in range(3):  # the third column of the sform
        patch(path, 280 + 16 * row + 8, struct.pack("<f", 0))
    vol = read(path)
    assert not vol.meta.spacing_known
    assert codes(vol) == {"slice_thickness_unknown"}
    assert vol.spacing == pytest.approx((0.7, 0.8, 1.0))


def test_data_after_an_extension(chest, save_nifti):
    extension = nib.nifti1.Nifti1Extension("comment", b"x" * 1000)
    array = chest()
    path = save_nifti(array, edit=lambda h: h.extensions.append(extension))
    np.testing.assert_array_equal(read(path).hu, array)


def test_several_gzip_members(chest, save_nifti, tmp_path):
    array = chest()
    plain = save_nifti(array, name="a.nii").read_bytes()
    path = tmp_path / "members.nii.gz"
    path.write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))
    np.testing.assert_array_equal(read(path).hu, array)


def test_a_plain_file_with_a_gzip_name_is_read(chest, save_nifti):
    array = chest()
    path = save_nifti(array, name="a.nii")
    np.testing.assert_array_equal(read(path.rename(path.with_name("a.nii.gz"))).hu, array)


# -- what must be refused ------------------------------------------------------------------------------


def test_truncated_gzip(chest, save_nifti):
    path = save_nifti(chest((40, 40, 40)))
    data = path.read_bytes()
    for keep in (len(data) // 2, len(data) - 4):
        path.write_bytes(data[:keep])
        with pytest.raises(InputError, match="truncated"):
            read(path)


def test_truncated_plain(chest, save_nifti):
    path = save_nifti(chest(), name="a.nii")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="truncated"):
        read(path)


def test_truncated_header(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(b"\x5c\x01\0\0" + b"\0" * 40))
    with pytest.raises(InputError, match="not NIfTI"):
        read(path)


def test_wrong_checksum(chest, save_nifti):
    path = save_nifti(chest())
    data = bytearray(path.read_bytes())
    data[-8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="corrupt"):
        read(path)


def test_damage_within_the_gzip_stream(chest, save_nifti):
    path = save_nifti(chest((30, 30, 30)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"corrupt|truncated"):
        read(path)


def test_gzip_magic_and_nothing_behind(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"\x1f\x8b\x08\0rubbish rubbish rubbish")
    with pytest.raises(InputError, match=r"corrupt|truncated"):
        read(path)


def test_a_gz_name_without_gzip_content(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"certainly no image" * 50)
    with pytest.raises(InputError, match="not NIfTI"):
        read(path)


def test_text_called_nii(tmp_path):
    path = tmp_path / "a.nii"
    path.write_text("Dear colleague, please find the scan attached.\n" * 30)
    with pytest.raises(InputError, match="not NIfTI"):
        read(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_huge_dims_are_refused_before_memory_is_taken(chest, save_nifti, name, monkeypatch):
    path = save_nifti(chest(), name="a.nii")
    data = bytearray(path.read_bytes())
    monkeypatch.setattr(np, "empty", lambda *a, **k: pytest.fail("memory was taken"))
    for dims in ((32000, 32000, 32000), (2000, 2000, 900)):
        data[42:48] = struct.pack("<hhh", *dims)
        target = path.with_name(name)
        target.write_bytes(gzip.compress(bytes(data)) if name.endswith("gz") else bytes(data))
        with pytest.raises(InputError, match="header asks for"):
            read(target)


@pytest.mark.parametrize("dims", [(0, 8, 7), (-9, 8, 7)])
def test_dims_without_voxels(chest, save_nifti, dims):
    path = patch(save_nifti(chest()), 42, struct.pack("<hhh", *dims))
    with pytest.raises(InputError, match="no voxel"):
        read(path)


def test_four_dimensions(chest, save_nifti):
    with pytest.raises(InputError, match="5 volumes") as caught:
        read(save_nifti(chest((9, 8, 7, 5))))
    assert caught.value.exit_code == 3
    assert "3-D" in caught.value.hint


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers(chest, save_nifti, value):
    array = chest().astype(np.float32)
    array[1, 2, 3] = array[4, 5, 6] = value
    with pytest.raises(InputError, match="2 of 504 voxels"):
        read(save_nifti(array))


def test_constant(save_nifti):
    with pytest.raises(InputError, match="same value"):
        read(save_nifti(np.full((9, 8, 7), -1000, np.int16)))


@pytest.mark.parametrize("axis", range(3))
def test_zero_spacing(chest, save_nifti, axis):
    path = save_nifti(chest())
    patch(path, 80 + 4 * axis, struct.pack("<f", 0))
    with pytest.raises(GeometryError, match="zero"):
        read(path)


def test_zero_column_of_the_sform(chest, save_nifti):
    path = save_nifti(chest())
    for row in range(3):
        patch(path, 280 + 16 * row + 4, struct.pack("<f", 0))
    with pytest.raises(GeometryError, match="zero"):
        read(path)


def test_singular_affine(chest, save_nifti):
    path = save_nifti(chest())
    patch(path, 280, struct.pack("<12f", 0.7, 0.8, 0, 0, 0, 0, 0, 0, 0, 0, 1.5, 0))
    with pytest.raises(GeometryError, match="singular") as caught:
        read(path)
    assert caught.value.exit_code == 4


def test_affine_with_nan(chest, save_nifti):
    path = patch(save_nifti(chest()), 280, struct.pack("<f", np.nan))
    with pytest.raises(GeometryError, match="not numbers"):
        read(path)


def test_absurd_spacing(chest, save_nifti):
    with pytest.raises(GeometryError, match="no CT has"):
        read(save_nifti(chest(), np.diag([700.0, 700, 1500, 1])))


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_colour_and_complex(save_nifti, dtype):
    with pytest.raises(InputError, match=r"RGB|complex"):
        read(save_nifti(np.zeros((9, 8, 7), dtype)))


def test_unknown_type_code(chest, save_nifti):
    path = patch(save_nifti(chest()), 70, struct.pack("<h", 999))
    with pytest.raises(InputError, match="999"):
        read(path)


def test_analyze(chest, tmp_path):
    nib.save(nib.AnalyzeImage(chest(), np.eye(4)), tmp_path / "a.img")
    with pytest.raises(InputError, match="Analyze"):
        read(tmp_path / "a.hdr")


def test_half_a_pair(chest, save_nifti):
    path = save_nifti(chest(), name="a.img", kind=nib.Nifti1Pair)
    path.with_name("a.hdr").unlink()
    with pytest.raises(InputError, match="half of a"):
        read(path)


def test_broken_data_offset(chest, save_nifti):
    path = patch(save_nifti(chest()), 108, struct.pack("<f", np.nan))
    with pytest.raises(InputError, match="broken header"):
        read(path)


def test_peak_memory_is_one_copy(save_nifti):
    """Allocations of numpy are traced: an array of 64 MB may cost itself and the blocks read ahead."""
    import tracemalloc

    array = np.tile(np.array([-1000, -850, 40, 55], np.int16), (256, 256, 128))
    path = save_nifti(array)
    load_nifti(path)  # imports
    tracemalloc.start()
    raw = load_nifti(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * raw.array.nbytes


def test_zlib_bomb_behind_the_image(chest, save_nifti):
    array = chest()
    plain = save_nifti(array, name="a.nii")
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = packer.compress(plain.read_bytes()) + packer.compress(bytes(200 * 2**20)) + packer.flush()
    path = plain.with_name("bomb.nii.gz")
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path).hu, array)


@pytest.mark.parametrize("keep", [4, 40, 200, 347, 348, 400, 539])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_headers_that_end_too_early(chest, save_nifti, keep, kind):
    path = save_nifti(chest(), name="a.nii", kind=kind)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize(("slope", "inter"), [(1e30, 0), (1, 3e38), (2.0**63, 1), (-1e25, -1e25)])
@pytest.mark.parametrize("kind", ["i2", "u4", "f4"])
def test_scales_beyond_all_numbers(chest, save_nifti, slope, inter, kind):
    path = patch(save_nifti(chest().clip(0).astype(kind)), 112, struct.pack("<ff", slope, inter))
    with pytest.raises(InputError):
        read(path)

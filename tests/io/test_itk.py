from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from hilum.core.errors import GeometryError, InputError
from hilum.io import read
from hilum.io.itk import load_itk

BASE = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
PLACED = "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 0.7 0.8 1.5\n"


def save(array, path: Path, compress: bool = True) -> Path:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing((0.7, 0.8, 1.5)[: image.GetDimension()])
    image.SetOrigin((1, 2, 3)[: image.GetDimension()])
    sitk.WriteImage(image, str(path), compress)
    return path


def mha(path: Path, header: str, array, size: str | None = None) -> Path:
    dims = size or " ".join(str(n) for n in array.shape)
    text = f"{header}DimSize = {dims}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    path.write_bytes(text.encode() + array.tobytes(order="F"))
    return path


def nrrd(path: Path, array, fields: str, size: str | None = None) -> Path:
    dims = size or " ".join(str(n) for n in array.shape)
    text = f"NRRD0004\ntype: int16\ndimension: {array.ndim}\nsizes: {dims}\n{fields}"
    text += "endian: little\nencoding: raw\n\n"
    path.write_bytes(text.encode() + array.tobytes(order="F"))
    return path


def codes(vol):
    return {code for code, _ in vol.meta.notes}


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
@pytest.mark.parametrize("compress", [False, True])
def test_array_and_geometry(chest, tmp_path, name, compress):
    array = chest()
    vol = read(save(array, tmp_path / name, compress))
    np.testing.assert_array_equal(vol.hu, array)
    np.testing.assert_allclose(vol.affine, [[-0.7, 0, 0, -1], [0, -0.8, 0, -2], [0, 0, 1.5, 3], [0, 0, 0, 1]])
    assert vol.hu.dtype == np.int16
    assert vol.hu.flags.f_contiguous
    assert vol.meta.notes == ()
    assert vol.meta.source_format == ("nrrd" if name[2] == "n" else "metaimage")


def test_voxels_outlive_the_reader(chest, tmp_path):
    array = chest((60, 60, 60))
    hu = load_itk(save(array, tmp_path / "a.nrrd")).array
    junk = [np.ones(200_000, np.int16) for _ in range(20)]  # would land in freed memory
    np.testing.assert_array_equal(hu, array)
    assert len(junk) == 20


def test_ras_nrrd(chest, tmp_path):
    fields = (
        "space: right-anterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,2)\nspace origin: (4,5,6)\n"
    )
    vol = read(nrrd(tmp_path / "a.nrrd", chest(), fields))
    np.testing.assert_allclose(vol.affine, [[1, 0, 0, 4], [0, 1, 0, 5], [0, 0, 2, 6], [0, 0, 0, 1]])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
def test_other_types(chest, tmp_path, dtype):
    array = chest().astype(dtype)
    raw = load_itk(save(array, tmp_path / "a.mha"))
    assert raw.array.dtype == (np.float32 if dtype == "float64" else np.int16)
    np.testing.assert_array_equal(raw.array, array)


def test_sheared_grid_keeps_its_shear(chest, tmp_path):
    fields = (
        "space: left-posterior-superior\nspace directions: (1,0,0) (0.3,1,0) (0,0,2)\nspace origin: (0,0,0)\n"
    )
    vol = read(nrrd(tmp_path / "a.nrrd", chest(), fields))
    np.testing.assert_allclose(vol.affine[:3, :3], [[-1, -0.3, 0], [0, -1, 0], [0, 0, 2]], atol=1e-12)
    assert vol.voxel_volume_ml == pytest.approx(0.002)


def test_what_the_header_lacks_is_noted(chest, tmp_path):
    vol = read(nrrd(tmp_path / "a.nrrd", chest(), ""))
    assert codes(vol) == {"orientation_unknown", "spacing_unknown"}
    assert not vol.meta.orientation_known
    assert not vol.meta.spacing_known
    vol = read(mha(tmp_path / "a.mha", BASE + "ElementSpacing = 1 1 2\n", chest()))
    assert codes(vol) == {"orientation_unknown"}
    assert vol.meta.spacing_known


def test_an_image_of_two_axes(chest, tmp_path):
    vol = read(save(chest((9, 8)), tmp_path / "a.mha"))
    assert vol.shape == (9, 8, 1)
    assert vol.meta.stored_shape == (9, 8)
    assert not vol.meta.orientation_known
    assert vol.spacing == pytest.approx((0.7, 0.8, 1.0))


def test_one_time_point_is_squeezed(chest, tmp_path):
    array = chest()
    image = sitk.JoinSeries(sitk.ReadImage(str(save(array, tmp_path / "3.mha"))))
    sitk.WriteImage(image, str(tmp_path / "4.mha"))
    vol = read(tmp_path / "4.mha")
    assert vol.meta.stored_shape == (9, 8, 7, 1)
    np.testing.assert_array_equal(vol.hu, array)


# -- what must be refused ------------------------------------------------------------------------------


def test_time_points(chest, tmp_path):
    one = sitk.ReadImage(str(save(chest(), tmp_path / "3.mha")))
    sitk.WriteImage(sitk.JoinSeries([one, one]), str(tmp_path / "4.mha"))
    with pytest.raises(InputError, match="2 volumes"):
        read(tmp_path / "4.mha")


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_vectors(chest, tmp_path, name):
    one = sitk.ReadImage(str(save(chest(), tmp_path / "3.mha")))
    sitk.WriteImage(sitk.Compose(one, one, one), str(tmp_path / name))
    with pytest.raises(InputError, match="3 numbers"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
@pytest.mark.parametrize("compress", [False, True])
def test_truncated(chest, tmp_path, name, compress, capfd):
    path = save(chest((30, 30, 30)), tmp_path / name, compress)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="truncated"):
        read(path)
    if not compress:
        assert capfd.readouterr().err == ""  # ITK writes to stderr itself when it gets that far


def test_huge_dims(chest, tmp_path):
    with pytest.raises(InputError, match="header asks for"):
        read(mha(tmp_path / "a.mha", BASE + PLACED, chest(), "30000 30000 30000"))
    with pytest.raises(InputError, match="header asks for"):
        read(nrrd(tmp_path / "a.nrrd", chest(), "", "2000 2000 1000"))


def test_missing_data_file(chest, tmp_path):
    path = save(chest(), tmp_path / "a.mhd", compress=False)
    (tmp_path / "a.raw").unlink()
    with pytest.raises(InputError, match=r"a\.raw"):
        read(path)


def test_short_data_file(chest, tmp_path):
    path = save(chest(), tmp_path / "a.mhd", compress=False)
    (tmp_path / "a.raw").write_bytes(b"\0" * 10)
    with pytest.raises(InputError, match="truncated"):
        read(path)


def test_zero_spacing(chest, tmp_path):
    with pytest.raises(GeometryError, match="zero"):
        read(mha(tmp_path / "a.mha", BASE + PLACED.replace("0.7", "0"), chest()))
    fields = (
        "space: left-posterior-superior\nspace directions: (0,0,0) (0,1,0) (0,0,2)\nspace origin: (0,0,0)\n"
    )
    with pytest.raises(GeometryError, match="zero"):
        read(nrrd(tmp_path / "a.nrrd", chest(), fields))


def test_singular(chest, tmp_path):
    with pytest.raises(GeometryError, match="singular"):
        read(mha(tmp_path / "a.mha", BASE + PLACED.replace("1 0 0 0 1 0", "1 0 0 1 0 0"), chest()))


def test_nan(chest, tmp_path):
    array = chest().astype(np.float32)
    array[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="1 of 504"):
        read(save(array, tmp_path / "a.nrrd"))


def test_text_called_nrrd(tmp_path):
    for name in ("a.nrrd", "a.mha", "a.mhd"):
        (tmp_path / name).write_text("no image = at all\n" * 9)
        with pytest.raises(InputError):
            read(tmp_path / name)

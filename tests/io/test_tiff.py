from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
import tifffile

from hilum.core.errors import InputError, UsageError
from hilum.core.planes import Plane
from hilum.io import read, write_hu_tiff
from hilum.io.tiff import load_tiff


def codes(vol):
    return {code for code, _ in vol.meta.notes}


@pytest.mark.parametrize(
    ("plane", "axcodes"),
    [(Plane.AXIAL, ("P", "L", "S")), (Plane.CORONAL, ("I", "L", "A")), (Plane.SAGITTAL, ("I", "P", "R"))],
)
def test_round_trip(chest, tmp_path, plane, axcodes):
    hu = chest((40, 30))
    vol = read(write_hu_tiff(tmp_path / "a.tif", hu, (0.7, 0.123456789), plane=plane, thickness=2.5))
    np.testing.assert_array_equal(vol.hu[:, :, 0], hu)
    assert vol.hu.dtype == np.int16
    assert vol.axcodes == axcodes
    assert vol.spacing == (0.7, 0.123456789, 2.5)
    assert vol.meta.stored_shape == (40, 30)
    assert vol.meta.spacing_known
    assert vol.meta.orientation_known
    assert vol.meta.notes == ()


def test_the_whole_range_of_int16_is_exact(tmp_path):
    hu = np.arange(-32768, 32768, dtype=np.int16).reshape(256, 256)
    raw = load_tiff(write_hu_tiff(tmp_path / "a.tif", hu.astype(np.int32), (1, 1)))
    np.testing.assert_array_equal(raw.array[:, :, 0], hu)


def test_float32_is_exact(chest, tmp_path):
    hu = chest((40, 30)).astype(np.float32) + np.float32(0.1)
    vol = read(write_hu_tiff(tmp_path / "a.tif", hu, (1, 1)))
    np.testing.assert_array_equal(vol.hu[:, :, 0], hu)


def test_affine_is_exact(chest, tmp_path):
    affine = np.array([[0.1, -0.7, 0, 12.3], [-0.7, -0.1, 0.2, -4], [0, 0.1, 2, 900], [0, 0, 0, 1]])
    vol = read(write_hu_tiff(tmp_path / "a.tif", chest((40, 30)), (0.7, 0.7), affine=affine))
    np.testing.assert_array_equal(vol.affine, affine)


def test_written_twice_is_the_same_file(chest, tmp_path):
    one, two = (write_hu_tiff(tmp_path / n, chest((40, 30)), (1, 1)).read_bytes() for n in ("a.tif", "b.tif"))
    assert one == two


def test_unknown_spacing_stays_unknown(chest, tmp_path):
    vol = read(write_hu_tiff(tmp_path / "a.tif", chest((40, 30)), None))
    assert not vol.meta.spacing_known
    assert codes(vol) == {"spacing_unknown"}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"hu": np.zeros((2, 2, 2), np.int16)}, "row, column"),
        ({"hu": np.full((2, 2), 40_000)}, "int16"),
        ({"spacing": (0.0, 1.0)}, "spacing"),
        ({"thickness": -1.0}, "thickness"),
    ],
)
def test_arguments_are_checked(tmp_path, arguments, match):
    good = {"hu": np.zeros((4, 4), np.int16), "spacing": (1.0, 1.0)}
    with pytest.raises(UsageError, match=match):
        write_hu_tiff(tmp_path / "a.tif", **{**good, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_bare_tiff(chest, tmp_path):
    hu = chest((40, 30))
    tifffile.imwrite(tmp_path / "a.tif", hu)
    vol = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(vol.hu[:, :, 0], hu)
    assert vol.axcodes == ("P", "L", "S")
    assert vol.spacing == (1, 1, 1)
    assert not vol.meta.spacing_known
    assert not vol.meta.orientation_known
    assert codes(vol) == {"orientation_assumed", "spacing_unknown"}


@pytest.mark.parametrize(
    ("resolution", "unit", "spacing"),
    [
        ((12.5, 10.0), "CENTIMETER", (1.0, 0.8)),
        ((25.4, 25.4), "INCH", (1.0, 1.0)),
        ((72, 72), "INCH", None),  # what image programs write for "no idea"
        ((10.0, 10.0), "NONE", None),
        ((0.01, 0.01), "CENTIMETER", None),  # a pixel of 1 m
    ],
)
def test_resolution_tags(chest, tmp_path, resolution, unit, spacing):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, chest((40, 30)), resolution=resolution, resolutionunit=unit, metadata=None)
    vol = read(path)
    assert vol.meta.spacing_known == (spacing is not None)
    assert vol.spacing[:2] == pytest.approx(spacing or (1, 1))


def test_imagej(chest, tmp_path):
    hu = chest((40, 30))
    stored = (hu.astype(np.int32) + 32768).astype(np.uint16)
    meta = {"unit": "mm", "cf": 0, "c0": -32768, "c1": 1}
    tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, resolution=(2.0, 1.25), metadata=meta)
    vol = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(vol.hu[:, :, 0], hu)
    assert vol.spacing[:2] == pytest.approx((0.8, 0.5))
    assert vol.meta.spacing_known


def test_foreign_json_with_our_name_is_not_a_geometry(chest, tmp_path):
    text = json.dumps({"schema": "hilum-ct-slice", "plane": "diagonal"})
    tifffile.imwrite(tmp_path / "a.tif", chest((40, 30)), description=text, metadata=None)
    assert not read(tmp_path / "a.tif").meta.spacing_known


# -- what must be refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3)])
def test_eight_bit_and_colour(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb" if len(shape) == 3 else "minisblack")
    with pytest.raises(InputError, match="window"):
        read(tmp_path / "a.tif")


def test_sixteen_bit_colour(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 30, 3), np.uint16), photometric="rgb")
    with pytest.raises(InputError, match="colour"):
        read(tmp_path / "a.tif")


def test_stack(chest, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", chest((5, 40, 30)), photometric="minisblack")
    with pytest.raises(InputError, match="5 images"):
        read(tmp_path / "a.tif")


def test_unsigned_without_offset(chest, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", (chest((40, 30)) + 1024).astype(np.uint16))
    with pytest.raises(InputError, match="offset of 1024"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("keep", [6, 60, -100])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_truncated(chest, tmp_path, keep, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, chest((100, 100)), compression=compression)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="truncated"):
        read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"spacing_mm": ["a", "b"]},
        {"spacing_mm": True},
        {"spacing_mm": [1]},
        {"spacing_mm": [1, -1]},
        {"spacing_mm": [1, float("nan")]},
        {"spacing_mm": [True, True]},
        {"thickness_mm": "x"},
        {"thickness_mm": 0},
        {"thickness_mm": 10**400},
        {"affine_ras_mm": "abc"},
        {"affine_ras_mm": [[1, 0], [0, 1]]},
        {"affine_ras_mm": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0]]},
    ],
)
def test_a_damaged_description_of_our_own_is_refused(chest, tmp_path, change):
    own = {"schema": "hilum-ct-slice", "plane": "axial", "spacing_mm": [1, 1], "thickness_mm": 2, **change}
    tifffile.imwrite(tmp_path / "a.tif", chest((40, 30)), description=json.dumps(own), metadata=None)
    with pytest.raises(InputError, match="description of the slice is damaged"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("c0", ["abc", "1e30", "nan", "inf"])
def test_a_damaged_calibration_of_imagej(chest, tmp_path, c0):
    text = f"ImageJ=1.53\nunit=mm\nc0={c0}\nc1=1\ncf=0\n"
    tifffile.imwrite(tmp_path / "a.tif", chest((40, 30)), description=text, metadata=None)
    with pytest.raises(InputError):
        read(tmp_path / "a.tif")


def test_tifffile_says_nothing_beside_the_sentence(chest, tmp_path, capfd):
    path = write_hu_tiff(tmp_path / "a.tif", chest((40, 30)), (1, 1))
    data = path.read_bytes()
    for place in range(8, 60):
        path.write_bytes(data[:place] + b"\xff" + data[place + 1 :])
        with suppress(InputError):
            load_tiff(path)
    assert capfd.readouterr().err == ""

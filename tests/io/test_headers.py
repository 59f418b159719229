"""What headers of NRRD and MetaImage say: where the data are, how they are packed, how the patient lies."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from hilum.core.errors import GeometryError, InputError
from hilum.io import read
from hilum.io.itk import load_itk, load_itk_layers

PLACE = "space directions: (0.7,0,0) (0,0.8,0) (0,0,1.5)\nspace origin: (1,2,3)\n"
LPS = "space: left-posterior-superior\n" + PLACE
SPACED = "ElementSpacing = 0.7 0.8 1.5\n"


@pytest.fixture
def nrrd(chest, tmp_path):
    """Write a NRRD of int16; ``body`` None leaves the data to other files."""

    def write(
        fields: str = LPS,
        encoding: str = "raw",
        body: bytes | None = b"",
        sizes: str = "9 8 7",
        name: str = "a.nrrd",
    ) -> Path:
        body = chest().tobytes(order="F") if body == b"" else body
        text = f"NRRD0005\n# by hand\ntype: short\ndimension: {len(sizes.split())}\nsizes: {sizes}\n"
        text += "endian: little\n"
        path = tmp_path / name
        path.write_bytes(f"{text}encoding: {encoding}\n{fields}\n".encode() + (body or b""))
        return path

    return write


@pytest.fixture
def meta(chest, tmp_path):
    def write(fields: str = SPACED, data: str = "LOCAL", body: bytes = b"", name: str = "a.mha") -> Path:
        if data == "LOCAL":
            body = body or chest().tobytes(order="F")
        text = f"ObjectType = Image\nNDims = 3\nDimSize = 9 8 7\nElementType = MET_SHORT\n{fields}"
        text += "" if "BinaryData =" in fields else "BinaryData = True\n"
        path = tmp_path / name
        path.write_bytes(f"{text}ElementDataFile = {data}\n".encode() + body)
        return path

    return write


def codes(volume):
    return {code for code, _ in volume.meta.notes}


# -- an independent reader as reference ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["nrrd", "nhdr", "mha", "mhd"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_what_simpleitk_writes_is_read_as_it_reads_it(tmp_path, chest, suffix, kind):
    array = (chest() % 90).astype(kind)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 1.4)
    image.SetDirection(turn.GetMatrix())
    image.SetSpacing((0.7, 0.8, 1.5))
    image.SetOrigin((-120.5, 33.25, 1000.125))
    path = tmp_path / f"a.{suffix}"
    for packed in (True, False):
        sitk.WriteImage(image, str(path), packed)
        raw = load_itk(path)
        np.testing.assert_array_equal(raw.array, array)
        back = sitk.ReadImage(str(path))
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(back.GetDirection(), (3, 3)) * back.GetSpacing()
        affine[:3, 3] = back.GetOrigin()
        np.testing.assert_allclose(raw.affine, np.diag([-1, -1, 1, 1]) @ affine, atol=1e-9)


# -- where the patient lies ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("LAS", (-1, 1, 1)),
        ("Left-Posterior-Superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
    ],
)
def test_spaces_that_name_the_anatomy(nrrd, space, signs):
    volume = read(nrrd(f"space: {space}\n{PLACE}"))
    np.testing.assert_allclose(np.diag(volume.affine)[:3], np.multiply(signs, (0.7, 0.8, 1.5)))
    np.testing.assert_allclose(volume.affine[:3, 3], np.multiply(signs, (1, 2, 3)))
    assert volume.meta.orientation_known
    assert codes(volume) == set()


@pytest.mark.parametrize("space", ["left-anterior-superior-time", "LAST"])
def test_a_space_with_time(nrrd, space):
    place = "space directions: (1,0,0,0) (0,1,0,0) (0,0,2,0) (0,0,0,1)\nspace origin: (1,2,3,0)\n"
    volume = read(nrrd(f"space: {space}\n{place}", sizes="9 8 7 1"))
    np.testing.assert_allclose(np.diag(volume.affine), [-1, 1, 2, 1])
    assert volume.meta.orientation_known
    assert volume.meta.stored_shape == (9, 8, 7, 1)


@pytest.mark.parametrize("space", ["3D-right-handed", "scanner-xyz", "3D-left-handed", "3DRH", "my-space"])
def test_spaces_that_name_no_anatomy(nrrd, space):
    volume = read(nrrd(f"space: {space}\n{PLACE}"))
    assert codes(volume) == {"orientation_unknown"}
    assert not volume.meta.orientation_known
    assert volume.spacing == pytest.approx((0.7, 0.8, 1.5))


def test_directions_without_a_space(nrrd):
    assert codes(read(nrrd("space dimension: 3\n" + PLACE))) == {"orientation_unknown"}
    assert codes(read(nrrd("spacings: 0.7 0.8 1.5\naxis mins: 0 0 0\n"))) == {"orientation_unknown"}


@pytest.mark.parametrize(
    "directions", ["none none none", "(1,0,0) (0,1,0)", "(1,0,0) (0,1,0) (0,0)", "1 0 0"]
)
def test_directions_that_leave_out_an_axis(nrrd, directions):
    with pytest.raises(GeometryError):
        read(nrrd(f"space: LPS\nspace directions: {directions}\n"))


@pytest.mark.parametrize(
    ("unit", "mm"), [("cm", 10.0), ("um", 0.001), ("µm", 0.001), ("m", 1000.0), ("mm", 1.0)]
)
def test_the_unit_of_the_space_is_used(nrrd, unit, mm):
    steps = np.array((0.7, 0.8, 1.5)) / mm
    place = " ".join(str(tuple(row)).replace(" ", "") for row in np.diag(steps).tolist())
    units = f'space units: "{unit}" "{unit}" "{unit}"\n'
    volume = read(nrrd(f"space: RAS\nspace directions: {place}\n{units}"))
    assert volume.spacing == pytest.approx((0.7, 0.8, 1.5))
    assert codes(volume) == (set() if unit == "mm" else {"units_converted"})


def test_units_that_do_not_fit(nrrd):
    with pytest.raises(GeometryError, match='unknown unit "parsec"'):
        read(nrrd(LPS + 'space units: "parsec" "parsec" "parsec"\n'))
    with pytest.raises(GeometryError, match="different units"):
        read(nrrd(LPS + 'space units: "mm" "mm" "cm"\n'))


def test_the_unit_of_a_metaimage(meta):
    volume = read(meta("ElementSpacing = 0.07 0.08 0.15\nDistanceUnits = cm\n"))
    assert volume.spacing == pytest.approx((0.7, 0.8, 1.5))
    assert "units_converted" in codes(volume)


@pytest.mark.parametrize("field", ["TransformMatrix", "Rotation", "Orientation"])
def test_a_turned_metaimage(meta, field):
    volume = read(meta(f"{SPACED}{field} = 0 1 0 -1 0 0 0 0 1\nOffset = 1 2 3\n"))
    np.testing.assert_allclose(volume.affine[:3, :3], [[0, 0.8, 0], [-0.7, 0, 0], [0, 0, 1.5]], atol=1e-12)
    assert volume.meta.orientation_known


def test_numbers_with_a_comma(meta, nrrd):
    with pytest.raises(
        GeometryError, match='"4,0 4,0 6,0" as ElementSpacing, which is not a number'
    ) as caught:
        read(meta("ElementSpacing = 4,0 4,0 6,0\n"))
    assert "a point, not a comma" in caught.value.hint
    with pytest.raises(GeometryError, match="spacings, which is not a number"):
        read(nrrd("spacings: 4,0 4,0 6,0\n"))


@pytest.mark.parametrize("step", ["inf", "nan", "1e308", "1e200", "-1e308", "1e-320"])
def test_spacings_beyond_all_bounds(meta, nrrd, recwarn, step):
    for path in (
        meta(f"ElementSpacing = {step} {step} 1.5\n"),
        nrrd(f"spacings: {step} {step} 1.5\n"),
        nrrd(LPS.replace("0.8", step), name="b.nrrd"),
    ):
        with pytest.raises(GeometryError):
            read(path)
    assert [str(warning.message) for warning in recwarn] == []


def test_two_places_that_differ(meta):
    read(meta(f"{SPACED}Offset = 1 2 3\nPosition = 1 2 3\n"))
    with pytest.raises(GeometryError, match="two different values as offset and position"):
        read(meta(f"{SPACED}Offset = 1 2 3\nPosition = 3 2 1\n"))
    with pytest.raises(InputError, match="two different values as elementspacing"):
        read(meta(f"{SPACED}ElementSpacing = 1 1 1\n"))


# -- axes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", ["list domain domain domain", "list space space space"])
def test_a_list_of_one_volume_is_read(nrrd, chest, kinds):
    directions = LPS.replace("directions: ", "directions: none ")
    volume = read(nrrd(f"{directions}kinds: {kinds}\n", sizes="1 9 8 7"))
    np.testing.assert_array_equal(volume.hu, chest())
    assert volume.meta.stored_shape == (9, 8, 7)
    assert volume.spacing == pytest.approx((0.7, 0.8, 1.5))


def test_a_list_of_two_volumes(nrrd, chest, tmp_path):
    one = chest()
    fields = LPS.replace("directions: ", "directions: none ") + "kinds: list domain domain domain\n"
    path = nrrd(fields, body=np.stack([one, one + 1]).tobytes(order="F"), sizes="2 9 8 7")
    with pytest.raises(InputError, match="2 numbers"):
        read(path)
    layers = load_itk_layers(path)
    np.testing.assert_array_equal([layer.array for layer in layers], [one, one + 1])
    fields = LPS.replace("(0,0,1.5)", "(0,0,1.5) none") + "kinds: domain domain domain list\n"
    path = nrrd(fields, body=np.stack([one, one + 1], -1).tobytes(order="F"), sizes="9 8 7 2")
    np.testing.assert_array_equal([layer.array for layer in load_itk_layers(path)], [one, one + 1])


def test_time_points_are_refused(nrrd, chest):
    fields = LPS.replace("(0,0,1.5)", "(0,0,1.5) none")
    with pytest.raises(InputError, match="2 volumes"):
        read(nrrd(fields, body=chest((9, 8, 7, 2)).tobytes(order="F"), sizes="9 8 7 2"))


# -- how the voxels are written ------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "bzip2", "text", "hex"])
def test_encodings_of_nrrd(nrrd, chest, encoding):
    array = chest()
    body = array.tobytes(order="F")
    packed = {
        "gzip": gzip.compress(body[:100]) + gzip.compress(body[100:]),  # of two members
        "bzip2": bz2.compress(body),
        "text": "\n".join(str(v) for v in array.ravel(order="F")).encode(),
        "hex": body.hex(" ", 16).encode(),
    }[encoding]
    np.testing.assert_array_equal(read(nrrd(encoding=encoding, body=packed)).hu, array)
    with pytest.raises(InputError, match=r"truncated|can hold only"):
        read(nrrd(encoding=encoding, body=packed[: len(packed) // 2]))


def test_an_encoding_that_is_not_read(nrrd):
    with pytest.raises(InputError, match="packed as zrl, which hilum does not read") as caught:
        read(nrrd(encoding="zrl"))
    assert "gzip" in caught.value.hint


def test_skips_before_the_data(nrrd, chest):
    body = chest().tobytes(order="F")
    for fields, encoding, data in (
        ("byte skip: 5\n", "raw", b"12345" + body),
        ("byte skip: -1\n", "raw", b"anything" + body),
        ("line skip: 2\n", "raw", b"one\ntwo\n" + body),
        ("byte skip: 5\n", "gzip", gzip.compress(b"12345" + body)),
        ("line skip: 1\n", "gzip", b"one\n" + gzip.compress(body)),
    ):
        np.testing.assert_array_equal(read(nrrd(LPS + fields, encoding, data)).hu, chest())


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, zlib.MAX_WBITS + 16])
@pytest.mark.parametrize("stated", [True, False])
def test_packed_metaimages(meta, chest, wbits, stated):
    """The size of the packed data may be left out, which makes ITK return what was in memory."""
    packer = zlib.compressobj(6, zlib.DEFLATED, wbits)
    body = packer.compress(chest().tobytes(order="F")) + packer.flush()
    size = f"CompressedDataSize = {len(body)}\n" if stated else ""
    np.testing.assert_array_equal(read(meta(f"{SPACED}CompressedData = True\n{size}", body=body)).hu, chest())
    damaged = bytearray(body)
    damaged[len(body) // 2] ^= 255
    with pytest.raises(InputError, match="corrupt"):
        read(meta(f"{SPACED}CompressedData = True\n", body=bytes(damaged)))


def test_a_wrong_checksum_is_seen(nrrd, chest):
    packed = bytearray(gzip.compress(chest().tobytes(order="F")))
    packed[-6] ^= 1
    with pytest.raises(InputError, match="corrupt"):
        read(nrrd(encoding="gzip", body=bytes(packed)))


def test_metaimages_of_text_and_of_other_byte_order(meta, chest):
    array = chest()
    text = " ".join(str(v) for v in array.ravel(order="F")).encode()
    np.testing.assert_array_equal(read(meta(SPACED + "BinaryData = False\n", body=text)).hu, array)
    swapped = array.astype(">i2").tobytes(order="F")
    fields = SPACED + "BinaryData = True\nBinaryDataByteOrderMSB = True\n"
    np.testing.assert_array_equal(read(meta(fields, body=swapped)).hu, array)
    with pytest.raises(InputError, match="written as text"):
        read(meta(SPACED + "BinaryData = False\n"))


# -- data in other files -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["data/ct.raw", "../ct.raw", "ABSOLUTE", "scän.raw", r"data\ct.raw"])
@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_data_files_elsewhere(nrrd, meta, chest, tmp_path, kind, place):
    data = Path(str(tmp_path / "far" / "ct.raw") if place == "ABSOLUTE" else place.replace("\\", "/"))
    data = tmp_path / "scan" / data
    data.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "scan").mkdir(exist_ok=True)
    data.write_bytes(chest().tobytes(order="F"))
    name = str(data) if place == "ABSOLUTE" else place
    if kind == "mhd":
        path = meta(data=name, name="scan/a.mhd")
    else:
        path = nrrd(f"{LPS}data file: {name}\n", body=None, name="scan/a.nhdr")
    np.testing.assert_array_equal(read(path).hu, chest())


@pytest.mark.parametrize(
    "name", [r"C:\data\scans\ct.raw", r"\\server\share\ct.raw", "/home/someone/else/ct.raw"]
)
def test_a_path_of_another_computer(meta, chest, tmp_path, name):
    path = meta(data=name, name="a.mhd")
    with pytest.raises(InputError, match="is missing"):
        read(path)
    (tmp_path / "ct.raw").write_bytes(chest().tobytes(order="F"))
    np.testing.assert_array_equal(read(path).hu, chest())


def test_a_link_to_a_header_leads_to_its_data(meta, chest, tmp_path):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "ct.raw").write_bytes(chest().tobytes(order="F"))
    (tmp_path / "link.mhd").symlink_to(meta(data="ct.raw", name="scan/a.mhd"))
    np.testing.assert_array_equal(read(tmp_path / "link.mhd").hu, chest())


def test_a_header_in_latin_1(meta, chest, tmp_path):
    (tmp_path / "scän.raw").write_bytes(chest().tobytes(order="F"))
    path = meta(data="scän.raw", name="a.mhd")
    path.write_bytes(path.read_bytes().decode("utf-8").encode("latin-1"))
    np.testing.assert_array_equal(read(path).hu, chest())


@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
@pytest.mark.parametrize("data", ["LIST", "LIST 2", "s%02d.raw 0 6 1", "s%02d.raw 6 0 -1"])
def test_one_file_a_slice(nrrd, meta, chest, tmp_path, kind, data):
    array = chest()
    for index in range(7):
        (tmp_path / f"s{index:02}.raw").write_bytes(array[:, :, index].tobytes(order="F"))
    names = "".join(f"s{index:02}.raw\n" for index in range(7)) if "LIST" in data else ""

    def write(names):
        if kind == "mhd":
            return meta(data=f"{data}\n{names}", name="a.mhd")
        return nrrd(f"{LPS}data file: {data}\n{names}", body=None, name="a.nhdr")

    expected = array[:, :, ::-1] if "-1" in data else array
    np.testing.assert_array_equal(read(write(names)).hu, expected)
    if names:
        with pytest.raises(InputError, match="names 8 data files, which does not fit"):
            read(write(names + "s00.raw\n"))
    (tmp_path / "s03.raw").write_bytes(b"short")
    with pytest.raises(InputError, match="truncated"):
        read(write(names))
    (tmp_path / "s03.raw").unlink()
    with pytest.raises(InputError, match=r"s03\.raw"):
        read(write(names))


@pytest.mark.parametrize(
    "data", ["s%s.raw 0 6 1", "s%d%d.raw 0 6 1", "s%d.raw 0 999999999 1", "s%d.raw 0 6 0", ""]
)
def test_patterns_that_name_no_files(meta, data):
    with pytest.raises(InputError):
        read(meta(data=data, name="a.mhd"))


def test_data_outside_of_a_folder_that_must_not_be_left(meta, chest, tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside.raw").write_bytes(chest().tobytes(order="F"))
    path = meta(data="../outside.raw", name="inside/a.mhd")
    assert load_itk(path).array.shape == (9, 8, 7)
    with pytest.raises(InputError, match="outside of its archive"):
        load_itk(path, within=tmp_path / "inside")

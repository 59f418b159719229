"""Stored values to HU: rescale a slice, padding, bit depths, compressed transfer syntaxes."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from hilum.core.errors import InputError
from hilum.io.dicom import read_dicom
from support.gdcm_encoding import gdcm_compress


def unsigned(dicom, **tags):
    """Slices as most scanners store them: unsigned, 12 bits, intercept -1024."""
    slices = dicom.series(6, PixelRepresentation=0, BitsStored=12, HighBit=11, **tags)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k), intercept=-1024)
    return slices


def test_each_slice_is_rescaled_by_its_own_slope_and_intercept(dicom, folder):
    slices = dicom.series(6)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k) // 2 * 2, slope=1 + k % 2, intercept=-10 * k)
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(6)) // 2 * 2)


def test_a_fractional_rescale_gives_float32(dicom, folder):
    slices = dicom.series(6)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k), slope=0.5, intercept=-1000.25)
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    assert volume.hu.dtype == np.float32
    np.testing.assert_allclose(volume.hu, dicom.truth(range(6)), atol=0.25)


def test_unsigned_with_intercept(dicom, folder):
    dicom.save_all(unsigned(dicom), folder)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(6)))


def test_bits_above_bits_stored_are_ignored(dicom, folder):
    slices = unsigned(dicom)
    for ds in slices:
        raw = np.frombuffer(ds.PixelData, np.uint16).copy()
        raw[::3] |= 0xA000  # overlay bits of old scanners
        ds.PixelData = raw.tobytes()
    dicom.save_all(slices, folder)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(6)))


def test_signed_values_of_twelve_bits_keep_their_sign(dicom, folder):
    slices = dicom.series(6, BitsStored=12, HighBit=11)
    for ds in slices:
        raw = np.frombuffer(ds.PixelData, np.int16) & 0x0FFF
        ds.PixelData = raw.astype(np.uint16).tobytes()
    dicom.save_all(slices, folder)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(6)))


def test_unsigned_without_rescale_is_refused_and_signed_is_taken_as_hu(dicom, folder, tmp_path):
    lost = {"RescaleSlope": None, "RescaleIntercept": None}
    dicom.save_all(dicom.series(4, PixelRepresentation=0, **lost), folder)
    with pytest.raises(InputError, match="no rescale slope and intercept, and the values are unsigned"):
        read_dicom(folder)
    dicom.save_all(dicom.series(4, **lost), tmp_path / "signed")
    volume = read_dicom(tmp_path / "signed")
    assert "no_rescale" in dict(volume.meta.notes)
    assert volume.hu.min() == -1000


def test_unsigned_values_with_an_identity_rescale_are_not_hu(dicom, folder):
    slices = dicom.series(4, PixelRepresentation=0)
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k).astype(int) + 1024)
    dicom.save_all(slices, folder)
    with pytest.raises(InputError, match="offset of 1024"):
        read_dicom(folder)


@pytest.mark.parametrize(
    ("signed", "intercept", "stored", "tag", "vr"),
    [
        (True, -1024, -2000, -2000, "SS"),  # GE
        (False, -1024, 63536, 63536, "US"),  # rescales to 62512, far above bone
        (True, -1024, -2000, 63536, "US"),  # written with the wrong sign
    ],
)
def test_padding_ends_below_air(dicom, folder, signed, intercept, stored, tag, vr):
    slices = dicom.series(4, PixelRepresentation=int(signed))
    kind = np.int16 if signed else np.uint16
    for k, ds in enumerate(slices):
        dicom.put_hu(ds, dicom.chest(k), intercept=intercept)
        raw = np.frombuffer(ds.PixelData, kind).reshape(32, 32).copy()
        raw[:2] = stored
        ds.PixelData = raw.tobytes()
        ds.add_new("PixelPaddingValue", vr, tag)
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    assert (volume.hu[:, :2] <= -1024).all()
    np.testing.assert_array_equal(volume.hu[:, 2:], dicom.truth(range(4))[:, 2:])
    assert dict(volume.meta.notes)["padding"].startswith("6.2% of the voxels")


def test_a_range_of_padding(dicom, folder):
    slices = dicom.series(4)
    for k, ds in enumerate(slices):
        hu = dicom.chest(k)
        hu[0], hu[1] = -2000, -1990
        dicom.put_hu(ds, hu)
        ds.add_new("PixelPaddingValue", "SS", -2000)
        ds.add_new("PixelPaddingRangeLimit", "SS", -1980)
    dicom.save_all(slices, folder)
    assert "6.2%" in dict(read_dicom(folder).meta.notes)["padding"]


def test_a_padding_value_amid_tissue_is_not_believed(dicom, folder):
    slices = dicom.series(4)
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS", 40)  # the value of all soft tissue in these slices
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.hu, dicom.truth(range(4)))
    assert "padding_ignored" in dict(volume.meta.notes)


def test_values_beyond_sixteen_bits_are_clipped_and_noted(dicom, folder):
    slices = dicom.series(4)
    for k, ds in enumerate(slices):
        hu = dicom.chest(k)
        hu[8, 2] = 30000
        dicom.put_hu(ds, hu)
        ds.RescaleSlope, ds.RescaleIntercept = 1, 4000
        raw = np.frombuffer(ds.PixelData, np.int16).copy()
        raw[raw < 5000] -= 4000
        ds.PixelData = raw.tobytes()
    dicom.save_all(slices, folder)
    volume = read_dicom(folder)
    assert volume.hu[2, 8, 0] == 32767
    assert volume.hu[0, 0, 0] == -1000
    assert dict(volume.meta.notes)["clipped"].startswith("4 voxels")


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_syntaxes(dicom, folder, syntax):
    for n, ds in enumerate(dicom.series(3)):
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
        dicom.save(ds, folder / f"{n}.dcm", syntax)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(3)))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_by_pydicom(dicom, folder, syntax, signed):
    if syntax == JPEGLSLossless:
        pytest.importorskip("jpeg_ls", reason="pyjpegls encodes JPEG-LS")
    slices = dicom.series(3) if signed else unsigned(dicom)[:3]
    for path in dicom.save_all(slices, folder):
        ds = pydicom.dcmread(path)
        ds.compress(syntax, generate_instance_uid=False)
        ds.save_as(path)
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(3)))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_compressed_by_gdcm(dicom, folder, syntax, signed):
    slices = dicom.series(3) if signed else unsigned(dicom)[:3]
    for path in dicom.save_all(slices, folder):
        gdcm_compress(path, syntax)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_dicom(folder).hu, dicom.truth(range(3)))


def test_compressed_multi_frame(dicom, folder):
    path = dicom.save(dicom.enhanced(dicom.series(5), [4, 2, 0, 1, 3]), folder / "e.dcm")
    ds = pydicom.dcmread(path)
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).hu, dicom.truth(range(5)))


@pytest.mark.parametrize("syntax", [HTJ2KLossless, "1.2.840.10008.1.2.4.102"])
def test_a_syntax_that_nobody_decodes_is_named(dicom, folder, syntax):
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    if syntax == HTJ2KLossless and get_decoder(syntax).is_available:
        pytest.skip("a decoder for HTJ2K is installed here")
    ds = dicom.base()
    ds.PixelData = encapsulate([b"\xff\x4f\xff\x51" + b"\0" * 60])
    ds["PixelData"].VR = "OB"
    path = dicom.save(ds, folder / "a.dcm", syntax)
    with pytest.raises(InputError, match=r"compressed as .*(JPEG 2000|MPEG)") as met:
        read_dicom(path)
    assert "Decompress" in met.value.hint


def test_a_corrupt_compressed_file_is_named(dicom, folder):
    from pydicom.encaps import encapsulate

    slices = dicom.series(3)
    for n, ds in enumerate(slices):
        ds.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(range(60))])
        ds["PixelData"].VR = "OB"
        dicom.save(ds, folder / f"{n}.dcm", JPEG2000Lossless)
    with pytest.raises(InputError, match=r"0\.dcm is truncated or corrupt"):
        read_dicom(folder)


def test_lossy_images_are_noted(dicom, folder):
    dicom.save_all(dicom.series(3, LossyImageCompression="01"), folder)
    assert "lossy" in dict(read_dicom(folder).meta.notes)

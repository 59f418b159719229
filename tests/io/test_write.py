from __future__ import annotations

import dataclasses
import gzip
import json
from enum import Enum
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from hilum.core.errors import OutputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import ScanMeta, Volume
from hilum.io import read, write_csv, write_json, write_labels, write_text, write_volume

AFFINE = np.array([[-0.7, 0, 0, 90.0], [0, -0.8, 0, 80], [0, 0, 1.5, -300], [0, 0, 0, 1]])


@pytest.fixture
def volume(chest):
    return Volume(chest(), AFFINE)


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 3, (9, 8, 7), np.uint8)


@pytest.mark.parametrize("name", ["l.nii", "l.nii.gz"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_nifti_header(volume, labels, tmp_path, name, order):
    image = nib.load(
        write_labels(tmp_path / name, LabelVolume.on_grid_of(volume, np.asarray(labels, order=order)), volume)
    )
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), labels)
    header = image.header
    assert header.get_data_dtype() == np.uint8
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(header.get_sform(), AFFINE, atol=1e-5)
    np.testing.assert_allclose(header.get_qform(), AFFINE, atol=1e-4)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_intent()[0] == "label"
    assert "label contract" in str(header["descrip"])


def test_bool_and_other_integers_are_taken(volume, tmp_path):
    for array in (volume.hu < -500, (volume.hu < -500).astype(np.int64)):
        found = np.asanyarray(
            nib.load(
                write_labels(tmp_path / "l.nii.gz", LabelVolume.on_grid_of(volume, array), volume)
            ).dataobj
        )
        np.testing.assert_array_equal(found, array)


def test_sheared_affine_has_no_qform(chest, labels, tmp_path):
    affine = AFFINE.copy()
    affine[0, 1] = 0.3
    header = nib.load(
        write_labels(
            tmp_path / "l.nii.gz",
            LabelVolume.on_grid_of(Volume(chest(), affine), labels),
            Volume(chest(), affine),
        )
    ).header
    assert int(header["qform_code"]) == 0
    np.testing.assert_allclose(header.get_sform(), affine, atol=1e-5)
    np.testing.assert_allclose(header["pixdim"][1:4], np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6)


def test_unknown_orientation_stays_unknown_and_in_place(chest, labels, tmp_path):
    image = nib.Nifti1Image(chest(), None)
    image.header.set_zooms((0.7, 0.8, 1.5))
    nib.save(image, tmp_path / "in.nii.gz")
    volume = read(tmp_path / "in.nii.gz")
    out = nib.load(write_labels(tmp_path / "out.nii.gz", LabelVolume.on_grid_of(volume, labels), volume))
    assert (int(out.header["sform_code"]), int(out.header["qform_code"])) == (0, 0)
    np.testing.assert_array_equal(out.affine, nib.load(tmp_path / "in.nii.gz").affine)


def test_assumed_orientation_is_not_called_scanner(chest, labels, tmp_path):
    volume = Volume(chest(), AFFINE, ScanMeta(orientation_known=False))
    header = nib.load(
        write_labels(tmp_path / "l.nii.gz", LabelVolume.on_grid_of(volume, labels), volume)
    ).header
    assert int(header["sform_code"]) == 2


@pytest.mark.parametrize("stored", [(9, 8), (9, 8, 1), (9, 8, 1, 1)])
def test_shape_of_the_file_comes_back(chest, tmp_path, stored):
    volume = Volume(chest((9, 8, 1)), AFFINE, ScanMeta(stored_shape=stored))
    labels = (volume.hu < -500).astype(np.uint8)
    image = nib.load(write_labels(tmp_path / "l.nii.gz", LabelVolume.on_grid_of(volume, labels), volume))
    assert image.shape == stored
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), labels.reshape(stored))


def test_very_long_scans_become_nifti_2(tmp_path):
    volume = Volume(np.zeros((40_000, 2, 2), np.int16), AFFINE)
    labels = np.zeros(volume.shape, np.uint8)
    labels[-1] = 1
    image = nib.load(write_labels(tmp_path / "l.nii.gz", LabelVolume.on_grid_of(volume, labels), volume))
    assert isinstance(image, nib.Nifti2Image)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), labels)


def test_nrrd(volume, labels, tmp_path):
    image = sitk.ReadImage(
        str(write_labels(tmp_path / "l.nrrd", LabelVolume.on_grid_of(volume, labels), volume, "nrrd"))
    )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, labels)
    assert image.GetSpacing() == pytest.approx((0.7, 0.8, 1.5))
    assert image.GetOrigin() == (-90, -80, -300)
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert image.GetMetaData("Segment0_Name") == "Right lung"
    assert image.GetMetaData("Segment1_LabelValue") == "2"


@pytest.mark.parametrize("name", ["l.nii.gz", "l.nrrd"])
def test_equal_data_give_equal_bytes(volume, labels, tmp_path, name):
    fmt = "nrrd" if name.endswith("nrrd") else "nifti"
    paths = [
        write_labels(tmp_path / folder / name, LabelVolume.on_grid_of(volume, labels), volume, fmt)
        for folder in ("a", "b")
    ]
    one, two = (p.read_bytes() for p in paths)
    assert one == two
    if fmt == "nifti":
        assert one[4:8] == bytes(4)  # no time
        assert one[3] == 0  # no name
        gzip.decompress(one)  # the checksum holds


def test_blocks(volume, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("hilum.io.write._BLOCK_VOXELS", 9 * 8 * 2)
    image = nib.load(write_labels(tmp_path / "l.nii.gz", LabelVolume.on_grid_of(volume, labels), volume))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), labels)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a: a[1:], "shape"),
        (lambda a: a.astype(np.float32), "integers"),
        (lambda a: a.astype(int) - 1, "expected 0, 1"),
        (lambda a: a.astype(int) + 300, "expected 0, 1"),
    ],
)
def test_labels_are_checked(volume, labels, tmp_path, change, match):
    with pytest.raises(UsageError, match=match):
        write_labels(tmp_path / "l.nii.gz", LabelVolume.on_grid_of(volume, change(labels)), volume)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_volume_round_trip(chest, tmp_path, dtype):
    volume = Volume(chest().astype(dtype), AFFINE)
    found = read(write_volume(tmp_path / "ct.nii.gz", volume))
    assert found.hu.dtype == dtype
    np.testing.assert_array_equal(found.hu, volume.hu)
    assert found.same_grid(volume)
    assert found.meta.notes == ()


def test_json(tmp_path):
    class Colour(Enum):
        RED = "red"

    @dataclasses.dataclass
    class Point:
        x: float
        where: Path

    data = {
        "point": Point(1.5, Path("a/b")),
        "colour": Colour.RED,
        "numbers": [np.float32(0.5), np.int16(3), np.array([1, 2])],
        "set": {"b", "a"},
        "unknown": None,
        "umlaut": "Größe",
    }
    text = write_json(tmp_path / "a.json", data).read_text("utf-8")
    assert "Größe" in text
    assert json.loads(text) == {
        "point": {"x": 1.5, "where": "a/b"},
        "colour": "red",
        "numbers": [0.5, 3, [1, 2]],
        "set": ["a", "b"],
        "unknown": None,
        "umlaut": "Größe",
    }


@pytest.mark.parametrize("value", [float("nan"), np.float32("inf")])
def test_json_has_no_nan(tmp_path, value):
    with pytest.raises(ValueError, match=r"(?i)json compliant"):
        write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_csv(tmp_path):
    path = write_csv(tmp_path / "a.csv", ["a", "b"], [[1, None], ["x,y", 'say "hi"']])
    assert path.read_bytes() == b'a,b\n1,\n"x,y","say ""hi"""\n'
    with pytest.raises(UsageError, match="2"):
        write_csv(tmp_path / "b.csv", ["a", "b"], [[1]])
    assert not (tmp_path / "b.csv").exists()


def test_text_makes_its_folder_and_replaces(tmp_path):
    write_text(tmp_path / "deep" / "a.html", "one\n")
    assert write_text(tmp_path / "deep" / "a.html", "two\n").read_bytes() == b"two\n"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.html"]


def test_a_file_in_place_of_the_folder(volume, labels, tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(OutputError, match="place of a folder"):
        write_labels(tmp_path / "x" / "l.nii.gz", LabelVolume.on_grid_of(volume, labels), volume)
    assert (tmp_path / "x").read_text() == "mine"

"""DICOM SEG as a mask: hilum's own comes back voxel for voxel; others by codes or labels."""

from __future__ import annotations

import warnings

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, JPEGLSLossless, RLELossless

from hilum.cli.app import run
from hilum.core.errors import GeometryError, InputError
from hilum.core.label_volume import LabelVolume
from hilum.io import read
from hilum.io.dicom.seg import write_dicom_seg
from hilum.io.masks import read_lungs
from hilum.io.vocabulary import parse_labels


def lungs_of(volume) -> np.ndarray:
    """Two blocks, on the patient's right and left, over some of the slices."""
    out = np.zeros(volume.shape, np.uint8)
    out[4:12, 8:20, 1:6], out[18:28, 8:22, 2:7] = 1, 2
    return out


@pytest.fixture
def scan(tmp_path, dicom):
    folder = tmp_path / "ct"
    dicom.save_all(dicom.series(8), folder)
    return folder, read(folder)


def write_other(path, folder, volume, labels, types, kind="BINARY", titles=("a", "b"), **more) -> None:
    """Write a SEG as another program may, with the codes given."""
    sources = [pydicom.dcmread(file) for file in volume.meta.files]
    algorithm = hd.AlgorithmIdentificationSequence("x", codes.cid7162.ArtificialIntelligence, "1")
    segments = [
        hd.seg.SegmentDescription(
            number,
            title,
            codes.SCT.AnatomicalStructure,
            code,
            hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm,
        )
        for number, (title, code) in enumerate(zip(titles, types, strict=True), start=1)
    ]
    frames = np.ascontiguousarray(labels.transpose(2, 1, 0))
    if kind == "FRACTIONAL":
        frames = np.stack([frames == 1, frames == 2], axis=-1) * more.pop("share", 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg = hd.seg.Segmentation(
            sources, frames, kind, segments, hd.UID(), 1, hd.UID(), 1, "m", "m", "1", "1", **more
        )
        seg.save_as(path)


LUNGS = (Code("3341006", "SCT", "Right lung"), Code("44029006", "SCT", "Left lung"))


def test_a_segmentation_that_hilum_wrote_comes_back_voxel_for_voxel(tmp_path, scan):
    _, volume = scan
    write_dicom_seg(tmp_path / "lungs.dcm", LabelVolume.on_grid_of(volume, lungs_of(volume)), volume)
    found = read_lungs(tmp_path / "lungs.dcm", volume)
    np.testing.assert_array_equal(found.labels, lungs_of(volume))
    assert found.mapped
    assert "mask_pasted" not in dict(found.notes)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_are_known_by_their_codes(tmp_path, scan, kind):
    folder, volume = scan
    left_first = np.array([0, 2, 1], np.uint8)[lungs_of(volume)]
    write_other(tmp_path / "s.dcm", folder, volume, left_first, LUNGS[::-1], kind)
    np.testing.assert_array_equal(read_lungs(tmp_path / "s.dcm", volume).labels, lungs_of(volume))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_segments_are_read_and_damaged_ones_refused(tmp_path, scan, syntax):
    folder, volume = scan
    path = tmp_path / "s.dcm"
    write_other(path, folder, volume, lungs_of(volume), LUNGS, "LABELMAP", transfer_syntax_uid=syntax)
    np.testing.assert_array_equal(read_lungs(path, volume).labels, lungs_of(volume))
    ds = pydicom.dcmread(path)
    ds.PixelData = ds.PixelData[:-40] + bytes(40)
    ds.save_as(path)
    with pytest.raises(InputError, match=r"s\.dcm"):
        read_lungs(path, volume)


def test_a_lung_whose_side_stands_in_a_modifier_is_known(tmp_path, scan):
    folder, volume = scan
    write_other(tmp_path / "s.dcm", folder, volume, lungs_of(volume), [codes.SCT.Lung] * 2)
    ds = pydicom.dcmread(tmp_path / "s.dcm")
    sides = (codes.SCT.Right, codes.SCT.Left)
    for item, side in zip(ds.SegmentSequence, sides, strict=True):
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept(side.value, side.scheme_designator, side.meaning)
        ]
    ds.save_as(tmp_path / "s.dcm")
    np.testing.assert_array_equal(read_lungs(tmp_path / "s.dcm", volume).labels, lungs_of(volume))


def test_segments_without_such_codes_are_known_by_label_or_by_number(tmp_path, scan):
    folder, volume = scan
    types = [codes.SCT.Tissue] * 2
    write_other(tmp_path / "s.dcm", folder, volume, lungs_of(volume), types, titles=("Lung_R", "Lung_L"))
    np.testing.assert_array_equal(read_lungs(tmp_path / "s.dcm", volume).labels, lungs_of(volume))
    write_other(tmp_path / "t.dcm", folder, volume, lungs_of(volume), types)
    with pytest.raises(InputError, match=r"is a lung by its name \(a, b\)"):
        read_lungs(tmp_path / "t.dcm", volume)
    found = read_lungs(tmp_path / "t.dcm", volume, parse_labels("1=right,2=left"))
    np.testing.assert_array_equal(found.labels, lungs_of(volume))


def test_what_somebody_typed_as_a_label_is_not_repeated(tmp_path, scan):
    folder, volume = scan
    titles = ("Zzcanary Anna r", "Left lung")
    write_other(tmp_path / "s.dcm", folder, volume, lungs_of(volume), LUNGS, titles=titles)
    found = read_lungs(tmp_path / "s.dcm", volume)
    assert "segment 1=right" in dict(found.notes)["labels_mapped"]
    assert "Zzcanary" not in str(found.notes)


def test_fractions_are_refused_unless_all_are_nought_or_one(tmp_path, scan):
    folder, volume = scan
    write_other(tmp_path / "s.dcm", folder, volume, lungs_of(volume), LUNGS, "FRACTIONAL",
                fractional_type="PROBABILITY", share=0.5)  # fmt: skip
    with pytest.raises(InputError, match="fractional segmentation: it holds probabilities"):
        read_lungs(tmp_path / "s.dcm", volume)
    write_other(tmp_path / "t.dcm", folder, volume, lungs_of(volume), LUNGS, "FRACTIONAL",
                fractional_type="OCCUPANCY", share=1.0)  # fmt: skip
    np.testing.assert_array_equal(read_lungs(tmp_path / "t.dcm", volume).labels, lungs_of(volume))


def test_a_segmentation_of_another_scan_is_refused(tmp_path, scan, dicom):
    _, volume = scan
    write_dicom_seg(tmp_path / "lungs.dcm", LabelVolume.on_grid_of(volume, lungs_of(volume)), volume)
    dicom.save_all(dicom.series(8, origin=(-20.0, -30.0, 3.1)), tmp_path / "other")
    with pytest.raises(GeometryError, match="do not lie on one grid"):
        read_lungs(tmp_path / "lungs.dcm", read(tmp_path / "other"))


def broken(ds, what) -> None:
    if what == "no frames":
        del ds.PerFrameFunctionalGroupsSequence
    elif what == "cut":
        ds.PixelData = ds.PixelData[:100]
    elif what == "far":
        ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[2] = 900000
    elif what == "uneven":
        ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[2] -= 0.7
    elif what == "many":
        ds.NumberOfFrames = 2**31 - 1
    elif what == "no image":
        ds.SOPClassUID = CTImageStorage


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no frames", "broken or not complete"),
        ("cut", "broken|truncated"),
        ("many", "broken or not complete"),
        ("far", "farther apart than a body"),
        ("uneven", "not evenly spaced"),
        ("no image", "but no segmentation"),
    ],
)
def test_broken_segmentations_are_refused_in_a_sentence(tmp_path, scan, what, words):
    _, volume = scan
    write_dicom_seg(tmp_path / "lungs.dcm", LabelVolume.on_grid_of(volume, lungs_of(volume)), volume)
    ds = pydicom.dcmread(tmp_path / "lungs.dcm")
    broken(ds, what)
    ds.save_as(tmp_path / "lungs.dcm")
    with pytest.raises((InputError, GeometryError), match=words):
        read_lungs(tmp_path / "lungs.dcm", volume)


def test_measure_takes_the_file_or_the_folder_it_lies_in(tmp_path, scan, capsys):
    folder, volume = scan
    (tmp_path / "seg").mkdir()
    write_dicom_seg(tmp_path / "seg" / "lungs.dcm", LabelVolume.on_grid_of(volume, lungs_of(volume)), volume)
    for mask in (tmp_path / "seg" / "lungs.dcm", tmp_path / "seg"):
        assert run(["measure", str(folder), str(mask), "--json"]) == 0
        assert '"right_lung"' in capsys.readouterr().out

"""Segmentations of 3D Slicer, as slicerio (of the developers of 3D Slicer) reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, PLEURA, LabelInfo, LabelSet
from hilum.core.volume import Volume
from hilum.io import write_labels
from hilum.io.masks import read_labels, read_lungs

slicerio = pytest.importorskip("slicerio")

OBLIQUE = np.array([[-0.7, 0.02, 0, 90.0], [0.1, -0.8, 0.05, 80], [0, 0.1, 1.5, -300], [0, 0, 0, 1]])
RIGHT, LEFT, SLICES = slice(6, 9), slice(1, 4), slice(2, 5)
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def boxes(shape: tuple[int, int, int] = (10, 8, 7)) -> np.ndarray:
    """Right lung at high i, left lung at low i: no index along i is in both."""
    array = np.zeros(shape, np.uint8)
    array[RIGHT, 2:6, SLICES], array[LEFT, 3:7, SLICES] = 1, 2
    return array


def written(tmp_path: Path, array: np.ndarray, labels: LabelSet = LUNGS) -> Path:
    volume = Volume(np.zeros(array.shape, np.int16), OBLIQUE)
    placed = LabelVolume.on_grid_of(volume, array, labels)
    return write_labels(tmp_path / "l.seg.nrrd", placed, volume, "nrrd")


def judged(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = slicerio.read_segmentation(str(path))
    return found


def test_slicerio_reads_voxels_place_names_and_colours(tmp_path: Path) -> None:
    array = boxes()
    found = judged(written(tmp_path, array))
    np.testing.assert_array_equal(found["voxels"], array)
    np.testing.assert_allclose(found["ijkToLPS"], TO_LPS @ OBLIQUE, rtol=0, atol=1e-12)
    assert slicerio.segment_names(found) == ["Right lung", "Left lung"]
    for segment, info in zip(found["segments"], LUNGS.labels, strict=True):
        assert (segment["id"], segment["labelValue"], segment["layer"]) == (info.name, info.value, 0)
        assert [round(255 * c) for c in segment["color"]] == list(info.colour)
    assert found["masterRepresentation"] == "Binary labelmap"
    assert found["containedRepresentationNames"] == ["Binary labelmap"]
    assert found["referenceImageExtentOffset"] == [0, 0, 0]


def test_the_grid_of_the_scan_stands_in_the_parameters(tmp_path: Path) -> None:
    (parameter,) = judged(written(tmp_path, boxes()))["conversionParameters"]
    assert parameter["name"] == "Reference image geometry"
    numbers = [float(n) for n in parameter["value"].rstrip(";").split(";")]
    np.testing.assert_array_equal(np.reshape(numbers[:16], (4, 4)), OBLIQUE)
    assert numbers[16:] == [0, 9, 0, 7, 0, 6]


def test_segments_are_found_by_the_terms_that_3d_slicer_offers(tmp_path: Path) -> None:
    terms = {
        "category": ["SCT", "123037004", "Anatomical Structure"],
        "type": ["SCT", "39607008", "Lung"],
        "typeModifier": ["SCT", "7771000", "Left"],
    }
    found = judged(written(tmp_path, boxes()))
    left = slicerio.extract_segments(found, [(terms, 5)])
    np.testing.assert_array_equal(left["voxels"] == 5, boxes() == 2)


def test_fluid_and_gas_are_findings_in_the_pleura(tmp_path: Path) -> None:
    fluid, gas = judged(written(tmp_path, boxes(), PLEURA))["segments"]
    for segment, code in ((fluid, "60046008"), (gas, "36118008")):
        terms = segment["terminology"]
        assert terms["category"][:2] == ["SCT", "49755003"]
        assert terms["type"][:2] == ["SCT", code]
        assert terms["anatomicRegion"] == ["SCT", "3120008", "Pleura"]
        assert "typeModifier" not in terms


def test_a_label_without_terms_in_parts_is_anatomy_by_its_code(tmp_path: Path) -> None:
    ball = LabelSet("toy", "1", "", (LabelInfo(1, "ball", "Ball", (9, 8, 7), "256673009"),))
    (segment,) = judged(written(tmp_path, boxes() % 2, ball))["segments"]
    assert segment["terminology"]["type"] == ["SCT", "256673009", "Ball"]


def test_the_extent_of_every_segment_holds_all_voxels_of_the_layer(tmp_path: Path) -> None:
    # 3D Slicer cuts a shared layer to the extent of its first segment.
    for segment in judged(written(tmp_path, boxes()))["segments"]:
        assert segment["extent"] == [1, 8, 2, 6, 2, 4]


def test_an_empty_label_map_has_segments_and_no_extent(tmp_path: Path) -> None:
    array = np.zeros((4, 5, 6), np.uint8)
    found = judged(written(tmp_path, array))
    assert [segment["extent"] for segment in found["segments"]] == [[0, -1] * 3] * 2
    assert found["voxels"].shape == array.shape


def test_slicerio_writes_what_it_read_and_hilum_reads_that_too(tmp_path: Path) -> None:
    array = boxes()
    found = judged(written(tmp_path, array))
    slicerio.write_segmentation(str(tmp_path / "again.seg.nrrd"), found)
    np.testing.assert_array_equal(read_labels(tmp_path / "again.seg.nrrd"), array)


def test_hilum_and_itk_read_it_back(tmp_path: Path) -> None:
    array = boxes()
    path = written(tmp_path, array)
    volume = Volume(np.zeros(array.shape, np.int16), OBLIQUE)
    lungs = read_lungs(path, volume)
    np.testing.assert_array_equal(lungs.labels, array)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, array)
    np.testing.assert_allclose(image.GetOrigin(), (TO_LPS @ OBLIQUE)[:3, 3], atol=1e-9)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.errors import UsageError
from hilum.core.flags import Severity
from hilum.core.label_volume import LabelVolume
from hilum.measures import compute
from hilum.quality import check_segmentation


def flags(chest):
    return {f.code: f for f in check_segmentation(chest.volume, chest.segmentation)}


def test_plain_chest(chest):
    assert flags(chest) == {}


def test_empty_mask(chest):
    found = flags(chest.changed(labels=np.zeros_like(chest.labels)))
    assert list(found) == ["mask_empty"]
    assert found["mask_empty"].forbids == ("all",)


def test_one_lung(chest):
    found = flags(chest.changed(labels=np.where(chest.labels == 1, 1, 0)))
    assert list(found) == ["lung_missing"]
    assert "left lung" in found["lung_missing"].message
    assert found["lung_missing"].severity is Severity.WARNING


def test_swapped_labels(chest):
    swapped = chest.changed(labels=np.array([0, 2, 1], np.uint8)[chest.labels])
    flag = flags(swapped)["left_right_suspect"]
    assert flag.severity is Severity.ERROR
    measures = compute(swapped.volume, LabelVolume.on_grid_of(swapped.volume, swapped.labels), [flag])
    assert measures["right_lung"]["volume"].value is None
    assert measures["lungs"]["volume"].value is not None


def test_volumes_that_no_person_can_have(chest):
    found = flags(replace(chest, spacing=(8.0, 8.0, 9.0)))
    assert found["volume_implausible"].severity is Severity.ERROR
    assert "no person" in found["volume_implausible"].message


def test_small_lungs(chest):
    found = flags(replace(chest, spacing=(1.0, 1.0, 2.0)))
    assert found["volume_implausible"].severity is Severity.WARNING


def test_sizes_need_a_scale(chest):
    assert flags(replace(chest, spacing=(1.0, 1.0, 2.0)).with_meta(spacing_known=False)) == {}


def test_one_lung_much_smaller(chest):
    labels = chest.labels.copy()
    labels[:, :, 15:][labels[:, :, 15:] == 1] = 0
    found = flags(chest.changed(labels=labels))
    assert "side_ratio" in found
    assert found["side_ratio"].regions == ("right_lung", "lungs")


def test_pieces(chest):
    labels = chest.labels.copy()
    labels[:, :, 20:26] = 0
    found = flags(chest.changed(labels=labels))
    assert list(found) == ["mask_fragmented"]
    assert "2 pieces" in found["mask_fragmented"].message


@pytest.mark.parametrize("shift", [-160, 640])
def test_density_that_no_lung_can_have(chest, shift):
    assert "lung_hu_implausible" in flags(chest.changed(hu=chest.hu + np.int16(shift)))


def test_wrong_shape(chest):
    other = chest.crop(slice(1, None))
    with pytest.raises(UsageError, match="shape"):
        check_segmentation(chest.volume, other.segmentation)

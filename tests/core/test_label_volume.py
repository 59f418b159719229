from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import GeometryError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, LabelInfo, LabelRegion, LabelSet, Lung, Side
from hilum.core.volume import Volume

GRID = np.diag([2.0, 3.0, 5.0, 1.0])


def label_set(*values: int, unions: tuple[LabelRegion, ...] = ()) -> LabelSet:
    labels = tuple(LabelInfo(value, f"part_{value}", f"Part {value}", (0, 0, 0), "") for value in values)
    return LabelSet("parts", "1", "Parts.", labels, unions)


def test_sides_and_values_are_those_of_the_label_set() -> None:
    assert {region.name for region in LUNGS.regions} == {side.value for side in Side}
    assert set(LUNGS) == {Lung.RIGHT, Lung.LEFT}
    assert LUNGS.region("lungs").values == (1, 2)
    assert [side.words for side in Side] == ["Both lungs", "Right lung", "Left lung"]


@pytest.mark.parametrize("values", [(0,), (256,), (1, 1)])
def test_a_label_set_refuses_values_that_no_label_can_have(values) -> None:
    with pytest.raises(ValueError, match="label values"):
        label_set(*values)


def test_a_label_set_refuses_regions_of_one_name_or_of_unknown_values() -> None:
    with pytest.raises(ValueError, match="different names"):
        label_set(1, unions=(LabelRegion("part_1", "Twice", (1,)),))
    with pytest.raises(ValueError, match="not labels"):
        label_set(1, unions=(LabelRegion("all", "All", (1, 2)),))


def test_counts_masks_and_sizes_are_by_region() -> None:
    data = np.zeros((4, 3, 2), np.int64)
    data[0], data[1, 0] = 1, 2
    labels = LabelVolume(data, GRID)
    assert labels.data.dtype == np.uint8
    assert labels.counts() == {1: 6, 2: 2}
    assert [int(labels.mask(side.value).sum()) for side in Side] == [8, 6, 2]
    assert labels.spacing == (2.0, 3.0, 5.0)
    assert labels.voxel_ml == pytest.approx(0.03)
    with pytest.raises(UsageError, match="region is 'heart', expected one of right_lung"):
        labels.mask("heart")


@pytest.mark.parametrize(("value", "known"), [(3, (1, 2)), (2, (1, 3)), (-1, (1, 2))])
def test_a_value_that_is_not_a_label_is_refused(value, known) -> None:
    with pytest.raises(UsageError, match=r"labels holds .*expected 0, 1"):
        LabelVolume(np.full((2, 2, 2), value), GRID, label_set(*known))


def test_labels_of_another_grid_are_refused() -> None:
    volume = Volume(np.zeros((4, 3, 2), np.int16), GRID)
    LabelVolume(np.zeros(volume.shape, np.uint8), GRID).require_grid_of(volume)
    with pytest.raises(UsageError, match="shape"):
        LabelVolume(np.zeros((4, 3, 1), np.uint8), GRID).require_grid_of(volume)
    moved = GRID.copy()
    moved[0, 3] = 1.0
    with pytest.raises(GeometryError, match="another position in space"):
        LabelVolume(np.zeros(volume.shape, np.uint8), moved).require_grid_of(volume)

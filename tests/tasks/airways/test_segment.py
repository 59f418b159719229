from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.errors import GeometryError, InputError, UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.volume import Volume
from hilum.imaging.morphology import components, dilate
from hilum.tasks.airways.prepare import prepare
from hilum.tasks.airways.segment import AirwayMasks, segment_airways


@pytest.fixture(scope="module")
def found(thin_slices) -> AirwayMasks:
    return segment_airways(thin_slices.volume, thin_slices.lungs)


def test_the_lumen_is_one_piece_from_the_trachea_into_both_lungs(found, thin_slices) -> None:
    _, counts = components(found.lumen, 26)
    assert len(counts) == 2  # outside, and one piece
    for side in (1, 2):
        ml = np.count_nonzero(found.lumen & (thin_slices.lungs == side)) * thin_slices.volume.voxel_volume_ml
        assert ml > 0.5
    above = found.lumen & (thin_slices.lungs == 0)
    assert np.count_nonzero(above) * thin_slices.volume.voxel_volume_ml > 5


def test_most_of_what_is_found_in_the_lungs_is_lumen_and_nearly_all_of_the_rest_touches_it(
    found, thin_slices
) -> None:
    inside = found.lumen & (thin_slices.lungs > 0)
    exact = np.count_nonzero(inside & thin_slices.lumen) / np.count_nonzero(inside)
    touching = dilate(thin_slices.lumen, 1.5, thin_slices.volume.spacing)
    assert exact > 0.8
    assert np.count_nonzero(inside & touching) / np.count_nonzero(inside) > 0.97


def test_more_is_found_than_the_trunk(found) -> None:
    assert found.lumen.any()
    assert found.facts["branches"] > 40
    assert found.facts["walled_share"] > 0.8


def test_the_wall_lies_round_the_lumen_and_is_none_of_it(found, thin_slices) -> None:
    assert not (found.wall & found.lumen).any()
    ratio = np.count_nonzero(found.wall) / np.count_nonzero(found.lumen)
    assert 0.3 < ratio < 3
    assert thin_slices.volume.hu[found.wall].mean() > thin_slices.volume.hu[found.lumen].mean() + 400


def test_the_same_scan_gives_the_same_masks_in_another_orientation(found, thin_slices) -> None:
    turned = thin_slices.volume.canonical()
    lungs = Volume(thin_slices.lungs.astype(np.int16), thin_slices.volume.affine).canonical().hu
    other = segment_airways(turned, lungs)
    back = turned.restore(other.lumen) if turned.shape == found.lumen.shape else other.lumen
    mine = Volume(found.lumen.astype(np.int16), thin_slices.volume.affine).canonical().hu > 0
    assert np.array_equal(mine, back)


def test_one_lung_is_enough(thin_slices) -> None:
    right = np.where(thin_slices.lungs == 1, 1, 0)
    masks = segment_airways(thin_slices.volume, right)
    assert np.count_nonzero(masks.lumen & (right > 0)) > 0


def test_thick_slices_give_the_central_airways_and_a_flag(thick_slices) -> None:
    masks = segment_airways(thick_slices.volume, thick_slices.lungs)
    assert "airways_thick_slices" in {flag.code for flag in masks.flags}
    ml = np.count_nonzero(masks.lumen) * thick_slices.volume.voxel_volume_ml
    assert 5 < ml < 60


@pytest.mark.slow
def test_a_scan_that_is_cut_beside_the_trachea_is_refused(thin_slices) -> None:
    """Half a chest: the trachea lies on the side of the slices, and so does air beside the body."""
    canonical = thin_slices.volume.canonical()
    lungs = Volume(thin_slices.lungs.astype(np.int16), thin_slices.volume.affine).canonical().hu
    whole = prepare(thin_slices.volume, thin_slices.lungs > 0)
    middle = whole.box[0].start + int(np.median(np.argwhere(whole.seed)[:, 0]))
    affine = canonical.affine.copy()
    affine[:3, 3] += affine[:3, 0] * middle
    half = Volume(np.ascontiguousarray(canonical.hu[middle:]), affine)
    with pytest.raises(InputError, match="No trachea is in view"):
        segment_airways(half, lungs[middle:])


def test_a_scan_without_a_trachea_is_refused(thin_slices) -> None:
    canonical = thin_slices.volume.canonical()
    lungs = Volume(thin_slices.lungs.astype(np.int16), thin_slices.volume.affine).canonical().hu
    low = slice(0, canonical.shape[2] // 4)
    scan = Volume(canonical.hu[:, :, low], canonical.affine, canonical.meta)
    with pytest.raises(InputError, match="No trachea is in view"):
        segment_airways(scan, lungs[:, :, low])


def test_lungs_of_another_scan_are_refused(thin_slices) -> None:
    with pytest.raises(UsageError, match="expected that of the scan"):
        segment_airways(thin_slices.volume, thin_slices.lungs[1:])
    moved = thin_slices.volume.affine.copy()
    moved[0, 3] += 40
    with pytest.raises(GeometryError, match="another position"):
        segment_airways(thin_slices.volume, LabelVolume(thin_slices.lungs, moved))
    with pytest.raises(UsageError, match="empty"):
        segment_airways(thin_slices.volume, np.zeros_like(thin_slices.lungs))


def test_a_scan_without_a_voxel_size_is_refused(thin_slices) -> None:
    scan = thin_slices.volume
    unknown = Volume(scan.hu, scan.affine, replace(scan.meta, spacing_known=False))
    with pytest.raises(InputError, match="voxel size"):
        segment_airways(unknown, thin_slices.lungs)

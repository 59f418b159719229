from __future__ import annotations

import numpy as np
import pytest

from hilum.core.flags import Severity
from hilum.core.label_volume import LabelVolume
from hilum.measures import compute
from hilum.quality import check_segmentation

ALL = slice(None)


def found(chest):
    return [
        (f.code, f.severity, f.regions[0] if f.regions else "")
        for f in check_segmentation(chest.volume, chest.segmentation)
    ]


def test_whole_lungs(chest):
    assert found(chest) == []


@pytest.mark.parametrize(
    ("code", "box"),
    [("cut_top", (ALL, ALL, slice(0, 35))), ("cut_bottom", (ALL, ALL, slice(20, None)))],
)
def test_cut_at_an_end(chest, code, box):
    cut = chest.crop(*box)
    assert found(cut) == [(code, Severity.ERROR, side) for side in ("right_lung", "left_lung")]
    flags = check_segmentation(cut.volume, cut.segmentation)
    measures = compute(cut.volume, LabelVolume.on_grid_of(cut.volume, cut.labels), flags)
    for measure in ("volume", "air_volume", "tissue_mass"):
        assert measures["lungs"][measure].value is None
        assert "is cut by the" in measures["right_lung"][measure].reason
    assert measures["right_lung"]["mean_hu"].value is not None
    assert measures["right_lung_apical"]["mean_hu"].value is None


def test_cut_at_one_side(chest):
    """The slice ends in the right lung, which is on the high side of the axis to the patient's right."""
    cut = chest.crop(slice(0, 70), ALL, ALL)
    assert ("cut_side", Severity.ERROR, "right_lung") in found(cut)
    assert not any(side == "left_lung" and code == "cut_side" for code, _, side in found(cut))
    measures = compute(
        cut.volume,
        LabelVolume.on_grid_of(cut.volume, cut.labels),
        check_segmentation(cut.volume, cut.segmentation),
    )
    assert measures["left_lung"]["volume"].value is not None
    assert measures["lungs"]["volume"].value is None


@pytest.mark.parametrize("padding", [-3024, -1024, -1000, 0])
def test_cut_by_the_scanners_circle(chest, padding):
    x, y, _ = np.ogrid[tuple(slice(0, n) for n in chest.hu.shape)]
    outside = np.broadcast_to((x - 40) ** 2 + (y - 37.5) ** 2 > 36**2, chest.hu.shape)
    cut = chest.changed(hu=np.where(outside, padding, chest.hu), labels=np.where(outside, 0, chest.labels))
    assert found(cut) == [("cut_side", Severity.ERROR, "right_lung")]


def test_dark_noise_is_not_padding(chest):
    rng = np.random.default_rng(0)
    specks = rng.random(chest.hu.shape) < 0.05
    assert found(chest.changed(hu=np.where(specks, -1100, chest.hu))) == []


@pytest.mark.parametrize(("voxels", "severity"), [(6, None), (16, Severity.WARNING), (40, Severity.ERROR)])
def test_the_tip_of_a_lung_in_the_last_slice(chest, voxels, severity):
    """A voxel is 0.16 cm2."""
    labels = chest.labels.copy()
    labels[60 : 60 + voxels // 2, 36:38, 43:] = 1
    got = [(c, s) for c, s, _ in found(chest.changed(labels=labels)) if c == "cut_top"]
    assert got == ([("cut_top", severity)] if severity else [])


def test_orientation_does_not_matter(chest):
    cut = chest.crop(ALL, ALL, slice(0, 35))
    from hilum.core.segmentation import ModelInfo, Segmentation
    from hilum.core.volume import Volume

    affine = cut.volume.affine[:, [2, 0, 1, 3]].copy()
    affine[:3, 3] += affine[:3, 0] * 34
    affine[:3, 0] *= -1
    volume = Volume(cut.hu.transpose(2, 0, 1)[::-1], affine)
    labels = np.ascontiguousarray(cut.labels.transpose(2, 0, 1)[::-1])
    flags = check_segmentation(
        volume, Segmentation(LabelVolume.on_grid_of(volume, labels), ModelInfo("given", ""))
    )
    assert {f.code for f in flags} == {"cut_top"}


def test_the_ends_of_a_slice_are_not_flagged(chest):
    assert found(chest.crop(ALL, ALL, slice(20, 21))) == []


def test_areas_without_a_scale_are_not_flagged(chest):
    cut = chest.crop(ALL, ALL, slice(0, 35)).with_meta(spacing_known=False)
    assert not any(code.startswith("cut_") for code, _, _ in found(cut))


@pytest.mark.parametrize(("share", "severity"), [(0.0005, None), (0.01, "warning"), (0.05, "error")])
def test_padding_in_the_mask(chest, share, severity):
    lung = np.flatnonzero(chest.labels.ravel())
    hu = chest.hu.copy()
    hu.ravel()[lung[: int(share * lung.size)]] = -2000
    got = check_segmentation(chest.changed(hu=hu).volume, chest.segmentation)
    got = [f.severity.value for f in got if f.code == "padding_inside_lung"]
    assert got == ([severity] if severity else [])

"""The single pass must count what plain numpy counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.core.labels import LUNGS, Lung
from hilum.core.volume import Volume
from hilum.drawing import survey as module
from hilum.drawing.survey import EDGES
from support.results import survey_of


@pytest.fixture
def noisy(make_result):
    rng = np.random.default_rng(7)
    hu = rng.integers(-1200, 600, (30, 26, 22)).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[3:12, 4:20, 2:20] = rng.integers(0, 2, (9, 16, 18))
    labels[15:28, 4:20, 5:15] = 2 * rng.integers(0, 2, (13, 16, 10))
    return make_result(Volume(hu, np.diag([-0.8, -0.9, 2.5, 1.0])), labels)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("chunk", [1, 3000, 10**9])
def test_sums_match_numpy(noisy, monkeypatch, order, kind, chunk):
    monkeypatch.setattr(module, "_BLOCK_VOXELS", chunk)
    hu = np.asarray(noisy.volume.hu, dtype=kind, order=order)
    found = survey_of(replace(noisy, volume=replace(noisy.volume, hu=hu)))
    plain = noisy.volume.hu[::-1, ::-1].astype(float)
    labels = noisy.segmentations["lungs"].labels.data[::-1, ::-1]
    for lung in LUNGS:
        inside = labels == lung
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            assert np.array_equal(found.profiles[lung][axis], inside.sum(axis=others))
        tissue = (np.maximum(plain, -1000) + 1000) / 1000 * inside
        assert np.allclose(found.tissue[lung], tissue.sum(axis=1))
        expected, _ = np.histogram(np.clip(plain[inside], EDGES[0], EDGES[-1] - 1), EDGES)
        assert np.array_equal(found.histograms[lung], expected)
    assert np.allclose(found.hu_sum, np.where(labels > 0, plain, 0).sum(axis=1))
    assert np.array_equal(found.depth, (labels > 0).sum(axis=1))


def test_box_is_tight(noisy):
    box = survey_of(noisy).box
    assert box is not None
    inside = survey_of(noisy).labels > 0
    for axis, part in enumerate(box):
        hits = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        assert (part.start, part.stop) == (hits[0], hits[-1] + 1)


def test_tissue_is_the_ct_lung_weight(chest):
    found = survey_of(chest)
    for lung, region in ((Lung.RIGHT, "right_lung"), (Lung.LEFT, "left_lung")):
        weight = found.tissue[lung].sum() * chest.volume.voxel_volume_ml
        assert weight == pytest.approx(chest.measures[region]["tissue_mass"].value, rel=1e-6)


def test_metal_does_not_overflow(boxes):
    hu = boxes.volume.hu.copy()
    hu[30, 10, 10] = 30_000
    found = survey_of(replace(boxes, volume=replace(boxes.volume, hu=hu)))
    assert found.tissue[Lung.RIGHT][30, 10] == pytest.approx(19 * 0.2 + 31.0)


def test_voxels_that_are_not_numbers_are_left_out(boxes):
    hu = boxes.volume.hu.astype(np.float32)
    hu[30, 10, 10], hu[30, 11, 10], hu[30, 12, 10] = np.nan, np.inf, -np.inf
    found = survey_of(replace(boxes, volume=replace(boxes.volume, hu=hu)))
    assert found.histograms[Lung.RIGHT].sum() == 10 * 20 * 14 - 3
    assert found.tissue[Lung.RIGHT][30, 10] == pytest.approx(17 * 0.2)
    assert np.isfinite(found.hu_sum).all()


def test_empty_mask(boxes, make_result):
    found = survey_of(make_result(boxes.volume, np.zeros(boxes.volume.shape, np.uint8)))
    assert found.box is None
    assert found.present == ()

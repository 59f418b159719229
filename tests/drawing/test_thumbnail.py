"""The small picture of a scan: right on the left, small, always the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS
from hilum.core.volume import Volume
from hilum.drawing.thumbnail import LONGEST_PIXELS, thumbnail_png


def places(png: bytes, colour: tuple[int, int, int]) -> np.ndarray:
    """Rows and columns of the pixels of a colour."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    return np.argwhere((pixels == colour).all(axis=-1))


def test_the_right_lung_is_outlined_on_the_left(boxes):
    labels = boxes.segmentations["lungs"].labels
    png = thumbnail_png(boxes.volume, [labels])
    right, left = places(png, LUNGS[1].colour), places(png, LUNGS[2].colour)
    assert len(right) > 50
    assert right[:, 1].max() < left[:, 1].min()


def test_the_axes_of_the_file_do_not_matter(boxes):
    labels = boxes.segmentations["lungs"].labels
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[0, 3], flip[2, 3] = boxes.volume.shape[0] - 1, boxes.volume.shape[2] - 1
    turned = Volume(boxes.volume.hu[::-1, :, ::-1], boxes.volume.affine @ flip, boxes.volume.meta)
    mask = LabelVolume.on_grid_of(turned, np.ascontiguousarray(labels.data[::-1, :, ::-1]))
    assert thumbnail_png(turned, [mask]) == thumbnail_png(boxes.volume, [labels])


def test_the_picture_is_small_and_has_the_proportions_of_the_body(boxes):
    labels = boxes.segmentations["lungs"].labels
    image = Image.open(io.BytesIO(thumbnail_png(boxes.volume, [labels])))
    # The lungs take 64 x 70 mm, with 22 mm of margin cut by the scan: 80 x 120 mm in whole voxels.
    assert image.height == LONGEST_PIXELS
    assert image.width == pytest.approx(LONGEST_PIXELS * 80 / 120, abs=3)


def test_a_noisy_chest_takes_less_than_ten_kilobytes(chest):
    noise = np.random.default_rng(0).normal(0, 30, chest.volume.hu.shape)
    noisy = Volume((chest.volume.hu + noise).astype(np.int16), chest.volume.affine, chest.volume.meta)
    assert len(thumbnail_png(noisy, [chest.segmentations["lungs"].labels])) < 10_000


def test_a_scan_without_lungs_and_a_single_slice_have_a_picture_too(boxes):
    nothing = LabelVolume.on_grid_of(boxes.volume, np.zeros(boxes.volume.shape, np.uint8))
    assert len(places(thumbnail_png(boxes.volume, [nothing]), LUNGS[1].colour)) == 0
    one = Volume(boxes.volume.hu[:, :, 8:9], boxes.volume.affine, boxes.volume.meta)
    labels = LabelVolume.on_grid_of(one, boxes.segmentations["lungs"].labels.data[:, :, 8:9])
    assert len(places(thumbnail_png(one, [labels]), LUNGS[1].colour)) > 20

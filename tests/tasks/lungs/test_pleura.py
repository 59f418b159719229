"""Pleural fluid and free gas lie outside the lungs, on the grid of the scan."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.anatomy.pleura import FLUID, GAS
from hilum.core.segmentation import Segmentation
from hilum.core.volume import Volume
from hilum.synthesis.phantoms import Phantom, make_phantom
from hilum.tasks.lungs.model import LearnedLungs

pytest.importorskip("openvino")
SPACING = (2.0, 2.0, 2.5)


@pytest.fixture(scope="module")
def effusion() -> Phantom:
    return make_phantom(seed=43, spacing=SPACING, orientation="LPS", injury="effusion:0.5")


@pytest.fixture(scope="module")
def found(model: LearnedLungs, effusion: Phantom) -> Segmentation:
    return model(effusion.volume)


def test_fluid_is_found_and_is_no_lung(effusion: Phantom, found: Segmentation) -> None:
    fluid = found.beside["pleura"].data == FLUID
    assert found.beside["pleura"].data.shape == effusion.volume.shape
    assert found.beside["pleura"].data.dtype == np.uint8
    assert not (fluid & (found.labels.data > 0)).any()
    assert 50 < fluid.sum() * effusion.volume.voxel_volume_ml < 1500
    assert (effusion.labels[fluid] > 0).mean() < 0.1
    assert -30 < np.median(effusion.volume.hu[fluid]) < 60


@pytest.mark.slow
def test_a_healthy_chest_has_no_fluid_and_no_free_gas(model: LearnedLungs) -> None:
    chest = make_phantom(seed=21, spacing=SPACING, orientation="RAS")
    pleura = model(chest.volume).beside["pleura"].data
    assert np.count_nonzero(pleura) * chest.volume.voxel_volume_ml < 5


@pytest.mark.slow
def test_free_gas_is_found_and_is_no_lung(model: LearnedLungs) -> None:
    chest = make_phantom(seed=44, spacing=SPACING, orientation="RAS", injury="pneumothorax:0.5")
    found = model(chest.volume)
    gas = found.beside["pleura"].data == GAS
    assert gas.sum() * chest.volume.voxel_volume_ml > 50
    assert (chest.labels[gas] > 0).mean() < 0.1
    assert not (gas & (found.labels.data > 0)).any()


def test_the_order_of_the_axes_does_not_move_the_fluid(
    model: LearnedLungs, effusion: Phantom, found: Segmentation
) -> None:
    volume = effusion.volume
    turned = Volume(
        np.ascontiguousarray(volume.hu.transpose(2, 0, 1)), volume.affine[:, [2, 0, 1, 3]], volume.meta
    )
    assert np.array_equal(model(turned).beside["pleura"].data, found.beside["pleura"].data.transpose(2, 0, 1))

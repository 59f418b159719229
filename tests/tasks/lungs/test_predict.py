"""Prediction on isotropic voxels: pieces of long scans, test-time augmentation, and the room left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hilum.core.errors import ModelError
from hilum.models.card import ModelCard
from hilum.models.registry import Model
from hilum.models.volumes import VolumeModel
from hilum.tasks.lungs.predict import network_of, predict
from support.cards import volume_card

Float = npt.NDArray[np.float32]


class Echo:
    """A session that calls right lung with the probability that a voxel is bright."""

    engine, lanes = "echo", 1

    def __init__(self, classes: int = 5) -> None:
        self.classes = classes
        self.shapes: list[tuple[int, ...]] = []

    def run(self, x: Float) -> Float:
        self.shapes.append(x.shape)
        p = (x + 1) / 2
        return np.concatenate([1 - p, p, *[0 * p] * (self.classes - 2)], 1)

    def run_many(self, inputs: list[Float]) -> list[Float]:
        return [self.run(x) for x in inputs]


LABELS = {"right_lung": 1, "left_lung": 2, "pleural_fluid": 3, "pleural_gas": 4}


def network(session: Echo, **fields: object) -> VolumeModel:
    """A network of volumes with a session of the test's own."""
    card = ModelCard.model_validate(volume_card(**{"labels": LABELS, **fields}))
    return network_of(Model(card, Path("net.onnx"), session))


def test_long_scans_are_predicted_in_pieces() -> None:
    hu = np.random.default_rng(1).uniform(-1024, 400, (16, 16, 400)).astype(np.float32)
    echo = Echo()
    p = predict(network(echo), hu, mirror=False)
    assert max(shape[-1] for shape in echo.shapes) <= 160
    assert np.allclose(p.right, (hu + 1024) / 1424, atol=1e-4)
    assert p.disagreement is None
    assert p.agreement is None


def test_the_room_beside_the_body_is_not_predicted() -> None:
    hu = np.full((96, 96, 16), -1024, np.float32)
    hu[40:50, 20:50] = 400
    echo = Echo()
    p = predict(network(echo), hu)
    assert echo.shapes == [(1, 1, 16, 48, 16)] * 2  # two voxels round it, filled up to multiples of 16
    assert p.right[:38].max() == p.left[:, 52:].max() == 0


def test_right_in_the_mirror_image_is_left() -> None:
    hu = np.full((32, 16, 16), -1024, np.float32)
    hu[4:10] = 400
    p = predict(network(Echo()), hu)
    assert np.allclose(p.right[4:10], 0.5)
    assert np.allclose(p.left[4:10], 0.5)
    assert p.agreement == 1
    assert p.disagreement is not None
    assert p.disagreement.max() == 0


def test_a_scan_without_a_body_has_no_lungs() -> None:
    p = predict(network(Echo()), np.full((32, 16, 16), -1024, np.float32))
    assert p.lungs.shape == (32, 16, 16)
    assert p.lungs.max() == 0
    assert p.doubt == 1


def test_a_network_of_other_classes_is_refused() -> None:
    with pytest.raises(ModelError, match="probabilities are expected"):
        predict(network(Echo(classes=3)), np.zeros((16, 16, 16), np.float32))


def test_head_and_feet_are_exchanged_in_all_maps() -> None:
    hu = np.random.default_rng(2).uniform(-1024, 400, (16, 16, 32)).astype(np.float32)
    p = predict(network(Echo()), hu)
    turned = p.upside_down()
    for name in ("right", "left", "fluid", "gas", "disagreement"):
        assert np.array_equal(getattr(turned, name), getattr(p, name)[:, :, ::-1])


def test_a_network_without_pleura_finds_none() -> None:
    hu = np.random.default_rng(3).uniform(-1024, 400, (16, 16, 16)).astype(np.float32)
    p = predict(network(Echo(classes=3), labels={"right_lung": 1, "left_lung": 2}), hu)
    assert p.lungs.max() > 0.5
    assert p.fluid.max() == p.gas.max() == 0

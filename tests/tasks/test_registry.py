"""Which model stands behind a name, a folder or a file, and which one a result names."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum import Volume
from hilum.core.errors import ModelError, UsageError
from hilum.core.segmentation import ModelInfo
from hilum.core.volume import ScanMeta
from hilum.models.registry import SHIPPED, find_model, open_model
from hilum.models.volumes import VolumeModel
from hilum.pipeline import SegmentOptions, run
from hilum.synthesis.phantoms import Phantom, make_phantom
from hilum.tasks.lungs.default import VolumeLungs
from hilum.tasks.lungs.learned import LearnedSlices
from hilum.tasks.registry import available_models, load_model
from support.cards import changed

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return make_phantom(seed=21, spacing=(3.0, 3.0, 3.0), orientation="RAS")


def slices_of(chest: Phantom, count: int) -> Volume:
    """Some axial slices of the middle."""
    middle = chest.volume.shape[2] // 2
    hu = np.ascontiguousarray(chest.volume.hu[:, :, middle : middle + count])
    return Volume(hu, chest.volume.affine, ScanMeta(name="slices"))


def copied(name: str, folder: Path, **fields: Any) -> Path:
    """A run whose network is a shipped one under other words: its bytes and its card differ."""
    folder.mkdir()
    content = (SHIPPED / f"{name}.onnx").read_bytes() + b"\x32\x01x"  # a description more
    (folder / "model.onnx").write_bytes(content)
    card = json.loads((SHIPPED / f"{name}.json").read_text("utf-8"))
    card = {**card, "name": "mine", "version": "run-7", "onnx_sha256": hashlib.sha256(content).hexdigest()}
    (folder / "card.json").write_text(json.dumps({**card, **fields}))
    return folder


def test_models_are_listed_with_task_version_and_kind() -> None:
    found = {model.name: model for model in available_models()}
    assert set(found) == {"classic", "lungs", "lungs-slices"}
    assert {model.task for model in found.values()} == {"lungs"}
    for name in ("lungs", "lungs-slices"):
        card = find_model(name).card
        assert (found[name].version, found[name].kind) == (card.version, card.kind)
    for name in found:
        assert load_model(name).info.name == name


def test_the_card_decides_what_runs_a_network(tmp_path: Path) -> None:
    assert isinstance(load_model("lungs"), VolumeLungs)
    assert isinstance(load_model("lungs-slices"), LearnedSlices)
    assert isinstance(load_model(str(copied("lungs", tmp_path / "volumes"))), VolumeLungs)
    assert isinstance(load_model(str(copied("lungs-slices", tmp_path / "slices"))), LearnedSlices)


def test_a_result_names_the_model_that_made_it_with_its_own_version(chest: Phantom) -> None:
    own = {name: find_model(name).card for name in ("lungs", "lungs-slices")}
    for source, options, name in (
        (chest.volume, SegmentOptions(), "lungs"),
        (slices_of(chest, 1), SegmentOptions(), "lungs-slices"),
        (slices_of(chest, 6), SegmentOptions(), "lungs-slices"),
        (chest.volume, SegmentOptions(model="lungs-slices"), "lungs-slices"),
    ):
        used = run(source, options).segmentations["lungs"].model
        card = own[name]
        assert used == ModelInfo(name, card.version, card.onnx_sha256)
    used = run(chest.volume, SegmentOptions(model="classic")).segmentations["lungs"].model
    assert used == ModelInfo("classic", "1")


def test_a_network_of_volumes_of_a_run_is_used_like_the_one_that_ships(
    chest: Phantom, tmp_path: Path
) -> None:
    folder = copied("lungs", tmp_path / "net", confidence=None)
    found = run(chest.volume, SegmentOptions(model=str(folder))).segmentations["lungs"]
    assert (found.model.name, found.model.version) == ("mine", "run-7")
    assert found.confidence is None
    expected = load_model("lungs")(chest.volume)
    assert expected.confidence is not None
    assert np.array_equal(found.labels.data, expected.labels.data)


def test_two_networks_that_were_not_calibrated_together_tell_no_confidence(
    chest: Phantom, tmp_path: Path
) -> None:
    thin = slices_of(chest, 1)
    own, other = load_model("lungs")(thin), load_model(str(copied("lungs", tmp_path / "net")))(thin)
    assert own.confidence is not None
    assert other.confidence is None
    assert np.array_equal(own.labels.data, other.labels.data)


@pytest.mark.parametrize("kind", ["lungs", "lungs-slices"])
def test_a_model_is_opened_once_for_many_scans_and_again_when_its_card_has_changed(
    kind: str, tmp_path: Path
) -> None:
    folder = copied(kind, tmp_path / "net")
    first = load_model(str(folder))
    assert first.info.version == "run-7"
    assert load_model(str(folder)) is first
    card = json.loads((folder / "card.json").read_text("utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, "version": "run-8"}))
    assert load_model(str(folder)).info.version == "run-8"


def test_the_order_of_the_channels_comes_from_the_card(tmp_path: Path) -> None:
    swapped = copied(
        "lungs",
        tmp_path / "net",
        labels={"left_lung": 1, "right_lung": 2, "pleural_fluid": 3, "pleural_gas": 4},
    )
    labels = ("right_lung", "left_lung")
    x = np.random.default_rng(0).uniform(-1, 1, (20, 30, 40)).astype(np.float32)
    here, there = (VolumeModel(open_model(m, 1), labels).probabilities([x])[0] for m in ("lungs", swapped))
    assert here.shape == (20, 30, 40, 2)
    assert not np.array_equal(here[..., 0], here[..., 1])
    assert np.array_equal(here, there[..., ::-1])


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("task", "airways", "trained for the task airways, not for lungs"),
        ("labels", {"lobe": 1, "rest": 2}, "does not segment right_lung"),
    ],
)
def test_a_model_of_something_else_is_refused(field: str, value: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(str(copied("lungs", tmp_path / "net", **{field: value})))


def test_a_model_is_opened_or_refused_before_a_scan_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device, words in (("gpu", "No GPU"), ("cpu", "SHA-256")):
        folder = copied("lungs", tmp_path / device)
        if device == "cpu":
            (folder / "model.onnx").write_bytes(b"other weights")
        with pytest.raises(ModelError, match=words):
            load_model(str(folder), device)
    with pytest.raises(ModelError, match="No GPU"):
        load_model("lungs", "gpu")
    with pytest.raises(UsageError, match="device is"):
        load_model("lungs", "tpu")
    with pytest.raises(ModelError, match="CPU only"):
        load_model("classic", "gpu")


def test_a_damaged_network_of_slices_is_refused_when_the_model_of_scans_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in SHIPPED.iterdir():
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "lungs-slices.onnx").write_bytes(b"cut off")
    monkeypatch.setattr("hilum.models.registry.SHIPPED", tmp_path)
    with pytest.raises(ModelError, match="lungs-slices do not match its card"):
        load_model("lungs")


def test_a_card_with_another_window_is_another_model(tmp_path: Path) -> None:
    folder = copied("lungs", tmp_path / "net")
    card = json.loads((folder / "card.json").read_text("utf-8"))
    narrow = changed(card, "input.hu_window", [-1000.0, 100.0])
    (folder / "card.json").write_text(json.dumps(narrow))
    network = VolumeModel(open_model(folder, 1), ("right_lung", "left_lung"))
    assert network.scaled(np.array([-2000.0, -1000.0, -450.0, 100.0, 300.0])).tolist() == [-1, -1, 0, 1, 1]

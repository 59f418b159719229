"""Models are found by name, folder, card or file, and open or are refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.cli.app import run
from hilum.core.errors import ModelError
from hilum.models.card import SliceInput
from hilum.models.engine import Device, check_probabilities, open_session
from hilum.models.registry import SHIPPED, find_model, open_model, shipped_models
from hilum.models.slices import SliceModel
from hilum.models.volumes import VolumeModel
from support.cards import slice_card


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder of a run with the shipped network of slices in it."""
    shutil.copy(SHIPPED / "lungs-slices.onnx", tmp_path / "model.onnx")
    shutil.copy(SHIPPED / "lungs-slices.json", tmp_path / "card.json")
    return tmp_path


def test_shipped_models_are_found_by_name() -> None:
    assert shipped_models() == ("lungs", "lungs-slices")
    for name in shipped_models():
        files = find_model(name)
        assert files.name == files.card.name == name
        assert files.card.task == "lungs"
        assert files.check() is files


def test_a_folder_a_card_a_file_and_a_name_open_the_same_network(copy: Path) -> None:
    named = shutil.copy(SHIPPED / "lungs-slices.onnx", copy / "other.onnx")
    shutil.copy(SHIPPED / "lungs-slices.json", copy / "other.json")
    sources = [copy, str(copy), copy / "card.json", copy / "model.onnx", named, copy / "other.json"]
    models = [open_model(source, threads=1) for source in (*sources, "lungs-slices")]
    x = np.random.default_rng(0).uniform(-1, 1, (1, 1, 256, 256)).astype(np.float32)
    found = [model.session.run(x).tobytes() for model in models]
    assert len(set(found)) == 1
    assert {model.info for model in models} == {models[-1].info}
    assert models[-1].info.version == find_model("lungs-slices").card.version


def test_weights_of_another_model_are_refused_at_once(copy: Path) -> None:
    shutil.copy(SHIPPED / "lungs.onnx", copy / "model.onnx")
    for source in (copy, copy / "card.json", copy / "model.onnx"):
        with pytest.raises(ModelError, match="SHA-256"):
            open_model(source)


def test_a_file_that_is_not_a_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model lungz") as caught:
        open_model("lungz")
    assert "lungs-slices" in caught.value.hint
    with pytest.raises(ModelError, match=r"card\.json is missing"):
        open_model(tmp_path)
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(ModelError, match="has not ended"):
        open_model(tmp_path)
    with pytest.raises(ModelError, match="There is no model"):
        find_model(tmp_path / "lungs")


def test_a_network_runs_only_as_its_card_states() -> None:
    slices, volumes = open_model("lungs-slices", threads=1), open_model("lungs", threads=1)
    with pytest.raises(ModelError, match="takes volumes, not slices"):
        SliceModel(volumes)
    with pytest.raises(ModelError, match="takes slices, not volumes"):
        VolumeModel(slices, ("lung",))
    with pytest.raises(ModelError, match="does not segment lobe"):
        VolumeModel(volumes, ("right_lung", "lobe"))


def test_a_missing_gpu_is_reported_when_the_model_opens() -> None:
    with pytest.raises(ModelError, match="No GPU"):
        open_model("lungs", device=Device.GPU)


def test_a_hostile_card_ends_the_command_before_the_scan_is_read(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "net").mkdir()
    onnx = b"never opened"
    card = slice_card(onnx_sha256=hashlib.sha256(onnx).hexdigest(), threshold=-5)
    (tmp_path / "net" / "model.onnx").write_bytes(onnx)
    (tmp_path / "net" / "card.json").write_text(json.dumps(card))
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    out = tmp_path / "out"
    assert (
        run(["segment", str(tmp_path / "scan.nii.gz"), "-o", str(out), "--model", str(tmp_path / "net")]) == 2
    )
    said = capsys.readouterr().err
    assert "threshold is -5" in said
    assert "Traceback" not in said
    assert sorted(tmp_path.rglob("*")) == before


# -- networks that are not what their card says ----------------------------------------------------------


def network(tmp_path: Path, build: str) -> Path:
    """Write a run whose network is a few nodes of ONNX, with the SHA-256 that its card states."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    shape: list[Any] = ["n", 1, 32, 32]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    lung = helper.make_tensor_value_info("lung", TensorProto.FLOAT, None)
    inputs, outputs, constants = [image], [lung], []
    one = helper.make_node("Sigmoid", ["image"], ["lung"])
    nodes = [one]
    if build == "logits":
        nodes = [helper.make_node("Abs", ["image"], ["a"]), helper.make_node("Add", ["a", "a"], ["lung"])]
    elif build == "not a number":
        nodes = [helper.make_node("Abs", ["image"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
        nodes += [helper.make_node("Log", ["b"], ["lung"])]
    elif build == "fewer axes":
        nodes = [helper.make_node("Sigmoid", ["image"], ["a"]), helper.make_node("Flatten", ["a"], ["lung"])]
    elif build == "whole numbers":
        nodes = [helper.make_node("Cast", ["image"], ["lung"], to=TensorProto.INT32)]
        outputs = [helper.make_tensor_value_info("lung", TensorProto.INT32, None)]
    elif build == "another size":
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 64, 64])]
    elif build == "three channels":
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 32, 32])]
    elif build == "two outputs":
        nodes = [one, helper.make_node("Identity", ["image"], ["more"])]
        outputs = [lung, helper.make_tensor_value_info("more", TensorProto.FLOAT, shape)]
    elif build == "two inputs":
        nodes = [
            helper.make_node("Mul", ["image", "other"], ["a"]),
            helper.make_node("Sigmoid", ["a"], ["lung"]),
        ]
        inputs = [image, helper.make_tensor_value_info("other", TensorProto.FLOAT, shape)]
    elif build == "fails while it runs":
        constants = [onnx.numpy_helper.from_array(np.array([7, 7, -1]), "to")]
        nodes = [
            helper.make_node("Sigmoid", ["image"], ["a"]),
            helper.make_node("Reshape", ["a", "to"], ["lung"]),
        ]
    elif build == "data outside":
        tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "../../../../etc/passwd"), ("offset", "0"), ("length", "4")):
            tensor.external_data.add(key=key, value=value)
        constants = [tensor]
        nodes = [helper.make_node("Mul", ["image", "w"], ["a"]), helper.make_node("Sigmoid", ["a"], ["lung"])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = model.SerializeToString()
    if build == "cut off":
        content = content[: len(content) // 2]
    elif build == "empty":
        content = b""
    run_folder = tmp_path / "net"
    run_folder.mkdir()
    (run_folder / "model.onnx").write_bytes(content)
    card = slice_card(onnx_sha256=hashlib.sha256(content).hexdigest())
    (run_folder / "card.json").write_text(json.dumps(card))
    return run_folder


def test_a_small_network_runs(tmp_path: Path) -> None:
    model = SliceModel(open_model(network(tmp_path, "good"), threads=1))
    out = model.probabilities(np.full((3, 20, 30), -1024, np.int16))
    np.testing.assert_allclose(out, 1 / (1 + np.exp(1)), atol=1e-5)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    "build",
    [
        *("logits", "not a number", "fewer axes", "whole numbers", "another size", "three channels"),
        *("two outputs", "two inputs", "fails while it runs", "data outside", "cut off", "empty"),
    ],
)
def test_a_network_that_does_not_match_its_card_is_one_sentence(
    build: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(engine)
    if engine == "onnxruntime":
        monkeypatch.setattr("hilum.models.engine._OpenVino", _absent)
    folder = network(tmp_path, build)
    with pytest.raises(ModelError) as caught:
        SliceModel(open_model(folder, threads=1)).probabilities(np.full((1, 20, 30), -1024, np.int16))
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.hint


def _absent(*_: Any) -> None:
    raise ImportError


@pytest.mark.parametrize("kind", ["missing", "a folder", "a pipe"])
def test_weights_that_are_not_a_file(kind: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps(slice_card()))
    if kind == "a folder":
        (tmp_path / "model.onnx").mkdir()
    elif kind == "a pipe":
        os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="weights of the model"):
        open_model(tmp_path)


def test_probabilities_may_pass_one_by_rounding_only() -> None:
    check_probabilities(np.array([[-1e-4, 1.0001]], np.float32), (1, 2), "net")
    for values in ([[0.0, 1.01]], [[np.nan, 0.0]], [[np.inf, 0.0]]):
        with pytest.raises(ModelError, match="values outside 0 to 1"):
            check_probabilities(np.array(values, np.float32), (1, 2), "net")


def test_the_shipped_networks_match_their_cards() -> None:
    for name in shipped_models():
        card = find_model(name).card
        shape = (1, 1, *card.input.size) if isinstance(card.input, SliceInput) else (1, 1, 16, 32, 48)
        channels = 1 if isinstance(card.input, SliceInput) else 1 + len(card.labels)
        found = open_session(SHIPPED / f"{name}.onnx", threads=1).run(np.zeros(shape, np.float32))
        check_probabilities(found, (1, channels, *shape[2:]), name)

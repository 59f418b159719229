"""Model cards and weights from anybody: what does not fit is told by its field, and nothing is measured."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.cli.app import run
from hilum.core.errors import ModelError
from hilum.models.card import SLICES_SCHEMA, VOLUMES_SCHEMA, read_card
from hilum.models.engine import check_probabilities, open_session
from hilum.models.slices import load_run
from hilum.models.weights import FOLDER, load_weights

GOOD: dict[str, Any] = {
    "schema": SLICES_SCHEMA,
    "name": "net",
    "kind": "unet",
    "hilum": "0.1.0",
    "input": {"size": [32, 32], "hu_window": [-1024.0, 400.0], "plane": "axial"},
    "threshold": 0.5,
    "onnx_sha256": "0" * 64,
}
HUGE = 1e308
HOSTILE: dict[str, tuple[str, Any]] = {
    "threshold below": ("threshold", -5),
    "threshold above": ("threshold", 1.5),
    "threshold one": ("threshold", 1),
    "threshold text": ("threshold", "0.5"),
    "threshold true": ("threshold", True),
    "threshold nothing": ("threshold", None),
    "threshold list": ("threshold", [0.5]),
    "threshold huge": ("threshold", 10**19),
    "window falls": ("input.hu_window", [400, -1024]),
    "window of infinite width": ("input.hu_window", [HUGE, -HUGE]),
    "window of no width": ("input.hu_window", [-1024, -1024]),
    "window of one": ("input.hu_window", [-1024]),
    "window of three": ("input.hu_window", [-1024, 0, 400]),
    "window of text": ("input.hu_window", ["-1024", "400"]),
    "size zero": ("input.size", [0, 0]),
    "size negative": ("input.size", [-32, 32]),
    "size huge": ("input.size", [2**31, 2**31]),
    "size odd": ("input.size", [33, 32]),
    "size broken": ("input.size", [32.5, 32]),
    "size alone": ("input.size", 32),
    "plane unknown": ("input.plane", "oblique"),
    "plane list": ("input.plane", ["axial"]),
    "input text": ("input", "axial"),
    "hash short": ("onnx_sha256", "0" * 63),
    "hash in capitals": ("onnx_sha256", "A" * 64),
    "hash a number": ("onnx_sha256", 0),
    "version of hilum long": ("hilum", "1" * 10_000),
    "version of hilum a list": ("hilum", []),
    "kind not printable": ("kind", "\x1b]0;title\x07"),
    "name of several lines": ("name", "net\nhilum: done"),
    "name empty": ("name", ""),
    "parameters negative": ("parameters", -1),
    "index no hash": ("data", {"index_sha256": ["x"]}),
    "calibration of unknown sign": ("confidence", {"bias": 0, "weights": {"mood": 1}}),
    "calibration text": ("confidence", {"bias": "0", "weights": {}}),
}


def changed(card: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    card = json.loads(json.dumps(card))
    *tables, last = field.split(".")
    inner = card
    for table in tables:
        inner = inner[table]
    inner[last] = value
    return card


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_value_that_is_not_allowed_is_told_by_its_field(name: str, tmp_path: Path) -> None:
    field, value = HOSTILE[name]
    (tmp_path / "card.json").write_text(json.dumps(changed(GOOD, field, value)))
    with pytest.raises(ModelError) as caught:
        read_card(tmp_path / "card.json", SLICES_SCHEMA, "net")
    assert field in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    "field", ["threshold", "input", "input.size", "input.hu_window", "onnx_sha256", "hilum"]
)
def test_a_value_that_is_missing_is_named(field: str, tmp_path: Path) -> None:
    card = json.loads(json.dumps(GOOD))
    *tables, last = field.split(".")
    del (card[tables[0]] if tables else card)[last]
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=f"has no {field}"):
        read_card(tmp_path / "card.json", SLICES_SCHEMA, "net")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input.step_mm", 0),
        ("input.step_mm", -3.5),
        ("input.step_mm", 1000),
        ("input.hu_window", [400, -1024]),
        ("version", "5.1\x1b[2J"),
        ("confidence", {"bias": 0, "weights": {"apart": 1}}),
    ],
)
def test_cards_of_volumes_are_checked_likewise(field: str, value: Any, tmp_path: Path) -> None:
    card = json.loads((FOLDER / "lungs.json").read_text("utf-8"))
    (tmp_path / "lungs.json").write_text(json.dumps(changed(card, field, value)))
    (tmp_path / "lungs.onnx").write_bytes((FOLDER / "lungs.onnx").read_bytes())
    with pytest.raises(ModelError) as caught:
        load_weights("lungs", tmp_path)
    assert field in caught.value.message


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1e999", "9" * 5000])
def test_a_number_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    content = json.dumps({**GOOD, "threshold": 12345}).replace("12345", text)
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ModelError, match="The card of the model net"):
        read_card(tmp_path / "card.json", SLICES_SCHEMA, "net")


@pytest.mark.parametrize("schema", ["hilum.model/2", None, "\x1b[31m", ["x"] * 1000, {"a": 1}])
def test_another_version_is_told_in_short_and_printable(schema: Any, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({**GOOD, "schema": schema}))
    with pytest.raises(ModelError, match="another version of hilum") as caught:
        read_card(tmp_path / "card.json", SLICES_SCHEMA, "net")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


def test_the_cards_that_are_shipped_are_good() -> None:
    read_card(FOLDER / "lungs.json", VOLUMES_SCHEMA, "lungs")
    read_card(FOLDER / "lungs-slices.json", SLICES_SCHEMA, "lungs-slices")


def test_a_hostile_card_ends_the_command_before_the_scan_is_read(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "net").mkdir()
    onnx = b"never opened"
    card = {**GOOD, "onnx_sha256": hashlib.sha256(onnx).hexdigest(), "threshold": -5}
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
    """Write a run whose network is a few nodes of ONNX, with the SHA-256 that its card tells."""
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
    card = {**GOOD, "onnx_sha256": hashlib.sha256(content).hexdigest()}
    (run_folder / "card.json").write_text(json.dumps(card))
    return run_folder


def test_a_small_network_runs(tmp_path: Path) -> None:
    model = load_run(network(tmp_path, "good"), threads=1)
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
def test_a_network_that_is_not_what_its_card_says_is_one_sentence(
    build: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(engine)
    if engine == "onnxruntime":
        monkeypatch.setattr("hilum.models.engine._OpenVino", _absent)
    folder = network(tmp_path, build)
    with pytest.raises(ModelError) as caught:
        load_run(folder, threads=1).probabilities(np.full((1, 20, 30), -1024, np.int16))
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.hint


def _absent(*_: Any) -> None:
    raise ImportError


@pytest.mark.parametrize("kind", ["missing", "a folder", "a pipe"])
def test_weights_that_are_no_file(kind: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps(GOOD))
    if kind == "a folder":
        (tmp_path / "model.onnx").mkdir()
    elif kind == "a pipe":
        os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="weights of the model"):
        load_run(tmp_path)


def test_probabilities_may_pass_one_by_rounding_only() -> None:
    check_probabilities(np.array([[-1e-4, 1.0001]], np.float32), (1, 2), "net")
    for values in ([[0.0, 1.01]], [[np.nan, 0.0]], [[np.inf, 0.0]]):
        with pytest.raises(ModelError, match="no probabilities"):
            check_probabilities(np.array(values, np.float32), (1, 2), "net")


def test_the_shipped_networks_are_what_their_cards_say() -> None:
    session = open_session(FOLDER / "lungs-slices.onnx", threads=1)
    found = session.run(np.zeros((1, 1, 256, 256), np.float32))
    check_probabilities(found, (1, 1, 256, 256), "lungs-slices")

"""Untrusted model cards: a value that does not fit is named by its field, and nothing is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hilum.core.errors import ModelError
from hilum.io import write_json
from hilum.models.card import ModelCard, read_card
from hilum.models.card_text import card_text
from hilum.models.registry import SHIPPED, find_model, shipped_models
from support.cards import changed, slice_card, volume_card

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
    "index no hash": ("data.sha256", ["x"]),
    "minutes text": ("training.minutes", "5"),
    "dice above one": ("figures.validation_dice", {"mean": 1.5, "worst": 0.2}),
    "calibration of unknown sign": ("confidence", {"bias": 0, "weights": {"mood": 1}}),
    "calibration text": ("confidence", {"bias": "0", "weights": {}}),
    "kind of input unknown": ("input.kind", "cubes"),
    "kind of input a list": ("input.kind", ["slices"]),
    "label zero": ("labels", {"lung": 0}),
    "label text": ("labels", {"lung": "1"}),
    "label huge": ("labels", {"lung": 256}),
}


def refusal(card: dict[str, Any], folder: Path) -> str:
    """Why a card is refused."""
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError) as caught:
        read_card(folder / "card.json", "net")
    return caught.value.message


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_value_that_is_not_allowed_is_named_by_its_field(name: str, tmp_path: Path) -> None:
    field, value = HOSTILE[name]
    said = refusal(changed(slice_card(data={}, training={}, figures={}), field, value), tmp_path)
    assert field in said
    assert said.isprintable()
    assert len(said) < 250


REQUIRED = [
    *("name", "version", "task", "kind", "hilum", "input", "input.kind", "input.size", "input.plane"),
    *("input.hu_window", "labels", "threshold", "onnx_sha256", "parameters", "licence", "licence.code"),
    "licence.weights",
]


@pytest.mark.parametrize("field", REQUIRED)
def test_a_value_that_is_missing_is_named(field: str, tmp_path: Path) -> None:
    assert f"has no {field}" in refusal(changed(slice_card(), field, ...), tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input.step_mm", 0),
        ("input.step_mm", -3.5),
        ("input.step_mm", 1000),
        ("input.step_mm", ...),
        ("input.multiple", 0),
        ("input.multiple", ...),
        ("input.hu_window", [400, -1024]),
        ("input.size", [32, 32]),
        ("version", "5.1\x1b[2J"),
        ("threshold", 0.5),
        ("labels", {}),
        ("labels", {"right_lung": 1, "left_lung": 1}),
        ("labels", {"right_lung": 0, "left_lung": 1}),
        ("labels", {"right_lung": 1, "left_lung": 3}),
        ("confidence", {"bias": 0, "weights": {"apart": 1}}),
    ],
)
def test_cards_of_volumes_are_checked_likewise(field: str, value: Any, tmp_path: Path) -> None:
    assert field in refusal(changed(volume_card(), field, value), tmp_path)


def test_a_network_of_slices_has_one_label(tmp_path: Path) -> None:
    assert "labels is" in refusal(slice_card(labels={"right_lung": 1, "left_lung": 2}), tmp_path)


@pytest.mark.parametrize("where", ["mood", "input.mood", "licence.mood", "data.mood", "training.mood"])
def test_a_key_that_is_not_known_is_refused(where: str, tmp_path: Path) -> None:
    card = slice_card(data={}, training={})
    assert f"holds {where}, which is not known" in refusal(changed(card, where, "good"), tmp_path)


def test_the_order_of_the_labels_in_the_file_decides_nothing() -> None:
    card = ModelCard.model_validate(volume_card(labels={"left_lung": 2, "right_lung": 1}))
    assert card.channels == ("right_lung", "left_lung")


@pytest.mark.parametrize("name", shipped_models())
def test_a_card_that_is_written_and_read_is_the_same(name: str, tmp_path: Path) -> None:
    card = find_model(name).card
    write_json(tmp_path / "card.json", card.as_dict())
    assert read_card(tmp_path / "card.json", name) == card
    assert (SHIPPED / f"{name}.json").read_text("utf-8") == (tmp_path / "card.json").read_text("utf-8")


@pytest.mark.parametrize("name", shipped_models())
def test_the_text_of_a_card_holds_what_people_ask_for(name: str) -> None:
    card = find_model(name).card
    text = card_text(card)
    for part in (card.name, card.version, card.task, card.onnx_sha256, *card.labels, *card.limits):
        assert part in text
    assert card.licence.weights in text
    assert all(source in text for source in card.data.sources)
    assert "None" not in text


def test_the_text_of_the_least_card_leaves_out_what_is_not_known() -> None:
    for card in (slice_card(), volume_card()):
        text = card_text(ModelCard.model_validate(card))
        assert "None" not in text
        assert "Validation" not in text
        assert "Licence" in text


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1e999", "9" * 5000])
def test_a_value_that_is_not_a_number_is_refused(text: str, tmp_path: Path) -> None:
    content = json.dumps(slice_card(threshold=12345)).replace("12345", text)
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ModelError, match="The card of the model net"):
        read_card(tmp_path / "card.json", "net")


@pytest.mark.parametrize(
    "schema", ["hilum.model/1", "hilum.weights/1", None, "\x1b[31m", ["x"] * 1000, {"a": 1}]
)
def test_another_version_is_reported_short_and_printable(schema: Any, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps(slice_card(schema=schema)))
    with pytest.raises(ModelError, match="another version of hilum") as caught:
        read_card(tmp_path / "card.json", "net")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200

"""Data sets, dictionaries and records that were damaged or made up: one sentence that names the place."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hilum.core.errors import HilumError, InputError, UsageError
from hilum.datasets.index import load_dataset
from hilum.datasets.nnunet import image_channel, is_nnunet, label_map
from hilum.datasets.pairs import find_pairs
from hilum.datasets.prepare import prepare
from hilum.datasets.pseudonyms import read_dictionary
from hilum.datasets.record import read_record
from hilum.io.names import natural_key
from hilum.io.vocabulary import parse_labels
from hilum.training.config import load_config

LONG = "9" * 5000


def one_sentence(error: HilumError) -> None:
    assert error.message.isprintable()
    assert error.message.endswith(".")
    assert len(error.message) < 300


@pytest.fixture
def dataset(pairs: Path, tmp_path: Path) -> Path:
    prepare(pairs, tmp_path / "data", plane="axial", jobs=1)
    return tmp_path / "data"


def set_in(file: Path, place: str, value: Any) -> None:
    data = json.loads(file.read_text("utf-8"))
    inner: Any = data
    *keys, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    for key in keys:
        inner = inner[key]
    inner[last] = value
    file.write_text(json.dumps(data), "utf-8")


ABOUT = [
    *(
        ("plane", "oblique"),
        ("plane", ["axial"]),
        ("spacing", "round"),
        ("spacing", [0, 1]),
        ("spacing", [1]),
    ),
    *(("parameters", []), ("subjects", {}), ("subjects", [1]), ("subjects.0.id", -1), ("subjects.0.id", "0")),
    *(("subjects.0.rows", 1.5), ("subjects.0.spacing_mm", [1, -1]), ("subjects.0.slice_spacing_mm", "4")),
    *(("subjects.0.volume_voxel_ml", -1), ("subjects.0.flags", "cut"), ("subjects.0.notes", [["a"]])),
    *(("refused", [{"id": 0}]), ("hilum", "1" * 1000), ("index_sha256", None), ("index_sha256", ["a"])),
]


def test_values_of_a_data_set_that_are_not_allowed_are_named(dataset: Path) -> None:
    file = dataset / "dataset.json"
    whole = file.read_text("utf-8")
    for place, value in ABOUT:
        set_in(file, place, value)
        with pytest.raises(InputError) as caught:
            load_dataset(dataset)
        one_sentence(caught.value)
        assert place.split(".")[0] in caught.value.message, (place, value)
        file.write_text(whole, "utf-8")
    load_dataset(dataset)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *((0, LONG), (0, "-1"), (0, "7"), (0, "²"), (2, "oblique"), (3, "0"), (4, ""), (5, "nan"), (5, "-1")),
        *((7, "inf"), (8, "many"), (9, "x" * 140_000)),
    ],
)
def test_a_row_of_an_index_that_is_damaged_is_named_by_its_line(
    column: int, text: str, dataset: Path
) -> None:
    index = dataset / "index.csv"
    lines = index.read_text("utf-8").splitlines()
    fields = lines[2].split(",")
    fields[column] = text
    lines[2] = ",".join(fields)
    index.write_text("\n".join(lines) + "\n", "utf-8")
    set_in(dataset / "dataset.json", "index_sha256", hashlib.sha256(index.read_bytes()).hexdigest())
    with pytest.raises(InputError, match=r"[Ll]ine 3") as caught:
        load_dataset(dataset)
    one_sentence(caught.value)


@pytest.mark.parametrize("name", ["dataset.json", "index.csv"])
def test_a_pipe_in_a_data_set_is_not_waited_for(name: str, dataset: Path) -> None:
    (dataset / name).unlink()
    os.mkfifo(dataset / name)
    with pytest.raises(InputError) as caught:
        load_dataset(dataset)
    one_sentence(caught.value)


RECORDS = [
    *(("slices", 5), ("slices.0", []), ("slices.0.sha256", ["a", "b"]), ("slices.0.rows", -1)),
    *(
        ("slices.0.spacing_mm", ["1", "1"]),
        ("subject", None),
        ("subject.id", LONG),
        ("key", 5),
        ("sources", {}),
    ),
    *(("refused", 5), ("refused", [])),
]


def test_a_corrupted_record_is_named_and_made_again_if_its_pair_is_given(dataset: Path, pairs: Path) -> None:
    file = dataset / "records" / "1.json"
    whole = file.read_text("utf-8")
    for place, value in RECORDS:
        set_in(file, place, value)
        with pytest.raises(InputError, match=r"records/1\.json of data") as caught:
            read_record(dataset, 1)
        one_sentence(caught.value)
        file.write_text(whole, "utf-8")
    before = {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()}
    file.write_text("[" * 50_000, "utf-8")
    made = prepare(pairs, dataset, plane="axial", jobs=1)
    assert made.made == (1,)
    assert file.read_text("utf-8") == whole
    assert {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("text", ["[" * 50_000, "[]", "1", '{"plane": ' + LONG + "}"])
def test_damaged_parameters_of_a_data_set(text: str, dataset: Path, pairs: Path) -> None:
    (dataset / "records" / "parameters.json").write_text(text)
    with pytest.raises(InputError, match=r"parameters\.json of data") as caught:
        prepare(pairs, dataset, plane="axial", jobs=1)
    one_sentence(caught.value)


@pytest.mark.parametrize(
    "text",
    ["[" * 50_000, "[]", "5", '{"-1": "a"}', '{"0": ["a"]}', '{"0": ""}', f'{{"{LONG}": "a"}}', '{"²": "a"}'],
)
def test_a_file_that_is_not_a_dictionary_of_subjects(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_dictionary(tmp_path / "s.json")
    one_sentence(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "image,mask,subject\na.nii,b.nii," + LONG),
        ("p.csv", "image,mask\n" + "a" * 5000 + ",b.nii"),
        ("p.csv", 'image,mask\n"a.nii,b.nii\n'),
        ("p.csv", "image,mask\na\0.nii,b.nii\n"),
        ("p.json", '{"training": [{"image": "a\\u0000", "label": "b"}]}'),
        ("p.json", '{"training": [{"image": "", "label": "b"}]}'),
        ("p.json", '{"training": ' + "[" * 5000 + "]" * 5000 + "}"),
    ],
)
def test_tables_of_pairs_that_cannot_be_used(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        find_pairs(tmp_path / name)
    one_sentence(caught.value)


def test_a_pair_that_is_a_pipe_is_refused_and_not_waited_for(pairs: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "p.csv").write_text(f"image,mask\npipe.nii,{pairs / 'berta_lungs.nii.gz'}\n")
    with pytest.raises(InputError, match="a pipe, socket or device"):
        prepare(tmp_path / "p.csv", tmp_path / "out", plane="axial", jobs=1)
    assert not (tmp_path / "out").exists()


def test_numbers_in_names_sort_by_their_value_however_long_they_are() -> None:
    names = ["a", "a²", "a2", "a10", "a010", LONG, "9" * 4999, "1", "٣"]
    ordered = sorted(names, key=natural_key)
    assert ordered.index("a2") < ordered.index("a10")
    assert ordered.index("1") < ordered.index("9" * 4999) < ordered.index(LONG)


@pytest.mark.parametrize(
    "text", [f"{LONG}=1", "²=1", "1=²", "x" * 5000, "\x1b[31m=1", "٣=1", "65536=1", "-1=1"]
)
def test_labels_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="labels holds") as caught:
        parse_labels(text)
    one_sentence(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        *(
            "seed=" + LONG,
            "steps=" + "9" * 30,
            "a." * 5000 + "a=1",
            "x" * 5000,
            "minutes=1e999",
            "minutes=nan",
        ),
        *("size=" + "[" * 5000, "size=" + "[" * 20 + "]" * 20, "\x1b[31m=1", "augment.scale.a=1", "seed=[1"),
    ],
)
def test_settings_that_are_none(setting: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(None, {"model": "unet"}, [setting])
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("key", [LONG, "٣", "²", "-1"])
def test_numbers_of_channels_and_labels_that_are_none(key: str, tmp_path: Path) -> None:
    content = {"channel_names": {key: "CT"}, "labels": {key: "lung", "left lung": 2}}
    assert image_channel(content) == 0
    assert is_nnunet(content)
    label_map(content, "dataset.json")

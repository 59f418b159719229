"""Sound texts of every kind that hilum reads, and a network of one node."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.chest import STEPS, chest
from hilum.datasets.index import COLUMNS, DATASET_SCHEMA
from hilum.evaluation.cases import Case, Grid, SideChoice, evaluate_case
from hilum.evaluation.result import Evaluation
from hilum.io import write_json
from hilum.models.card import SCHEMA
from hilum.models.registry import SHIPPED
from hilum.training.config import load_config, to_toml

#: What reads an input, and what makes it; a maker returns False where a package for it is missing.
Maker = tuple[str, Callable[[Path], Any]]


def _pairs_csv(folder: Path) -> None:
    rows = [
        ["image", "mask", "subject"],
        *([f"s{n}_ct.nii.gz", f"s{n}_lungs.nii.gz", f"s{n}"] for n in range(4)),
    ]
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _decathlon(folder: Path) -> None:
    entries = [{"image": f"./imagesTr/s{n}.nii.gz", "label": f"./labelsTr/s{n}.nii.gz"} for n in range(4)]
    write_json(
        folder / "dataset.json", {"name": "lungs", "labels": {"0": "no", "1": "lung"}, "training": entries}
    )


def _nnunet(listed: bool) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        about: dict[str, Any] = {
            "channel_names": {"0": "PET", "1": "CT"}, "numTraining": 2, "file_ending": ".nii.gz",
            "labels": {"background": 0, "lungs": [1, 2], "left lung": [2], "nodule": 3, "ignore": 4},
        }  # fmt: skip
        if listed:
            names = {f"s{n}": {"images": [f"s{n}_0.nii.gz"], "label": f"s{n}.nii.gz"} for n in range(2)}
            about["dataset"] = names
        else:
            for name in ("imagesTr/s0_0000.nii.gz", "imagesTr/s0_0001.nii.gz", "labelsTr/s0.nii.gz"):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(b"not read here")
        write_json(folder / "dataset.json", about)

    return make


def _subjects(folder: Path) -> None:
    write_json(folder / "data.subjects.json", {"0": "anna-2", "1": "anna-10", "2": "berta"})


def _dataset(folder: Path) -> None:
    rows = [
        [subject, number, "axial", 18, 20, 12.0, 12.0, 10.0, 0.2, f"images/{subject}_{number}.tiff",
         f"masks/{subject}_{number}.png", "a" * 64, "b" * 64]
        for subject in range(3) for number in range(2)
    ]  # fmt: skip
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    (folder / "index.csv").write_text(text.getvalue())
    subjects = [
        {"id": n, "slices": 2, "rows": 18, "cols": 20, "spacing_mm": [12.0, 12.0], "slice_spacing_mm": 10.0,
         "volume_voxel_ml": 1.44, "flags": ["cut_top"], "notes": [["hu_rounded", "HU were rounded."]]}
        for n in range(3)
    ]  # fmt: skip
    about = {
        "schema": DATASET_SCHEMA, "hilum": "0.1.0", "plane": "axial", "spacing": "keep",
        "parameters": {"plane": "axial", "spacing": "keep", "sides": False},
        "index_sha256": hashlib.sha256(text.getvalue().encode()).hexdigest(),
        "subjects": subjects, "refused": [{"id": 3, "reason": "The mask is empty."}],
    }  # fmt: skip
    write_json(folder / "dataset.json", about)


def _record(folder: Path) -> None:
    (folder / "records").mkdir()
    subject = {
        "id": 0,
        "slices": 1,
        "rows": 18,
        "cols": 20,
        "spacing_mm": [12.0, 12.0],
        "slice_spacing_mm": 10.0,
    }
    row = {
        "slice": 0, "rows": 18, "cols": 20, "spacing_mm": [12.0, 12.0], "slice_spacing_mm": 10.0,
        "lung_fraction": 0.2, "image": "0_0.tiff", "mask": "0_0.png", "sha256": ["a" * 64, "b" * 64],
        "bytes": [800, 120],
    }  # fmt: skip
    record = {"id": 0, "refused": None, "key": "c" * 64, "sources": [["d" * 64, "e" * 64]]}
    write_json(folder / "records" / "0.json", {**record, "subject": subject, "slices": [row]})


def _evaluation(folder: Path) -> None:
    _, labels = chest()
    grid = Grid(pixel_mm=STEPS[:2], slice_mm=STEPS[2], voxel_ml=1.44)
    cases = [
        evaluate_case(Case(f"s{n}", f"s{n}", np.roll(labels, n, 0), labels, grid, None, SideChoice.YES))
        for n in range(2)
    ]
    write_json(
        folder / "evaluation.json", Evaluation("masks", {"kind": "masks", "cases": 2}, tuple(cases)).as_dict()
    )


def _config(folder: Path) -> None:
    (folder / "config.toml").write_text(
        to_toml(load_config(None, {"model": "unet", "fold": "1/5", "steps": 10}))
    )


def _lines(name: str, *lines: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).write_text("\n".join(lines) + "\n")

    return make


def tiny_card(onnx: bytes) -> dict[str, Any]:
    """The card of a network of one node."""
    return {
        "schema": SCHEMA, "name": "net", "version": "1", "task": "lungs", "kind": "unet", "hilum": "0.1.0",
        "input": {"kind": "slices", "size": [32, 32], "hu_window": [-1024.0, 400.0], "plane": "axial"},
        "labels": {"lung": 1}, "threshold": 0.5, "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "parameters": 0, "licence": {"code": "Apache-2.0", "weights": "CC0"},
        "training": {"minutes": 0.1}, "data": {"sha256": "a" * 64},
        "figures": {"validation_dice": {"mean": 0.9, "worst": 0.5}, "loader_overhead": None},
        "confidence": {"bias": 1.0, "weights": {"soft": 1.0, "apart": 0.5}},
    }  # fmt: skip


def _run(folder: Path) -> bool | None:
    try:
        from onnx import TensorProto, helper
    except ImportError:
        return False
    shape = ["n", 1, 32, 32]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "lung")]
    node = helper.make_node("Sigmoid", ["image"], ["lung"])
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    write_json(folder / "card.json", tiny_card(content))
    write_json(folder / "split.json", {"train": [0], "validation": [1], "test": [2], "seed": 0, "fold": None})
    return None


def _volume_card(folder: Path) -> None:
    (folder / "lungs.json").write_bytes((SHIPPED / "lungs.json").read_bytes())


def _result(folder: Path) -> None:
    (folder / "out").mkdir()
    write_json(folder / "out" / "run.json", {"hilum": "0.1.0", "files": ["run.json", "lungs.nii.gz"]})


TEXTS: dict[str, Maker] = {
    "pairs": ("pairs", _pairs_csv),
    "decathlon": ("pairs", _decathlon),
    "nnunet": ("pairs", _nnunet(False)),
    "nnunet-listed": ("pairs", _nnunet(True)),
    "subjects": ("subjects", _subjects),
    "dataset": ("dataset", _dataset),
    "record": ("record", _record),
    "evaluation": ("evaluation", _evaluation),
    "config": ("config", _config),
    "settings": ("settings", _lines("settings.txt", "augment.noise=0.5", "size=[64, 64]", "fold=1/5")),
    "labels": ("labels", _lines("labels.txt", "3=1,5=1,*=0")),
    "vocabulary": ("labels", _lines("labels.txt", "totalsegmentator,10=0,my right lung=right")),
    "run": ("run", _run),
    "volume-card": ("volume-card", _volume_card),
    "result": ("result", _result),
}
